"""Cut the rows of a table into chunks, by conditions that leave no row out. Read-only."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.model import Backfill
from budeval_migrations.sql import quote
from budeval_migrations.sql.chunked import joins
from budeval_migrations.sql.effects import Name

# Types with values that are on neither side of a bound; of a join, any can be NULL.
_GEOMETRIES = ("Point", "Ring", "LineString", "Polygon", "Geometry")
_INCOMPARABLE = ("Nullable", "Float", *_GEOMETRIES)
_COMPOSITE = ("Tuple", "Array", "Map", *_GEOMETRIES)
# Up to so many values are sorted; of more, a sample that is small however many there are.
_MOST_SORTED = 1_000_000
# Values of a sample for one chunk: its size is then off by 7 % or so.
_SAMPLES = 200


@dataclass(frozen=True)
class Chunk:
    """A condition on the source, and about how many rows meet it."""

    condition: str
    rows: int


def plan_chunks(session: Session, backfill: Backfill, source: Name) -> tuple[Chunk, ...]:
    """Return conditions of which every row of the source meets exactly one; read-only.

    Raises:
        EngineError: The source cannot be read.

    """
    if backfill.by == "partition":
        return _by_partition(session, backfill, source)
    return _by_range(session, backfill, source)


def to_json(chunks: tuple[Chunk, ...]) -> str:
    """Return the plan as the journal keeps it."""
    return json.dumps({"plan": [[chunk.condition, chunk.rows] for chunk in chunks]})


def from_json(text: str) -> tuple[Chunk, ...]:
    """Return what :func:`to_json` wrote."""
    return tuple(Chunk(condition, rows) for condition, rows in json.loads(text)["plan"])


def _by_partition(session: Session, backfill: Backfill, source: Name) -> tuple[Chunk, ...]:
    rows = session.query(
        "SELECT partition_id, sum(rows) FROM system.parts WHERE active AND rows > 0 "
        f"AND database = {quote.string(source.database or session.database)} "
        f"AND table = {quote.string(source.name)} GROUP BY partition_id ORDER BY partition_id"
    )
    if not rows:
        [[count]] = session.query(f"SELECT count() FROM {backfill.source}", patient=True)
        if int(count):
            raise EngineError(
                f"The server shows no partitions of {backfill.source}, which has {count} rows: it "
                "is no MergeTree table, or its parts are not loaded.",
                hint='Say how the rows are cut into chunks: by="column".',
            )
    return tuple(Chunk(f"_partition_id = {quote.string(str(p))}", int(n)) for p, n in rows)


def _by_range(session: Session, backfill: Backfill, source: Name) -> tuple[Chunk, ...]:
    """Cut at every ``chunk_rows``-th value of the expression; of a great many, at about those.

    A NULL and a NaN are on neither side of any bound, so the first chunk is
    written as what is not above its bound. Inside a tuple or an array they can
    make any two values incomparable; such values are cut by their hash.
    """
    by = backfill.by
    [[count]] = session.query(f"SELECT count() FROM {backfill.source}", patient=True)
    if int(count) <= backfill.chunk_rows:
        return (Chunk("1", int(count)),) if int(count) else ()
    [[kind]] = session.query(
        f"SELECT toTypeName({by}) FROM {backfill.source} LIMIT 1", patient=True
    )
    partial = joins(backfill.select) or any(word in str(kind) for word in _INCOMPARABLE)
    if partial and any(word in str(kind) for word in _COMPOSITE):
        by, kind, partial = f"ifNull(cityHash64({by}), 0)", "UInt64", False
    # A text can be read as another value (the hour that a summer's end has twice): the bounds
    # are put in the order of what they are read as. As hex, bytes that are no text arrive too.
    quoted = quote.string(str(kind))
    one_of = max(backfill.chunk_rows // _SAMPLES, 1) if int(count) > _MOST_SORTED else 1
    sampled = f" {_filter(session, source)} rand() % {one_of} = 0" if one_of > 1 else ""
    found = session.query(
        "SELECT b FROM (SELECT DISTINCT hex(toString(k)) AS b FROM "
        "(SELECT k, rowNumberInAllBlocks() AS n FROM "
        f"(SELECT {by} AS k FROM {backfill.source}{sampled} ORDER BY k)) "
        f"WHERE n > 0 AND n % {backfill.chunk_rows // one_of} = 0 AND isNotNull(k) AND k = k) "
        f"ORDER BY CAST(unhex(b), {quoted})",
        patient=True,
    )
    key = f"({by})"
    bounds = [f"CAST(unhex('{value}'), {quoted})" for (value,) in found]
    if not bounds:
        return (Chunk("1", int(count)),)
    each = max(int(count) // (len(bounds) + 1), 1)
    between = (f"{key} >= {a} AND {key} < {b}" for a, b in pairwise(bounds))
    first = f"ifNull({key} >= {bounds[0]}, 0) = 0" if partial else f"{key} < {bounds[0]}"
    return tuple(Chunk(c, each) for c in (first, *between, f"{key} >= {bounds[-1]}"))


def _filter(session: Session, source: Name) -> str:
    """Return the clause that leaves rows out, best before the key is read."""
    rows = session.query(
        f"SELECT engine FROM system.tables WHERE name = {quote.string(source.name)} "
        f"AND database = {quote.string(source.database or session.database)}"
    )
    return "PREWHERE" if rows and str(rows[0][0]).endswith("MergeTree") else "WHERE"
