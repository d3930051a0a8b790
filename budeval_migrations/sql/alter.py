"""Say what the clauses of an ALTER change.

Owns the table of ALTER clauses. What it says was observed on ClickHouse 26.9 and
is held there by ``tests/engines/test_effects_agreement.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import NamedTuple

from budeval_migrations.sql.changes import Change, Element, Name, Watch
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import END, NAMES, Lexeme, Reader


class _Guard(Enum):
    """What makes a clause repeatable."""

    NEVER = "never"
    ALWAYS = "always"
    IF_EXISTS = "IF EXISTS"
    IF_NOT_EXISTS = "IF NOT EXISTS"


_SAID = (_Guard.IF_NOT_EXISTS, _Guard.IF_EXISTS)


class _Rule(NamedTuple):
    watch: Watch | None
    guard: _Guard = _Guard.NEVER
    mutation: bool = False  # it can leave a row in system.mutations
    listed: bool = False  # commas may stand in it outside brackets
    change: Change = Change.OTHER


_ADD = _Rule(Watch.TABLES, _Guard.IF_NOT_EXISTS)
_DROP = _Rule(Watch.TABLES, _Guard.IF_EXISTS, mutation=True)
_SET = _Rule(Watch.TABLES, _Guard.ALWAYS)
_LIST = _Rule(Watch.TABLES, _Guard.ALWAYS, listed=True)
_MODIFY = _Rule(Watch.TABLES, _Guard.ALWAYS, mutation=True)
_REMOVE = _Rule(Watch.TABLES)  # refused the second time: nothing left to remove
_MUTATE = _Rule(Watch.MUTATIONS, mutation=True)
_UNSEEN = _Rule(None)

_RULES: dict[tuple[str, str], _Rule] = {
    ("ADD", "STATISTICS"): _ADD._replace(listed=True),
    ("DROP", "STATISTICS"): _DROP._replace(listed=True),
    ("DROP", "CONSTRAINT"): _DROP._replace(mutation=False),
    ("RENAME", "COLUMN"): _DROP,
    ("COMMENT", "COLUMN"): _SET,
    ("MODIFY", "COLUMN"): _MODIFY,
    ("ALTER", "COLUMN"): _MODIFY,
    ("MODIFY", "TTL"): _MODIFY._replace(listed=True),
    ("MODIFY", "STATISTICS"): _LIST,
    ("MODIFY", "SETTING"): _LIST,
    ("RESET", "SETTING"): _LIST,
    ("MODIFY", "QUERY"): _LIST,
    ("MODIFY", "REFRESH"): _LIST,
    ("REMOVE", "TTL"): _REMOVE,
    ("REMOVE", "SAMPLE"): _REMOVE,
    ("MATERIALIZE", "TTL"): _MUTATE,
    ("UPDATE", ""): _MUTATE._replace(listed=True),
    ("DELETE", "WHERE"): _MUTATE,
    ("DELETE", "IN"): _MUTATE,
    ("APPLY", "DELETED"): _MUTATE,
    ("APPLY", "PATCHES"): _MUTATE,
    ("REWRITE", "PARTS"): _MUTATE,
    ("ATTACH", "PARTITION"): _Rule(Watch.PARTS, change=Change.ATTACH_PARTITION),
    ("ATTACH", "PART"): _Rule(Watch.PARTS, change=Change.ATTACH_PARTITION),
    ("REPLACE", "PARTITION"): _Rule(Watch.PARTS, change=Change.REPLACE_PARTITION),
    ("MOVE", "PARTITION"): _Rule(Watch.PARTS, change=Change.MOVE_PARTITION),
    ("MOVE", "PART"): _Rule(Watch.PARTS, change=Change.MOVE_PARTITION),
    ("FREEZE", ""): _UNSEEN,
    ("UNFREEZE", ""): _Rule(None, _Guard.ALWAYS),
    ("FETCH", "PARTITION"): _UNSEEN,
    ("FETCH", "PART"): _UNSEEN,
    ("DROP", "DETACHED"): _UNSEEN,
    ("FORGET", "PARTITION"): _UNSEEN,
}
_RULES |= {("ADD", what): _ADD for what in ("COLUMN", "INDEX", "PROJECTION", "CONSTRAINT")}
_RULES |= {("DROP", what): _DROP for what in ("COLUMN", "INDEX", "PROJECTION")}
_RULES |= {("MODIFY", what): _SET for what in ("COMMENT", "ORDER", "SAMPLE", "SQL", "DEFINER")}
# CLEAR succeeds twice, but would also clear what was written between the two.
_RULES |= {
    (verb, what): _MUTATE._replace(listed=what == "STATISTICS")
    for verb in ("CLEAR", "MATERIALIZE")
    for what in ("COLUMN", "INDEX", "PROJECTION", "STATISTICS")
}
_RULES |= {
    (verb, what): _Rule(Watch.PARTS, change=change)
    for verb, change in (("DROP", Change.DROP_PARTITION), ("DETACH", Change.DETACH_PARTITION))
    for what in ("PARTITION", "PART")
}
_ELEMENTS = frozenset({"COLUMN", "INDEX", "PROJECTION", "CONSTRAINT"})
_AFTER_FREEZE = frozenset({"PARTITION", "WITH"})


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of an ALTER: its rule, its lexemes behind the head, and what they say."""

    head: tuple[str, str]
    rule: _Rule
    reader: Reader
    guarded: bool = True
    partition: str | None = None
    other: Name | None = None

    @property
    def guard(self) -> str:
        """The words that make such a clause repeatable; empty where there are none."""
        return self.rule.guard.value if self.rule.guard in _SAID else ""

    @property
    def takes_away(self) -> bool:
        """A name that the clause mentions means something else afterwards."""
        return self.head[0] in ("DROP", "RENAME")

    def elements(self) -> tuple[Element, ...]:
        """Return what it adds or takes away; nothing for anything else, or when unsure."""
        verb, what = self.head
        reader = Reader(self.reader.text, self.reader.left())
        name = _dotted(reader)
        if what not in _ELEMENTS or not name:
            return ()
        if verb == "RENAME":
            new = _dotted(reader) if reader.accept("TO") else ""
            both = Element(what.lower(), name, False), Element(what.lower(), new, True)
            return both if new else ()
        if verb not in ("ADD", "DROP") or reader.identifier(reader.peek()) == "Nested":
            return ()  # Nested makes a column of each of its own
        return (Element(what.lower(), name, verb == "ADD"),)

    def names(self) -> set[str]:
        """Return every identifier in it, the parts of dotted ones too."""
        found, before = set(), END
        for index, lexeme in enumerate(self.reader.left()):
            to = lexeme.word == "TO" and index > 0 and before.kind is not TokenKind.DOT
            if lexeme.kind in NAMES and not (to and self.head[0] == "RENAME"):
                found.update(self.reader.identifier(lexeme).split("."))
            before = lexeme
        return found


