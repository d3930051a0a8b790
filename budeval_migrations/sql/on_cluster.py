"""Put ON CLUSTER into a statement, where ClickHouse's grammar has it.

Owns the table of places. Reads by tokens, never by substrings; what it cannot
place it refuses, since a statement that ran on one host only would look done.
``tests/engines/test_on_cluster_agreement.py`` holds it against ClickHouse's own
parser (26.9). May import the other modules of ``sql``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from budeval_migrations.errors import RevisionError
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.created import fills, step_over_object
from budeval_migrations.sql.effects import step_over_renamed
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, is_temporary
from budeval_migrations.sql.redact import excerpt

# They read, they belong to a session, or their rows reach the replicas by replication.
_NOT_DISTRIBUTED = frozenset(
    {Kind.SELECT, Kind.INSERT, Kind.SHOW, Kind.DESCRIBE, Kind.EXISTS, Kind.EXPLAIN}
    | {Kind.CHECK, Kind.SET, Kind.USE, Kind.EMPTY}
)
_VERBS = frozenset({"CREATE", "ALTER", "DROP", "ATTACH", "DETACH", "RENAME"})
_OF_SERVER = frozenset({"FUNCTION", "NAMED", "WORKLOAD", "RESOURCE", "DATABASE"})
_NAMED = frozenset({*NAMES, TokenKind.STRING})
_AFTER_TABLE = frozenset({"TO", "FROM", "ON", "IN", "AS", "FOR", "USING", "RENAME"})


def put_on_cluster(text: str, cluster: str) -> str:
    """Return a statement with ON CLUSTER in its place.

    A statement that has one already, takes none, or makes a temporary table
    comes back as it is.

    Args:
        cluster: The cluster's name, as in ``system.clusters``; may hold macros.

    Raises:
        RevisionError: The statement changes something, and its place is not known;
            or each host would fill a new table for itself; or it is several in one.
        StatementSyntaxError: Something that had to be read is not closed.

    """
    kind, reader, placed, there = _look(text)
    if kind is Kind.PARALLEL:
        raise RevisionError(
            "On a cluster, what PARALLEL WITH joins would be followed in part only: "
            + excerpt(text),
            hint="Write its parts as statements of their own; or, where one host is meant, "
            "op.execute_here.",
        )
    if there or reader is None:
        return text
    shown = excerpt(text)
    if not placed:
        raise RevisionError(
            "There is no place known for ON CLUSTER in this statement, and without it only one "
            f"host would run it: {shown}",
            hint="Write ON CLUSTER into the statement; or, where one host is meant, "
            "op.execute_here.",
        )
    if fills(kind, reader):
        raise RevisionError(
            "On a cluster each host would fill the new table for itself, and replicas would hold "
            f"the rows more than once: {shown}",
            hint="Create it empty, then fill it with INSERT … SELECT.",
        )
    end = reader.rest[reader.at - 1].end
    return f"{text[:end]} ON CLUSTER {quote.identifier(cluster)}{text[end:]}"


def put_uuid(text: str, uuid: str) -> str:
    """Return a CREATE TABLE that gives its table this UUID, as the other replicas have it."""
    _, reader, placed, _ = _look(text)
    if reader is None or not placed or not uuid:
        return text
    end = reader.rest[reader.at - 1].end
    return f"{text[:end]} UUID {quote.string(uuid)}{text[end:]}"


def is_on_cluster(text: str) -> bool:
    """Return whether a statement, or a part of it, says ON CLUSTER."""
    if classify(text).kind is Kind.PARALLEL:
        return any(_look(part.text).there for part in parts(text))
    return _look(text).there


def is_of_server(text: str) -> bool:
    """Return whether a statement is about something that is in no database.

    Functions, named collections, workloads, resources, users and their like, and databases.
    """
    if classify(text).kind is Kind.ACCESS:
        return True
    reader = Reader(text)
    verb = reader.peek().word
    reader.at += 1
    reader.accept("OR", "REPLACE")
    return verb in _VERBS and reader.peek().word in _OF_SERVER and reader.peek(1).kind in NAMES


def take_off_cluster(text: str) -> str:
    """Return a statement without its ON CLUSTER; one that has none comes back as it is."""
    look = _look(text)
    if not look.there or look.reader is None:
        return text
    rest = look.reader.rest
    first = look.reader.at if look.placed else 0
    at = next(at for at in (first, *range(len(rest))) if _is_at(rest[at : at + 3]))
    return f"{text[: rest[at - 1].end]}{text[rest[at + 2].end :]}"


class _Look(NamedTuple):
    kind: Kind
    reader: Reader | None  # None where ON CLUSTER is not to be put
    placed: bool = False  # the reader stands at the place
    there: bool = False


def _look(text: str) -> _Look:
    kind = classify(text).kind
    if kind in _NOT_DISTRIBUTED:
        return _Look(kind, None)
    reader = Reader(text)
    if is_temporary(reader.rest):
        return _Look(kind, None)
    step_to_place = _PLACES.get(kind)
    placed = step_to_place is not None and step_to_place(reader)
    # Where no query can be, the server takes it in other places too.
    anywhere = step_to_place is None or kind in (Kind.ACCESS, Kind.SYSTEM)
    looked_at = range(len(reader.rest)) if anywhere else range(reader.at, reader.at + placed)
    there = any(_is_at(reader.rest[at : at + 3]) for at in looked_at)
    return _Look(kind, reader, placed, there)


def _is_at(found: Sequence[Lexeme]) -> bool:
    """Tell whether these three are ON CLUSTER and a name."""
    words = [lexeme.word for lexeme in found[:2]]
    # GRANT SELECT ON cluster TO u: a table of that name.
    table = found[2:] and found[2].word in _AFTER_TABLE
    return words == ["ON", "CLUSTER"] and len(found) == 3 and found[2].kind in _NAMED and not table


def _name(reader: Reader) -> bool:
    """Step over ``[db.]name``."""
    if reader.peek().kind not in NAMES:
        return False
    reader.at += 1
    if reader.peek().kind is TokenKind.DOT and reader.peek(1).kind in NAMES:
        reader.at += 2
    return True


def _guard(reader: Reader) -> None:
    for words in (("IF", "NOT", "EXISTS"), ("IF", "EXISTS"), ("IF", "EMPTY")):
        reader.accept(*words)


def _uuid(reader: Reader) -> None:
    if reader.peek().word == "UUID" and reader.peek(1).kind is TokenKind.STRING:
        reader.at += 2


def _index(reader: Reader) -> bool:
    """Step over ``[IF …] i ON t``."""
    _guard(reader)
    return _name(reader) and reader.accept("ON") and _name(reader)


def _create(reader: Reader) -> bool:
    replaces = reader.accept("REPLACE") or reader.accept("CREATE", "OR", "REPLACE")
    if not replaces:
        reader.accept("CREATE")
    while reader.peek().word in ("LIVE", "WINDOW", "UNIQUE"):
        reader.at += 1
    if reader.accept("INDEX"):
        return _index(reader)
    what, _ = step_over_object(reader)
    _guard(reader)
    if not what or not _name(reader):
        return False
    _uuid(reader)
    return True


def _drop(reader: Reader) -> bool:
    """Step over DROP, DETACH, ATTACH and UNDROP with the names that follow."""
    reader.at += 1
    if reader.accept("INDEX"):
        return _index(reader)
    what, _ = step_over_object(reader)
    _guard(reader)
    _guard(reader)
    if not what or not _name(reader):
        return False
    while reader.peek().kind is TokenKind.COMMA:
        reader.at += 1
        if not _name(reader):
            return False
    _uuid(reader)
    if reader.peek().word == "FROM" and reader.peek(1).kind is TokenKind.STRING:
        reader.at += 2
    return True


def _rename(reader: Reader) -> bool:
    """Step over all the pairs."""
    step_over_renamed(reader)
    while True:
        _guard(reader)
        joined = _name(reader) and (reader.accept("TO") or reader.accept("AND"))
        if not joined or not _name(reader):
            return False
        if not reader.accept_comma():
            return True


def _truncate(reader: Reader) -> bool:
    reader.at += 1
    words = [reader.peek(ahead).word for ahead in range(4)]
    if words[:2] == ["ALL", "TABLES"] or words[:2] == ["TABLES", "FROM"]:
        reader.at += words.index("TABLES") + 1
        if not reader.accept("FROM"):
            return False
        _guard(reader)
        if not _name(reader):
            return False
        reader.accept("NOT")
        if reader.accept("LIKE") or reader.accept("ILIKE"):
            reader.at += 1
        return True
    if reader.peek(1).kind in {*NAMES, TokenKind.OPEN}:
        reader.at += reader.peek().word in ("DATABASE", "TABLE", "VIEW", "DICTIONARY")
    elif reader.peek().word in ("TEMPORARY", "TABLE", "TABLES", "DATABASE", "VIEW", "DICTIONARY"):
        return False  # a table of that name, and with ON CLUSTER behind it another statement
    _guard(reader)
    return _name(reader)


def _alter(reader: Reader) -> bool:
    reader.at += 1
    if reader.accept("NAMED", "COLLECTION"):
        _guard(reader)
    elif not reader.accept("DATABASE") and not reader.accept("TABLE"):
        return False
    return _name(reader)


def _after(*words: str) -> Callable[[Reader], bool]:
    """Step over these words and a name."""
    return lambda reader: reader.accept(*words) and _name(reader)


def _kill(reader: Reader) -> bool:
    reader.at += 1
    return reader.accept("MUTATION") or reader.accept("QUERY")


_ENTITIES: list[tuple[str, ...]] = [("SETTINGS", "PROFILE"), ("ROW", "POLICY")]
_ENTITIES += [(word,) for word in ("PROFILE", "POLICY", "USER", "ROLE", "QUOTA")]


def _access(reader: Reader) -> bool:
    """Step over GRANT and REVOKE, or over the names of users, roles and the like."""
    if reader.accept("GRANT") or reader.accept("REVOKE"):
        return True
    drops = reader.accept("DROP")
    if not (drops or reader.accept("CREATE") or reader.accept("ALTER")):
        return False
    reader.accept("OR", "REPLACE")
    entity = next((words for words in _ENTITIES if reader.accept(*words)), None)
    if entity is None:
        return False
    _guard(reader)
    reader.accept("OR", "REPLACE")
    if entity[-1] == "POLICY":
        return _policies(reader)
    while _user(reader):
        if not reader.accept_comma():
            return not (drops and reader.accept("FROM")) or _name(reader)
    return False


def _policies(reader: Reader) -> bool:
    """Step over ``a, b ON t``, ``a ON t, u`` or ``a ON t, b ON u``: the place is behind them."""
    while _policy_or_table(reader):
        if not (reader.accept_comma() or reader.accept("ON")):
            return True
    return False


def _policy_or_table(reader: Reader) -> bool:
    """Step over ``name``, ``db.name``, ``db.*`` or ``*``."""
    if reader.peek().word == "CLUSTER" and reader.peek(1).kind is not TokenKind.DOT:
        return False  # after ON the server reads a cluster, whatever is meant (26.9)
    if _is_star(reader, 0):
        reader.at += 1
        return True
    found = _name(reader)
    if found and reader.peek().kind is TokenKind.DOT and _is_star(reader, 1):
        reader.at += 2
    return found


def _is_star(reader: Reader, ahead: int) -> bool:
    lexeme = reader.peek(ahead)
    return reader.text[lexeme.start : lexeme.end] == "*"


def _user(reader: Reader) -> bool:
    """Step over ``name[@host]``."""
    if reader.peek().kind not in _NAMED:
        return False
    reader.at += 1
    if reader.text[reader.peek().start : reader.peek().end] == "@":
        reader.at += 1
        if reader.peek().kind not in _NAMED:
            return False
        reader.at += 1
    return True


_STOPPED = (
    ("MERGES",),
    ("TTL", "MERGES"),
    ("MOVES",),
    ("FETCHES",),
    ("REPLICATED", "SENDS"),
    ("REPLICATION", "QUEUES"),
    ("DISTRIBUTED", "SENDS"),
    ("PULLING", "REPLICATION", "LOG"),
    ("CLEANUP",),
)
_SYSTEM: list[tuple[str, ...]] = [(verb, *what) for verb in ("STOP", "START") for what in _STOPPED]
_SYSTEM += [
    ("RELOAD", what) for what in ("DICTIONARIES", "DICTIONARY", "CONFIG", "FUNCTIONS", "FUNCTION")
]
_SYSTEM += [("FLUSH", "LOGS"), ("FLUSH", "DISTRIBUTED"), ("SYNC", "REPLICA")]
_SYSTEM += [("RESTART", "REPLICAS"), ("RESTART", "REPLICA"), ("RESTORE", "REPLICA")]
_SYSTEM += [
    (verb, kind, "CACHE")
    for verb in ("DROP", "CLEAR")
    for kind in ("DNS", "MARK", "UNCOMPRESSED", "QUERY")
]


def _system(reader: Reader) -> bool:
    reader.at += 1
    found = any(reader.accept(*words) for words in _SYSTEM)
    if found and reader.accept("TAG"):  # of the query cache
        reader.at += 1
    return found


_PLACES: dict[Kind, Callable[[Reader], bool]] = {
    **{kind: _create for kind in Kind if kind.value.startswith("create ")},
    **dict.fromkeys((Kind.DROP, Kind.ATTACH, Kind.DETACH, Kind.UNDROP), _drop),
    **dict.fromkeys((Kind.RENAME, Kind.EXCHANGE), _rename),
    Kind.TRUNCATE: _truncate,
    Kind.ALTER: _alter,
    Kind.OPTIMIZE: _after("OPTIMIZE", "TABLE"),
    Kind.DELETE: _after("DELETE", "FROM"),
    Kind.UPDATE: _after("UPDATE"),
    Kind.KILL: _kill,
    Kind.ACCESS: _access,
    Kind.SYSTEM: _system,
}
