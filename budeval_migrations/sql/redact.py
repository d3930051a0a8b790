"""Take the secrets out of SQL and out of what a server says about SQL.

Owns the answer to "is this a secret". Works on any text, broken or cut off, and
never raises: each rule looks for its own beginning, so an apostrophe in an error
message cannot shift what follows. When unsure it hides. May import the other
modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from urllib.parse import quote, quote_plus

from budeval_migrations.errors import StatementSyntaxError
from budeval_migrations.sql.calls import COMMENT, GAP, LITERAL, Span
from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.insert import InsertData
from budeval_migrations.sql.lexer import WHITESPACE, TokenKind, scan
from budeval_migrations.sql.reader import NAMES, Lexeme, lexemes, read_head, value_of
from budeval_migrations.sql.remembered import remembered
from budeval_migrations.sql.secret_calls import STEMS, before_of, is_clause, secret_arguments
from budeval_migrations.sql.secret_text import PATTERNS, SENSITIVE

HIDDEN = "[HIDDEN]"

_LITERAL = LITERAL % ("a", "a")
# Each sensitive name has one of these in it.
_NAME_STEMS = ("pass", "pw", "secret", "token", "key", "credential", "auth")
_BY_STEMS = ("by", "salt", "identified")
_NAME_PART = re.compile(rf"(?i){SENSITIVE}[\w.\-]*")
# What is said of a secret is none: token_type, password_changed_at.
_ABOUT = re.compile(r"(?i)_(?:type|at|count|length)\Z")
_ANY_LITERAL = re.compile(_LITERAL)
_NAME_START = re.compile(r"[\w.\-]*\Z")
# In brackets and calls too: password = hex(SHA256('x')).
_EQUALS_VALUE = re.compile(
    rf"{GAP}(?:={{1,2}}|:=|=>|:){GAP}(?:\w{{0,40}}\({GAP}){{0,5}}(?P<v>{_LITERAL})"
)
_SPACE_VALUE = re.compile(rf"(?=[{WHITESPACE}/\-#]){GAP}(?P<v>{_LITERAL})")
_JSON_VALUE = re.compile(r'\s*:\s*\\*"(?P<v>(?:[^"\\]|\\[^"])*)')
_XML_VALUE = re.compile(r">(?P<v>[^<]+)")
_COLUMN_COMMENT = re.compile(r"(?i)\bCOMMENT\s+COLUMN\s+(?:IF\s+EXISTS\s+)?`?\Z")
_BY = re.compile(rf"(?i)\b(?:(?:BY(?:{GAP}KEY)?|SALT){GAP}|IDENTIFIED{GAP})(?P<v>{_LITERAL})")
_COMMENT = re.compile(COMMENT)
_INSERT = re.compile(r"(?i)\binsert\b")
# BY 'x' belongs to IDENTIFIED, unless one of these words says otherwise; in prose, something
# is controlled, referenced or caused by it.
_NOT_IDENTIFIED = re.compile(
    rf"(?:(?i:\b(?:ORDER|GROUP|PARTITION|LIMIT|PRIMARY|SAMPLE|CLUSTER|\d+))"
    rf"|\b(?!identified\b|with\b)[a-z]+){GAP}\Z"
)

_LEXED = 100_000  # characters; a longer text is read by patterns alone
_OPENING = re.compile(r"[xXbB]?(?P<q>\\?')|\$\w*\$|\u2018")


def redact(text: str) -> str:
    """Return ``text`` with ``[HIDDEN]`` in the place of each secret.

    A literal stays a literal (``'[HIDDEN]'``), so SQL still reads as SQL. Running
    it twice changes nothing. Never raises.
    """
    parts: list[str] = []
    at = 0
    for start, end, replacement in _spans(text):
        parts += [text[at:start], replacement]
        at = end
    return "".join((*parts, text[at:]))


def excerpt(text: str) -> str:
    """Return the beginning of a statement on one line for people, without its secrets."""
    return " ".join(redact(text).split())[:80]


def holds_secret(text: str) -> bool:
    """Return True when `redact` would change ``text``."""
    return bool(_spans(text))


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the secrets that stand in ``text``, as they are written there, and as they are.

    For a `Redactor`: a server may quote a statement from the middle on, where
    nothing says any more that what follows is a password, and in a spelling of its own.
    """
    hidden = [text[start:end] for start, end, _ in _spans(text)]
    # The server may quote a part of an expression that is hidden as a whole.
    literals = chain(hidden, (found[0] for each in hidden for found in _ANY_LITERAL.finditer(each)))
    found = dict.fromkeys(form for each in literals for form in (_content(each), _meant(each)))
    return tuple(filter(None, found))


# How a server writes what a literal holds (WriteHelpers.h, 26.9).
_ESCAPES = zip("\\'\b\f\n\r\t\0", "\\'bfnrt0", strict=True)
_AS_SERVER = str.maketrans({char: f"\\{sign}" for char, sign in _ESCAPES})
# Characters of a secret that are told from other text.
_CUT_OFF = 4
# What stands before a place where a text was cut off.
_CUT = re.compile(r"(?s)[^\n]+?(?=\.\.\.|\u2026|\n|\Z)")


