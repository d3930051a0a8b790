"""Random pairs of schemas; runs in a process of its own, which has the shadow engine."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import HealthCheck, Phase, assume, event, given, seed, settings
from hypothesis import strategies as st

from budeval_migrations.errors import EngineError
from budeval_migrations.scaffold.evolution import statements_of, without_trash
from budeval_migrations.services.diff import evolve_on
from budeval_migrations.settings import Settings
from budeval_migrations.shadow.compare import compare
from budeval_migrations.shadow.engine import ShadowEngine
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.shadow.source import Source

TYPES = (
    ("String", "'x'"),
    ("LowCardinality(String)", "'lc'"),
    ("Nullable(String)", "NULL"),
    ("UInt8", "7"),
    ("Int64", "-1"),
    ("Float64", "0.5"),
    ("Decimal(18, 4)", "1"),
    ("Date", "'2026-01-01'"),
    ("DateTime64(3, 'UTC')", "now64(3)"),
    ("Array(Nullable(UInt32))", "[1, NULL]"),
    ("Map(String, Array(UInt8))", "map('a', [1])"),
    ("Tuple(a UInt8, b String)", "(1, 'b')"),
    ("Enum8('a' = 1, 'b' = 2)", "'a'"),
    ("UUID", "generateUUIDv4()"),
    ("Bool", "true"),
)
CODECS = ("", "ZSTD(3)", "LZ4HC(9)", "NONE")
COMMENTS = ("", "plain", "it's `quoted` \\\\ -- ON CLUSTER x")
ODD = ("c1", "c2", "c3", "order", "with space", "ж")
TABLES = ("t1", "t2", "select")


def quoted(name: str) -> str:
    return f"`{name}`"


def text(value: str) -> str:
    return "'" + value.replace("'", "\\'") + "'"


@st.composite
def columns(draw: Any) -> dict[str, str]:
    found = {}
    for name in draw(st.lists(st.sampled_from(ODD), unique=True, max_size=4)):
        type_, value = draw(st.sampled_from(TYPES))
        said = type_
        kind = draw(st.sampled_from(("", "", "DEFAULT", "MATERIALIZED", "ALIAS")))
        if kind:
            said += f" {kind} {value}"
        comment = draw(st.sampled_from(COMMENTS))
        if comment:
            said += f" COMMENT {text(comment)}"
        codec = draw(st.sampled_from(CODECS)) if kind != "ALIAS" else ""
        if codec:
            said += f" CODEC({codec})"
        if kind != "ALIAS" and draw(st.integers(0, 7)) == 0:
            said += " TTL at + INTERVAL 1 DAY"
        found[name] = said
    return found


@st.composite
def table(draw: Any, name: str) -> str:
    plain = draw(columns())
    id_type = draw(st.sampled_from(("UInt64", "UInt64", "UInt32")))
    listed = [f"id {id_type}", "at DateTime('UTC')", "v UInt32"]
    extra = [f"{quoted(column)} {said}" for column, said in plain.items()]
    for each in extra:
        listed.insert(draw(st.integers(0, len(listed))), each)
    stored = [c for c, said in plain.items() if " ALIAS " not in said]
    if draw(st.booleans()):
        granularity = draw(st.integers(1, 2))
        listed.append(f"INDEX i1 v TYPE minmax GRANULARITY {granularity}")
    if stored and draw(st.integers(0, 3)) == 0:
        listed.append(f"INDEX i2 toString({quoted(stored[0])}) TYPE bloom_filter GRANULARITY 1")
    engine = draw(
        st.sampled_from(
            ("MergeTree",) * 5 + ("ReplacingMergeTree(v)", "SummingMergeTree", "ReplacingMergeTree")
        )
    )
    if draw(st.integers(0, 3)) == 0 and engine == "MergeTree":
        what = draw(st.sampled_from(("sum(v)", "max(v), count()")))
        listed.append(f"PROJECTION p1 (SELECT id, {what} GROUP BY id)")
    if draw(st.integers(0, 3)) == 0:
        listed.append(f"CONSTRAINT k1 CHECK v < {draw(st.sampled_from((10, 20)))}")
    key = draw(st.sampled_from(("id", "(id, at)", "(at, id)", "tuple()", "(id, v)")))
    sql = f"CREATE TABLE {quoted(name)} ({', '.join(listed)}) ENGINE = {engine}"
    sql += draw(st.sampled_from(("", "", " PARTITION BY toYYYYMM(at)", " PARTITION BY id % 4")))
    sql += f" ORDER BY {key}"
    sql += draw(
        st.sampled_from(("", "", " TTL at + INTERVAL 1 MONTH", " TTL at + INTERVAL 2 YEAR"))
    )
    setting = draw(
        st.sampled_from(
            (
                "",
                "",
                "min_bytes_for_wide_part = 1",
                "index_granularity = 1024",
                "ttl_only_drop_parts = 1",
            )
        )
    )
    sql += f" SETTINGS {setting}" if setting else ""
    comment = draw(st.sampled_from(COMMENTS))
    return sql + (f" COMMENT {text(comment)}" if comment else "")


@st.composite
def schemas(draw: Any) -> list[str]:
    names = draw(st.lists(st.sampled_from(TABLES), unique=True, max_size=2))
    made = [draw(table(name)) for name in names]
    if draw(st.integers(0, 5)) == 0:
        body = draw(st.sampled_from(("a + 1", "a * 2")))
        made.append(f"CREATE FUNCTION law_f AS (a) -> {body}")
    if names and draw(st.booleans()):
        # A column that may come and go with the table's.
        own = [quoted(c) for c in ODD if f"{quoted(c)} " in made[0].split(" ENGINE ")[0]]
        what = draw(st.sampled_from(("id", "id, v", "max(at) AS m", *own)))
        made.append(f"CREATE VIEW view1 AS SELECT {what} FROM {quoted(names[0])}")
        if draw(st.booleans()):
            made.append("CREATE VIEW a_view2 AS SELECT count() AS c FROM view1")
    if names and draw(st.integers(0, 2)) == 0:
        made.append("CREATE TABLE sums (id UInt64, s UInt64) ENGINE = SummingMergeTree ORDER BY id")
        own = [f"length(toString(any({quoted(c)})))" for c in ODD if f"{quoted(c)} " in made[0]]
        what = draw(st.sampled_from(("sum(v)", "count()", *own)))
        made.append(
            f"CREATE MATERIALIZED VIEW mv1 TO sums AS SELECT toUInt64(id) AS id, {what} AS s "
            f"FROM {quoted(names[0])} GROUP BY id"
        )
    if names and draw(st.integers(0, 4)) == 0:
        order = draw(st.sampled_from(("id", "c")))
        made.append(
            "CREATE MATERIALIZED VIEW mv2 ENGINE = SummingMergeTree "
            f"ORDER BY {order} AS SELECT id, count() AS c FROM {quoted(names[-1])} GROUP BY id"
        )
    if names and draw(st.integers(0, 5)) == 0:
        life = draw(st.sampled_from((60, 300)))
        made.append(
            "CREATE DICTIONARY dict1 (id UInt64, v UInt32 DEFAULT 0) PRIMARY KEY id "
            f"SOURCE(CLICKHOUSE(TABLE {text(names[0])})) LIFETIME(MIN 0 MAX {life}) LAYOUT(FLAT())"
        )
    if draw(st.integers(0, 5)) == 0:
        made.append(
            "CREATE TABLE mem (a UInt8) ENGINE = " + draw(st.sampled_from(("Memory", "Log")))
        )
    return made


def made_of(engine: ShadowEngine, statements: list[str]) -> Schema:
    """What the shadow engine prints of a schema; the example is dropped where it is none."""
    engine.clear()
    try:
        for statement in statements:
            engine.session.execute(statement)
    except EngineError as error:
        event(f"no schema: {error.code}")
        assume(False)
    return engine.schema()


def run_law(directory: str, examples: int, start: int) -> dict[str, int]:
    """Try the law on random pairs; return how many there were, and of what kind.

    Raises:
        AssertionError: It does not hold; the process ends with the smallest pair.

    """
    seen = {"pairs": 0, "different": 0, "rebuilt": 0, "replaced": 0}
    with ShadowEngine(directory, Settings(), Source(Schema("shop"))) as engine:

        @seed(start)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(schemas(), schemas())
        def law(one: list[str], other: list[str]) -> None:
            before, after = made_of(engine, one), made_of(engine, other)
            engine.clear()
            seen["pairs"] += 1
            # Raises where the upgrade does not lead there, or the downgrade not back.
            found = evolve_on(engine, before, after, "007")
            if found.draft is None:
                assert not compare(without_trash(before), without_trash(after))
                return
            seen["different"] += 1
            seen["rebuilt"] += bool(found.draft.requires)
            seen["replaced"] += any("cannot be copied" in lost for lost in found.loses)
            # Up, and there is nothing more to do.
            engine.load_tables([*before.functions.values(), *before.tables.values()])
            for statement in statements_of(found.draft.upgrade):
                engine.session.execute(statement)
            there = engine.schema()
            engine.clear()
            assert evolve_on(engine, there, after, "008").draft is None

        law()
    return seen


def timed(directory: str, examples: int, start: int) -> tuple[dict[str, int], float]:
    """The same, with how many seconds it took."""
    began = time.monotonic()
    return run_law(directory, examples, start), time.monotonic() - began
