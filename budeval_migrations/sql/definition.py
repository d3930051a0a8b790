"""Read a CREATE statement into its parts: columns, indices, keys, settings, query.

Reads what a person wrote as well as what ClickHouse prints; the parts are pieces of
the text as it stands, so that only one engine's own printing of two texts may be
compared piece by piece. ``tests/engines/test_definition_agreement.py`` holds it against
the catalogue of 26.9. May import the other modules of ``sql``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.created import step_over_object
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, begins_query, lexemes

# What follows the name of a column, longest first; each is followed by its piece.
_OF_COLUMN: tuple[tuple[str, ...], ...] = (
    ("PRIMARY", "KEY"),
    ("NOT", "NULL"),
    ("DEFAULT",),
    ("MATERIALIZED",),
    ("EPHEMERAL",),
    ("ALIAS",),
    ("AUTO_INCREMENT",),
    ("COMMENT",),
    ("CODEC",),
    ("STATISTICS",),
    ("COLLATE",),
    ("TTL",),
    ("SETTINGS",),
    ("EXPRESSION",),
    ("HIERARCHICAL",),
    ("BIDIRECTIONAL",),
    ("INJECTIVE",),
    ("IS_OBJECT_ID",),
    ("NULL",),
)
_DEFAULTS = frozenset({"DEFAULT", "MATERIALIZED", "EPHEMERAL", "ALIAS"})
# What follows the columns of a table, a view or a dictionary.
_OF_TABLE: tuple[tuple[str, ...], ...] = (
    ("PARTITION", "BY"),
    ("PRIMARY", "KEY"),
    ("ORDER", "BY"),
    ("SAMPLE", "BY"),
    ("SQL", "SECURITY"),
    ("DEPENDS", "ON"),
    ("RANDOMIZE", "FOR"),
    ("ENGINE",),
    ("TTL",),
    ("SETTINGS",),
    ("COMMENT",),
    ("REFRESH",),
    ("APPEND",),
    ("DEFINER",),
    ("TO",),
    ("POPULATE",),
    ("EMPTY",),
    ("SOURCE",),
    ("LIFETIME",),
    ("LAYOUT",),
    ("RANGE",),
    ("INNER",),
    ("CLONE",),
    ("AS",),
)
# A keyword behind one of these is a name in an expression.
_OPERATORS = frozenset(
    {"AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "BETWEEN", "IS", "DIV", "MOD", "THEN", "ELSE"}
    | {"WHEN", "CASE", "INTERVAL", "AS", "GLOBAL", "DISTINCT", "BY", "TO", "WHERE", "SET"}
)
# By the word that an element begins with, what else it says: old servers do not quote the
# names of columns, which may be such words.
MARKS = {
    "INDEX": frozenset({"TYPE"}),
    "PROJECTION": frozenset({"SELECT", "WITH", "INDEX"}),
    "CONSTRAINT": frozenset({"CHECK", "ASSUME"}),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is declared; a part that is not there is empty.

    Attributes:
        name: Without quotes.
        type: As written.
        default: With its kind: ``DEFAULT now()``.
        parts: What else is said of it, by its keyword.

    """

    name: str
    type: str = ""
    default: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def default_kind(self) -> str:
        """DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL; empty without one."""
        return self.default.split(None, 1)[0].upper() if self.default else ""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a CREATE TABLE, VIEW, MATERIALIZED VIEW or DICTIONARY says.

    Attributes:
        columns: In order; empty where they follow from a query.
        indices: The text behind each one's name.
        projections: The same.
        constraints: The same.
        clauses: By keyword (``ORDER BY``), the text behind it.

    """

    kind: Kind
    name: Name
    columns: tuple[Column, ...] = ()
    indices: Mapping[str, str] = field(default_factory=dict)
    projections: Mapping[str, str] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    clauses: Mapping[str, str] = field(default_factory=dict)

    @property
    def engine(self) -> str:
        """The name of the engine; empty where none is said."""
        return self.clauses.get("ENGINE", "").split("(", 1)[0].strip()

    @property
    def settings(self) -> dict[str, str]:
        """The settings, by name."""
        return pairs(self.clauses.get("SETTINGS", ""))

    def column(self, name: str) -> Column | None:
        """Return a column by its name."""
        return next((column for column in self.columns if column.name == name), None)


_DEFINED = frozenset(
    {Kind.CREATE_TABLE, Kind.CREATE_VIEW, Kind.CREATE_MATERIALIZED_VIEW, Kind.CREATE_DICTIONARY}
)


def read_definition(text: str) -> Definition | None:
    """Return what a CREATE statement says; None for any other statement.

    Raises:
        StatementSyntaxError: A quote or a comment is not closed.

    """
    kind = classify(text).kind
    if kind not in _DEFINED:
        return None
    reader = Reader(text)
    reader.accept("CREATE")
    reader.accept("OR", "REPLACE")
    reader.accept("REPLACE")
    while reader.peek().word in ("TEMPORARY", "LIVE", "WINDOW"):
        reader.at += 1
    step_over_object(reader)
    reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    if name is None:
        return None
    clauses, rest = _clauses(reader)
    found: dict[str, dict[str, str]] = {"INDEX": {}, "PROJECTION": {}, "CONSTRAINT": {}}
    columns = []
    for element in _split(rest):
        first = element[0].word
        words = {lexeme.word for lexeme in element[2:]}
        named = len(element) > 2 and element[1].kind in NAMES
        if named and words & MARKS.get(first, frozenset()):
            label = reader.identifier(element[1])
            found[first][label] = _text(text, element[2:])
        elif first == "PRIMARY" and element[1:2] and element[1].word == "KEY":
            clauses.setdefault("PRIMARY KEY", _text(text, element[2:]))
        else:
            columns.append(read_column(text, element))
    return Definition(
        kind,
        name,
        tuple(columns),
        found["INDEX"],
        found["PROJECTION"],
        found["CONSTRAINT"],
        clauses,
    )


def read_column(text: str, element: Sequence[Lexeme]) -> Column:
    """Return what the declaration of a column says.

    Args:
        element: The lexemes of it, beginning with its name.

    """
    reader = Reader(text, list(element))
    names = []
    while reader.peek().kind in NAMES:
        names.append(reader.identifier(reader.peek()))
        reader.at += 1
        if reader.peek().kind is not TokenKind.DOT:
            break
        reader.at += 1
    base = element[0].depth
    parts = _pieces(text, reader.left(), base, _OF_COLUMN)
    default = next((f"{word} {parts.pop(word)}" for word in _DEFAULTS if word in parts), "")
    return Column(".".join(names), parts.pop("", ""), default.strip(), parts)


def pairs(listed: str) -> dict[str, str]:
    """Return ``a = 1, b = 'x'`` as a mapping."""
    found = {}
    for element in _split(lexemes(listed)):
        equals = next((at for at, lx in enumerate(element) if _is(listed, lx, "=")), 0)
        if equals:
            name = _text(listed, element[:equals])
            found[name] = _text(listed, element[equals + 1 :])
    return found


def split_list(listed: str) -> list[str]:
    """Cut ``a, f(b, c), d`` at its own commas; brackets around all of it are taken off."""
    found = lexemes(listed)
    if _bracketed(found):
        found = found[1:-1]
    return [_text(listed, element) for element in _split(found)]


def _bracketed(found: Sequence[Lexeme]) -> bool:
    outer = [lexeme.kind for lexeme in found if lexeme.depth == 0]
    return outer == [TokenKind.OPEN, TokenKind.CLOSE] and found[-1].kind is TokenKind.CLOSE


def _clauses(reader: Reader) -> tuple[dict[str, str], Sequence[Lexeme]]:
    """Read what stands outside the brackets of the columns, and return what is inside."""
    text = reader.text
    found = reader.left()
    inside: Sequence[Lexeme] = ()
    clauses: dict[str, str] = {}
    query = next(
        (
            at
            for at, (one, two) in enumerate(pairwise(found))
            if one.depth == 0 and one.word == "AS" and begins_query([two])
        ),
        None,
    )
    if query is not None:
        clauses["AS"] = _text(text, found[query + 1 :])
        found = found[:query]
    # The columns' bracket is the first one that belongs to no clause's own expression.
    start = next((at for at, lx in enumerate(found) if _opens_columns(found, at, text)), None)
    if start is not None:
        depth = found[start].depth
        closing = (
            at
            for at in range(start + 1, len(found))
            if found[at].depth == depth and found[at].kind is TokenKind.CLOSE
        )
        end = next(closing, len(found))
        inside = found[start + 1 : end]
        found = [*found[:start], *found[end + 1 :]]
    clauses = {**_pieces(text, found, 0, _OF_TABLE), **clauses}
    clauses.pop("", None)
    return clauses, inside


def _opens_columns(found: Sequence[Lexeme], at: int, text: str) -> bool:
    here = found[at]
    if here.depth or here.kind is not TokenKind.OPEN or not _is(text, here, "("):
        return False
    before = [lexeme.word for lexeme in found[:at] if lexeme.depth == 0]
    # ``TO target (columns)``, ``REFRESH EVERY 1 HOUR (columns)``, or right behind the name.
    later = {"ENGINE", "PARTITION", "PRIMARY", "ORDER", "SAMPLE", "TTL", "SETTINGS", "COMMENT"}
    return not later & set(before) and not {"SOURCE", "LIFETIME", "LAYOUT", "RANGE"} & set(before)


def _pieces(
    text: str, found: Sequence[Lexeme], base: int, keywords: Sequence[tuple[str, ...]]
) -> dict[str, str]:
    """Cut at keywords; what stands before the first one is under the empty keyword."""
    pieces: dict[str, list[Lexeme]] = {"": []}
    current, at = "", 0
    while at < len(found):
        words = _keyword(found, at, base, keywords)
        if words and _may_begin(text, found, at, pieces[current], current):
            current = " ".join(words)
            pieces.setdefault(current, [])
            at += len(words)
            continue
        pieces[current].append(found[at])
        at += 1
    return {word: _text(text, piece).lstrip("= ") for word, piece in pieces.items()}


def _keyword(
    found: Sequence[Lexeme], at: int, base: int, keywords: Sequence[tuple[str, ...]]
) -> tuple[str, ...] | None:
    if found[at].depth != base:
        return None
    for words in keywords:
        if all(
            at + ahead < len(found) and found[at + ahead].word == word
            for ahead, word in enumerate(words)
        ):
            return words
    return None


def _may_begin(
    text: str, found: Sequence[Lexeme], at: int, piece: Sequence[Lexeme], current: str
) -> bool:
    """Tell a clause's keyword from a name in the expression before it."""
    following = found[at + 1] if at + 1 < len(found) else None
    if following is not None and following.kind in (TokenKind.COMMA, TokenKind.DOT):
        return False
    if not piece:
        # The expression that a keyword promises has yet to begin.
        return current in ("", "EPHEMERAL", "POPULATE", "EMPTY", "APPEND", "NOT NULL", "NULL")
    last = piece[-1]
    if last.word in _OPERATORS and not (current == "" and last.word == "SET"):
        return False
    raw = text[last.start : last.end]
    return last.kind not in (TokenKind.OTHER, TokenKind.DOT, TokenKind.COMMA) or raw == "*"


def _split(found: Sequence[Lexeme]) -> list[list[Lexeme]]:
    """Cut at the commas that are in no further bracket."""
    groups: list[list[Lexeme]] = [[]]
    base = found[0].depth if found else 0
    for lexeme in found:
        if lexeme.kind is TokenKind.COMMA and lexeme.depth == base:
            groups.append([])
        else:
            groups[-1].append(lexeme)
    return [group for group in groups if group]


def _is(text: str, lexeme: Lexeme, char: str) -> bool:
    return text[lexeme.start : lexeme.end] == char


def _text(text: str, found: Sequence[Lexeme]) -> str:
    return text[found[0].start : found[-1].end] if found else ""
