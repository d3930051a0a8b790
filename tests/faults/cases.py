"""The statements of the kill matrix, and where their outcome may be unknown.

Each case is a revision of three statements: a row into ``log``, the statement under test, another
row into ``log``, so that a neighbour that is skipped or run twice is seen too. ``@`` stands for
the name of the case's database in everything that lives outside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

CLIENT, ENGINE = "client", "engine"
VICTIMS = (CLIENT, ENGINE)
SEAMS = {
    1: "before intent",
    2: "after intent, before send",
    3: "while the server executes",
    4: "after the effect, before its outcome",
    5: "after the outcome, before the ledger row",
    6: "after the ledger row",
}
SECRET = "S3cr3tK3yS3cr3tK"

Cell = tuple[int, str]

_IN_DOUBT = [(seam, victim) for seam in (3, 4) for victim in VICTIMS]
_NO_TRACE = "rows carry no mark of the statement that wrote them, and chDB has no query_log"


@dataclass(frozen=True)
class Case:
    """A statement under test.

    Attributes:
        kind: The row of the table it counts in.
        unless: A probe: the statement is issued as ``op.execute_unless``.
        down: The statement is in ``downgrade()``, and the kill comes during ``down``.
        revisions: How many there are; the statement is in number ``place``.
        may_be_unknown: Where the rerun may stop with StatementOutcomeUnknown, and why.
        torn: How an engine that is killed in it may leave it half done, which nobody can finish
            blindly: StatementOutcomeUnknown is right there, and wrong where it is not half done.
        parts: The number of parts is part of the effect.
        secret: Must not be seen in outputs or bookkeeping.

    """

    name: str
    kind: str
    statement: str
    prepare: tuple[str, ...] = ()
    unless: str = ""
    down: bool = False
    revisions: int = 1
    place: int = 1
    may_be_unknown: Mapping[Cell, str] = field(default_factory=dict)
    torn: str = ""
    parts: bool = False
    secret: str = ""

    def sql(self, database: str) -> str:
        """The statement for one database."""
        return self.statement.replace("@", database)

    def prepare_sql(self, database: str) -> list[str]:
        """What is run beside the tool, before."""
        return [sql.replace("@", database) for sql in (*_GROUND, *self.prepare)]


_GROUND = (
    "CREATE TABLE log (n UInt32) ENGINE = MergeTree ORDER BY n",
    "CREATE TABLE t (p UInt8, k UInt32, v String, n UInt64) ENGINE = MergeTree "
    "PARTITION BY p ORDER BY k",
    "INSERT INTO t SELECT number % 2, number, concat('v', toString(number)), number "
    "FROM numbers(10)",
    "CREATE TABLE u AS t COMMENT 'the other'",
    "INSERT INTO u SELECT 1, number, 'u', number FROM numbers(100, 3)",
)
_PLAIN_TABLE = "(k UInt32) ENGINE = MergeTree ORDER BY k"
_SLOW = (
    "SELECT {columns} FROM numbers({rows}) "
    "SETTINGS max_block_size = 1, max_threads = 1, max_insert_threads = 1, "
    "min_insert_block_size_rows = 1, min_insert_block_size_bytes = 1"
)


def _unknown(reason: str, cells: list[Cell] = _IN_DOUBT) -> dict[Cell, str]:
    return dict.fromkeys(cells, reason)


def _both(kind: str, statement: str, *prepare: str, **more: object) -> Iterator[Case]:
    """A case without and one with the words in ``[brackets]``."""
    name = kind.lower().replace(" ", "_").replace("-", "_")
    head, bracket, tail = statement.partition("[")
    words, _, tail = tail.partition("]")
    plain = Case(name, kind, head + tail.lstrip() if bracket else head, prepare)
    yield replace(plain, **more)  # type: ignore[arg-type]
    if bracket:
        guarded = replace(plain, name=f"{name}_{words.lower().replace(' ', '_')}")
        guarded = replace(guarded, statement=head + words + tail)
        yield replace(guarded, **more)  # type: ignore[arg-type]


def _all() -> Iterator[Case]:
    yield from _tables()
    yield from _views()
    yield from _columns()
    yield from _indices()
    yield from _rows()
    yield from _partitions()
    yield from _properties()
    yield from _others()
    yield from _shapes()
    yield from _joined()


def _tables() -> Iterator[Case]:
    yield from _both("CREATE TABLE", f"CREATE TABLE [IF NOT EXISTS] x {_PLAIN_TABLE}")
    yield from _both(
        "CREATE TABLE AS SELECT",
        "CREATE TABLE [IF NOT EXISTS] x ENGINE = MergeTree ORDER BY k AS "
        + _SLOW.format(columns="number AS k, sleepEachRow(0.02) AS z", rows=12),
        may_be_unknown=_unknown("the table is there, its rows may not be"),
    )
    yield from _both("DROP TABLE", "DROP TABLE [IF EXISTS] u")
    yield from _both("RENAME TABLE", "RENAME TABLE [IF EXISTS] u TO w")
    yield from _both(
        "EXCHANGE TABLES",
        "EXCHANGE TABLES t AND u",
    )


def _views() -> Iterator[Case]:
    yield from _both("CREATE VIEW", "CREATE VIEW [IF NOT EXISTS] x AS SELECT k, n FROM t")
    yield from _both("CREATE OR REPLACE VIEW", "CREATE OR REPLACE VIEW x AS SELECT k FROM t")
    yield from _both("DROP VIEW", "DROP VIEW [IF EXISTS] x", "CREATE VIEW x AS SELECT k FROM t")
    copy = "CREATE TABLE copy (n UInt32) ENGINE = MergeTree ORDER BY n"
    view = "MATERIALIZED VIEW {} mv TO copy AS SELECT n FROM t"
    yield from _both("CREATE MATERIALIZED VIEW", "CREATE " + view.format("[IF NOT EXISTS]"), copy)
    yield from _both(
        "DROP MATERIALIZED VIEW", "DROP VIEW [IF EXISTS] mv", copy, "CREATE " + view.format("")
    )
    yield from _both(
        "CREATE MATERIALIZED VIEW POPULATE",
        "CREATE MATERIALIZED VIEW [IF NOT EXISTS] mv ENGINE = MergeTree ORDER BY k POPULATE "
        "AS SELECT k, sleepEachRow(0.02) AS z FROM t",
        may_be_unknown=_unknown("the view is there, its rows may not be"),
    )


def _columns() -> Iterator[Case]:
    yield from _both("ADD COLUMN", "ALTER TABLE t ADD COLUMN [IF NOT EXISTS] z UInt8 DEFAULT 7")
    yield from _both("DROP COLUMN", "ALTER TABLE t DROP COLUMN [IF EXISTS] v")
    yield from _both("MODIFY COLUMN", "ALTER TABLE t MODIFY COLUMN [IF EXISTS] n String")
    yield from _both("RENAME COLUMN", "ALTER TABLE t RENAME COLUMN [IF EXISTS] v TO w")
    yield from _both("COMMENT COLUMN", "ALTER TABLE t COMMENT COLUMN [IF EXISTS] v 'words'")
    yield from _both("CLEAR COLUMN", "ALTER TABLE t CLEAR COLUMN [IF EXISTS] n IN PARTITION 1")


def _indices() -> Iterator[Case]:
    index = "ALTER TABLE t ADD INDEX i v TYPE bloom_filter GRANULARITY 1"
    made = "ALTER TABLE t MATERIALIZE INDEX i SETTINGS mutations_sync = 2"
    yield from _both(
        "ADD INDEX", index.replace("INDEX i", "INDEX [IF NOT EXISTS] i"),
    )  # fmt: skip
    yield from _both("DROP INDEX", "ALTER TABLE t DROP INDEX [IF EXISTS] i", index, made)
    yield from _both("MATERIALIZE INDEX", "ALTER TABLE t MATERIALIZE INDEX [IF EXISTS] i", index)
    projection = "ALTER TABLE t ADD PROJECTION q (SELECT v, sum(n) GROUP BY v)"
    made = "ALTER TABLE t MATERIALIZE PROJECTION q SETTINGS mutations_sync = 2"
    yield from _both(
        "ADD PROJECTION", projection.replace("PROJECTION q", "PROJECTION [IF NOT EXISTS] q")
    )
    yield from _both(
        "DROP PROJECTION", "ALTER TABLE t DROP PROJECTION [IF EXISTS] q", projection, made
    )
    yield from _both(
        "MATERIALIZE PROJECTION",
        "ALTER TABLE t MATERIALIZE PROJECTION [IF EXISTS] q",
        projection,
    )


def _rows() -> Iterator[Case]:
    unknown = _unknown(_NO_TRACE)
    yield from _both(
        "INSERT VALUES",
        "INSERT INTO u VALUES (1, 7, 'it''s; 100% :n {x:UInt8}', 7)",
    )
    yield from _both(
        "INSERT SELECT", "INSERT INTO u SELECT p, k, v, n FROM t", may_be_unknown=unknown
    )
    columns = "1, toUInt32(number), 's', sleepEachRow(0.05)"
    yield from _both(
        "INSERT SELECT slow",
        "INSERT INTO u " + _SLOW.format(columns=columns, rows=20),
        may_be_unknown=unknown,
    )
    yield from _both("ALTER UPDATE", "ALTER TABLE t UPDATE n = n + 1 WHERE 1")
    yield from _both(
        "ALTER UPDATE slow", "ALTER TABLE t UPDATE n = n + 1 + sleepEachRow(0.05) WHERE 1"
    )
    yield from _both("ALTER DELETE", "ALTER TABLE t DELETE WHERE k < 5")
    yield from _both("DELETE FROM", "DELETE FROM t WHERE k >= 5")
    yield from _both("TRUNCATE", "TRUNCATE TABLE [IF EXISTS] u")


def _joined() -> Iterator[Case]:
    yield from _both(
        "PARALLEL WITH",
        f"CREATE TABLE IF NOT EXISTS n {_PLAIN_TABLE} PARALLEL WITH INSERT INTO u SELECT * FROM t",
        may_be_unknown=_unknown(
            "it is several statements, and some of them may have run",
            [(2, CLIENT), (2, ENGINE), *_IN_DOUBT],
        ),
    )


def _partitions() -> Iterator[Case]:
    yield from _both(
        "ATTACH PARTITION",
        "ALTER TABLE t ATTACH PARTITION 1",
        "ALTER TABLE t DETACH PARTITION 1",
        torn="the part stays behind in detached/ as attaching_…",
    )
    yield from _both("ATTACH PARTITION FROM", "ALTER TABLE t ATTACH PARTITION 1 FROM u")
    yield from _both(
        "MOVE PARTITION",
        "ALTER TABLE t MOVE PARTITION 1 TO TABLE u",
        torn="the parts are in both tables",
    )
    yield from _both(
        "REPLACE PARTITION",
        "ALTER TABLE t REPLACE PARTITION 1 FROM u",
        torn="the new parts lie beside the old ones",
    )
    yield from _both("DROP PARTITION", "ALTER TABLE t DROP PARTITION 1")
    yield from _both(
        "DETACH PARTITION",
        "ALTER TABLE t DETACH PARTITION 1",
        torn="the rows are gone from the table and not in detached/; an inactive part has them",
    )
    yield from _both(
        "OPTIMIZE FINAL",
        "OPTIMIZE TABLE u PARTITION 1 FINAL",
        "INSERT INTO u SELECT 1, number, 'w', 1 FROM numbers(3)",
        parts=True,
    )


def _properties() -> Iterator[Case]:
    ttl = "toDateTime('2099-01-01 00:00:00') + toIntervalDay(k)"
    yield from _both("MODIFY TTL", f"ALTER TABLE t MODIFY TTL {ttl}")
    yield from _both("REMOVE TTL", "ALTER TABLE t REMOVE TTL", f"ALTER TABLE t MODIFY TTL {ttl}")
    yield from _both("MODIFY SETTING", "ALTER TABLE t MODIFY SETTING merge_with_ttl_timeout = 99")
    yield from _both("MODIFY ORDER BY", "ALTER TABLE t ADD COLUMN z UInt8, MODIFY ORDER BY (k, z)")
    yield from _both(
        "several clauses",
        "ALTER TABLE t ADD COLUMN z UInt8, DROP COLUMN v, MODIFY COMMENT 'three at once'",
    )
    yield from _both(
        "several clauses with a mutation",
        "ALTER TABLE t ADD COLUMN z UInt8 DEFAULT 7, UPDATE n = n + 1 WHERE 1",
        torn="the column is there without the mutation",
    )


def _others() -> Iterator[Case]:
    dictionary = (
        "DICTIONARY {} d (k UInt64, v String) PRIMARY KEY k "
        "SOURCE(CLICKHOUSE(DB '@' TABLE 't')) LAYOUT(FLAT()) LIFETIME(0)"
    )
    yield from _both("CREATE DICTIONARY", "CREATE " + dictionary.format("[IF NOT EXISTS]"))
    yield from _both(
        "DROP DICTIONARY", "DROP DICTIONARY [IF EXISTS] d", "CREATE " + dictionary.format("")
    )
    yield from _both("CREATE FUNCTION", "CREATE FUNCTION [IF NOT EXISTS] f_@ AS (x) -> x + 1")
    yield from _both(
        "DROP FUNCTION", "DROP FUNCTION [IF EXISTS] f_@", "CREATE FUNCTION f_@ AS (x) -> x + 1"
    )
    yield from _both("CREATE DATABASE", "CREATE DATABASE [IF NOT EXISTS] @_more")
    yield from _both("DROP DATABASE", "DROP DATABASE [IF EXISTS] @_more", "CREATE DATABASE @_more")


def _shapes() -> Iterator[Case]:
    """Statements that are unlike the others in how they are issued, not in their SQL."""
    yield Case(
        "execute_unless",
        "op.execute_unless",
        "EXCHANGE TABLES t AND u",
        unless="SELECT 1 FROM system.tables WHERE database = currentDatabase() "
        "AND name = 't' AND comment = 'the other'",
    )
    yield Case(
        "secret_in_ddl",
        "a secret in DDL",
        "CREATE DICTIONARY d (k UInt64, v String) PRIMARY KEY k SOURCE(CLICKHOUSE("
        f"HOST '192.0.2.1' PORT 9000 USER 'u' PASSWORD '{SECRET}' DB '@' TABLE 't')) "
        "LAYOUT(FLAT()) LIFETIME(0)",
        secret=SECRET,
    )
    yield Case(
        "secret_in_insert",
        "a secret in INSERT",
        f"INSERT INTO u SELECT 1, 9, hex(encrypt('aes-128-ecb', 'x', '{SECRET}')), 9",
        may_be_unknown=_unknown(_NO_TRACE),
        secret=SECRET,
    )
    update = "ALTER TABLE t UPDATE n = n + 1 WHERE 1"
    yield Case("chain_first", "first of two revisions", update, revisions=2, place=1)
    yield Case("chain_second", "second of two revisions", update, revisions=2, place=2)
    yield Case(
        "chain_add_column",
        "second of two revisions",
        "ALTER TABLE t ADD COLUMN z UInt8",
        revisions=2,
        place=2,
    )
    yield Case("downgrade_update", "downgrade", update, down=True)
    yield Case("downgrade_drop", "downgrade", "DROP TABLE u", down=True)
    yield Case("downgrade_chain", "downgrade", "DROP TABLE u", down=True, revisions=2, place=2)


CASES = {case.name: case for case in _all()}
