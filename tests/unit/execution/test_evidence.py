"""Two looks at the catalogue, and what they say of the statement between them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.clickhouse.fingerprint import Fingerprint, Partition
from budeval_migrations.execution.reconcile.evidence import judge
from budeval_migrations.execution.reconcile.outcome import Evidence, Outcome
from budeval_migrations.sql.changes import Change, Watch
from budeval_migrations.sql.effects import effect

APPLIED, NOT_APPLIED, UNKNOWN = Outcome.APPLIED, Outcome.NOT_APPLIED, Outcome.UNKNOWN
Parts = dict[str, Partition]


def judged(text: str, before: Fingerprint, now: Fingerprint) -> Evidence:
    found = effect(text)
    keys = [f"{name.database or 'd'}.{name.name}" for name in found.targets]
    return judge(found, keys, before, now)


def objects(**found: str) -> Fingerprint:
    return Fingerprint(objects={f"d.{name}": value for name, value in found.items()})


# --- tables, views, dictionaries ------------------------------------------------------------

CREATE = "CREATE TABLE t (k Int8) ENGINE = Log"
ADD = "ALTER TABLE t ADD COLUMN z Int8"
DROP = "DROP TABLE t"
RENAME = "RENAME TABLE t TO u"
EXCHANGE = "EXCHANGE TABLES t AND u"
CIRCLE = "RENAME TABLE t TO x, u TO t, x TO u"
CHAIN = "RENAME TABLE u TO x, t TO u"
APART = "RENAME TABLE t TO x, u TO y"
ONE_UUID = "Log 11111111-1111-4111-8111-111111111111 a"
TWO_UUID = "Log 22222222-2222-4222-8222-222222222222 b"
THREE_UUID = "Log 33333333-3333-4333-8333-333333333333 a"
FOUR_UUID = "Log 44444444-4444-4444-8444-444444444444 b"
FILLED = "CREATE TABLE t ENGINE = Log AS SELECT 1"
SOME = objects(t="one")
NONE = objects()
PAIR = objects(t=ONE_UUID, u=TWO_UUID)

TABLES = {
    "made": (CREATE, NONE, SOME, APPLIED),
    "not made": (CREATE, NONE, NONE, NOT_APPLIED),
    "altered": (ADD, SOME, objects(t="two"), APPLIED),
    "not altered": (ADD, SOME, SOME, NOT_APPLIED),
    "altered, and there is no table": (ADD, NONE, NONE, NOT_APPLIED),
    "altered by another name": (ADD, objects(t="Alias x y"), objects(t="Alias x y"), UNKNOWN),
    "an index dropped by another name": (
        "DROP INDEX i ON t",
        objects(t="Alias x y"),
        objects(t="Alias x y"),
        UNKNOWN,
    ),
    "another name dropped": (DROP, objects(t="Alias x y"), NONE, APPLIED),
    "dropped": (DROP, SOME, NONE, APPLIED),
    "not dropped": (DROP, SOME, SOME, NOT_APPLIED),
    "dropped and made anew by another": (DROP, SOME, objects(t="new"), UNKNOWN),
    "not dropped, and altered by another": (
        DROP,
        objects(t=ONE_UUID),
        objects(t=f"{ONE_UUID}2"),
        NOT_APPLIED,
    ),
    "not dropped, and refreshed by the server": (
        DROP,
        objects(t=ONE_UUID),
        objects(t=TWO_UUID),
        UNKNOWN,
    ),
    "not detached, and refreshed by the server": (
        "DETACH TABLE t PERMANENTLY",
        objects(t=ONE_UUID),
        objects(t=TWO_UUID),
        UNKNOWN,
    ),
    "altered, and the same table": (
        "ALTER TABLE t REMOVE TTL",
        objects(t=ONE_UUID),
        objects(t=f"{ONE_UUID}2"),
        APPLIED,
    ),
    "not altered, and refreshed by the server": (
        "ALTER TABLE t REMOVE TTL",
        objects(t=ONE_UUID),
        objects(t=TWO_UUID),
        UNKNOWN,
    ),
    "exchanged by UUID": (EXCHANGE, PAIR, objects(t=TWO_UUID, u=ONE_UUID), APPLIED),
    "not exchanged by UUID": (EXCHANGE, PAIR, PAIR, NOT_APPLIED),
    "not exchanged, and both refreshed by the server": (
        EXCHANGE,
        PAIR,
        objects(t=THREE_UUID, u=FOUR_UUID),
        UNKNOWN,
    ),
    "renamed by UUID": (RENAME, objects(t=ONE_UUID), objects(u=ONE_UUID), APPLIED),
    "renamed, and another one is there": (
        RENAME,
        objects(t=ONE_UUID),
        objects(u=TWO_UUID),
        UNKNOWN,
    ),
    "view replaced by UUID": (
        "CREATE OR REPLACE VIEW t AS SELECT 2",
        objects(t=ONE_UUID),
        objects(t=TWO_UUID),
        APPLIED,
    ),
    "renamed": (RENAME, SOME, objects(u="one"), APPLIED),
    "not renamed": (RENAME, SOME, SOME, NOT_APPLIED),
    "renamed in part": (RENAME, SOME, objects(t="one", u="one"), UNKNOWN),
    "exchanged": (EXCHANGE, objects(t="1", u="2"), objects(t="2", u="1"), APPLIED),
    "not exchanged": (EXCHANGE, objects(t="1", u="2"), objects(t="1", u="2"), NOT_APPLIED),
    "exchanged and one altered": (
        EXCHANGE,
        objects(t="1", u="2"),
        objects(t="1", u="3"),
        UNKNOWN,
    ),
    "renamed in a circle": (CIRCLE, PAIR, objects(t=TWO_UUID, u=ONE_UUID), APPLIED),
    "the first step of a circle": (CIRCLE, PAIR, objects(x=ONE_UUID, u=TWO_UUID), UNKNOWN),
    "all but the last step of a circle": (CIRCLE, PAIR, objects(x=ONE_UUID, t=TWO_UUID), UNKNOWN),
    "no step of a circle": (CIRCLE, PAIR, PAIR, NOT_APPLIED),
    "a chain": (CHAIN, PAIR, objects(u=ONE_UUID, x=TWO_UUID), APPLIED),
    "the first step of a chain": (CHAIN, PAIR, objects(t=ONE_UUID, x=TWO_UUID), UNKNOWN),
    "a circle of tables without UUID": (
        CIRCLE,
        objects(t="1", u="2"),
        objects(t="2", u="1"),
        UNKNOWN,
    ),
    "two renamed without UUID": (APART, objects(t="1", u="2"), objects(x="3", y="4"), APPLIED),
    "one of two renamed without UUID": (
        APART,
        objects(t="1", u="2"),
        objects(x="3", u="2"),
        UNKNOWN,
    ),
    "made, perhaps not filled": (FILLED, NONE, SOME, UNKNOWN),
    "neither made nor filled": (FILLED, NONE, NONE, NOT_APPLIED),
    "two dropped": ("DROP TABLE t, u", objects(t="1", u="2"), NONE, APPLIED),
    "one of two dropped": ("DROP TABLE t, u", objects(t="1", u="2"), objects(u="2"), UNKNOWN),
    "view replaced": ("CREATE OR REPLACE VIEW t AS SELECT 2", SOME, objects(t="2"), APPLIED),
    "dictionary made": (
        "CREATE DICTIONARY t (k UInt64) PRIMARY KEY k SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)",
        NONE,
        SOME,
        APPLIED,
    ),
}


@pytest.mark.parametrize(("text", "before", "now", "expected"), TABLES.values(), ids=TABLES)
def test_a_table_is_judged_by_whether_it_changed(
    text: str, before: Fingerprint, now: Fingerprint, expected: Outcome
) -> None:
    assert judged(text, before, now).outcome is expected


def test_a_verdict_says_how_it_is_known() -> None:
    assert judged(ADD, SOME, SOME).why == "d.t is as it was before"
    assert judged(ADD, SOME, objects(t="two")).why == "d.t is changed as it makes it"
    assert judged(FILLED, NONE, SOME).why == "d.t was made, and whether it was filled is not known"


ONE = "ALTER TABLE t ADD COLUMN y Int8"
TWO = "ALTER TABLE t ADD COLUMN y Int8, DROP COLUMN z"
COLUMNS = {
    "added": (ONE, (), ("column y",), APPLIED, "d.t is changed as it makes it (column y)"),
    "not added": (
        ONE, (), (), NOT_APPLIED, "d.t was changed, but not as it does (column y)",
    ),
    "was there before": (
        ONE, ("column y",), ("column y",), UNKNOWN,
        "d.t was changed, and not only by this (column y)",
    ),
    "both": (
        TWO, ("column z",), ("column y",), APPLIED,
        "d.t is changed as it makes it (column y, column z)",
    ),
    "neither": (
        TWO, ("column z",), ("column z",), NOT_APPLIED,
        "d.t was changed, but not as it does (column y, column z)",
    ),
    "one of both": (
        TWO, ("column z",), ("column y", "column z"), UNKNOWN,
        "d.t was changed in part (column y, column z)",
    ),
    "one was as it should be": (
        TWO, (), ("column y",), APPLIED, "d.t is changed as it makes it (column y, column z)",
    ),
    "one was as it should be, and is not now": (
        TWO, (), ("column y", "column z"), UNKNOWN,
        "d.t was changed, and not only by this (column y, column z)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "held", "holds", "outcome", "why"), COLUMNS.values(), ids=COLUMNS)
def test_a_table_that_was_changed_is_judged_by_the_columns_that_were_to_change(
    text: str, held: tuple[str, ...], holds: tuple[str, ...], outcome: Outcome, why: str
) -> None:
    before = Fingerprint(objects={"d.t": "one"}, elements={"d.t": held})
    now = Fingerprint(objects={"d.t": "two"}, elements={"d.t": holds})
    assert judged(text, before, now) == Evidence(outcome, why)


def test_of_a_table_whose_columns_were_not_looked_at_before_the_change_tells() -> None:
    now = Fingerprint(objects={"d.t": "two"}, elements={"d.t": ("column y",)})
    assert judged(ONE, SOME, now).outcome is APPLIED


# --- databases, functions -------------------------------------------------------------------

OTHERS = {
    "database made": ("CREATE DATABASE e", {}, {"databases": {"e": "1"}}, APPLIED),
    "database not made": ("CREATE DATABASE e", {}, {}, NOT_APPLIED),
    "database dropped": ("DROP DATABASE e", {"databases": {"e": "1"}}, {}, APPLIED),
    "database not dropped": (
        "DROP DATABASE e",
        {"databases": {"e": "1"}},
        {"databases": {"e": "1"}},
        NOT_APPLIED,
    ),
    "database renamed in part": (
        "RENAME DATABASE e TO g",
        {"databases": {"e": "1"}},
        {"databases": {"e": "1", "g": "1"}},
        UNKNOWN,
    ),
    "function made": ("CREATE FUNCTION f AS x -> x", {}, {"functions": {"f": "1"}}, APPLIED),
    "function not made": ("CREATE FUNCTION f AS x -> x", {}, {}, NOT_APPLIED),
    "function replaced": (
        "CREATE OR REPLACE FUNCTION f AS x -> x",
        {"functions": {"f": "1"}},
        {"functions": {"f": "2"}},
        APPLIED,
    ),
    "function dropped": ("DROP FUNCTION f", {"functions": {"f": "1"}}, {}, APPLIED),
}


@pytest.mark.parametrize(("text", "before", "now", "expected"), OTHERS.values(), ids=OTHERS)
def test_databases_and_functions_are_judged_by_their_names(
    text: str, before: dict[str, object], now: dict[str, object], expected: Outcome
) -> None:
    one, other = Fingerprint(**before), Fingerprint(**now)  # type: ignore[arg-type]

    assert judged(text, one, other).outcome is expected


# --- mutations ------------------------------------------------------------------------------

UPDATE = "ALTER TABLE t UPDATE z = 1 WHERE 1"


def mutations(*names: str) -> Fingerprint:
    return Fingerprint(mutations={"d.t": names})


MUTATIONS = {
    "none before, none now": (mutations(), mutations(), NOT_APPLIED),
    "its own": (mutations(), mutations("mutation_2.txt"), APPLIED),
    "another's from before": (mutations("m1"), mutations("m1"), NOT_APPLIED),
    "one more": (mutations("m1"), mutations("m1", "m2"), APPLIED),
    "an old one was forgotten": (mutations("m1", "m2"), mutations("m2", "m3"), APPLIED),
    "only forgotten": (mutations("m1", "m2"), mutations("m2"), NOT_APPLIED),
    "two new ones": (mutations(), mutations("m1", "m2"), UNKNOWN),
    "the table is gone": (mutations("m1"), Fingerprint(missing=("d.t",)), UNKNOWN),
    "no table, then and now": (Fingerprint(missing=("d.t",)),) * 2 + (NOT_APPLIED,),
    "a view": (Fingerprint(), Fingerprint(), UNKNOWN),
}


@pytest.mark.parametrize(("before", "now", "expected"), MUTATIONS.values(), ids=MUTATIONS)
@pytest.mark.parametrize("text", [UPDATE, "ALTER TABLE t DELETE WHERE 1", "DELETE FROM t WHERE 1"])
def test_a_mutation_is_judged_by_what_is_new_in_the_servers_list(
    text: str, before: Fingerprint, now: Fingerprint, expected: Outcome
) -> None:
    assert judged(text, before, now).outcome is expected


BOTH = "ALTER TABLE t ADD COLUMN z Int8, UPDATE z = 1 WHERE 1"


@pytest.mark.parametrize(
    ("table", "made", "expected"),
    [
        ("one", (), NOT_APPLIED),
        ("two", ("m1",), APPLIED),
        ("two", (), UNKNOWN),
        ("one", ("m1",), UNKNOWN),
    ],
)
def test_several_clauses_are_applied_only_when_every_fact_says_so(
    table: str, made: tuple[str, ...], expected: Outcome
) -> None:
    before = Fingerprint(objects={"d.t": "one"}, mutations={"d.t": ()})
    now = Fingerprint(objects={"d.t": table}, mutations={"d.t": made})

    assert judged(BOTH, before, now).outcome is expected


# --- parts ----------------------------------------------------------------------------------


def part(first: int, last: int, rows: int = 10, *hashes: str) -> Partition:
    return Partition(first, last, rows, hashes)


def parts(**tables: Parts) -> Fingerprint:
    return Fingerprint(partitions={f"d.{name}": found for name, found in tables.items()})


P = {"1": part(1, 1, 10, "a"), "2": part(2, 2, 10, "b")}
VALUES = "INSERT INTO t VALUES (1), (2), (3)"
SELECT = "INSERT INTO t SELECT number FROM numbers(3)"
TRUNCATE = "TRUNCATE TABLE t"
DROP_1 = "ALTER TABLE t DROP PARTITION 1"

INSERTS = {
    "nothing new": (VALUES, P, P, NOT_APPLIED),
    "its rows": (VALUES, P, {**P, "3": part(3, 3, 3, "c")}, APPLIED),
    "its rows in two partitions": (
        VALUES,
        P,
        {"1": part(1, 3, 12), "2": part(2, 4, 11)},
        APPLIED,
    ),
    "into an empty table": (VALUES, {}, {"1": part(1, 1, 3, "c")}, APPLIED),
    "fewer rows than its own": (VALUES, P, {**P, "3": part(3, 3, 2)}, UNKNOWN),
    "its rows and another's": (VALUES, P, {**P, "3": part(3, 4, 5)}, UNKNOWN),
    "its rows, and others were deleted": (VALUES, P, {"2": P["2"], "3": part(3, 3, 3)}, UNKNOWN),
    "merged": (VALUES, {"1": part(1, 2, 20, "a", "b")}, {"1": part(1, 2, 20, "ab")}, NOT_APPLIED),
    "merged and its rows": (
        VALUES,
        {"1": part(1, 2, 20, "a", "b")},
        {"1": part(1, 3, 23, "ab", "c")},
        APPLIED,
    ),
    "a partition went away": (VALUES, P, {"2": P["2"]}, UNKNOWN),
    "select, nothing new": (SELECT, P, P, NOT_APPLIED),
    "select, rows": (SELECT, P, {**P, "3": part(3, 3, 3)}, UNKNOWN),
}


@pytest.mark.parametrize(("text", "held", "holds", "expected"), INSERTS.values(), ids=INSERTS)
def test_an_insert_is_judged_by_new_blocks_and_their_rows(
    text: str, held: Parts, holds: Parts, expected: Outcome
) -> None:
    assert judged(text, parts(t=held), parts(t=holds)).outcome is expected


TRUNCATES = {
    "all gone": (P, {}, APPLIED),
    "nothing gone": (P, P, NOT_APPLIED),
    "some gone": (P, {"2": P["2"]}, UNKNOWN),
    "nothing to take": ({}, {}, APPLIED),
    "nothing to take, and rows of another": ({}, {"1": part(1, 1)}, APPLIED),
    "all gone, and rows of another": (P, {"1": part(3, 3), "2": part(4, 4)}, APPLIED),
    "merged": ({"1": part(1, 5, 20, "a", "b")}, {"1": part(1, 5, 20, "ab")}, NOT_APPLIED),
    "rows of another": (P, {"1": part(1, 3, 11), "2": P["2"]}, NOT_APPLIED),
    "all gone, and block numbers began anew": ({"1": part(4, 9)}, {"1": part(1, 1)}, APPLIED),
}


@pytest.mark.parametrize(("held", "holds", "expected"), TRUNCATES.values(), ids=TRUNCATES)
def test_a_truncate_is_judged_by_the_blocks_that_were_there(
    held: Parts, holds: Parts, expected: Outcome
) -> None:
    assert judged(TRUNCATE, parts(t=held), parts(t=holds)).outcome is expected


DROPS = {
    "it is gone": (DROP_1, P, {"2": P["2"]}, APPLIED),
    "it is there": (DROP_1, P, P, NOT_APPLIED),
    "it was not there": (DROP_1, {"2": P["2"]}, {"2": P["2"]}, NOT_APPLIED),
    "another is gone": (DROP_1, P, {"1": P["1"]}, NOT_APPLIED),
    "another is gone too": (DROP_1, P, {}, APPLIED),
    "another has lost rows": (DROP_1, P, {"1": P["1"], "2": part(2, 2, 3)}, NOT_APPLIED),
    "it is gone and another's rows came": (DROP_1, P, {**P, "1": part(3, 3)}, APPLIED),
    "it has lost rows": (DROP_1, P, {**P, "1": part(1, 1, 3)}, UNKNOWN),
    "it was merged": (
        DROP_1,
        {"1": part(1, 4, 9, "a", "b")},
        {"1": part(1, 4, 9, "c")},
        NOT_APPLIED,
    ),
    "it has more rows": (DROP_1, P, {**P, "1": part(1, 3, 12)}, NOT_APPLIED),
    "named by its id": ("ALTER TABLE t DROP PARTITION ID '1'", P, {"1": P["1"]}, NOT_APPLIED),
    "named by a text": ("ALTER TABLE t DROP PARTITION '1'", P, {"1": P["1"]}, NOT_APPLIED),
    "one of some name is gone": (
        "ALTER TABLE t DROP PARTITION ('a', 1)",
        P,
        {"2": P["2"]},
        UNKNOWN,
    ),
    "the only one is gone": (
        "ALTER TABLE t DROP PARTITION ('a', 1)",
        {"2": P["2"]},
        {},
        APPLIED,
    ),
    "named by its value": (
        "ALTER TABLE t DROP PARTITION ('a', 1)",
        {**P, "3": replace(part(3, 3), value="('a',1)")},
        P,
        APPLIED,
    ),
    "another than that of the value is gone": (
        "ALTER TABLE t DROP PARTITION '2030-01-02'",
        {"1": P["1"], "20300102": replace(P["2"], value="2030-01-02")},
        {"20300102": replace(P["2"], value="2030-01-02")},
        NOT_APPLIED,
    ),
    "two are gone, one of them by another": (
        "ALTER TABLE t DROP PARTITION ('a', 1)",
        P,
        {},
        UNKNOWN,
    ),
    "all of them": ("ALTER TABLE t DROP PARTITION ALL", P, {}, APPLIED),
    "some of all": ("ALTER TABLE t DROP PARTITION ALL", P, {"2": P["2"]}, UNKNOWN),
    "none of all": ("ALTER TABLE t DROP PARTITION ALL", P, P, NOT_APPLIED),
    "a part that was the whole partition": (
        "ALTER TABLE t DROP PART '1_1_1_0'",
        P,
        {"2": P["2"]},
        APPLIED,
    ),
    "a part of a partition": (
        "ALTER TABLE t DROP PART '1_1_1_0'",
        {"1": part(1, 3, 30)},
        {"1": part(2, 3, 20)},
        UNKNOWN,
    ),
}


@pytest.mark.parametrize(("text", "held", "holds", "expected"), DROPS.values(), ids=DROPS)
def test_the_drop_of_a_partition_is_judged_by_that_partition(
    text: str, held: Parts, holds: Parts, expected: Outcome
) -> None:
    assert judged(text, parts(t=held), parts(t=holds)).outcome is expected


@pytest.mark.parametrize(
    ("detached", "holds", "expected"),
    [
        (("1_1_1_0",), {}, NOT_APPLIED),
        ((), {"1": part(1, 1)}, APPLIED),
        ((), {}, UNKNOWN),
        (("1_1_1_0",), {"1": part(1, 1)}, UNKNOWN),
    ],
    ids=["as before", "attached", "thrown away by another", "rows of another"],
)
def test_an_attach_is_judged_by_both_sides(
    detached: tuple[str, ...], holds: Parts, expected: Outcome
) -> None:
    before = replace(parts(t={}), detached={"d.t": ("1_1_1_0",)})
    now = replace(parts(t=holds), detached={"d.t": detached})

    assert judged("ALTER TABLE t ATTACH PARTITION 1", before, now).outcome is expected


@pytest.mark.parametrize(
    ("detached", "holds", "expected"),
    [
        ((), P, NOT_APPLIED),
        (("1_1_1_0",), {"2": P["2"]}, APPLIED),
        ((), {"2": P["2"]}, UNKNOWN),
        (("1_1_1_0",), P, UNKNOWN),
    ],
    ids=["as before", "put aside", "only gone", "put aside by another"],
)
def test_a_detach_is_judged_by_both_sides(
    detached: tuple[str, ...], holds: Parts, expected: Outcome
) -> None:
    now = replace(parts(t=holds), detached={"d.t": detached})

    assert judged("ALTER TABLE t DETACH PARTITION 1", parts(t=P), now).outcome is expected


MOVE = "ALTER TABLE t MOVE PARTITION 1 TO TABLE u"
U = {"1": part(7, 7, 5, "u")}
MOVES = {
    "as before": (P, U, NOT_APPLIED),
    "moved": ({"2": P["2"]}, {"1": part(7, 8, 15, "u", "a")}, APPLIED),
    "moved and merged": ({"2": P["2"]}, {"1": part(7, 8, 15, "ua")}, APPLIED),
    "only gone": ({"2": P["2"]}, U, UNKNOWN),
    "only rows of another in its target": (P, {"1": part(7, 9, 6)}, UNKNOWN),
    "merged on both sides": (
        {**P, "1": part(1, 1, 10, "z")},
        {"1": part(7, 7, 5, "y")},
        NOT_APPLIED,
    ),
}


@pytest.mark.parametrize(("source", "target", "expected"), MOVES.values(), ids=MOVES)
def test_a_move_is_judged_by_both_tables(source: Parts, target: Parts, expected: Outcome) -> None:
    assert judged(MOVE, parts(t=P, u=U), parts(t=source, u=target)).outcome is expected


COPIES = {
    "as before": (P, NOT_APPLIED),
    "copied": ({**P, "1": part(1, 3, 15, "a", "u")}, APPLIED),
    "copied and merged": ({**P, "1": part(1, 3, 15, "au")}, UNKNOWN),
    "rows of another": ({**P, "1": part(1, 3, 11, "a", "x")}, UNKNOWN),
    "only merged": ({**P, "1": part(1, 1, 10, "z")}, NOT_APPLIED),
}


@pytest.mark.parametrize(("holds", "expected"), COPIES.values(), ids=COPIES)
def test_a_copied_partition_is_known_by_the_hashes_of_its_parts(
    holds: Parts, expected: Outcome
) -> None:
    text = "ALTER TABLE t ATTACH PARTITION 1 FROM u"

    assert judged(text, parts(t=P, u=U), parts(t=holds, u=U)).outcome is expected


REPLACES = {
    "as before": (P, NOT_APPLIED),
    "replaced": ({**P, "1": part(3, 3, 5, "u")}, APPLIED),
    "replaced and merged": ({**P, "1": part(3, 4, 5, "z")}, UNKNOWN),
    "rows of another": ({**P, "1": part(1, 3, 11, "a", "x")}, UNKNOWN),
    "only merged": ({**P, "1": part(1, 1, 10, "z")}, NOT_APPLIED),
}


FOUR = part(1, 4, 40, "a", "b", "c", "d")
NAMES = ("1_1_1_0", "1_2_2_0", "1_3_3_0", "1_4_4_0")
DETACHED = {
    "every part": ("PARTITION 1", {}, NAMES, APPLIED),
    "some parts": ("PARTITION 1", {}, NAMES[:2], UNKNOWN),
    "as many parts, and not the same": ("PARTITION 1", {}, (*NAMES[:3], "1_9_9_0"), UNKNOWN),
    "the parts of another partition": (
        "PARTITION 1",
        {},
        tuple(f"2{n[1:]}" for n in NAMES),
        UNKNOWN,
    ),
    "none yet": ("PARTITION 1", {}, (), UNKNOWN),
    "nothing": ("PARTITION 1", {"1": FOUR}, (), NOT_APPLIED),
    "the part that it names": ("PART '1_4_4_0'", {"1": part(1, 3, 30)}, NAMES[3:], APPLIED),
    "every partition": ("PARTITION ALL", {}, NAMES, APPLIED),
}


@pytest.mark.parametrize(("what", "holds", "aside", "expected"), DETACHED.values(), ids=DETACHED)
def test_a_partition_is_detached_when_each_of_its_parts_is_aside(
    what: str, holds: Parts, aside: tuple[str, ...], expected: Outcome
) -> None:
    before = parts(t={"1": FOUR})
    now = replace(parts(t=holds), detached={"d.t": aside} if aside else {})
    assert judged(f"ALTER TABLE t DETACH {what}", before, now).outcome is expected


ATTACHED = {
    "every part": ({"1": FOUR}, (), APPLIED),
    "some parts": ({"1": part(1, 2)}, NAMES[2:], UNKNOWN),
    "some parts, the others under way": (
        {"1": part(1, 1)},
        tuple(f"attaching_{name}" for name in NAMES[1:]),
        UNKNOWN,
    ),
    "another partition stays": ({"1": FOUR}, ("3_1_1_0",), APPLIED),
    "nothing": ({}, NAMES, NOT_APPLIED),
}


@pytest.mark.parametrize(("holds", "aside", "expected"), ATTACHED.values(), ids=ATTACHED)
def test_a_partition_is_attached_when_none_of_its_parts_is_aside(
    holds: Parts, aside: tuple[str, ...], expected: Outcome
) -> None:
    before = replace(parts(t={}), detached={"d.t": (*NAMES, "3_1_1_0")})
    now = replace(parts(t=holds), detached={"d.t": (*aside, "3_1_1_0")})
    assert judged("ALTER TABLE t ATTACH PARTITION 1", before, now).outcome is expected


def test_all_partitions_are_copied_when_the_last_one_is() -> None:
    text = "ALTER TABLE t ATTACH PARTITION ALL FROM u"
    source = {"1": part(1, 1, 10, "x"), "2": part(2, 2, 10, "y")}
    first = {"1": part(5, 5, 10, "x")}
    both = {**first, "2": part(6, 6, 10, "y")}
    for holds, expected in (({}, NOT_APPLIED), (first, UNKNOWN), (both, APPLIED)):
        before, now = parts(t={}, u=source), parts(t=holds, u=source)
        assert judged(text, before, now).outcome is expected


@pytest.mark.parametrize(("holds", "expected"), REPLACES.values(), ids=REPLACES)
def test_a_replaced_partition_is_known_by_the_hashes_of_its_parts(
    holds: Parts, expected: Outcome
) -> None:
    text = "ALTER TABLE t REPLACE PARTITION 1 FROM u"

    assert judged(text, parts(t=P, u=U), parts(t=holds, u=U)).outcome is expected


DETACH = "ALTER TABLE t DETACH PARTITION 1"
ATTACH = "ALTER TABLE t ATTACH PARTITION 1"
COPY = "ALTER TABLE t ATTACH PARTITION 1 FROM u"
REPLACE = "ALTER TABLE t REPLACE PARTITION 1 FROM u"
SENTENCES = (
    (CIRCLE, PAIR, objects(x=ONE_UUID, t=TWO_UUID), "only some of d.t, d.x, d.u were renamed"),
    (CIRCLE, PAIR, PAIR, "d.t, d.x, d.u are where they were before"),
    (CIRCLE, PAIR, objects(t=TWO_UUID, u=ONE_UUID), "d.t, d.x, d.u are where it puts them"),
    (CIRCLE, objects(t="1", u="2"), objects(t="1", u="2"),
     "d.t, d.x, d.u look alike, and have no UUID to tell them apart"),
    (RENAME, SOME, objects(t="one", u="one"), "only some of d.t, d.u were changed"),
    (BOTH, Fingerprint(objects={"d.t": "one"}, mutations={"d.t": ()}),
     Fingerprint(objects={"d.t": "two"}, mutations={"d.t": ()}), "only a part of it took effect"),
    ("RENAME DATABASE e TO g", Fingerprint(databases={"e": "1"}), Fingerprint(databases={"g": "1"}),
     "database e, g: applied"),
    ("RENAME DATABASE e TO x, g TO e", Fingerprint(databases={"e": "1", "g": "2"}),
     Fingerprint(databases={"x": "1", "e": "2"}), "e, x, g are where it puts them"),
    ("RENAME DATABASE e TO x, g TO y", Fingerprint(databases={"e": "1", "g": "2"}),
     Fingerprint(databases={"x": "1", "y": "2"}), "e, x, g, y are where it puts them"),
    ("RENAME DATABASE e TO x, g TO y", Fingerprint(databases={"e": "1", "g": "2"}),
     Fingerprint(databases={"e": "1", "g": "2"}), "e, x, g, y are where they were before"),
    ("RENAME DATABASE e TO x, g TO y", Fingerprint(databases={"e": "1", "g": "2"}),
     Fingerprint(databases={"x": "1", "g": "2"}), "only some of e, x, g, y were renamed"),
    ("ALTER TABLE t DROP COLUMN b, ADD COLUMN b Int8", SOME, SOME,
     "d.t is as it was before, and would be afterwards"),
    (UPDATE, Fingerprint(missing=("d.t",)), Fingerprint(missing=("d.t",)), "there is no table d.t"),
    ("DROP FUNCTION f", Fingerprint(functions={"f": "1"}), Fingerprint(functions={"f": "1"}),
     "function f: not applied"),
    (UPDATE, mutations("m1"), mutations("m1"), "d.t has no mutation that it did not have before"),
    (UPDATE, mutations("m1"), mutations("m1", "m2"), "it made m2 of d.t"),
    (UPDATE, mutations(), mutations("m1", "m2"), "d.t has 2 new mutations"),
    (VALUES, Fingerprint(missing=("d.t",)), Fingerprint(missing=("d.t",)),
     "there is no table d.t"),
    (VALUES, Fingerprint(), Fingerprint(), "d.t is no MergeTree table whose parts could be seen"),
    (VALUES, parts(t=P), parts(t=P), "d.t has got no new part"),
    (VALUES, parts(t=P), parts(t={**P, "3": part(3, 3, 3)}), "d.t has got its 3 rows"),
    (SELECT, parts(t=P), parts(t={**P, "3": part(3, 3, 4)}),
     "d.t has got 4 rows more than before, and whether that is all that it inserts is not known"),
    (TRUNCATE, parts(t={}), parts(t={}), "d.t was empty before"),
    (TRUNCATE, parts(t=P), parts(t={}), "what d.t held is gone"),
    (TRUNCATE, parts(t=P), parts(t=P), "d.t holds what it held"),
    (TRUNCATE, parts(t=P), parts(t={"2": P["2"]}), "some of what d.t held is gone"),
    (DROP_1, parts(t=P), parts(t={"2": P["2"]}), "partition 1 of d.t is gone"),
    (DROP_1, parts(t=P), parts(t=P), "d.t has all its partitions"),
    (DROP_1, parts(t=P), parts(t={**P, "1": part(1, 1, 3)}), "partition 1 of d.t has lost rows"),
    ("ALTER TABLE t DROP PARTITION ('a', 1)", parts(t=P), parts(t={}),
     "partitions 1, 2 of d.t are gone"),
    ("ALTER TABLE t DROP PARTITION 1, DROP PARTITION 2", parts(t=P), parts(t={"2": P["2"]}),
     "partition 1 of d.t is gone, and whether that is all is not known"),
    (DETACH, parts(t=P), replace(parts(t={"2": P["2"]}), detached={"d.t": ("1_1_1_0",)}),
     "the parts were moved (d.t)"),
    (DETACH, parts(t=P), parts(t=P), "the parts are where they were (d.t)"),
    (ATTACH, replace(parts(t={}), detached={"d.t": ("1_1_1_0",)}), parts(t={}),
     "the parts were moved in part (d.t)"),
    (MOVE, parts(t=P, u=U), parts(t=P, u=U), "the parts are where they were (d.t)"),
    (MOVE, parts(t=P), parts(t=P), "the parts of d.t's counterpart cannot be seen"),
    (MOVE, parts(t=P, u=U), parts(t=P), "the parts of d.t's counterpart cannot be seen"),
    (COPY, parts(t=P, u=U), parts(t=P, u=U), "d.t has got no new part"),
    (COPY, parts(t=P, u=U), parts(t={**P, "1": part(1, 3, 15, "a", "u")}, u=U),
     "d.t holds the parts of partition 1"),
    (COPY, parts(t=P, u=U), parts(t={**P, "1": part(1, 3, 15, "au")}, u=U),
     "d.t has got parts, and whose they are is not known"),
    (REPLACE, parts(t=P, u=U), parts(t=P, u=U), "d.t is as it was before"),
    (REPLACE, parts(t=P, u=U), parts(t={**P, "1": part(3, 3, 5, "u")}, u=U),
     "d.t holds the parts of partition 1"),
    (REPLACE, parts(t=P, u=U), parts(t={**P, "1": part(3, 4, 5, "z")}, u=U),
     "d.t has got parts, and whose they are is not known"),
    ("SELECT 1", NONE, NONE, "nothing in the catalogue tells whether it ran"),
)  # fmt: skip


@pytest.mark.parametrize(("text", "before", "now", "why"), SENTENCES, ids=[s[3] for s in SENTENCES])
def test_every_verdict_says_how_it_is_known(
    text: str, before: Fingerprint, now: Fingerprint, why: str
) -> None:
    assert judged(text, before, now).why == why


def test_a_server_that_tells_no_hashes_leaves_copies_unknown() -> None:
    bare = parts(t={"1": part(1, 1)}, u={"1": part(7, 7)})
    now = parts(t={"1": part(1, 3)}, u={"1": part(7, 7)})

    assert judged("ALTER TABLE t ATTACH PARTITION 1 FROM u", bare, now).outcome is UNKNOWN


@pytest.mark.parametrize("text", [VALUES, TRUNCATE, DROP_1, MOVE])
def test_a_table_that_is_not_there_and_was_not_there_took_nothing(text: str) -> None:
    nothing = Fingerprint(missing=("d.t", "d.u"))

    assert judged(text, nothing, nothing).outcome is NOT_APPLIED


@pytest.mark.parametrize("text", [VALUES, TRUNCATE, DROP_1, MOVE])
def test_a_table_without_parts_tells_nothing(text: str) -> None:
    assert judged(text, Fingerprint(), Fingerprint()).outcome is UNKNOWN


@pytest.mark.parametrize("text", [VALUES, TRUNCATE, DROP_1])
def test_a_table_that_came_or_went_meanwhile_tells_nothing(text: str) -> None:
    gone, there = Fingerprint(missing=("d.t",)), parts(t=P)

    assert judged(text, gone, there).outcome is UNKNOWN
    assert judged(text, there, gone).outcome is UNKNOWN


def test_a_target_whose_parts_cannot_be_seen_tells_nothing() -> None:
    assert judged(MOVE, parts(t=P), parts(t={"2": P["2"]})).outcome is UNKNOWN


@pytest.mark.parametrize("text", ["UPDATE t SET k = 1 WHERE 1"])
def test_parts_that_a_statement_writes_beside_the_rows_tell_nothing(text: str) -> None:
    assert judged(text, parts(t=P), parts(t=P)).outcome is UNKNOWN


@pytest.mark.parametrize(
    "text",
    ["SELECT 1", "SYSTEM FLUSH LOGS", "GRANT SELECT ON t TO u", "ALTER TABLE t FREEZE", "BACKUP x"],
)
def test_a_statement_that_nothing_watches_is_unknown(text: str) -> None:
    found = judged(text, SOME, objects(t="two"))

    assert found == Evidence(UNKNOWN, "nothing in the catalogue tells whether it ran")


def test_every_watch_and_every_change_is_judged_here() -> None:
    texts = [CREATE, "CREATE DATABASE e", "CREATE FUNCTION f AS x -> x", UPDATE, VALUES, TRUNCATE]
    texts += [DROP_1, MOVE, "ALTER TABLE t ATTACH PARTITION 1", "UPDATE t SET k = 1 WHERE 1"]
    texts += [f"ALTER TABLE t {verb} PARTITION 1 FROM u" for verb in ("ATTACH", "REPLACE")]
    texts += ["ALTER TABLE t DETACH PARTITION 1"]
    effects = [effect(text) for text in texts]

    assert {w for e in effects for w in e.watches} == set(Watch)
    assert {e.change for e in effects} == set(Change)


# --- laws -----------------------------------------------------------------------------------

_partition = st.builds(
    lambda first, more, rows, hashes: Partition(first, first + more, rows, tuple(hashes)),
    st.integers(1, 9),
    st.integers(0, 4),
    st.integers(1, 30),
    st.lists(st.sampled_from("abcdef"), max_size=3, unique=True).map(sorted),
)
_held = st.dictionaries(st.sampled_from("123"), _partition, max_size=3)
_TOLD = [
    VALUES,
    SELECT,
    TRUNCATE,
    DROP_1,
    MOVE,
    "ALTER TABLE t ATTACH PARTITION 1 FROM u",
    "ALTER TABLE t REPLACE PARTITION 1 FROM u",
    "ALTER TABLE t ATTACH PARTITION 1",
    "ALTER TABLE t DETACH PARTITION 1",
]


@given(st.sampled_from(_TOLD), _held, _held)
def test_nothing_changed_is_never_taken_as_applied(text: str, held: Parts, other: Parts) -> None:
    same = parts(t=held, u=other)
    outcome = judged(text, same, same).outcome

    assert outcome is NOT_APPLIED or (text == TRUNCATE and not held)


@given(st.sampled_from(_TOLD), _held, _held)
def test_a_merge_alone_is_never_taken_for_an_effect(text: str, held: Parts, other: Parts) -> None:
    """A merge keeps blocks and rows; the hashes are new."""
    merged = {name: replace(p, hashes=("merged",)) for name, p in held.items()}

    before, now = parts(t=held, u=other), parts(t=merged, u=other)

    outcome = judged(text, before, now).outcome
    assert outcome is NOT_APPLIED or (text == TRUNCATE and not held)


@given(st.sampled_from([SELECT, "INSERT INTO t SELECT 1"]), _held, _held)
def test_an_insert_of_unknown_length_is_never_taken_as_applied(
    text: str, held: Parts, holds: Parts
) -> None:
    assert judged(text, parts(t=held), parts(t=holds)).outcome is not APPLIED


# --- whether a trace of it was found --------------------------------------------------------

BLIND = {
    "nothing to look at": ("ALTER USER u IDENTIFIED BY 'x'", Fingerprint(), Fingerprint()),
    "no MergeTree table": ("INSERT INTO t VALUES (1)", Fingerprint(), Fingerprint()),
    "no table with mutations": (UPDATE, Fingerprint(), Fingerprint()),
    "another name of a table": (
        ADD,
        objects(t="Alias 1 a"),
        objects(t="Alias 1 a"),
    ),
    "parts that do not tell": ("UPDATE t SET k = 1 WHERE 1", parts(t=P), parts(t=P)),
}


@pytest.mark.parametrize(("text", "before", "now"), BLIND.values(), ids=BLIND)
def test_where_nothing_could_be_seen_no_trace_was_found(
    text: str, before: Fingerprint, now: Fingerprint
) -> None:
    found = judged(text, before, now)

    assert (found.outcome, found.blind) == (UNKNOWN, True)
    assert found.why


def test_a_change_that_cannot_be_read_is_a_trace() -> None:
    more = {**P, "9": Partition(9, 9, 10, ("z",))}
    found = judged("UPDATE t SET k = 1 WHERE 1", parts(t=P), parts(t=more))
    assert (found.outcome, found.blind) == (UNKNOWN, False)
    assert found.why == "the parts of d.t do not tell"


BOTH = "ALTER TABLE t ADD COLUMN z Int8, UPDATE k = 1 WHERE 1"


@pytest.mark.parametrize(
    ("was", "is_now", "blind", "why"),
    [
        ("MergeTree 1 a", "MergeTree 1 a", True, "d.t is no MergeTree table whose mutations"),
        ("MergeTree 1 a", "MergeTree 1 b", False, "d.t is no MergeTree table whose mutations"),
    ],
)
def test_of_several_facts_one_that_is_known_can_be_a_trace(
    was: str, is_now: str, blind: bool, why: str
) -> None:
    found = judged(BOTH, objects(t=was), objects(t=is_now))

    assert (found.outcome, found.blind) == (UNKNOWN, blind)
    assert found.why.startswith(why)


def test_one_fact_that_is_applied_and_one_that_is_not_are_a_part() -> None:
    before = Fingerprint(objects={"d.t": "MergeTree 1 a"}, mutations={"d.t": ()})
    now = Fingerprint(objects={"d.t": "MergeTree 1 a"}, mutations={"d.t": ("m1",)})

    found = judged(BOTH, before, now)

    assert (found.outcome, found.blind) == (UNKNOWN, False)
    assert found.why == "only a part of it took effect"


@pytest.mark.parametrize(
    "order", ["DROP COLUMN c, ADD COLUMN c Int64", "ADD INDEX i a TYPE minmax, DROP INDEX i"]
)
def test_an_alter_that_leaves_the_definition_as_it_was_is_not_known(order: str) -> None:
    same = objects(t="MergeTree 1 a")
    found = judged(f"ALTER TABLE t {order}", same, same)
    assert (found.outcome, found.blind) == (UNKNOWN, False)


def test_an_alias_is_seen_in_a_fingerprint() -> None:
    assert objects(t="Alias 1 a").names_alias
    assert not objects(t="MergeTree 1 a", u="View 2 b").names_alias
