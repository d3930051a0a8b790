"""What the rules of lint claim, against what ClickHouse does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from budeval_migrations.linter.registry import rules
from budeval_migrations.linter.rules import bm018_reserved_word as reserved
from budeval_migrations.linter.types import ALIASES, TypeEffect, change, read_type
from tests.support.chdb_engine import connect
from tests.support.parser_judge import Judge
from tests.unit.linter.bench import EVENTS, Case

pytestmark = pytest.mark.embedded

CHANGES = [
    ("UInt8", "UInt16"),
    ("UInt32", "UInt8"),
    ("Int8", "UInt8"),
    ("UInt8", "Int16"),
    ("UInt8", "Int8"),
    ("Int64", "Float64"),
    ("Int32", "Float64"),
    ("Float64", "Float32"),
    ("Float32", "Float64"),
    ("Int32", "INT"),
    ("UInt32", "INT UNSIGNED"),
    ("Float64", "DOUBLE PRECISION"),
    ("String", "TEXT"),
    ("String", "VARCHAR(10)"),
    ("String", "LowCardinality(String)"),
    ("LowCardinality(String)", "String"),
    ("LowCardinality(String)", "LowCardinality(Nullable(String))"),
    ("String", "Nullable(String)"),
    ("Nullable(Int8)", "Nullable(Int16)"),
    ("String", "FixedString(3)"),
    ("FixedString(3)", "FixedString(4)"),
    ("FixedString(3)", "String"),
    ("UUID", "String"),
    ("Enum8('a' = 1)", "Enum8('a' = 1, 'b' = 2)"),
    ("Enum('a')", "Enum8('a' = 1, 'b')"),
    ("Enum8('a' = 1, 'b' = 2)", "Enum8('a' = 1)"),
    ("Enum8('a' = 1)", "Enum16('a' = 1)"),
    ("Enum8('a' = 1)", "Int8"),
    ("Enum8('a' = 1)", "String"),
    ("Array(Enum8('a' = 1))", "Array(Enum8('a' = 1, 'b' = 2))"),
    ("Nullable(Enum8('a' = 1))", "Nullable(Enum8('a' = 1, 'b' = 2))"),
    ("Array(UInt8)", "Array(UInt16)"),
    ("DateTime", "DateTime('UTC')"),
    ("DateTime", "UInt32"),
    ("UInt32", "DateTime"),
    ("DateTime", "DateTime64(3)"),
    ("DateTime64(3)", "DateTime"),
    ("DateTime64(6)", "DateTime64(3)"),
    ("DateTime64(3)", "DateTime64(3, 'UTC')"),
    ("DateTime", "Date"),
    ("Date", "DateTime"),
    ("Date", "Date32"),
    ("Date", "UInt16"),
    ("Bool", "UInt8"),
    ("UInt8", "Bool"),
    ("Decimal(10, 2)", "Decimal(10, 4)"),
    ("Decimal(10, 2)", "Decimal(18, 2)"),
    ("Decimal(10, 2)", "Decimal64(2)"),
    ("Decimal(10, 2)", "Decimal(20, 2)"),
    ("Decimal(10, 2)", "Decimal(9, 2)"),
]

# (code, server's answer; 0 where it does it, statement)
REFUSED = [
    ("BM005", 420, "ALTER TABLE events UPDATE kind = 'x' WHERE 1"),
    ("BM005", 420, "ALTER TABLE events UPDATE id = 1 WHERE 1"),
    ("BM005", 420, "ALTER TABLE events UPDATE at = now64(3) WHERE 1"),
    ("BM010", 44, "CREATE TABLE t (a Nullable(Int8)) ENGINE = MergeTree ORDER BY a"),
    (
        "BM010",
        44,
        "CREATE TABLE t (a LowCardinality(Nullable(String))) ENGINE = MergeTree ORDER BY a",
    ),
    (
        "BM010",
        44,
        "CREATE TABLE t (a Nullable(Int8)) ENGINE = MergeTree PARTITION BY a ORDER BY tuple()",
    ),
    ("BM010", 44, "ALTER TABLE events ADD COLUMN x Nullable(Int8), MODIFY ORDER BY (kind, id, x)"),
    (
        "BM011",
        36,
        "CREATE TABLE t (a Float64) ENGINE = MergeTree PARTITION BY a ORDER BY tuple()",
    ),
    ("BM020", 455, "CREATE TABLE t (a LowCardinality(UInt8)) ENGINE = Log"),
    ("BM020", 455, "CREATE TABLE t (a Array(LowCardinality(Nullable(Date)))) ENGINE = Log"),
    ("BM020", 43, "CREATE TABLE t (a Nullable(LowCardinality(String))) ENGINE = Log"),
    ("BM020", 43, "CREATE TABLE t (a Nullable(Array(String))) ENGINE = Log"),
    ("BM020", 43, "CREATE TABLE t (a LowCardinality(DateTime64(3))) ENGINE = Log"),
    ("BM020", 43, "CREATE TABLE t (a LowCardinality(Enum8('a' = 1))) ENGINE = Log"),
    ("BM022", 8, "CREATE MATERIALIZED VIEW v TO events AS SELECT 1 AS nothing, 2 AS id"),
]
ACCEPTED = [
    ("BM005", "ALTER TABLE events UPDATE score = 1 WHERE 1"),
    ("BM010", "CREATE TABLE t (a Nullable(Int8)) ENGINE = MergeTree ORDER BY assumeNotNull(a)"),
    (
        "BM010",
        "CREATE TABLE t (a Nullable(Int8)) ENGINE = MergeTree ORDER BY a"
        " SETTINGS allow_nullable_key = 1",
    ),
    ("BM020", "CREATE TABLE t (a LowCardinality(FixedString(2))) ENGINE = Log"),
    ("BM020", "CREATE TABLE t (a Nullable(UUID)) ENGINE = Log"),
    (
        "BM020",
        "CREATE TABLE t (a LowCardinality(UInt8)) ENGINE = MergeTree ORDER BY a"
        " SETTINGS allow_suspicious_low_cardinality_types = 1",
    ),
    (
        "BM020",
        "ALTER TABLE events ADD COLUMN a LowCardinality(UInt8)"
        " SETTINGS allow_suspicious_low_cardinality_types = 1",
    ),
    ("BM022", "CREATE MATERIALIZED VIEW v TO events AS SELECT 1 AS id"),
]

USES = {
    "column": (
        "CREATE TABLE t ({} Int8) ENGINE = Memory",
        "CREATE TABLE t (a Int8, {} Int8 DEFAULT 1, b Int8) ENGINE = MergeTree ORDER BY (a, {})",
        "ALTER TABLE t ADD COLUMN IF NOT EXISTS {} Int8 AFTER a",
        "ALTER TABLE t DROP COLUMN {}",
        "INSERT INTO t (a, {}, b) SELECT 1, 2, 3",
        "SELECT {} FROM t",
        "SELECT a, {}, max({}), t.{} FROM t WHERE {} = 1 ORDER BY {}, a",
        "SELECT count() FROM t GROUP BY {}",
    ),
    "table": (
        "CREATE TABLE {} (a Int8) ENGINE = Memory",
        "SELECT a FROM {} WHERE a = 1",
        "INSERT INTO {} SELECT 1",
        "ALTER TABLE {} ADD COLUMN a Int8",
        "DROP TABLE IF EXISTS {}",
    ),
}


class Play:
    """A database with the table of the unit tests in it, and two rows."""

    def __init__(self, connection: Any, database: str) -> None:
        self._connection = connection
        self.run(f"CREATE DATABASE {database}")
        self.run(f"USE {database}")
        self.run(EVENTS)
        self.run(
            "INSERT INTO events (id, kind, at) VALUES (1, 'a', '2020-01-01 00:00:00.000'),"
            " (2, 'b', now64(3))"
        )

    def run(self, statement: str) -> list[list[Any]]:
        """Run a statement, and return the rows it yields."""
        answer = str(self._connection.query(statement, "JSONCompact").data())
        return list(json.loads(answer)["data"]) if answer.strip() else []

    def code(self, statement: str) -> int:
        """Run a statement, and return the server's code; 0 where it did it."""
        try:
            self.run(statement)
        except Exception as error:
            return int(str(error).partition("Code: ")[2].partition(".")[0])
        return 0

    def mutations(self, table: str = "events") -> int:
        """Return how many mutations a table has had."""
        rows = self.run(
            "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
            f" AND table = '{table}'"
        )
        return int(rows[0][0])


