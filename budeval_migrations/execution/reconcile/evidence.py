"""Tell from two looks at the catalogue whether a statement took effect. Pure.

``before`` was found when the statement was about to be sent, ``now`` is found
after the kill or the broken connection. Whatever can be read in two ways is
UNKNOWN: a wrong guess would run a statement twice, or skip it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from budeval_migrations.clickhouse.fingerprint import Fingerprint
from budeval_migrations.execution.reconcile.outcome import Evidence, Outcome, blind
from budeval_migrations.execution.reconcile.parts import read_parts
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.effects import Effect, Watch

# Made first and filled afterwards, where a SELECT is given.
_FILLED = (Kind.CREATE_TABLE, Kind.CREATE_MATERIALIZED_VIEW)

# Any UUID but the one of zeros, which stands for none.
_UUID = re.compile(r" (?!0{8}-)[0-9a-f]{8}-[0-9a-f-]{27} ")

_Found = Mapping[str, str]
_Reading = Callable[[Effect, list[str], Fingerprint, Fingerprint], Evidence]


_MOVES = frozenset({Kind.RENAME, Kind.EXCHANGE})
_GONE = frozenset({Kind.DROP, Kind.DETACH})
# What an Alias passes on to its table.
_PASSED_ON = frozenset({Kind.ALTER, Kind.CREATE_INDEX})


def judge(effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint) -> Evidence:
    """Return what the difference between two fingerprints says.

    Args:
        keys: The targets' names as they are keys of the fingerprints, in the
            order of ``effect.targets``.

    """
    if not effect.watches:
        return blind("nothing in the catalogue tells whether it ran")
    if (effect.kind in _PASSED_ON or effect.elements) and before.objects.get(
        keys[0], ""
    ).startswith("Alias "):
        return blind(f"{keys[0]} is another name of a table that was not seen")
    found = [_READ[watch](effect, keys, before, now) for watch in effect.watches]
    outcomes = {evidence.outcome for evidence in found}
    if outcomes == {Outcome.APPLIED, Outcome.NOT_APPLIED}:
        return Evidence(Outcome.UNKNOWN, "only a part of it took effect")
    if len(outcomes) > 1:
        unknown = next(evidence for evidence in found if evidence.outcome is Outcome.UNKNOWN)
        return replace(unknown, blind=unknown.blind and Outcome.APPLIED not in outcomes)
    return found[0]


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
    was, is_now = _uuids(before.objects), _uuids(now.objects)
    known = "" not in (*was.values(), *is_now.values())
    if effect.kind in _MOVES and (known or (effect.kind is Kind.RENAME and len(keys) > 2)):
        return _read_moves(effect.kind, keys, was, is_now)
    outcome = _things(keys, before.objects, now.objects)
    if outcome is not Outcome.NOT_APPLIED and keys[0] in before.elements.keys() & now.elements:
        return _read_elements(effect, keys[0], before.elements[keys[0]], now.elements[keys[0]])
    shown = ", ".join(dict.fromkeys(keys))
    same = known and was == is_now
    if outcome is Outcome.APPLIED and effect.kind in _GONE and is_now:
        # The server itself changes a table that a view refreshes.
        if same:
            return Evidence(Outcome.NOT_APPLIED, f"{shown} is still there")
        return Evidence(Outcome.UNKNOWN, f"{shown} is there, and not as it was before")
    if outcome is Outcome.APPLIED and effect.kind is Kind.ALTER and not same and known:
        return Evidence(Outcome.UNKNOWN, f"{shown} is another table than before")
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


def _uuids(found: _Found) -> _Found:
    """Return the UUIDs of objects by name; those of Ordinary databases have none."""
    uuids = {name: _UUID.search(mark) for name, mark in found.items()}
    return {name: match[0].strip() if match else "" for name, match in uuids.items()}


def _read_moves(kind: Kind, names: Sequence[str], before: _Found, now: _Found) -> Evidence:
    """Judge renames or exchanges, which the server does one by one, by where each thing is now."""
    after = dict(before)
    for old, new in zip(names[::2], names[1::2], strict=True):
        if kind is Kind.EXCHANGE and {old, new} <= after.keys():
            after[old], after[new] = after[new], after[old]
        elif kind is Kind.RENAME and old in after:
            after[new] = after.pop(old)
    shown = ", ".join(dict.fromkeys(names))
    if "" in (*before.values(), *now.values()):
        if len(set(names)) < len(names):
            why = f"{shown} look alike, and have no UUID to tell them apart"
            return Evidence(Outcome.UNKNOWN, why)
        # Each name is the old or the new one of one thing.
        after, before, now = (dict.fromkeys(found, "") for found in (after, before, now))
    if now == after != before:
        return Evidence(Outcome.APPLIED, f"{shown} are where it puts them")
    if now == before:
        return Evidence(Outcome.NOT_APPLIED, f"{shown} are where they were before")
    moved = "exchanged" if kind is Kind.EXCHANGE else "renamed"
    return Evidence(Outcome.UNKNOWN, f"only some of {shown} were {moved}")


def _read_named(kind: str, effect: Effect, before: _Found, now: _Found) -> Evidence:
    """Judge what has one name for the whole server."""
    names = [name.name for name in effect.targets]
    if effect.kind is Kind.RENAME and len(names) > 2:
        return _read_moves(effect.kind, names, before, now)
    outcome = _things(names, before, now)
    return Evidence(outcome, f"{kind} {', '.join(names)}: {outcome.value}")


def _read_mutations(
    effect: Effect, keys: list[str], before: Fingerprint, now: Fingerprint
) -> Evidence:
    table = keys[0]
    if table in before.missing and table in now.missing:
        return Evidence(Outcome.NOT_APPLIED, f"there is no table {table}")
    if table not in before.mutations or table not in now.mutations:
        return blind(f"{table} is no MergeTree table whose mutations could be seen")
    made = set(now.mutations[table]) - set(before.mutations[table])
    if not made:
        return Evidence(Outcome.NOT_APPLIED, f"{table} has no mutation that it did not have before")
    if len(made) == 1:
        return Evidence(Outcome.APPLIED, f"it made {made.pop()} of {table}")
    return Evidence(Outcome.UNKNOWN, f"{table} has {len(made)} new mutations")


_READ: Mapping[Watch, _Reading] = {
    Watch.TABLES: _read_tables,
    Watch.PARTS: read_parts,
    Watch.MUTATIONS: _read_mutations,
    Watch.DATABASES: lambda effect, _, before, now: _read_named(
        "database", effect, before.databases, now.databases
    ),
    Watch.FUNCTIONS: lambda effect, _, before, now: _read_named(
        "function", effect, before.functions, now.functions
    ),
}
