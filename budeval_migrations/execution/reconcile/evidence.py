"""Tell from two looks at the catalogue whether a statement took effect. Pure.

``before`` was found when the statement was about to be sent, ``now`` is found
after the kill or the broken connection. Whatever can be read in two ways is
UNKNOWN: a wrong guess would run a statement twice, or skip it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from budeval_migrations.clickhouse.fingerprint import Fingerprint, Partition
from budeval_migrations.counting import counted
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.effects import Change, Effect, Watch


class Outcome(Enum):
    """What became of a statement."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Evidence:
    """An outcome, and the sentence that says how it is known.

    Attributes:
        blind: It is unknown since nothing of it could be seen; no trace of it was found.

    """

    outcome: Outcome
    why: str
    blind: bool = field(default=False, compare=False)


# Made first and filled afterwards, where a SELECT is given.
_FILLED = (Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW)

# Any UUID but the one of zeros, which stands for none.
_UUID = re.compile(r" (?!0{8}-)[0-9a-f]{8}-[0-9a-f-]{27} ")

_Found = Mapping[str, str]
# The name of a part, and what of a partition's value is but its spelling.
_PART = re.compile(r"(?P<partition>.+?)_\d+_\d+_\d+(?:_\d+)?")
_NO_VALUE = re.compile(r"[\s'\"`]")
_Partitions = Mapping[str, Partition]
_Reading = Callable[[Effect, list[str], Fingerprint, Fingerprint], Evidence]


# What an Alias passes on to its table.
_PASSED_ON = frozenset({Kind.ALTER, Kind.CREATE_INDEX})


def judge(effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint) -> Evidence:
    """Return what the difference between two fingerprints says.

    Args:
        keys: The targets' names as they are keys of the fingerprints, in the
            order of ``effect.targets``.

    """
    if not effect.watches:
        return _blind("nothing in the catalogue tells whether it ran")
    if (effect.kind in _PASSED_ON or effect.elements) and before.objects.get(
        keys[0], ""
    ).startswith("Alias "):
        return _blind(f"{keys[0]} is another name of a table that was not seen")
    found = [_READ[watch](effect, keys, before, now) for watch in effect.watches]
    outcomes = {evidence.outcome for evidence in found}
    if outcomes == {Outcome.APPLIED, Outcome.NOT_APPLIED}:
        return Evidence(Outcome.UNKNOWN, "only a part of it took effect")
    if len(outcomes) > 1:
        unknown = next(evidence for evidence in found if evidence.outcome is Outcome.UNKNOWN)
        return replace(unknown, blind=unknown.blind and Outcome.APPLIED not in outcomes)
    return found[0]


def _blind(why: str) -> Evidence:
    return Evidence(Outcome.UNKNOWN, why, blind=True)


def _things(names: Iterable[str], before: _Found, now: _Found) -> Outcome:
    # What was not there and is not there now says nothing: the temporary name of a
    # RENAME in a circle.
    told = [name for name in names if name in before or name in now]
    changed = [name for name in told if before.get(name) != now.get(name)]
    if not changed:
        return Outcome.NOT_APPLIED
    return Outcome.APPLIED if len(changed) == len(told) else Outcome.UNKNOWN


def _read_tables(
    effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint
) -> Evidence:
    outcome = _things(keys, before.objects, now.objects)
    if outcome is not Outcome.NOT_APPLIED and keys[0] in before.elements.keys() & now.elements:
        return _read_elements(effect, keys[0], before.elements[keys[0]], now.elements[keys[0]])
    shown = ", ".join(dict.fromkeys(keys))
    circle = effect.kind is Kind.RENAME and 2 * len(before.objects) > len(set(keys))
    if outcome is Outcome.NOT_APPLIED and circle and not _has_uuids(before):
        return Evidence(Outcome.UNKNOWN, f"{shown} look alike, and have no UUID to tell them apart")
    if outcome is Outcome.NOT_APPLIED and effect.undoes:
        return Evidence(Outcome.UNKNOWN, f"{shown} is as it was before, and would be afterwards")
    if outcome is Outcome.NOT_APPLIED:
        return Evidence(outcome, f"{shown} is as it was before")
    if outcome is Outcome.UNKNOWN:
        return Evidence(outcome, f"only some of {shown} were changed")
    if not effect.atomic and effect.kind in _FILLED:
        return Evidence(
            Outcome.UNKNOWN, f"{shown} was made, and whether it was filled is not known"
        )
    return Evidence(outcome, f"{shown} is changed as it makes it")