@pytest.fixture
def play(embedded_directory: Path, database: str) -> Iterator[Play]:
    connection = connect(str(embedded_directory))
    try:
        yield Play(connection, database)
    finally:
        connection.query(f"DROP DATABASE IF EXISTS {database} SYNC")
        connection.close()


def said(code: str, *statements: str) -> list[str]:
    """What a rule says of statements that run after the play began."""
    return Case("", statements).messages(code)


@pytest.mark.parametrize(("code", "answer", "statement"), REFUSED)
def test_what_a_rule_says_is_refused_is_refused(
    play: Play, code: str, answer: int, statement: str
) -> None:
    assert said(code, statement) != []
    assert play.code(statement) == answer
    told = " ".join([*said(code, statement), rules()[code].why])
    assert f"({answer})" in told


@pytest.mark.parametrize(("code", "statement"), ACCEPTED)
def test_what_a_rule_passes_over_is_accepted(play: Play, code: str, statement: str) -> None:
    assert said(code, statement) == []
    assert play.code(statement) == 0


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_a_change_of_type_is_a_mutation_or_not_as_said(play: Play, old: str, new: str) -> None:
    play.run(
        f"CREATE TABLE t (k Int8, c {old}) ENGINE = MergeTree ORDER BY k"
        " SETTINGS min_bytes_for_wide_part = 0"
    )
    play.run("INSERT INTO t (k) VALUES (1)")

    assert play.code(f"ALTER TABLE t MODIFY COLUMN c {new}") == 0

    effect = change(read_type(old), read_type(new))
    assert (effect is not TypeEffect.METADATA) == (play.mutations("t") > 0), effect


