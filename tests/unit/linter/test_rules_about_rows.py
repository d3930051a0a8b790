"""Rules about what happens to rows: POPULATE, losses, mutations, merges, TTL."""

from __future__ import annotations

import pytest

from tests.unit.linter.bench import EVENTS, Case

CASES = {
    "BM001": [
        Case(
            "a view with POPULATE is found",
            [
                "CREATE MATERIALIZED VIEW daily ENGINE = SummingMergeTree ORDER BY day\n"
                "POPULATE AS SELECT toDate(at) AS day, count() AS c FROM events GROUP BY day"
            ],
            [
                "daily is created with POPULATE: rows that are inserted into its source meanwhile "
                "are not in it"
            ],
        ),
        Case(
            "a view without it is fine, whatever its text says",
            [
                "CREATE MATERIALIZED VIEW daily ENGINE = SummingMergeTree ORDER BY day\n"
                "AS SELECT toDate(at) AS day, 'POPULATE' AS populate FROM events -- POPULATE",
                "SELECT 1 AS populate",
            ],
        ),
    ],
    "BM002": [
        Case(
            "a table of an earlier revision is dropped",
            ["DROP TABLE IF EXISTS events"],
            ["the upgrade drops events, and the file does not say that it may"],
        ),
        Case(
            "a table that no revision created is dropped",
            ["DROP TABLE other.t"],
            ["the upgrade drops other.t, and the file does not say that it may"],
        ),
        Case(
            "a table is emptied beside another statement",
            ["CREATE TABLE a (x Int8) ENGINE = Log\nPARALLEL WITH TRUNCATE TABLE users"],
            ["the upgrade truncates users, and the file does not say that it may"],
        ),
        Case(
            "columns go",
            [
                "ALTER TABLE events DROP COLUMN note, DROP COLUMN IF EXISTS score, DROP INDEX by_kind"
            ],
            [
                "the upgrade drops the column note of events, and the file does not say that it may",
                "the upgrade drops the column score of events, and the file does not say that it may",
            ],
        ),
        Case(
            "frozen parts and replicas go",
            [
                "ALTER TABLE events UNFREEZE WITH NAME 'monday'",
                "ALTER TABLE events UNFREEZE PARTITION 202601 WITH NAME 'monday'",
                "SYSTEM UNFREEZE WITH NAME 'monday'",
                "SYSTEM DROP REPLICA 'b' FROM TABLE events",
                "SYSTEM DROP DATABASE REPLICA 'b'",
                "SYSTEM DROP DNS CACHE",
            ],
            [
                "the upgrade removes frozen parts of events, and the file does not say that it may",
                "the upgrade removes frozen parts of events, and the file does not say that it may",
                "the upgrade removes frozen parts, and the file does not say that it may",
                "the upgrade removes a replica from Keeper, and the file does not say that it may",
                "the upgrade removes a replica from Keeper, and the file does not say that it may",
            ],
        ),
        Case(
            "what has expired goes",
            ["ALTER TABLE events MATERIALIZE TTL"],
            [
                "the upgrade removes the expired rows of events, and the file does not say that "
                "it may"
            ],
        ),
        Case(
            "a column that was there before is not the revision's own",
            [
                "ALTER TABLE events ADD COLUMN IF NOT EXISTS note String",
                "ALTER TABLE events DROP COLUMN IF EXISTS note",
            ],
            ["the upgrade drops the column note of events, and the file does not say that it may"],
        ),
        Case(
            "what a table's engine does may remove rows",
            ["ALTER TABLE events EXECUTE expire_snapshots('2026-01-01 00:00:00')"],
            [
                "the upgrade has a clause that lint does not know, and may lose rows or columns, "
                "and the file does not say that it may"
            ],
        ),
        Case(
            "rows go",
            [
                "TRUNCATE TABLE IF EXISTS events",
                "DELETE FROM events WHERE kind = 'test'",
                "ALTER TABLE events DELETE IN PARTITION 202601 WHERE kind = 'test'",
                "ALTER TABLE events DROP PARTITION 202601",
                "ALTER TABLE events CLEAR COLUMN note IN PARTITION 202601",
                "ALTER TABLE events REPLACE PARTITION 202601 FROM other",
                "DETACH TABLE events PERMANENTLY",
                "DROP DATABASE IF EXISTS archive",
            ],
            [
                "the upgrade truncates events, and the file does not say that it may",
                *["the upgrade deletes rows of events, and the file does not say that it may"] * 2,
                "the upgrade drops a partition of events, and the file does not say that it may",
                "the upgrade empties a column of events, and the file does not say that it may",
                "the upgrade replaces the rows of a partition of events, and the file does not say "
                "that it may",
                "the upgrade detaches for good events, and the file does not say that it may",
                "the upgrade drops the database archive, and the file does not say that it may",
            ],
        ),
        Case(
            "a view takes the place of a table",
            ["CREATE OR REPLACE VIEW events AS SELECT 1 AS id"],
            [
                "the upgrade replaces the table events, rows and all, and the file does not say "
                "that it may"
            ],
        ),
        Case(
            "a table is replaced, rows and all",
            ["CREATE OR REPLACE TABLE events (a Int8) ENGINE = MergeTree ORDER BY a"],
            [
                "the upgrade replaces the table events, rows and all, and the file does not say "
                "that it may"
            ],
        ),
        Case(
            "a table that no revision made is replaced",
            ["CREATE OR REPLACE TABLE other.t (a Int8) ENGINE = MergeTree ORDER BY a"],
            [
                "the upgrade replaces the table other.t, rows and all, and the file does not say "
                "that it may"
            ],
        ),
        Case(
            "files are overwritten",
            [
                "INSERT INTO FUNCTION file('a.csv') SELECT * FROM events "
                "SETTINGS engine_file_truncate_on_insert = 1",
                "SET s3_truncate_on_insert = 1",
                "INSERT INTO FUNCTION s3('https://b/a.csv') SELECT * FROM events",
            ],
            [
                "the upgrade may overwrite files, by engine_file_truncate_on_insert, and the file "
                "does not say that it may",
                "the upgrade may overwrite files, by s3_truncate_on_insert, and the file does not "
                "say that it may",
            ],
        ),
        Case(
            "a helper table of the same revision may go, under any name",
            [
                "CREATE TABLE helper (a Int8) ENGINE = MergeTree ORDER BY a",
                "ALTER TABLE helper ADD COLUMN b Int8, DROP COLUMN a",
                "RENAME TABLE helper TO helper_2",
                "TRUNCATE TABLE helper_2",
                "DROP TABLE helper_2",
            ],
        ),
        Case(
            "what EXCHANGE brought into the helper's place is the old table",
            [
                "CREATE TABLE events_new (a Int8) ENGINE = MergeTree ORDER BY a",
                "EXCHANGE TABLES events AND events_new",
                "DROP TABLE events_new",
            ],
            ["the upgrade drops events_new, and the file does not say that it may"],
        ),
        Case(
            "a parameter names what goes",
            [
                "SET param_t = 'events'",
                "DROP TABLE IF EXISTS {t:Identifier}",
                "DROP DATABASE {t:Identifier}",
                "DELETE FROM {t:Identifier} WHERE 1",
                "ALTER TABLE {t:Identifier} DROP COLUMN a",
                "ALTER TABLE {t:Identifier} ADD COLUMN a Int8",
                "CREATE OR REPLACE TABLE {t:Identifier} (a Int8) ENGINE = Log",
            ],
            [
                "the upgrade may lose rows or columns of what a parameter names, and the file does not say that it may"
            ]
            * 5,
        ),
        Case(
            "what looks like a duplicate goes",
            [
                "OPTIMIZE TABLE events FINAL DEDUPLICATE BY id",
                "OPTIMIZE TABLE events FINAL CLEANUP",
                "CREATE TABLE mine (a Int8) ENGINE = Log",
                "OPTIMIZE TABLE mine DEDUPLICATE",
            ],
            ["the upgrade removes rows of events for good, and the file does not say that it may"]
            * 2,
        ),
        Case(
            "what MOVE PARTITION brought into the helper is the old table's",
            [
                "CREATE TABLE helper AS events ENGINE = MergeTree ORDER BY id",
                "ALTER TABLE events MOVE PARTITION 202601 TO TABLE helper",
                "DROP TABLE helper",
            ],
            ["the upgrade drops helper, and the file does not say that it may"],
        ),
        Case(
            "behind an Alias is another table",
            [
                "CREATE TABLE other_name ENGINE = Alias(events)",
                "TRUNCATE TABLE other_name",
                "ALTER TABLE other_name DROP PARTITION 202601",
            ],
            [
                "the upgrade truncates other_name, and the file does not say that it may",
                "the upgrade drops a partition of other_name, and the file does not say that it "
                "may",
            ],
        ),
        Case(
            "a view that is refreshed replaces what its table holds",
            [
                "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 HOUR TO events AS SELECT * FROM source",
                "CREATE MATERIALIZED VIEW w REFRESH EVERY 1 HOUR APPEND TO events AS SELECT 1",
                "CREATE TABLE mine (a Int8) ENGINE = Log",
                "CREATE MATERIALIZED VIEW x REFRESH EVERY 1 HOUR TO mine AS SELECT 1 AS a",
            ],
            [
                "the upgrade replaces the rows of events at every refresh, and the file does not "
                "say that it may"
            ],
        ),
        Case(
            "a column that is computed from now on loses its values",
            [
                "ALTER TABLE events MODIFY COLUMN note Nullable(String) ALIAS kind, "
                "MODIFY COLUMN kind EPHEMERAL 'x', MODIFY COLUMN score DEFAULT 1",
                "ALTER TABLE events MODIFY COLUMN note ALIAS upper(kind)",
            ],
            [
                "the upgrade drops the values of the column note of events, and the file does not "
                "say that it may",
                "the upgrade drops the values of the column kind of events, and the file does not "
                "say that it may",
            ],
        ),
        Case(
            "a column of an earlier revision under the name of a new one may not go",
            [
                "ALTER TABLE events ADD COLUMN tmp Nullable(String)",
                "ALTER TABLE events RENAME COLUMN tmp TO fresh, RENAME COLUMN note TO tmp, "
                "DROP COLUMN tmp",
                "ALTER TABLE events DROP COLUMN fresh",
            ],
            ["the upgrade drops the column tmp of events, and the file does not say that it may"],
        ),
        Case(
            "a column that the same revision added may go",
            [
                "ALTER TABLE events ADD COLUMN scratch Int8",
                "ALTER TABLE events DROP COLUMN scratch",
            ],
        ),
        Case(
            "views without rows of their own, dictionaries and functions may go",
            ["DROP VIEW v", "DROP TABLE mv", "DROP DICTIONARY d", "DROP FUNCTION f"],
            earlier=[
                EVENTS,
                "CREATE VIEW v AS SELECT 1",
                "CREATE MATERIALIZED VIEW mv TO events AS SELECT * FROM source",
            ],
        ),
        Case(
            "a view with a table inside may not",
            ["DROP VIEW mv"],
            ["the upgrade drops mv, and the file does not say that it may"],
            earlier=["CREATE MATERIALIZED VIEW mv ENGINE = Log AS SELECT * FROM source"],
        ),
        Case(
            "the file says that it may, and why",
            ["DROP TABLE events"],
            settings={"destructive": "nobody reads it any more"},
        ),
        Case("a downgrade drops by its nature", [], down=["DROP TABLE events"]),
        Case(
            "temporary tables, and DETACH that a restart undoes, are no loss",
            ["DROP TEMPORARY TABLE t", "DETACH TABLE events", "SELECT 'DROP TABLE events'"],
        ),
    ],
    "BM004": [
        Case(
            "mutations of a table with partitions, and of one that is not known",
            [
                "ALTER TABLE events UPDATE note = 'x' WHERE id = 1",
                "ALTER TABLE other DELETE WHERE id IN (SELECT id FROM gone)",
            ],
            [
                "UPDATE of events is a mutation of every partition",
                "DELETE of other is a mutation of every partition",
            ],
        ),
        Case(
            "one partition is named",
            [
                "ALTER TABLE events UPDATE note = 'x' IN PARTITION 202601 WHERE id = 1",
                "ALTER TABLE events DELETE IN PARTITION 202601 WHERE id = 1",
            ],
        ),
        Case(
            "a table without partitions, and one of the same revision",
            [
                "ALTER TABLE flat DELETE WHERE a = 1",
                "CREATE TABLE fresh (a Int8, p Int8) ENGINE = MergeTree PARTITION BY p ORDER BY a",
                "ALTER TABLE fresh DELETE WHERE a = 1",
                "ALTER TABLE events MATERIALIZE INDEX by_kind",
            ],
            earlier=[EVENTS, "CREATE TABLE flat (a Int8) ENGINE = MergeTree ORDER BY a"],
        ),
    ],
    "BM005": [
        Case(
            "columns of the sorting key, the partition key and the version",
            [
                "ALTER TABLE events UPDATE kind = 'x', note = 'y', id = 2 WHERE 1",
                "ALTER TABLE budeval.events UPDATE `at` = now64(3) WHERE kind = 'x'",
            ],
            [
                "id belongs to a key of events, and the server refuses to UPDATE it (420)",
                "kind belongs to a key of events, and the server refuses to UPDATE it (420)",
                "at belongs to a key of budeval.events, and the server refuses to UPDATE it (420)",
            ],
        ),
        Case(
            "the key has another name by now",
            [
                "ALTER TABLE moved UPDATE kind = 'x' WHERE 1",
            ],
            ["kind belongs to a key of moved, and the server refuses to UPDATE it (420)"],
            earlier=[EVENTS, "RENAME TABLE events TO moved"],
        ),
        Case(
            "other columns, keys that are only read, tables that are not known",
            [
                "ALTER TABLE events UPDATE note = kind, score = f(id, at) WHERE kind = 'x'",
                "ALTER TABLE other UPDATE kind = 'x' WHERE 1",
            ],
        ),
    ],
    "BM007": [
        Case(
            "a column is added and filled in one ALTER",
            [
                "ALTER TABLE events ADD COLUMN a Int8, UPDATE a = 1 WHERE 1",
                "ALTER TABLE events ADD INDEX i note TYPE minmax, MATERIALIZE INDEX i",
            ],
            [
                "ADD COLUMN and UPDATE of events in one ALTER are not one change: the first stays "
                "when the second fails",
                "ADD INDEX and MATERIALIZE INDEX of events in one ALTER are not one change: the "
                "first stays when the second fails",
            ],
        ),
        Case(
            "each by itself",
            [
                "ALTER TABLE events ADD COLUMN a Int8, ADD COLUMN b Int8",
                "ALTER TABLE events UPDATE a = 1 WHERE 1, UPDATE b = 2 WHERE 1",
            ],
        ),
    ],
    "BM014": [
        Case(
            "all of a table is merged",
            ["OPTIMIZE TABLE events FINAL DEDUPLICATE", "OPTIMIZE TABLE budeval.events FINAL"],
            [
                "OPTIMIZE events FINAL reads and writes every row of it",
                "OPTIMIZE budeval.events FINAL reads and writes every row of it",
            ],
        ),
        Case(
            "one partition of it",
            ["OPTIMIZE TABLE events PARTITION 202601 FINAL"],
            ["OPTIMIZE events FINAL reads and writes every row of it in one partition"],
        ),
        Case(
            "without FINAL, of a new table, and FINAL in a SELECT",
            [
                "OPTIMIZE TABLE events",
                "CREATE TABLE fresh (a Int8) ENGINE = MergeTree ORDER BY a",
                "OPTIMIZE TABLE fresh FINAL",
                "SELECT * FROM events FINAL",
            ],
        ),
    ],
    "BM021": [
        Case(
            "a TTL of the table, and one of a column",
            [
                "ALTER TABLE events MODIFY TTL toDateTime(at) + INTERVAL 1 YEAR",
                "ALTER TABLE events MODIFY COLUMN note Nullable(String) TTL toDate(at) + 7",
            ],
            [
                "the new TTL of events is applied to every part at once, as a mutation",
                "the new TTL of events is applied to every part at once, as a mutation",
            ],
        ),
        Case(
            "left to the merges, taken away, or of a new table",
            [
                "ALTER TABLE events MODIFY TTL toDateTime(at) + INTERVAL 1 YEAR\n"
                "SETTINGS materialize_ttl_after_modify = 0",
                "ALTER TABLE events REMOVE TTL",
                "ALTER TABLE events ADD COLUMN c String TTL toDate(at) + 7",
                "CREATE TABLE fresh (a Date) ENGINE = MergeTree ORDER BY a",
                "ALTER TABLE fresh MODIFY TTL a + INTERVAL 1 YEAR",
            ],
        ),
    ],
}


@pytest.mark.parametrize(
    ("code", "case"),
    [
        pytest.param(code, case, id=f"{code}: {case.says}")
        for code, cases in CASES.items()
        for case in cases
    ],
)
def test_it_says_exactly_this(code: str, case: Case) -> None:
    assert case.messages(code) == list(case.expected)