def clauses(reader: Reader) -> list[Clause] | None:
    """Return the clauses that stand before the cursor's end; None when unsure."""
    groups = _groups(reader.text, without_output(reader.left()))
    found = [_clause(Reader(reader.text, group)) for group in groups or ()]
    known = [clause for clause in found if clause is not None]
    return known if known and len(known) == len(found) else None


def all_elements(found: Sequence[Clause]) -> tuple[Element, ...]:
    """Return what the clauses add and take away; nothing unless that is all, each of it once."""
    listed = [clause.elements() for clause in found]
    elements = tuple(element for each in listed for element in each)
    once = len({element.key for element in elements}) == len(elements)
    return elements if all(listed) and once else ()


def repeatable(found: list[Clause]) -> bool:
    """Tell whether once and twice are the same for all the clauses together."""
    if not all(clause.guarded for clause in found):
        return False
    modified: set[str] = set()
    mentioned = Counter(name for clause in found for name in clause.names())
    for clause in found if len(found) > 1 else ():
        if clause.takes_away:
            # ``RENAME COLUMN IF EXISTS a TO b, ADD COLUMN IF NOT EXISTS a`` renames twice.
            if any(mentioned[name] > 1 for name in clause.names()):
                return False
        elif clause.head in (("MODIFY", "COLUMN"), ("ALTER", "COLUMN")):
            subject = clause.reader.identifier(clause.reader.peek())
            # Positions depend on each other, and a type on the one before it.
            if subject in modified or {"FIRST", "AFTER"} & set(clause.reader.outer()):
                return False
            modified.add(subject)
    return True


def _dotted(reader: Reader) -> str:
    """Step over a column's name, which may have dots in it."""
    parts: list[str] = []
    while reader.peek().kind in NAMES:
        parts.append(reader.identifier(reader.peek()))
        reader.at += 1
        if reader.peek().kind is not TokenKind.DOT:
            break
        reader.at += 1
    return ".".join(parts)


