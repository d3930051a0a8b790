"""Read what a statement changes for its connection alone: SET, USE and their kind.

Over HTTP each request is a connection of its own, and a run that goes on after a kill has
new ones. What a SET says can go with each statement after it; the others are refused. The
grammar of SET is that of ``ParserSetQuery`` (26.9), which
``tests/engines/test_reading_agreement.py`` holds this against. May import the other
modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NoReturn

from budeval_migrations.errors import RevisionCompileError
from budeval_migrations.model import PARAMETER, Statement
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import NAMES, Reader, is_temporary, lexemes, read_head, value_of
from budeval_migrations.sql.redact import excerpt

Values = dict[str, str | None]
"""By name the value, as it stands in a URL; None for what the profile says (DEFAULT)."""

_WORDS = {"TRUE": "1", "FALSE": "0", "INF": "inf", "NAN": "nan"}
_NUMBER = re.compile(r"[+-]?(?:0[xX](?P<hex>[0-9A-Fa-f_]+)|(?P<plain>[0-9._]+(?:[eE][+-]?\d+)?))\Z")


_ONE = "holds for one connection alone, and the statements after it may go over another"
_CREATES = frozenset({Kind.CREATE_TABLE, Kind.CREATE_VIEW, Kind.ATTACH})
# Settings with which an answer proves nothing: why, and the values that a server has by itself.
_EARLY = "the server answers before it is done"
_NO_PROOF = {
    "database": ("the statement is about another database than it says", (None,)),
    "dialect": ("the statements are not SQL", (None, "clickhouse")),
    "async": (_EARLY, (None, "0", "false")),
    "run_query_in_background": (_EARLY, (None, "0", "false")),
    "wait_for_async_insert": (_EARLY, (None, "1", "true")),
    "ignore_drop_queries_probability": (
        "the server says that it dropped what it did not",
        (None, "0"),
    ),
}
# In a statement; the profile of a user is looked at when a run begins.
_UNSEEN = {"profile": "what the settings of the profile do to it is not known"}
# With these the server refuses the statements after them.
_REFUSING = {"allow_ddl": ("1", "true"), "readonly": ("0",)}
_IN_ANY = frozenset({"run_query_in_background", "database", "dialect", *_UNSEEN})
_IN_STATEMENTS = {
    **dict.fromkeys((Kind.BACKUP, Kind.RESTORE), "async"),
    **dict.fromkeys((Kind.DROP, Kind.DETACH, Kind.TRUNCATE), "ignore_drop_queries_probability"),
    Kind.INSERT: "wait_for_async_insert",
}
_TRANSACTIONS = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK"})


def carried(text: str) -> Values:
    """Return the settings that a statement sets for those after it; none for most.

    Raises:
        RevisionCompileError: It changes its connection in a way that cannot be carried on.
        StatementSyntaxError: Something is not closed.

    """
    kind = classify(text).kind
    if kind is Kind.SET:
        return _carried_by_set(text)
    if kind is Kind.USE:
        raise RevisionCompileError(
            f"USE {_ONE}: {excerpt(text)}",
            hint="Write the database before the name, as in other.table.",
        )
    if kind is Kind.PARALLEL:
        for part in parts(text):
            if classify(part.text).kind in (Kind.SET, Kind.USE):
                raise RevisionCompileError(
                    f"SET and USE cannot be a part of PARALLEL WITH: {excerpt(text)}",
                    hint="Write SET as a statement before it, and the database before each name.",
                )
            carried(part.text)
        return {}
    if kind in _CREATES and is_temporary(lexemes(text)):
        raise RevisionCompileError(
            f"A temporary table {_ONE}: {excerpt(text)}",
            hint="Create an ordinary table, and drop it in a later statement.",
        )
    if kind is Kind.ACCESS and (reader := Reader(text)).accept("SET", "ROLE"):
        raise RevisionCompileError(
            f"SET ROLE {_ONE}: {excerpt(text)}",
            hint=f"Connect as a user who has {reader.text[reader.peek().start :].strip()} as a "
            "default role.",
        )
    if kind is Kind.OTHER and Reader(text).peek().word in _TRANSACTIONS:
        raise RevisionCompileError(
            f"A transaction {_ONE}: {excerpt(text)}",
            hint="Write its statements without it: each of them is recorded by itself.",
        )
    if kind is Kind.OTHER and Reader(text).accept("EXECUTE", "AS"):
        raise RevisionCompileError(
            f"EXECUTE AS hides what the statement does: {excerpt(text)}",
            hint="Connect as that user, and write the statement without EXECUTE AS.",
        )
    _check_answer(text, kind)
    return {}


def _carried_by_set(text: str) -> Values:
    found = read_settings(text)
    if found is None:
        raise RevisionCompileError(
            f"What this SET says cannot be read: {excerpt(text)}",
            hint="Write SET name = value, with a literal; or SETTINGS in each statement.",
        )
    for name, value in found.items():
        if why_no_proof(name, value) or name in _UNSEEN:
            _refuse(text, name)
        if value is not None and value not in _REFUSING.get(name, (value,)):
            raise RevisionCompileError(
                f"With {name} the server refuses the statements after it: {excerpt(text)}",
                hint="Leave it out.",
            )
    return found


def why_no_proof(name: str, value: str | None) -> str:
    """Return why an answer proves nothing where a setting has this value; mostly empty."""
    why, harmless = _NO_PROOF.get(name, ("", (value,)))
    return "" if value in harmless else why


def _check_answer(text: str, kind: Kind) -> None:
    """Raise where a statement names a setting by which its answer is no proof."""
    said = set(settings_named(text))
    for setting in sorted(_IN_ANY & said):
        _refuse(text, setting)
    setting = _IN_STATEMENTS.get(kind, "")
    if not setting or ("\\" not in text and setting not in text.lower()):
        return
    reader = Reader(text, read_head(text)[0] if kind is Kind.INSERT else None)
    said |= {
        reader.identifier(lexeme).lower()
        for lexeme in reader.rest
        if lexeme.kind in NAMES and not lexeme.depth
    }
    if setting in said:
        _refuse(text, setting)


def settings_named(text: str) -> Iterator[str]:
    """Yield the names behind each SETTINGS of a statement, at whatever depth; rows have none."""
    if "settings" not in text.lower():
        return
    said = classify(text)
    reader = Reader(text, read_head(text)[0] if said.inline_data else None)
    for at, lexeme in enumerate(reader.rest):
        if lexeme.word != "SETTINGS":
            continue
        reader.at = at + 1
        while reader.peek().kind in NAMES:
            yield reader.identifier(reader.peek()).lower()
            depth = reader.peek().depth
            reader.at += 1
            while reader.peek().depth >= depth and not (
                reader.peek().kind is TokenKind.COMMA and reader.peek().depth == depth
            ):
                reader.at += 1
            if not reader.accept_comma():
                break


def _refuse(text: str, setting: str) -> NoReturn:
    why = _UNSEEN.get(setting) or _NO_PROOF[setting][0]
    raise RevisionCompileError(
        f"With {setting} {why}: {excerpt(text)}",
        hint="Leave it out: nobody would know what became of the statement.",
    )


class Carrier:
    """Gives each statement of a revision what the SETs before it say."""

    def __init__(self) -> None:
        self._held: dict[str, str] = {}

    @property
    def held(self) -> tuple[str, ...]:
        """The names of what holds for the next statement."""
        return tuple(self._held)

    def take(self, statement: Statement) -> Statement:
        """Return the next statement with its settings.

        Raises:
            RevisionCompileError: It changes its connection in a way that cannot be carried on.
            StatementSyntaxError: Something is not closed.

        """
        settings = tuple(self._held.items())
        said = carried(statement.text)
        if said and statement.unless:
            raise RevisionCompileError(
                f"SET cannot have a probe: {excerpt(statement.text)}",
                hint="Write it with op.execute.",
            )
        for name, value in said.items():
            self._held.pop(name, None)
            if value is not None:
                self._held[name] = value
        return replace(statement, settings=settings)


def read_settings(text: str) -> Values | None:
    """Return what a SET says; None where it cannot be told.

    Raises:
        StatementSyntaxError: Something is not closed.

    """
    reader = Reader(text)
    reader.accept("SET")
    if reader.accept("TIME", "ZONE"):
        _accept_equals(reader)
        value = _value(reader)
        return {"session_timezone": value} if value is not None and _at_end(reader) else None
    found: Values = {}
    while True:
        name = _name(reader)
        if not name:
            return None
        if not _accept_equals(reader):
            if not name.startswith(PARAMETER):  # of which it says nothing
                found[name] = "1"
        elif reader.peek().word and name.startswith(PARAMETER):
            # A query parameter is a text: true is not 1 in it, and DEFAULT is a word.
            found[name] = reader.text[reader.peek().start : reader.peek().end]
            reader.at += 1
        elif reader.accept("DEFAULT"):
            found[name] = None
        else:
            value = _value(reader)
            if value is None:
                return None
            found[name] = value
        if _at_end(reader):
            return found
        if not reader.accept_comma():
            return None


def _at_end(reader: Reader) -> bool:
    return not reader.left()


def _accept_equals(reader: Reader) -> bool:
    """Step over ``=`` or ``==``, of which each sign is a token here."""
    begin = reader.at
    while reader.at < begin + 2 and reader.text[reader.peek().start : reader.peek().end] == "=":
        reader.at += 1
    return reader.at > begin


def _name(reader: Reader) -> str:
    """Step over ``name`` or ``name.name``; empty where none is."""
    parts = []
    while reader.peek().kind in NAMES:
        parts.append(reader.identifier(reader.peek()))
        reader.at += 1
        if reader.peek().kind is not TokenKind.DOT:
            return ".".join(parts)
        reader.at += 1
    return ""


def _value(reader: Reader) -> str | None:
    """Step over a literal and return it as a URL has it; None for anything else."""
    first = reader.peek()
    raw = reader.text[first.start : first.end]
    reader.at += 1
    if first.kind in (TokenKind.STRING, TokenKind.HEREDOC):
        return value_of(raw)
    if first.word in _WORDS:
        return _WORDS[first.word]
    if first.kind is TokenKind.OPEN:
        return _bracketed(reader, first.start)
    sign = raw if raw in ("+", "-") else ""
    if sign:
        following = reader.peek()
        raw = sign.replace("+", "") + reader.text[following.start : following.end]
        reader.at += 1
        if following.word == "INF":
            return f"{sign}inf"
    number = _NUMBER.match(raw)
    if number is None:
        return None
    if number["hex"]:
        return str(int(number["hex"], 16) * (-1 if raw.startswith("-") else 1))
    return raw.replace("_", "")


def _bracketed(reader: Reader, start: int) -> str | None:
    """Step over ``{'key': 'value', …}`` and its like to the closing bracket."""
    depth = 1
    while reader.left():
        here = reader.peek()
        reader.at += 1
        depth += (here.kind is TokenKind.OPEN) - (here.kind is TokenKind.CLOSE)
        if not depth:
            return reader.text[start : here.end]
    return None