def test_null_and_text_without_a_number_have_no_place(play: Play) -> None:
    play.run("CREATE TABLE t (k Int8, n Nullable(String), s String) ENGINE = MergeTree ORDER BY k")
    play.run("INSERT INTO t VALUES (1, NULL, 'x')")

    assert change(read_type("Nullable(String)"), read_type("String")) is TypeEffect.NARROW
    assert change(read_type("String"), read_type("UInt8")) is TypeEffect.NARROW
    assert play.code("ALTER TABLE t MODIFY COLUMN n String") == 36
    assert play.code("ALTER TABLE t MODIFY COLUMN s UInt8") == 341


def test_numbers_that_do_not_fit_are_cut_off_in_silence(play: Play) -> None:
    play.run("CREATE TABLE t (k Int32, n UInt32) ENGINE = MergeTree ORDER BY k")
    play.run("INSERT INTO t VALUES (1, 300)")

    assert change(read_type("UInt32"), read_type("UInt8")) is TypeEffect.NARROW
    assert play.code("ALTER TABLE t MODIFY COLUMN n UInt8") == 0
    assert play.run("SELECT n FROM t") == [[44]]


def test_another_name_for_a_number_of_an_enum_renames_the_rows(play: Play) -> None:
    play.run("CREATE TABLE t (k Int32, e Enum8('a' = 1)) ENGINE = MergeTree ORDER BY k")
    play.run("INSERT INTO t VALUES (1, 'a')")

    assert change(read_type("Enum8('a' = 1)"), read_type("Enum8('b' = 1)")) is TypeEffect.NARROW
    assert play.code("ALTER TABLE t MODIFY COLUMN e Enum8('b' = 1)") == 0
    assert (play.run("SELECT e FROM t"), play.mutations("t")) == ([["b"]], 0)


def test_a_column_with_a_default_made_of_another_is_no_mutation(play: Play) -> None:
    play.run("ALTER TABLE events ADD COLUMN at_us DateTime64(6) DEFAULT at")

    assert play.mutations() == 0


def test_the_other_names_of_types_are_the_servers(play: Play) -> None:
    rows = play.run(
        "SELECT upper(name), alias_to FROM system.data_type_families WHERE alias_to != ''"
    )
    theirs = dict(rows)

    assert {name: theirs.get(name) for name in ALIASES} == ALIASES


def test_populate_fills_the_view_and_without_it_old_rows_are_missing(play: Play) -> None:
    view = "CREATE MATERIALIZED VIEW {} ENGINE = MergeTree ORDER BY id {} AS SELECT id FROM events"
    play.run(view.format("filled", "POPULATE"))
    play.run(view.format("empty", ""))

    assert int(play.run("SELECT count() FROM filled")[0][0]) == 2
    assert int(play.run("SELECT count() FROM empty")[0][0]) == 0
    assert said("BM001", view.format("filled", "POPULATE")) != []
    assert said("BM001", view.format("empty", "")) == []


def test_a_mixed_alter_keeps_its_first_half_when_the_second_is_refused(play: Play) -> None:
    mixed = "ALTER TABLE events ADD COLUMN z Int8, UPDATE kind = 'x' WHERE 1"

    assert play.code(mixed) == 420

    columns = play.run(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND name = 'z'"
    )
    assert columns == [["z"]]
    assert said("BM007", mixed) != []