# Behind them FORMAT is the name of a column or the like.
_NAME_FOLLOWS = frozenset(
    {"COLUMN", "EXISTS", "AFTER", "INDEX", "CONSTRAINT", "PROJECTION", "STATISTICS", "TO", "UPDATE"}
)


def without_output(found: Sequence[Lexeme]) -> Sequence[Lexeme]:
    """Leave out what is about the answer: ``INTO OUTFILE``, ``FORMAT x``, ``SETTINGS a = 1``."""
    for index, (here, name) in enumerate(pairwise(found)):
        third = found[index + 2] if index + 2 < len(found) else END
        sets = name.kind in NAMES and third.kind is TokenKind.OTHER and third.end - third.start == 1
        last = name.kind in NAMES and (third is END or third.word == "SETTINGS")
        before = found[index - 1].word if index else "COLUMN"
        if here.depth == 0 and (
            (here.word == "SETTINGS" and sets)
            or (here.word == "INTO" and name.word == "OUTFILE")
            or (here.word == "FORMAT" and last and before not in _NAME_FOLLOWS)
        ):
            return found[:index]
    return found


def _groups(text: str, found: Sequence[Lexeme]) -> list[list[Lexeme]] | None:
    """Cut the clauses apart; None when a comma's meaning is not certain."""
    bracketed = bool(found) and found[0].kind is TokenKind.OPEN
    groups: list[list[Lexeme]] = [[]]
    for index, lexeme in enumerate(found):
        if lexeme.kind is not TokenKind.COMMA or lexeme.depth:
            groups[-1].append(lexeme)
        elif bracketed or _head(Reader(text, found[index + 1 : index + 4])):
            groups.append([])
        else:
            groups[-1].append(lexeme)
    if not bracketed:
        return groups
    for group in groups:
        ends = [lexeme.kind for lexeme in group if lexeme.depth == 0]
        if ends != [TokenKind.OPEN, TokenKind.CLOSE] or group[-1].kind is not TokenKind.CLOSE:
            return None
    return [[lx._replace(depth=lx.depth - 1) for lx in group[1:-1]] for group in groups]


def _head(reader: Reader) -> tuple[str, str] | None:
    """Return the words that a clause begins with, if they come next."""
    first, second = reader.peek().word, reader.peek(1)
    if (first, second.word) in _RULES and second.word:
        return first, second.word
    ends = second is END or second.kind is TokenKind.COMMA
    if first == "UPDATE" and second.kind in NAMES:
        return first, ""
    if first in ("FREEZE", "UNFREEZE") and (ends or second.word in _AFTER_FREEZE):
        return first, ""
    return None


def _clause(reader: Reader) -> Clause | None:
    head = _head(reader)
    if head is None:
        return None
    rule = _RULES[head]
    reader.at = 2 if head[1] else 1
    outer = reader.outer()
    listed = rule.listed or (head[1] == "COLUMN" and "SETTING" in outer)
    if not listed and any(lx.kind is TokenKind.COMMA and not lx.depth for lx in reader.left()):
        return None
    if rule.watch is Watch.PARTS or head[0] == "MOVE":
        return _of_parts(head, rule, reader)
    given = [guard for guard in _SAID if reader.accept(*guard.value.split())]
    guarded = rule.guard is _Guard.ALWAYS or rule.guard in given
    if head[1] == "COLUMN" and ("REMOVE" in outer or "ENUM" in outer):
        guarded = False  # refused the second time; ADD ENUM VALUES numbers on
    return Clause(head, rule, reader, guarded and reader.peek() is not END)


def _of_parts(head: tuple[str, str], rule: _Rule, reader: Reader) -> Clause | None:
    """Read ``PARTITION expression [FROM t | TO TABLE t]``."""
    start = reader.at
    while reader.peek() is not END and reader.peek().word not in ("FROM", "TO"):
        reader.at += 1
    expression = reader.rest[start : reader.at]
    if not expression:
        return None
    whole = head[1] == "PARTITION" or head in (("DROP", "PART"), ("DETACH", "PART"))
    partition = reader.text[expression[0].start : expression[-1].end] if whole else None
    if reader.accept("FROM"):
        other = reader.name()
        if head[0] == "ATTACH":
            rule = rule._replace(change=Change.ATTACH_FROM)
        return Clause(head, rule, reader, False, partition, other) if other else None
    if reader.accept("TO", "TABLE"):
        other = reader.name()
        return Clause(head, rule, reader, False, partition, other) if other else None
    if head[0] == "MOVE":  # to a disk or a volume: the same parts elsewhere
        rule = _UNSEEN
    return Clause(head, rule, reader, guarded=False, partition=partition)
