"""What a CREATE changes, and the word for what it makes. May import other modules of ``sql``."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.sql.changes import Effect, Element, Kind, Name, Watch
from budeval_migrations.sql.reader import NAMES, OPERANDS, Lexeme, Reader, begins_query

_TABLE_LIKE = (("TABLE",), ("VIEW",), ("MATERIALIZED", "VIEW"), ("DICTIONARY",))
_WATCHED = {
    **dict.fromkeys(_TABLE_LIKE, Watch.TABLES),
    ("DATABASE",): Watch.DATABASES,
    ("FUNCTION",): Watch.FUNCTIONS,
    ("NAMED", "COLLECTION"): None,
}


def step_over_object(reader: Reader) -> tuple[str, Watch | None]:
    """Step over the word for what is created or dropped; say it and how it is watched."""
    for words, watch in _WATCHED.items():
        if reader.accept(*words):
            return words[0], watch
    return "", None


def watching(watch: Watch | None, targets: tuple[Name, ...]) -> tuple[Watch, ...]:
    """Return what is watched, of things whose names are known."""
    return (watch,) if watch is not None and targets else ()


def create_effect(kind: Kind, reader: Reader) -> Effect:
    """Read CREATE, REPLACE and what they make."""
    replaces = reader.accept("REPLACE") or reader.accept("CREATE", "OR", "REPLACE")
    if not replaces:
        reader.accept("CREATE")
    special = set()
    while (word := reader.peek().word) in ("TEMPORARY", "LIVE", "WINDOW", "UNIQUE"):
        special.add(word)
        reader.at += 1
    if reader.accept("INDEX"):
        return index_effect(kind, reader, ("IF", "NOT", "EXISTS"))
    what, watch = step_over_object(reader)
    guarded = reader.accept("IF", "NOT", "EXISTS")
    name = reader.name()
    targets = (name,) if name and "TEMPORARY" not in special else ()
    filled = fills(kind, reader)
    again = guarded and not replaces
    if replaces and not special:
        again = what in ("VIEW", "FUNCTION", "DICTIONARY")  # they hold no rows
    return Effect(
        kind,
        repeatable=again and name is not None and not filled,
        watches=watching(watch, targets),
        targets=targets,
        atomic=not filled,
    )


# Behind them comes an operand: TTL empty, NOT empty.
_BEFORE_OPERAND = frozenset(
    {"BY", "KEY", "TTL", "NOT", "AND", "OR", "XOR", "DIV", "MOD", "IN", "LIKE", "ILIKE", "BETWEEN"}
    | {"IS", "CASE", "WHEN", "THEN", "ELSE", "INTERVAL", "WHERE", "SET", "GLOBAL", "DISTINCT"}
    | {"FROM", "REGEXP", "CHECK", "ASSUME", "DEFAULT", "MATERIALIZED", "ALIAS", "USING", "SAMPLE"}
    | {"ZONE"}
)


def _ends_operand(found: Sequence[Lexeme]) -> bool:
    """Tell whether what stands before EMPTY makes that a keyword, and no column of that name."""
    return not found or (found[-1].kind in OPERANDS and found[-1].word not in _BEFORE_OPERAND)


def fills(kind: Kind, reader: Reader) -> bool:
    """Tell whether a new table or view is filled by the same statement.

    Args:
        reader: Stands behind the name.

    """
    outer = [lexeme for lexeme in reader.left() if lexeme.depth == 0]
    words = [lexeme.word for lexeme in outer]
    if kind in (Kind.CREATE_VIEW, Kind.CREATE_MATERIALIZED_VIEW):
        return "POPULATE" in words
    if kind is not Kind.CREATE_TABLE:
        return False
    for index, word in enumerate(words):
        if word == "AS":
            before = words[index - 1] if index else ""
            if begins_query(outer[index + 1 :]):
                return before != "EMPTY" or not _ends_operand(outer[: index - 1])
            if before == "CLONE":
                return True
    return False


def index_effect(kind: Kind, reader: Reader, guard: tuple[str, ...]) -> Effect:
    """Read ``[IF ...] i ON t``."""
    dropped = kind is Kind.DROP
    again = reader.accept(*guard) and reader.peek().kind in NAMES
    index = reader.identifier(reader.peek())
    reader.at += 1
    reader.accept("ON")
    table = reader.name()
    return Effect(
        kind,
        repeatable=again and table is not None,
        watches=(Watch.TABLES,) if table else (),
        targets=(table,) if table else (),
        elements=(Element("index", index, not dropped),) if table else (),
        mutation=dropped,
        atomic=not dropped,
    )