def test_several_alters_leave_what_one_leaves(play: Play) -> None:
    play.run("CREATE TABLE one AS events")
    play.run("CREATE TABLE many AS events")
    clauses = ("ADD COLUMN a Int8", "ADD COLUMN b Int8 AFTER a", "DROP INDEX by_kind")
    alters = [f"ALTER TABLE many {clause}" for clause in clauses]

    for statement in (*alters, f"ALTER TABLE one {', '.join(clauses)}"):
        play.run(statement)

    rows = play.run(
        "SELECT replaceRegexpOne(create_table_query, '[0-9a-z_]+\\\\.(one|many)', '') FROM system.tables"
        " WHERE database = currentDatabase() AND name IN ('one', 'many')"
    )
    assert rows[0] == rows[1]
    assert said("BM006", *alters) != []


def test_a_mutation_rewrites_a_part_in_every_partition_unless_one_is_named(play: Play) -> None:
    def contents() -> set[tuple[str, str]]:
        rows = play.run(
            "SELECT partition, hash_of_all_files FROM system.parts"
            " WHERE database = currentDatabase() AND table = 'events' AND active"
        )
        return {(str(partition), str(contents)) for partition, contents in rows}

    before = contents()
    named = "ALTER TABLE events UPDATE score = 1 IN PARTITION 202001 WHERE 1"
    play.run(f"{named} SETTINGS mutations_sync = 1")
    assert {partition for partition, _ in before - contents()} == {"202001"}
    assert said("BM004", named) == []

    before = contents()
    every = "ALTER TABLE events UPDATE score = 2 WHERE 1"
    play.run(f"{every} SETTINGS mutations_sync = 1")
    assert len(before - contents()) == 2
    assert said("BM004", every) != []


def test_optimize_final_writes_a_single_part_anew(play: Play) -> None:
    def parts() -> set[str]:
        rows = play.run(
            "SELECT name FROM system.parts WHERE database = currentDatabase()"
            " AND table = 'events' AND active"
        )
        return {str(name) for (name,) in rows}

    before = parts()

    play.run("OPTIMIZE TABLE events FINAL")

    assert len(before) == len(parts()) == 2
    assert before & parts() == set()


def test_an_index_is_not_in_the_parts_that_were_there(play: Play) -> None:
    def indexed() -> int:
        rows = play.run(
            "SELECT sum(secondary_indices_compressed_bytes) FROM system.parts"
            " WHERE database = currentDatabase() AND table = 't' AND active"
        )
        return int(rows[0][0])

    play.run("CREATE TABLE t (k Int8, s String) ENGINE = MergeTree ORDER BY k")
    play.run("INSERT INTO t VALUES (1, 'a')")
    play.run("ALTER TABLE t ADD INDEX i s TYPE bloom_filter")
    assert indexed() == 0

    play.run("ALTER TABLE t MATERIALIZE INDEX i SETTINGS mutations_sync = 1")
    assert indexed() > 0


def test_a_projection_is_not_in_the_parts_that_were_there(play: Play) -> None:
    def projected() -> int:
        rows = play.run(
            "SELECT count() FROM system.projection_parts WHERE database = currentDatabase() AND active"
        )
        return int(rows[0][0])

    play.run("CREATE TABLE t (k Int8, s String) ENGINE = MergeTree ORDER BY k")
    play.run("INSERT INTO t VALUES (1, 'a')")
    play.run("ALTER TABLE t ADD PROJECTION p (SELECT s, count() GROUP BY s)")
    assert projected() == 0

    play.run("ALTER TABLE t MATERIALIZE PROJECTION p SETTINGS mutations_sync = 1")
    assert projected() > 0


def test_an_index_over_a_new_column_has_nothing_to_read_in_old_parts(play: Play) -> None:
    alter = "ALTER TABLE events ADD COLUMN a Nullable(String), ADD INDEX i a TYPE bloom_filter"
    play.run(alter)
    rows = play.run(
        "SELECT count() FROM system.parts_columns WHERE database = currentDatabase() AND table = 'events'"
        " AND active AND column = 'a'"
    )

    assert int(rows[0][0]) == 0
    assert said("BM012", alter) == []


def test_a_new_ttl_deletes_old_rows_at_once_unless_it_is_left_to_the_merges(play: Play) -> None:
    ttl = "ALTER TABLE events MODIFY TTL toDateTime(at) + INTERVAL 1 YEAR"
    later = f"{ttl} SETTINGS materialize_ttl_after_modify = 0"

    play.run(later)
    assert (play.mutations(), said("BM021", later)) == (0, [])

    play.run("ALTER TABLE events REMOVE TTL")
    play.run(ttl)
    assert play.mutations() == 1
    assert said("BM021", ttl) != []