def _read_elements(
    effect: Effect, table: str, held: Collection[str], holds: Collection[str]
) -> Evidence:
    """Judge a table that was changed, perhaps by somebody else, by what was to change in it."""
    # What was as it should be before is not told by how it is now.
    asked = [e for e in effect.elements if (e.key in held) != e.appears]
    odd = [e for e in effect.elements if e not in asked and (e.key in holds) != e.appears]
    done = [e for e in asked if (e.key in holds) == e.appears]
    shown = ", ".join(e.key for e in effect.elements)
    if odd or not asked:
        return Evidence(Outcome.UNKNOWN, f"{table} was changed, and not only by this ({shown})")
    if not done:
        return Evidence(Outcome.NOT_APPLIED, f"{table} was changed, but not as it does ({shown})")
    if len(done) < len(asked):
        return Evidence(Outcome.UNKNOWN, f"{table} was changed in part ({shown})")
    return Evidence(Outcome.APPLIED, f"{table} is changed as it makes it ({shown})")


def _has_uuids(found: Fingerprint) -> bool:
    """Return whether the objects can be told apart; those of Ordinary databases cannot."""
    return all(_UUID.search(value) for value in found.objects.values())


def _read_named(kind: str, effect: Effect, before: _Found, now: _Found) -> Evidence:
    """Judge what has one name for the whole server."""
    names = [name.name for name in effect.targets]
    outcome = _things(names, before, now)
    return Evidence(outcome, f"{kind} {', '.join(names)}: {outcome.value}")


def _read_mutations(
    effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint
) -> Evidence:
    table = keys[0]
    if table in before.missing and table in now.missing:
        return Evidence(Outcome.NOT_APPLIED, f"there is no table {table}")
    if table not in before.mutations or table not in now.mutations:
        return _blind(f"{table} is no MergeTree table whose mutations could be seen")
    made = set(now.mutations[table]) - set(before.mutations[table])
    if not made:
        return Evidence(Outcome.NOT_APPLIED, f"{table} has no mutation that it did not have before")
    if len(made) == 1:
        return Evidence(Outcome.APPLIED, f"it made {made.pop()} of {table}")
    return Evidence(Outcome.UNKNOWN, f"{table} has {len(made)} new mutations")


def _read_parts(effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint) -> Evidence:
    table = keys[0]
    if table in before.missing and table in now.missing:
        return Evidence(Outcome.NOT_APPLIED, f"there is no table {table}")
    if table not in before.partitions or table not in now.partitions:
        return _blind(f"{table} is no MergeTree table whose parts could be seen")
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
        # The server takes the parts away before it puts them aside (26.9, killed in between).
        new = set(now.detached.get(table, ())) - set(before.detached.get(table, ()))
        return _both(table, bool(_gone(held, holds)), bool(new))
    if effect.change is Change.ATTACH_PARTITION:
        gone = set(before.detached.get(table, ())) - set(now.detached.get(table, ()))
        return _both(table, _grown(held, holds), bool(gone))
    if effect.change is Change.OTHER:
        return Evidence(Outcome.UNKNOWN, f"the parts of {table} do not tell", held == holds)
    if len(keys) < 2 or keys[1] not in now.partitions or keys[1] not in before.partitions:
        return Evidence(Outcome.UNKNOWN, f"the parts of {table}'s counterpart cannot be seen")
    other_held, other_holds = before.partitions[keys[1]], now.partitions[keys[1]]
    if effect.change is Change.MOVE_PARTITION:
        return _both(table, bool(_gone(held, holds)), _grown(other_held, other_holds))
    if effect.change is Change.ATTACH_FROM:
        return _read_copy(table, held, holds, other_holds)
    return _read_replace(table, held, holds, other_holds)


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
    words = effect.partition or ""
    if words.upper() == "ALL":
        return _read_truncate(table, held, holds)
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


def _read_copy(table: str, held: _Partitions, holds: _Partitions, source: _Partitions) -> Evidence:
    if not _grown(held, holds):
        return _no_part(table, held, holds)
    for name, partition in source.items():
        mine = holds.get(name)
        new = set(mine.hashes) - set(held[name].hashes if name in held else ()) if mine else set()
        if partition.hashes and set(partition.hashes) <= new:
            return Evidence(Outcome.APPLIED, f"{table} holds the parts of partition {name}")
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


_READ: Mapping[Watch, _Reading] = {
    Watch.TABLES: _read_tables,
    Watch.PARTS: _read_parts,
    Watch.MUTATIONS: _read_mutations,
    Watch.DATABASES: lambda effect, _, before, now: _read_named(
        "database", effect, before.databases, now.databases
    ),
    Watch.FUNCTIONS: lambda effect, _, before, now: _read_named(
        "function", effect, before.functions, now.functions
    ),
}
