"""Rules about how a revision runs: twice, in pieces, on a cluster, and back."""

from __future__ import annotations

import pytest

from budeval_migrations.linter.registry import rules
from budeval_migrations.model import Reach
from budeval_migrations.model.findings import Severity
from tests.unit.linter.bench import EVENTS, Case

TWICE = "it cannot be run twice, and after a kill it may not be known whether all of it took effect"
CLUSTER = {"cluster": "main"}

CASES = {
    "BM003": [
        Case(
            "two clauses, two tables, a column with its files, a user",
            [
                "ALTER TABLE events ADD COLUMN a Int8, ADD INDEX i a TYPE minmax",
                "DROP TABLE a, b",
                "ALTER TABLE events DROP COLUMN note",
                "CREATE USER reader",
                "CREATE NAMED COLLECTION c AS a = 1",
            ],
            [TWICE] * 5,
        ),
        Case(
            "what the catalogue tells of by itself",
            [
                "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
                "ALTER TABLE events ADD COLUMN a Int8",
                "DROP TABLE t",
                "RENAME TABLE t TO u",
            ],
        ),
        Case(
            "on a cluster each host takes it or refuses it alone",
            [
                "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
                "RENAME TABLE t TO u",
                "CREATE TABLE IF NOT EXISTS w (a Int8) ENGINE = MergeTree ORDER BY a",
            ],
            [TWICE] * 2,
            settings=CLUSTER,
        ),
        Case(
            "there is no form of it that can be run twice",
            [
                "EXCHANGE TABLES a AND b",
                "INSERT INTO events (id) VALUES (1)",
                "ALTER TABLE events UPDATE note = 'x' WHERE 1",
                "RENAME TABLE a TO b, b TO c",
                "CREATE TABLE t ENGINE = Log AS SELECT 1 AS a",
                "ALTER TABLE events DROP COLUMN note, RENAME COLUMN score TO note",
            ],
        ),
        Case("a probe stands before it", ["DROP TABLE a, b"], unless="SELECT 1"),
    ],
    "BM006": [
        Case(
            "three ALTERs of one table",
            [
                "ALTER TABLE events ADD COLUMN a Int8",
                "ALTER TABLE events ADD COLUMN b Int8 AFTER a",
                "ALTER TABLE events COMMENT COLUMN note 'x', DROP INDEX by_kind",
            ],
            ["statements 1 to 3 alter events one after the other"],
        ),
        Case(
            "two tables, something between, a mutation, the same column twice",
            [
                "ALTER TABLE events ADD COLUMN a Int8",
                "ALTER TABLE other ADD COLUMN a Int8",
                "SELECT 1",
                "ALTER TABLE other ADD COLUMN b Int8",
                "ALTER TABLE other MATERIALIZE COLUMN b",
                "ALTER TABLE other DROP COLUMN c",
                "ALTER TABLE other ADD COLUMN c String",
            ],
        ),
        Case(
            "settings that are not the same",
            [
                "ALTER TABLE events ADD COLUMN a Int8 SETTINGS alter_sync = 1",
                "ALTER TABLE events ADD COLUMN b Int8 SETTINGS alter_sync = 2",
            ],
        ),
        Case(
            "in the downgrade as well",
            [],
            ["statements 1 to 2 alter events one after the other"],
            down=["ALTER TABLE events DROP COLUMN a", "ALTER TABLE events DROP COLUMN b"],
        ),
    ],
    "BM012": [
        Case(
            "an index and a projection that old parts do not get",
            [
                "ALTER TABLE events ADD INDEX i note TYPE minmax",
                "ALTER TABLE events ADD PROJECTION p (SELECT kind, count() GROUP BY kind)",
                "CREATE INDEX j ON other (a) TYPE minmax",
            ],
            [
                "index i of events is added, and the parts that are there do not get it",
                "projection p of events is added, and the parts that are there do not get it",
                "index j of other is added, and the parts that are there do not get it",
            ],
        ),
        Case(
            "materialized, or gone again",
            [
                "ALTER TABLE events ADD INDEX IF NOT EXISTS i note TYPE minmax",
                "ALTER TABLE events MATERIALIZE INDEX IF EXISTS i IN PARTITION 202601",
                "ALTER TABLE events ADD PROJECTION p (SELECT kind ORDER BY kind)",
                "ALTER TABLE events DROP PROJECTION p",
            ],
        ),
        Case(
            "a table of the same revision has no old parts",
            [
                "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
                "ALTER TABLE t ADD INDEX i a TYPE minmax",
            ],
        ),
        Case(
            "a column that is new has the same value in all old rows",
            [
                "ALTER TABLE events ADD COLUMN a Nullable(String), ADD INDEX i a TYPE minmax",
                "ALTER TABLE other ADD COLUMN a Int8, ADD INDEX i a TYPE minmax",
            ],
        ),
        Case(
            "unless it has a default that is computed",
            ["ALTER TABLE events ADD COLUMN a String DEFAULT kind, ADD INDEX i a TYPE minmax"],
            ["index i of events is added, and the parts that are there do not get it"],
        ),
    ],
    "BM013": [
        Case(
            "in one statement",
            ["RENAME TABLE events TO events_old, events_new TO events"],
            [
                "events_new takes the place of events by RENAME: for a moment there is no events, "
                "and a kill in between leaves none"
            ],
        ),
        Case(
            "in two statements",
            [
                "RENAME TABLE budeval.events TO budeval.events_old",
                "SELECT 1",
                "RENAME TABLE events_new TO budeval.events",
            ],
            [
                "events_new takes the place of budeval.events by RENAME: for a moment there is no "
                "budeval.events, and a kill in between leaves none"
            ],
        ),
        Case(
            "EXCHANGE, and names that nobody had",
            [
                "EXCHANGE TABLES events AND events_new",
                "RENAME TABLE events_new TO events_old, a TO b, c TO d",
            ],
        ),
    ],
    "BM015": [
        Case(
            "rows of each host's own",
            [
                "CREATE TABLE t (a Int8) ENGINE = Log",
                "CREATE MATERIALIZED VIEW v ENGINE = Memory AS SELECT 1 AS a",
            ],
            [
                "t is a Log table: each host of main has rows of its own",
                "v is a Memory table: each host of main has rows of its own",
            ],
            settings=CLUSTER,
        ),
        Case(
            "MergeTree, engines without rows",
            [
                "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a",
                "CREATE TABLE u (a Int8) ENGINE = Distributed(main, currentDatabase(), t)",
                "CREATE TABLE n (a Int8) ENGINE = Null",
            ],
            settings=CLUSTER,
        ),
        Case("a single server", ["CREATE TABLE t (a Int8) ENGINE = Log"]),
        Case(
            "op.execute_unreplicated says that it is meant",
            ["CREATE TABLE t (a Int8) ENGINE = Log"],
            settings=CLUSTER,
            reach=Reach.UNREPLICATED,
        ),
    ],
    "BM016": [
        Case(
            "the tool puts it in itself",
            ["ALTER TABLE events ON CLUSTER main ADD COLUMN a Int8"],
            ["it says ON CLUSTER, and the setting cluster = main puts it in"],
            settings=CLUSTER,
        ),
        Case(
            "no single server can run it",
            ["CREATE TABLE t ON CLUSTER '{cluster}' (a Int8) ENGINE = Log"],
            ["it says ON CLUSTER, so that it runs on no single server, chDB among them"],
        ),
        Case(
            "op.execute_here runs what is written",
            ["DROP TABLE t ON CLUSTER other"],
            settings=CLUSTER,
            reach=Reach.HERE,
        ),
        Case(
            "it only looks like it",
            [
                "CREATE VIEW v AS SELECT 1 FROM a JOIN b ON cluster = x",
                "ALTER TABLE events MODIFY COMMENT 'ON CLUSTER main'",
            ],
            settings=CLUSTER,
        ),
    ],
    "BM019": [
        Case(
            "there is no function",
            ["DROP TABLE IF EXISTS t"],
            ["there is no downgrade(), and the file does not say why"],
            down=None,
        ),
        Case(
            "the function is empty",
            ["ALTER TABLE events ADD COLUMN a Int8"],
            ["downgrade() does nothing, and the upgrade does; the file does not say why"],
        ),
        Case(
            "the file says why",
            ["DROP TABLE IF EXISTS t"],
            down=None,
            settings={"irreversible": "the rows are gone"},
        ),
        Case("there is a way back", ["DROP TABLE IF EXISTS t"], down=[EVENTS]),
        Case("the upgrade changes nothing either", ["SELECT 1"]),
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


def test_the_fix_names_the_words_that_make_a_statement_repeatable() -> None:
    case = Case(
        "",
        [
            "ALTER TABLE events ADD COLUMN a Int8, DROP INDEX by_kind",
            "DROP TABLE a, b",
            "CREATE ROLE r",
        ],
    )

    fixes = [spot.fix for spot in rules()["BM003"].check(case.subject())]

    assert fixes == [
        "Write IF NOT EXISTS and IF EXISTS.",
        "Write IF EXISTS.",
        "Write IF NOT EXISTS.",
    ]


def test_on_cluster_is_an_error_only_where_the_tool_puts_it_in() -> None:
    def severities(**settings: str) -> list[Severity | None]:
        case = Case("", ["DROP TABLE t ON CLUSTER main"], settings=settings)
        return [spot.severity for spot in rules()["BM016"].check(case.subject())]

    assert severities(cluster="main") == [None]  # the rule's own: an error
    assert rules()["BM016"].severity is Severity.ERROR
    assert severities() == [Severity.INFO]