def test_a_ttl_of_a_column_is_applied_at_once(play: Play) -> None:
    alter = "ALTER TABLE events MODIFY COLUMN score Float64 TTL toDateTime(at) + INTERVAL 1 YEAR"

    play.run(alter)

    assert play.mutations() == 1
    assert said("BM021", alter) != []


def test_now_has_whole_seconds_and_now64_has_not_only_those(play: Play) -> None:
    create = (
        "CREATE TABLE t (k Int32, a DateTime64(6) DEFAULT now(), b DateTime64(6) DEFAULT now64(6))"
        " ENGINE = MergeTree ORDER BY k"
    )
    play.run(create)
    for key in range(3):
        play.run(f"INSERT INTO t (k) VALUES ({key})")
    fractions = "SELECT sum(toUnixTimestamp64Micro({}) % 1000000) FROM t"

    assert int(play.run(fractions.format("a"))[0][0]) == 0
    assert int(play.run(fractions.format("b"))[0][0]) > 0
    assert said("BM017", create) == [
        "a is a DateTime64(6), and its default now() has whole seconds"
    ]


@pytest.mark.parametrize(
    ("engine", "column", "answer"),
    [
        ("ReplacingMergeTree(v, d)", "v", 420),
        ("ReplacingMergeTree(v, d)", "d", 0),
        ("CollapsingMergeTree(s)", "s", 420),
        ("VersionedCollapsingMergeTree(s, v)", "s", 420),
        ("VersionedCollapsingMergeTree(s, v)", "v", 420),
        ("SummingMergeTree(v)", "v", 0),
        ("MergeTree", "p", 420),
        ("MergeTree", "h", 420),
        ("MergeTree", "v", 0),
    ],
)
def test_the_columns_that_no_mutation_may_change(
    play: Play, engine: str, column: str, answer: int
) -> None:
    create = (
        "CREATE TABLE t (k Int8, s Int8, v UInt8, d UInt8, p UInt8, h UInt32)"
        f" ENGINE = {engine} PARTITION BY p ORDER BY (k, intHash32(h)) SAMPLE BY intHash32(h)"
    )
    update = f"ALTER TABLE t UPDATE {column} = 1 WHERE 1"
    play.run(create)

    assert play.code(update) == answer
    assert (Case("", [update], earlier=[create]).messages("BM005") != []) == (answer == 420)


def test_between_two_renames_there_is_no_table_and_exchange_swaps_both(play: Play) -> None:
    play.run("CREATE TABLE fresh AS events")
    play.run("RENAME TABLE events TO events_old")
    assert play.code("SELECT 1 FROM events") == 60
    play.run("RENAME TABLE fresh TO events")

    play.run("EXCHANGE TABLES events AND events_old")
    assert int(play.run("SELECT count() FROM events")[0][0]) == 2


def test_float_keys_are_taken(play: Play) -> None:
    create = "CREATE TABLE t (a Float64) ENGINE = MergeTree ORDER BY a"

    assert play.code(create) == 0
    assert said("BM011", create) != []


def test_true_is_the_literal_and_not_the_column(play: Play) -> None:
    play.run("CREATE TABLE t (true UInt8) ENGINE = MergeTree ORDER BY tuple()")
    play.run("INSERT INTO t VALUES (0)")

    assert play.run("SELECT toUInt8(true), `true` FROM t") == [[1, 0]]


@pytest.mark.parametrize(
    ("what", "words"), [("column", reserved.COLUMNS), ("table", reserved.TABLES)]
)
def test_the_reserved_words_are_those_that_the_parser_takes_otherwise(
    play: Play, what: str, words: frozenset[str]
) -> None:
    rows = play.run("SELECT keyword FROM system.keywords WHERE match(keyword, '^[A-Z_0-9]+$')")
    keywords = [str(keyword) for (keyword,) in rows]
    uses = USES[what]
    with Judge() as judge:
        plain = [
            verdict.result for verdict in judge.asts([use.replace("{}", "zzz") for use in uses])
        ]
        asked = judge.asts([use.replace("{}", word) for word in keywords for use in uses])

    troublesome = set()
    for at, word in enumerate(keywords):
        verdicts = asked[at * len(uses) : (at + 1) * len(uses)]
        wanted = [[line.replace("zzz", word) for line in lines] for lines in plain]
        if [verdict.result for verdict in verdicts] != wanted:
            troublesome.add(word)
    assert troublesome == words
