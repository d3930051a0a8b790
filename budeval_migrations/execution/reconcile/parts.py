"""Tell from two looks at the parts of a table whether a statement took effect. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from budeval_migrations.clickhouse.fingerprint import Fingerprint, Partition
from budeval_migrations.counting import counted
from budeval_migrations.execution.reconcile.outcome import Evidence, Outcome, blind
from budeval_migrations.sql.changes import Change
from budeval_migrations.sql.effects import Effect

# The name of a part, and what of a partition's value is but its spelling.
_PART = re.compile(r"(?P<partition>.+?)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
_NO_VALUE = re.compile(r"[\s'\"`]")
_Partitions = Mapping[str, Partition]


def read_parts(effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint) -> Evidence:
    """Return what the parts of a statement's table say; see :func:`.evidence.judge`."""
    table = keys[0]
    if table in before.missing and table in now.missing:
        return Evidence(Outcome.NOT_APPLIED, f"there is no table {table}")
    if table not in before.partitions or table not in now.partitions:
        return blind(f"{table} is no MergeTree table whose parts could be seen")
    held, holds = before.partitions[table], now.partitions[table]
    if effect.change is Change.INSERT:
        return _read_insert(effect, table, held, holds)
    evidence = _read_partition(effect, keys, before, now, held, holds)
    one = effect.atomic or effect.partition is not None
    if evidence.outcome is Outcome.APPLIED and not one:
        return Evidence(Outcome.UNKNOWN, f"{evidence.why}, and whether that is all is not known")
    return evidence


def _read_partition(
    effect: Effect,
    keys: list[str],
    before: Fingerprint,
    now: Fingerprint,
    held: _Partitions,
    holds: _Partitions,
) -> Evidence:
    table = keys[0]
    if effect.change is Change.TRUNCATE:
        return _read_truncate(table, held, holds)
    if effect.change is Change.DROP_PARTITION:
        return _read_drop(effect, table, held, holds)
    if effect.change is Change.DETACH_PARTITION:
        new = set(now.detached.get(table, ())) - set(before.detached.get(table, ()))
        return _read_detached(effect, table, held, _gone(held, holds), new)
    if effect.change is Change.ATTACH_PARTITION:
        aside = before.detached.get(table, ()), now.detached.get(table, ())
        return _read_attached(table, _grown(held, holds), *map(set, aside))
    if effect.change is Change.OTHER:
        return Evidence(Outcome.UNKNOWN, f"the parts of {table} do not tell", held == holds)
    if len(keys) < 2 or keys[1] not in now.partitions or keys[1] not in before.partitions:
        return Evidence(Outcome.UNKNOWN, f"the parts of {table}'s counterpart cannot be seen")
    other_held, other_holds = before.partitions[keys[1]], now.partitions[keys[1]]
    if effect.change is Change.MOVE_PARTITION:
        return _both(table, bool(_gone(held, holds)), _grown(other_held, other_holds))
    if effect.change is Change.ATTACH_FROM:
        return _read_copy(effect, table, held, holds, other_holds)
    return _read_replace(table, held, holds, other_holds)


def _read_detached(
    effect: Effect, table: str, held: _Partitions, gone: list[str], new: set[str]
) -> Evidence:
    """Judge parts that go to ``detached`` one by one, after all were taken away (26.9)."""
    both = _both(table, bool(gone), bool(new))
    part = (effect.partition or "").strip("'")
    if both.outcome is not Outcome.APPLIED or new == {part}:
        return both
    moved = held if effect.every_partition else gone
    left = [name for name in moved if not _is_aside(name, held[name], new)]
    if not left:
        return both
    why = f"parts of {table} are in detached, and whether these are all is not known"
    return Evidence(Outcome.UNKNOWN, why)


def _is_aside(name: str, partition: Partition, new: set[str]) -> bool:
    """Tell whether each part of a partition is among the new detached ones."""
    parts = [m for m in map(_PART.fullmatch, new) if m and m["partition"] == name]
    if not parts or len(parts) != len(partition.hashes):
        return False
    first, last = min(int(m["first"]) for m in parts), max(int(m["last"]) for m in parts)
    return (first, last) == (partition.first, partition.last)


def _read_attached(table: str, grown: bool, before: set[str], now: set[str]) -> Evidence:
    """Judge parts that come out of ``detached`` one by one, under another name meanwhile."""
    both = _both(table, grown, bool(before - now))
    begun = [name for name in now - before if name.startswith("attaching_")]
    partitions = {m["partition"] for m in map(_PART.fullmatch, before - now) if m}
    left = [n for n in now & before if (m := _PART.fullmatch(n)) and m["partition"] in partitions]
    if both.outcome is Outcome.APPLIED and (begun or left):
        why = f"parts of {table} are still in detached, and whether more were to come is not known"
        return Evidence(Outcome.UNKNOWN, why)
    return both


def _read_insert(effect: Effect, table: str, held: _Partitions, holds: _Partitions) -> Evidence:
    if not _grown(held, holds):
        return _no_part(table, held, holds)
    rows = sum(p.rows for p in holds.values()) - sum(p.rows for p in held.values())
    if effect.rows is not None and rows == effect.rows:
        return Evidence(Outcome.APPLIED, f"{table} has got its {counted(rows, 'row')}")
    return Evidence(
        Outcome.UNKNOWN,
        f"{table} has got {counted(rows, 'row')} more than before, and whether that is all that "
        "it inserts is not known",
    )


