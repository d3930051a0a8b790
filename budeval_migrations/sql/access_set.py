"""Say which tables a statement may touch, so that those apart can run at the same time.

Goes by names alone, and takes a word for a table where it may be one: two statements
that are said to be apart are apart, and many that are said not to be would be, too.
A table stands for every table of its name, in whatever database. May import the other
modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.definition import read_definition
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, lexemes

# What these change is what they name first, and the tables that depend on it.
_CLEAR = frozenset(
    {Kind.CREATE_TABLE, Kind.INSERT, Kind.ALTER, Kind.DELETE, Kind.UPDATE, Kind.TRUNCATE}
)
_OWN_ROWS = re.compile(r"\w*MergeTree|(Stripe|Tiny)?Log|Memory|Null|Set|Join")
# They read tables that they do not name, or what every statement changes.
_FAR_READING = frozenset(
    {"merge", "system", "information_schema", "generateserialid", "remote", "remotesecure"}
    | {"cluster", "clusterallreplicas", "eval", "executable", "viewifpermitted", "loop"}
)
# These take the name of a table, or of a dictionary, as a text that may be made up.
_BY_TEXT = re.compile(r"(?i)(?:joinget|dictget|dicthas|dictis|hascolumnintable|dictionary)\w*")
# These read files, other servers, or parts of a table that an expression names.
_OUTSIDE = re.compile(
    r"(?i)(?:file|url|s3|gcs|oss|cosn|azureblobstorage|hdfs|hive|iceberg|deltalake|hudi|paimon|mysql"
    r"|postgresql|mongodb|redis|sqlite|odbc|jdbc|ytsaurus|arrowflight|prometheus|timeseries"
    r"|mergetree|filesystem|executable)\w*"
)
# Tables of these engines have rows of their own, or name in their DDL where they have them.
_KNOWN_ENGINES = re.compile(
    rf"{_OWN_ROWS.pattern}|EmbeddedRocksDB|GenerateRandom|\w*View|Dictionary|Function|Alias|Buffer"
    "|Distributed|"
)
# What a materialized view keeps its rows in: in Ordinary databases, and in Atomic ones by UUID.
_INNER, _INNER_ID = ".inner.", ".inner_id."
_STRINGS = frozenset({TokenKind.STRING, TokenKind.HEREDOC})
_ENDS_ARGUMENT = frozenset({TokenKind.COMMA, TokenKind.CLOSE, TokenKind.DOT})
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class AccessSet:
    """What statements may touch.

    Attributes:
        writes: Tables that they change.
        names: These, and whatever else they name.
        unclear: It cannot be told; nothing is apart from it.

    """

    writes: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    unclear: bool = False

    def __bool__(self) -> bool:
        return self.unclear or bool(self.names)

    def __or__(self, other: AccessSet) -> AccessSet:
        return AccessSet(
            self.writes | other.writes, self.names | other.names, self.unclear or other.unclear
        )


NOTHING = AccessSet()
_UNCLEAR = AccessSet(unclear=True)
_READ = 1_000_000  # characters


def access_set(text: str) -> AccessSet:
    """Return what a statement may touch."""
    try:
        found = effect(text)
    except StatementSyntaxError:
        return _UNCLEAR
    if found.kind not in _CLEAR or not found.targets:
        return _UNCLEAR
    if found.kind is Kind.CREATE_TABLE and not _keeps_its_rows(text):
        return _UNCLEAR  # by another name, later statements may change what it is made over
    return AccessSet(writes=frozenset(target.name for target in found.targets)) | reads(text)


def _keeps_its_rows(text: str) -> bool:
    """Return whether what is made surely keeps its own rows, and passes none on."""
    definition = read_definition(text)
    if definition is None:
        return False
    return bool(
        _OWN_ROWS.fullmatch(definition.engine) or (not definition.engine and definition.columns)
    )


def reads(text: str) -> AccessSet:
    """Return what a query, or an expression, may read; unclear where it is too long to look."""
    if len(text) > _READ:
        return _UNCLEAR
    try:
        names = frozenset(_names(text))
        made_up = _names_made_up(text)
    except StatementSyntaxError:
        return _UNCLEAR  # rows inline that are not read here
    return _UNCLEAR if made_up or _reads_far(names) else AccessSet(names=names)


@dataclass(frozen=True)
class Dependencies:
    """Which tables are one lot, since what is done to one may be done to another.

    Attributes:
        lots: By table, a name for its lot; what is not there is a lot by itself.
        unclear: Lots that touch nobody knows what.

    """

    lots: Mapping[str, str] = field(default_factory=dict)
    unclear: frozenset[str] = frozenset()

    def apart(self, one: AccessSet, other: AccessSet) -> bool:
        """Return whether two may run at the same time, and come to the same as in turn."""
        if not one or not other:
            return True
        ones, others = self._of(one.names), self._of(other.names)
        if one.unclear or other.unclear or (ones | others) & self.unclear:
            return False
        return not (self._of(one.writes) & others or self._of(other.writes) & ones)

    def _of(self, names: Iterable[str]) -> frozenset[str]:
        return frozenset(self.lots.get(name, name) for name in names)


UNTIED = Dependencies()


def dependencies_of(tables: Iterable[tuple[str, str, str]]) -> Dependencies:
    """Return how the tables of a server hang together.

    Args:
        tables: Name and engine of each, and its DDL where it may read or feed another
            table: that of a view, a dictionary, ``Distributed``, ``Buffer`` …

    """
    found = list(tables)
    lots = {name: name for name, _, _ in found}

    def lot(name: str) -> str:
        while lots[name] != name:
            lots[name] = name = lots[lots[name]]
        return name

    unclear = set()
    for name, engine, text in found:
        try:
            named = set(_names(text))
        except StatementSyntaxError:
            named = set(_FAR_READING)
        if name.startswith(_INNER):
            named.add(name.removeprefix(_INNER))
        for other in named & lots.keys():
            lots[lot(other)] = lot(name)
        known = _KNOWN_ENGINES.fullmatch(engine) and not _reads_outside(engine, text)
        if not known or name.startswith(_INNER_ID) or _reads_far(named):
            unclear.add(name)
    return Dependencies({name: lot(name) for name in lots}, frozenset(map(lot, unclear)))


def _reads_far(names: Iterable[str]) -> bool:
    return any(name.lower() in _FAR_READING for name in names)


def _reads_outside(engine: str, text: str) -> bool:
    """Tell whether a view or a function reads what no name tells."""
    try:
        return ("View" in engine or engine == "Function") and _names_made_up(text)
    except StatementSyntaxError:
        return True


def _names_made_up(text: str) -> bool:
    """Tell whether what is read may be a parameter, the result of an expression, or a file."""
    found = lexemes(text)
    for at, lexeme in enumerate(found):
        if text[lexeme.start : lexeme.end] == "{" and lexeme.kind is TokenKind.OPEN:
            return True
        word = text[lexeme.start : lexeme.end] if lexeme.kind in NAMES else ""
        if _BY_TEXT.fullmatch(word) and not _is_literal(found[at + 1 : at + 4]):
            return True
        called = found[at + 1 : at + 2] and found[at + 1].kind is TokenKind.OPEN
        before = text[found[at - 1].start : found[at - 1].end].upper()
        if called and _OUTSIDE.fullmatch(word) and before not in ("ENGINE", "="):
            return True
    return False


def _is_literal(found: Sequence[Lexeme]) -> bool:
    """Tell whether a call's first argument is a text or a name as it stands."""
    if not found or found[0].kind is not TokenKind.OPEN:
        return True  # no call
    plain = found[1:2] and (found[1].kind in _STRINGS or found[1].kind in NAMES)
    return bool(plain and found[2:3]) and found[2].kind in _ENDS_ARGUMENT


def _names(text: str) -> Iterator[str]:
    """Yield every word that may be the name of a table, those in strings too."""
    reader = Reader(text)
    for lexeme in reader.rest:
        if lexeme.kind in NAMES:
            yield reader.identifier(lexeme)
        elif lexeme.kind in _STRINGS:
            inside = reader.identifier(lexeme)
            yield inside
            yield from _WORD.findall(inside)