class Redactor:
    """Redacts, and hides what is known to be secret wherever it occurs.

    Args:
        secrets: Such as the password of the connection's URL, raw; it is hidden
            URL-quoted and SQL-escaped too. Empty ones are ignored.

    """

    __slots__ = ("_known", "_long")

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in filter(None, secrets):
            escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
            forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), escaped}
            forms |= {secret.replace("'", "''"), secret.translate(_AS_SERVER)}
        # A short secret is hidden only where it stands alone, or text turns to noise.
        patterns = [
            re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms - {HIDDEN}, key=lambda form: (-len(form), form))
        ]
        self._known = re.compile("|".join([re.escape(HIDDEN), *patterns])) if patterns else None
        self._long = tuple(form for form in forms if len(form) > _CUT_OFF)

    def __call__(self, text: str) -> str:
        """Return ``text`` without its secrets; never raises."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
            text = _CUT.sub(self._without_beginning, text)
        return redact(text)

    def _without_beginning(self, cut: re.Match[str]) -> str:
        """Hide a secret of which a server quotes the beginning: it cuts statements off."""
        shown = cut[0]
        for form in self._long:
            at = shown.find(form[:_CUT_OFF], max(0, len(shown) - len(form)))
            while at >= 0:
                if form.startswith(shown[at:]):
                    return shown[:at] + HIDDEN
                at = shown.find(form[:_CUT_OFF], at + 1)
        return shown

    def __repr__(self) -> str:
        """Say nothing about the secrets."""
        return "Redactor(...)"


@remembered
def _spans(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return what to replace, in order and without overlaps."""
    return tuple(_merged(text))


def _merged(text: str) -> Iterator[tuple[int, int, str]]:
    found = sorted(_found(text), key=lambda item: (item[0], -item[1]))
    at = 0
    while at < len(found):
        start, end, replacement = found[at]
        at += 1
        while at < len(found) and found[at][0] < end:
            end = max(end, found[at][1])
            at += 1
        yield start, end, replacement


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield ``(start, end, replacement)`` for all that some rule takes for a secret.

    A statement and each of its comments are read apart: a quote in a comment begins no literal.
    """
    comments = _comments(text)
    blanks = [(start, end, "") for start, end in comments]
    bare, at = [], 0
    for start, end, name in sorted([*blanks, *_odd_names(text)]):
        bare += [text[at:start], name.ljust(end - start)]
        at = end
    yield from _secrets("".join((*bare, text[at:])))
    for start, end in comments:
        inner = end - 2 * text.startswith("/*", start)
        for first, last, replacement in _secrets(text[start + 2 : inner]):
            yield start + 2 + first, start + 2 + last, replacement


def _secrets(text: str) -> Iterator[tuple[int, int, str]]:
    folded = text.casefold()
    for start, end, within in secret_arguments(text) if _has(folded, STEMS) else ():
        if within and text[start:end] not in ("", HIDDEN):
            yield start, end, HIDDEN
        elif not within:
            yield from _value(text, start, end, "'")
    found_by_name = chain(_named(text), _inserted(text)) if _has(folded, _NAME_STEMS) else ()
    identified = _identified(text) if _has(folded, _BY_STEMS) else ()
    for start, end in chain(found_by_name, identified):
        yield from _value(text, start, end, "")
    for needles, pattern in PATTERNS:
        if _has(folded, needles):
            for found in pattern.finditer(text):
                if found["v"] not in ("", HIDDEN):
                    yield *found.span("v"), HIDDEN


def _has(folded: str, needles: Iterable[str]) -> bool:
    return any(needle in folded for needle in needles)


def _value(text: str, start: int, end: int, bare: str) -> Iterator[tuple[int, int, str]]:
    """Yield a literal or what stands for one, which becomes a literal in quotes of its kind."""
    literal = text[start:end]
    if _content(literal) in ("", HIDDEN):
        return
    opening = _OPENING.match(literal)
    mark = opening["q"] or "'" if opening else bare
    yield start, end, f"{mark}{HIDDEN}{mark}"


def _named(text: str) -> Iterator[Span]:
    """Yield the values of things whose name says that they are secret."""
    at = 0
    strings: list[Span] | None = None
    while found := _NAME_PART.search(text, at):
        at = found.end()
        if _ABOUT.search(found[0]):
            continue
        value = _value_of(text, found)
        if value is None:
            continue
        if strings is None:
            strings = _strings(text)
        # The quote that ends a literal with the name in it begins no value.
        if any(start < found.start() < end <= value.end() - 1 for start, end in strings):
            continue
        yield value.span("v")
        at = value.end()


def _comments(text: str) -> list[Span]:
    """Return where the comments of a statement are; none where it is none, or is long."""
    return _tokens(text, TokenKind.COMMENT) if _COMMENT_SIGN.search(text) else []


def _odd_names(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the names whose quotes or escapes hide what they are, each as it is without."""
    for found in _ODD_NAME.finditer(text):
        name = _HEX.sub(lambda code: chr(int(code[1], 16)), found["name"])
        if _ODD_QUOTE.search(found[0]) or is_clause(name):
            yield *found.span(), name


