"""Ask a ledger in one row whether it says what the files say.

To read every row of a long history takes longer than a start-up at head should.
"""

from __future__ import annotations

from typing import NamedTuple

from budeval_migrations.clickhouse import own_settings
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.clickhouse.failures import NOT_AS_OURS
from budeval_migrations.errors import EngineError
from budeval_migrations.model import Direction, Operation
from budeval_migrations.sql.checksum import SALTS
from budeval_migrations.state import quorum, schema

# What was adopted has another tool's checksum.
_HASHED = f"version, '\\n', if(operation = '{Operation.ADOPT.value}', '', checksum)"
_SUMS = [f"halfMD5(concat('{salt}', {_HASHED}))" for salt in SALTS]
# Each good row of the ledger, and each unfinished run. What a revision wants is a later row: the
# first, where another tool's has to be adopted; one that ends its run.
_EVENTS = (
    f"SELECT version AS name, sequence AS at, direction = '{Direction.UP.value}' AS up, "
    f"operation = '{Operation.ADOPT.value}' AS adopted, parents AS above, "
    f"{_SUMS[0]} AS one, {_SUMS[1]} AS two, toUInt64(sequence = 0) AS wanted "
    f"FROM {schema.LEDGER} WHERE success = 1 "
    f"AND (sequence > 0 OR version != '{schema.BOOTSTRAP_VERSION}') UNION ALL "
    "SELECT revision, toUInt64(0), toUInt8(0), toUInt8(0), emptyArrayString(), "
    f"toUInt64(0), toUInt64(0), since + 1 FROM {schema.JOURNAL}"
)
_REVISIONS = (
    "SELECT name AS revision, max(at) AS last, argMax(up, at) AS applied, "
    "argMax(adopted, at) AS foreign, argMax(above, at) AS parents, "
    "argMax(one, at) AS first, argMax(two, at) AS second, max(wanted) > last AS open "
    f"FROM ({_EVENTS}) GROUP BY name"
)
# A line for each revision and, if it is applied, for each of its parents.
_LINES = (
    "SELECT arrayJoin(arrayConcat([revision], if(applied, parents, emptyArrayString()))) AS line, "
    "line = revision AS own, own AND applied AS counts, own = 0 AS covers, own AND open AS begun, "
    f"counts AND foreign AS taken, last, first, second FROM ({_REVISIONS})"
)
_NAMES = (
    "SELECT line AS named, max(counts) AS is_applied, max(covers) AS is_covered, "
    "max(begun) AS is_begun, max(taken) AS is_taken, maxIf(last, own) AS number, "
    f"maxIf(first, own) AS left, maxIf(second, own) AS right FROM ({_LINES}) GROUP BY line"
)
# Written by a newer package, or two rows with one number; a row that arrived twice is one.
_ODD = (
    f"max(ledger_format) > {schema.LEDGER_FORMAT} OR uniqExactIf(sequence, sequence > 0) != "
    "uniqExactIf((sequence, version, run_id, direction, success, checksum), sequence > 0)"
)
# Functions that 18.16 and 26.x both have.
_GLANCE = (
    "SELECT toString(countIf(is_applied)), toString(groupBitXorIf(left, is_applied)), "
    "toString(groupBitXorIf(right, is_applied)), groupArrayIf(named, is_taken), "
    "groupArrayIf(concat(toString(number), ' ', named), is_applied AND NOT is_covered), "
    "toString(countIf(is_begun)), "
    f"(SELECT toString({_ODD}) FROM {schema.LEDGER}), {own_settings.CHANGES} FROM ({_NAMES})"
)


class FastCheck(NamedTuple):
    """What a ledger without anything odd in it says.

    Attributes:
        summary: Of the applied revisions and their checksums, as
            :func:`budeval_migrations.sql.checksum.summary` has it; what was adopted
            counts with an empty one.
        adopted: Names.
        heads: In the order in which they were applied.

    """

    summary: str
    adopted: frozenset[str]
    heads: tuple[str, ...]


def fast_check(session: Session) -> FastCheck | None:
    """Return what the ledger says; None where all of it has to be read; read-only.

    That is where nothing is applied, or it has rows of another tool that were not adopted,
    rows that share a number, an unfinished revision, or the format of a newer package; and
    where the user's profile may have changed the answer.

    Raises:
        EngineError: The server cannot be asked.

    """
    try:
        rows = quorum.read(session, _GLANCE, own=False)
    except EngineError as error:
        if error.code not in NOT_AS_OURS and error.code not in own_settings.REFUSE:
            raise
        return None
    if len(rows) != 1:
        return None
    count, first, second, adopted, heads, unfinished, odd, changes = rows[0]
    if count == "0" or {odd, unfinished, changes} != {"0"}:
        return None
    ordered = sorted((int(at), name) for at, _, name in (head.partition(" ") for head in heads))
    return FastCheck(
        f"{count} {first} {second}", frozenset(adopted), tuple(name for _, name in ordered)
    )
