"""Say what a statement changes, and whether running it twice is running it once.

Owns the ground of a resume after a kill: which catalogue facts to compare before
and after a statement, and which statements need no comparing. ``repeatable`` is
said only of what was seen to be so on ClickHouse 26.9
(``tests/engines/test_effects_agreement.py``). Reads by tokens, never by
substrings. May import the other modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from budeval_migrations.sql.alter import all_elements, clauses, repeatable
from budeval_migrations.sql.changes import Change, Effect, Kind, Name, Watch
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.created import create_effect, index_effect, step_over_object, watching
from budeval_migrations.sql.insert import InsertData
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import (
    NAMES,
    Lexeme,
    Reader,
    is_temporary,
    lexemes,
    read_head,
)
from budeval_migrations.sql.rows import count_rows

__all__ = ["Change", "Effect", "Name", "Watch", "effect", "step_over_renamed"]


# OPTIMIZE moves rows, never changes them; KILL finds nothing the second time.
_HARMLESS = frozenset(
    {
        Kind.SELECT,
        Kind.SHOW,
        Kind.DESCRIBE,
        Kind.EXISTS,
        Kind.EXPLAIN,
        Kind.CHECK,
        Kind.SET,
        Kind.USE,
    }
    | {Kind.OPTIMIZE, Kind.KILL, Kind.EMPTY}
)


def effect(text: str, *, on_one_host: bool = False) -> Effect:
    """Return what one statement changes.

    Reads an INSERT up to its rows, which are counted if the text is short enough.

    Args:
        on_one_host: What it does on one of the hosts that ON CLUSTER means, where it
            is not that each of them takes or refuses it alone.

    Raises:
        StatementSyntaxError: Something that had to be read is not closed.

    """
    kind = classify(text).kind
    if kind in _HARMLESS:
        # Rows that came in between are removed with the others the second time.
        words = {lx.word for lx in lexemes(text)} if kind is Kind.OPTIMIZE else set()
        removes = bool(words & {"DEDUPLICATE", "CLEANUP"})
        runs = kind is Kind.EXPLAIN and _says(lexemes(text), "EXPLAIN", "ANALYZE")
        return Effect(kind, repeatable=not (removes or runs or _writes_file(text)))
    if kind is Kind.INSERT:
        return _insert(text)
    if kind is Kind.PARALLEL:
        return _together([effect(part.text) for part in parts(text)])
    read = _READERS.get(kind)
    if read is None:
        return Effect(kind, repeatable=False, atomic=False)
    reader = Reader(text)
    found = read(kind, reader)
    if not on_one_host and _says(reader.rest, "ON", "CLUSTER"):
        found = replace(found, atomic=False)
    if _writes_file(text):
        found = replace(found, repeatable=False)
    return found if found.watches else replace(found, targets=())


def _together(effects: Sequence[Effect]) -> Effect:
    """Return what statements do that run in whatever order, or some of them only."""
    targets = [target for each in effects for target in each.targets]
    # By name alone: ``t`` and ``db.t`` may be one table.
    apart = len({target.name for target in targets}) == len(targets)
    return Effect(
        Kind.PARALLEL,
        repeatable=apart and all(each.repeatable for each in effects),
        targets=tuple(dict.fromkeys(targets)),
        mutation=any(each.mutation for each in effects),
        atomic=False,
    )


def _writes_file(text: str) -> bool:
    """Find INTO OUTFILE, which refuses to write a file twice."""
    if not re.search("outfile", text, re.IGNORECASE):
        return False
    return _says(lexemes(text), "INTO", "OUTFILE")


def _says(found: Sequence[Lexeme], first: str, second: str) -> bool:
    """Tell whether it says these two words anywhere."""
    return (first, second) in pairwise(lexeme.word for lexeme in found)


def _names(reader: Reader) -> tuple[Name, ...]:
    """Read ``name, name, ...``."""
    found = []
    while (name := reader.name()) is not None:
        found.append(name)
        if not reader.accept_comma():
            break
    return tuple(found)


def _drop(kind: Kind, reader: Reader) -> Effect:
    """Read DROP, ATTACH, DETACH and UNDROP."""
    reader.at += 1
    temporary = reader.accept("TEMPORARY")
    if kind is Kind.DROP and reader.accept("INDEX"):
        return index_effect(kind, reader, ("IF", "EXISTS"))
    what, watch = step_over_object(reader)
    if not what and not (reader.accept("WORKLOAD") or reader.accept("RESOURCE")):
        return Effect(kind, repeatable=False)  # what is still to come
    guarded = reader.accept("IF", "EXISTS")
    if not guarded:
        reader.accept("IF", "NOT", "EXISTS")
    reader.accept("IF", "EMPTY")
    targets = _names(reader)
    several = any(lx.kind is TokenKind.COMMA and lx.depth == 0 for lx in reader.rest)
    if any(lx.kind is TokenKind.OPEN and lx.depth == 0 for lx in reader.left()):
        targets = ()  # one of the names is a parameter
    return Effect(
        kind,
        repeatable=kind is Kind.DROP and guarded and bool(targets),
        watches=() if temporary else watching(watch, targets),
        targets=() if temporary else targets,
        # A database goes table by table, and one of them may refuse.
        atomic=not several and what != "DATABASE",
    )


def step_over_renamed(reader: Reader) -> str:
    """Step over RENAME or EXCHANGE and the word for what is renamed; say the word.

    ClickHouse 26.9 takes it for that word even where it could be a name.
    """
    exchange = reader.accept("EXCHANGE") or not reader.accept("RENAME")
    known = ("TABLES", "DICTIONARIES") if exchange else ("TABLE", "DICTIONARY", "DATABASE")
    return next((word for word in known if reader.accept(word)), "")


def _rename(kind: Kind, reader: Reader) -> Effect:
    """Read RENAME and EXCHANGE."""
    databases = step_over_renamed(reader) == "DATABASE"
    targets: list[Name] = []
    guarded, more = True, True
    while more:
        guarded = reader.accept("IF", "EXISTS") and guarded
        old = reader.name()
        joined = reader.accept("TO") or reader.accept("AND")
        new = reader.name()
        if old is None or new is None or not joined:
            return Effect(kind, repeatable=False)
        targets += (old, new)
        more = reader.accept_comma()
    return Effect(
        kind,
        # Were one name another one's old name, the second run would go on from there.
        repeatable=guarded and len({name.name for name in targets}) == len(targets),
        watches=(Watch.DATABASES if databases else Watch.TABLES,),
        targets=tuple(targets),
        atomic=len(targets) == 2,
    )


_NAMED = NAMES | {TokenKind.OPEN}  # {table:Identifier}


def _truncate(kind: Kind, reader: Reader) -> Effect:
    reader.at += 1
    temporary = is_temporary(reader.rest)
    reader.at += temporary
    several = reader.peek().word in ("ALL", "TABLES", "DATABASE") and reader.peek(1).kind in _NAMED
    # Without a name or a parameter behind it, the word is the table's name.
    if reader.peek().word in ("TABLE", "VIEW", "DICTIONARY") and reader.peek(1).kind in _NAMED:
        reader.at += 1
    reader.accept("IF", "EXISTS")
    table = None if several or temporary else reader.name()
    return Effect(
        kind,
        repeatable=False,
        watches=(Watch.PARTS,) if table else (),
        targets=(table,) if table else (),
        change=Change.TRUNCATE,
        atomic=not several,
    )


def _change_rows(kind: Kind, reader: Reader) -> Effect:
    """Read the lightweight DELETE, which is a mutation, and UPDATE, which adds patch parts."""
    deletes = kind is Kind.DELETE
    reader.at += 1
    if deletes:
        reader.accept("FROM")
    table = reader.name()
    if table is None:
        return Effect(kind, repeatable=False, mutation=deletes, atomic=False)
    return Effect(
        kind,
        repeatable=False,
        watches=(Watch.MUTATIONS if deletes else Watch.PARTS,),
        targets=(table,),
        mutation=deletes,
        atomic=False,  # UPDATE writes a patch part for each block
    )


_PIECEMEAL = frozenset({Change.ATTACH_PARTITION, Change.DETACH_PARTITION})


def _alter(kind: Kind, reader: Reader) -> Effect:
    reader.at += 1
    if reader.accept("NAMED", "COLLECTION"):
        reader.accept("IF", "EXISTS")
        named = reader.name() is not None
        sets = reader.accept("SET") and "DELETE" not in reader.outer()
        return Effect(kind, repeatable=named and sets)
    if reader.accept("DATABASE"):
        database = reader.name()
        return Effect(
            kind,
            repeatable=database is not None and reader.accept("MODIFY", "COMMENT"),
            watches=(Watch.DATABASES,) if database else (),
            targets=(database,) if database else (),
        )
    temporary = reader.accept("TEMPORARY")
    table = reader.name() if reader.accept("TABLE") else None
    found = clauses(reader) if table else None
    if table is None or found is None:
        return Effect(kind, repeatable=False, mutation=True, atomic=False)  # it may be all of that
    seen = {clause.rule.watch for clause in found}
    unseen = None in seen or temporary
    keys = [element.key for clause in found for element in clause.elements()]
    mutation = any(clause.rule.mutation for clause in found)
    one = found[0] if len(found) == 1 else None
    changes = {clause.rule.change for clause in found}
    others = [clause.other for clause in found if clause.other is not None]
    # Parts go into detached/ and out of it one by one, and the next one may be broken.
    piecemeal = mutation or one is None or bool(changes & _PIECEMEAL)
    altered = Effect(
        kind,
        repeatable=repeatable(found),
        watches=() if unseen else tuple(watch for watch in Watch if watch in seen),
        targets=() if temporary else tuple(dict.fromkeys((table, *others))),
        mutation=mutation,
        change=changes.pop() if len(changes) == 1 else Change.OTHER,
        partition=one.partition if one else None,
        elements=all_elements(found),
        source=others[0] if len(set(others)) == 1 else None,
        atomic=not piecemeal,
        undoes=len(set(keys)) < len(keys),
    )
    if altered.change is Change.ATTACH_FROM and altered.every_partition:
        return replace(altered, atomic=False)
    return altered


def _access(kind: Kind, reader: Reader) -> Effect:
    """Read what is about users: GRANT and REVOKE say what is to be, and so does IF."""
    words: list[str] = []
    while reader.peek().word and len(words) < 9:
        words.append(reader.peek().word)
        reader.at += 1
    said = " ".join(words)
    again = words[:1] in (["GRANT"], ["REVOKE"], ["SET"])
    again |= re.match(r"CREATE (\w+ ){1,3}?(IF NOT EXISTS|OR REPLACE)\b", said) is not None
    again |= re.match(r"CREATE OR REPLACE \w|DROP (\w+ ){1,3}?IF EXISTS\b", said) is not None
    return Effect(kind, again, atomic=not _names_several(Reader(reader.text)))


_ACCESS_ENTITIES = (
    *(("ROW", "POLICY"), ("MASKING", "POLICY"), ("POLICY",), ("SETTINGS", "PROFILE")),
    *(("PROFILE",), ("NAMED", "COLLECTION"), ("USER",), ("ROLE",), ("QUOTA",)),
)


def _names_several(reader: Reader) -> bool:
    """Tell whether a statement about access names more than one entity: it goes one by one."""
    reader.at += 1
    reader.accept("OR", "REPLACE")
    if not any(reader.accept(*words) for words in _ACCESS_ENTITIES):
        return any(lx.kind is TokenKind.COMMA and lx.depth == 0 for lx in reader.rest)
    for guard in (("OR", "REPLACE"), ("IF", "NOT", "EXISTS"), ("IF", "EXISTS")):
        reader.accept(*guard)
    reader.at += 1  # the name
    if reader.text[reader.peek().start : reader.peek().end] == "@":
        reader.at += 2
    if reader.accept("ON", "CLUSTER"):
        reader.at += 1
    on = reader.accept("ON")
    at = reader.at
    if on and reader.name() is None:
        reader.at = at + 3  # db.*
    if reader.accept("RENAME", "TO"):
        reader.at += 1
    return reader.accept_comma()


_STOPPED = frozenset(
    {"MERGES", "TTL", "MOVES", "FETCHES", "REPLICATED", "REPLICATION", "DISTRIBUTED", "PULLING"}
    | {"CLEANUP", "VIEW", "VIEWS", "LISTEN"}
)
# By verb, the first word of what it can be said of twice.
_SYSTEM = {
    "FLUSH": frozenset({"LOGS", "DISTRIBUTED", "ASYNC"}),
    "RELOAD": frozenset(
        {"CONFIG", "USERS", "DICTIONARIES", "DICTIONARY", "MODEL", "MODELS", "FUNCTION"}
        | {"FUNCTIONS", "EMBEDDED", "ASYNCHRONOUS"}
    ),
    "SYNC": frozenset({"REPLICA", "DATABASE", "TRANSACTION", "FILE", "FILESYSTEM"}),
    "STOP": _STOPPED,
    "START": _STOPPED,
}


def _system(kind: Kind, reader: Reader) -> Effect:
    first, *following = (reader.peek(ahead).word for ahead in range(1, 6))
    cache = first in ("DROP", "CLEAR") and "CACHE" in following and following[0] != "DISK"
    return Effect(kind, cache or following[0] in _SYSTEM.get(first, ()))


def _never(kind: Kind, reader: Reader) -> Effect:
    """BACKUP and RESTORE: a second one meets what the first one left."""
    return Effect(kind, repeatable=False, atomic=False)


_READERS: dict[Kind, Callable[[Kind, Reader], Effect]] = {
    **{kind: create_effect for kind in Kind if kind.value.startswith("create ")},
    **dict.fromkeys((Kind.DROP, Kind.ATTACH, Kind.DETACH, Kind.UNDROP), _drop),
    **dict.fromkeys((Kind.RENAME, Kind.EXCHANGE), _rename),
    **dict.fromkeys((Kind.DELETE, Kind.UPDATE), _change_rows),
    **dict.fromkeys((Kind.BACKUP, Kind.RESTORE), _never),
    Kind.TRUNCATE: _truncate,
    Kind.ALTER: _alter,
    Kind.ACCESS: _access,
    Kind.SYSTEM: _system,
}


def _insert(text: str) -> Effect:
    found, data = read_head(text)
    rows = count_rows(text, found[-1].end) if data is InsertData.VALUES else None
    reader = Reader(text, found)
    reader.accept("INTO")
    reader.accept("TABLE")
    table = None if reader.accept("FUNCTION") else reader.name()
    return Effect(
        Kind.INSERT,
        repeatable=False,
        watches=(Watch.PARTS,) if table else (),
        targets=(table,) if table else (),
        change=Change.INSERT,
        rows=rows,
        atomic=False,
    )