def _read_truncate(table: str, held: _Partitions, holds: _Partitions) -> Evidence:
    if not held:
        return Evidence(Outcome.APPLIED, f"{table} was empty before")
    gone = _gone(held, holds)
    if len(gone) == len(held):
        return Evidence(Outcome.APPLIED, f"what {table} held is gone")
    if not gone:
        return Evidence(Outcome.NOT_APPLIED, f"{table} holds what it held")
    return Evidence(Outcome.UNKNOWN, f"some of what {table} held is gone")


def _read_drop(effect: Effect, table: str, held: _Partitions, holds: _Partitions) -> Evidence:
    if effect.every_partition:
        return _read_truncate(table, held, holds)
    words = effect.partition or ""
    # Where it is known which one it is, what became of the others says nothing.
    mine = {p: held[p] for p in _named(words, held)} or held
    gone = _gone(mine, holds)
    shrunk = [p for p in mine if p in holds and holds[p].rows < mine[p].rows and p not in gone]
    if len(gone) > 1:
        return Evidence(Outcome.UNKNOWN, f"partitions {', '.join(gone)} of {table} are gone")
    if gone and words and len(mine) > 1:
        why = f"partition {gone[0]} of {table} is gone, and whether it is the one is not known"
        return Evidence(Outcome.UNKNOWN, why)
    if shrunk:
        return Evidence(Outcome.UNKNOWN, f"partition {', '.join(shrunk)} of {table} has lost rows")
    if gone:
        return Evidence(Outcome.APPLIED, f"partition {', '.join(gone)} of {table} is gone")
    return Evidence(Outcome.NOT_APPLIED, f"{table} has all its partitions")


def _named(words: str, held: _Partitions) -> list[str]:
    """Return the partition that a statement names, by its id, its value, or one of its parts."""
    word = words.removeprefix("ID ").strip("'")
    part = _PART.fullmatch(word)
    for name in (word, part["partition"] if part else ""):
        if name in held:
            return [name]
    return [p for p, found in held.items() if found.value and _bare(found.value) == _bare(words)]


def _bare(value: str) -> str:
    return _NO_VALUE.sub("", value)


def _read_copy(
    effect: Effect, table: str, held: _Partitions, holds: _Partitions, source: _Partitions
) -> Evidence:
    if not _grown(held, holds):
        return _no_part(table, held, holds)
    copied = []
    for name, partition in source.items():
        mine = holds.get(name)
        new = set(mine.hashes) - set(held[name].hashes if name in held else ()) if mine else set()
        if partition.hashes and set(partition.hashes) <= new:
            copied.append(name)
    if len(copied) == len(source) if effect.every_partition else copied:
        shown = ", ".join(copied)
        return Evidence(Outcome.APPLIED, f"{table} holds the parts of partition {shown}")
    return Evidence(Outcome.UNKNOWN, f"{table} has got parts, and whose they are is not known")


def _read_replace(
    table: str, held: _Partitions, holds: _Partitions, source: _Partitions
) -> Evidence:
    if {n: (p.first, p.last) for n, p in held.items()} == {
        n: (p.first, p.last) for n, p in holds.items()
    }:
        return Evidence(Outcome.NOT_APPLIED, f"{table} is as it was before")
    for name, partition in holds.items():
        theirs = source.get(name)
        new = name not in held or partition.first > held[name].last
        if theirs is not None and theirs.hashes and theirs.hashes == partition.hashes and new:
            return Evidence(Outcome.APPLIED, f"{table} holds the parts of partition {name}")
    return Evidence(Outcome.UNKNOWN, f"{table} has got parts, and whose they are is not known")


def _no_part(table: str, held: _Partitions, holds: _Partitions) -> Evidence:
    """Judge that no part is new; a merge that sums rows up to nothing takes old and new ones."""
    gone = _gone(held, holds)
    if gone:
        why = f"partition {', '.join(gone)} of {table} is gone, perhaps with the new rows"
        return Evidence(Outcome.UNKNOWN, why)
    return Evidence(Outcome.NOT_APPLIED, f"{table} has got no new part")


def _both(table: str, one: bool, other: bool) -> Evidence:
    if one and other:
        return Evidence(Outcome.APPLIED, f"the parts were moved ({table})")
    if not one and not other:
        return Evidence(Outcome.NOT_APPLIED, f"the parts are where they were ({table})")
    return Evidence(Outcome.UNKNOWN, f"the parts were moved in part ({table})")


def _grown(held: _Partitions, holds: _Partitions) -> bool:
    """Return whether an insert of any kind made a part: only it makes new block numbers."""
    return any(name not in held or p.last > held[name].last for name, p in holds.items())


def _gone(held: _Partitions, holds: _Partitions) -> list[str]:
    """Return the partitions whose old blocks are not there any more.

    A merge keeps the range of blocks, so a part that was only merged is not gone.
    """
    gone = []
    for name, partition in held.items():
        now = holds.get(name)
        if now is None or now.first > partition.last or now.last < partition.last:
            gone.append(name)
    return gone