def _strings(text: str) -> list[Span]:
    """Return where the literals of a statement are; none where it is none, or is long."""
    return _tokens(text, TokenKind.STRING)


def _tokens(text: str, wanted: TokenKind) -> list[Span]:
    if len(text) > _LEXED:
        return []
    try:
        if classify(text).kind is Kind.OTHER:
            return []  # prose, in which an apostrophe is no quote
        return [(start, end) for kind, start, end in scan(text) if kind is wanted]
    except StatementSyntaxError:
        return []


_ODD_NAME = re.compile('["`\u201c](?P<name>(?:\\w|\\\\x[0-9A-Fa-f]{2}){1,200})["`\u201d]')
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
_ODD_QUOTE = re.compile("[\u201c\\\\]")
_COMMENT_SIGN = re.compile(r"--|/\*|//|#[ !]")


def _value_of(text: str, name: re.Match[str]) -> re.Match[str] | None:
    """Return the value that follows a sensitive name, if one does."""
    head = _NAME_START.search(text, max(0, name.start() - 80), name.start())
    start = head.start() if head else name.start()
    before, end = text[start - 1 : start], name.end()
    if before not in ("'", '"', "`"):
        if before == "<" and (value := _XML_VALUE.match(text, end)):
            return value
    else:
        closing = end
        while text.startswith("\\", closing):
            closing += 1
        if not text.startswith(before, closing):
            return None  # the tail of quoted text, not a name
        end = closing + 1
        if before == '"' and (value := _JSON_VALUE.match(text, end)):
            return value
    value = _EQUALS_VALUE.match(text, end)
    if value is None and before not in ("'", '"'):
        value = _SPACE_VALUE.match(text, end)
        if value and _COLUMN_COMMENT.search(text, max(0, start - 100), start):
            return None
    return value


def _identified(text: str) -> Iterator[Span]:
    """Yield the literals of ``IDENTIFIED ... BY 'x' SALT 'y'``."""
    for found in _BY.finditer(text):
        start = found.start()
        before = _COMMENT.sub(" ", before_of(text, start, 300))
        if not _NOT_IDENTIFIED.search(before):
            yield found.span("v")


def _inserted(text: str) -> Iterator[Span]:
    """Yield the literals that ``INSERT INTO t (…, password, …) VALUES`` puts into such columns.

    Rows that are too many to be read are yielded as one.
    """
    if not (_INSERT.search(text[:_LEXED]) and _NAME_PART.search(text[:_LEXED])):
        return
    try:
        head, data = read_head(text)
        secret = _secret_columns(text, head) if data is InsertData.VALUES else set()
        if secret and len(text) > _LEXED:
            yield head[-1].end, len(text)
            return
        rows = [lx for lx in lexemes(text) if lx.start >= head[-1].end] if secret else []
    except StatementSyntaxError:
        return
    at = 0
    for lexeme in rows:
        if lexeme.depth == 0:
            at = 0
        elif lexeme.depth == 1 and lexeme.kind is TokenKind.COMMA:
            at += 1
        elif lexeme.kind in (TokenKind.STRING, TokenKind.HEREDOC) and at in secret:
            yield lexeme.start, lexeme.end


def _secret_columns(text: str, head: Sequence[Lexeme]) -> set[int]:
    """Return the places in the list of columns whose names say that they are secret."""
    brackets = [at for at, lx in enumerate(head) if lx.kind is TokenKind.OPEN and not lx.depth]
    secret, at = set(), 0
    for lexeme in head[brackets[-1] + 1 :] if brackets else ():
        if lexeme.depth == 0:
            break
        if lexeme.depth == 1 and lexeme.kind is TokenKind.COMMA:
            at += 1
        elif lexeme.kind in NAMES and _is_secret_name(text[lexeme.start : lexeme.end]):
            secret.add(at)
    return secret


def _is_secret_name(name: str) -> bool:
    found = _NAME_PART.search(name)
    return found is not None and not _ABOUT.search(found[0])


def _content(literal: str) -> str:
    """Return what a literal holds, as written; any other text as it is."""
    opening = _OPENING.match(literal)
    if opening is None:
        return literal
    mark = opening["q"] or opening.group().replace("\u2018", "\u2019")
    return literal[opening.end() :].removesuffix(mark)


def _meant(literal: str) -> str:
    """Return the value of a literal, or any other text."""
    if literal[:1] == "'" == literal[-1:] or literal[:2] in ("x'", "X'", "b'", "B'"):
        with suppress(ValueError):
            return value_of(literal)
    return _content(literal)
