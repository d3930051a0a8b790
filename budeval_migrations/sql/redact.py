"""Take the secrets out of SQL and out of what a server says about SQL.

Owns the answer to "is this a secret". Works on any text, broken or cut off, and
never raises: each rule looks for its own beginning, so an apostrophe in an error
message cannot shift what follows. When in doubt it hides. May import the other
modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from budeval_migrations.sql.secret_calls import GAP, LITERAL, Span, secret_arguments

HIDDEN = "[HIDDEN]"

_SENSITIVE = (
    r"(?:passw(?:or)?d(?!_type)|passphrase|secret|token(?!i[sz]|bf)|access_?key|account_?key"
    r"|private_?key|credential|api_?key|auth_?header|authorization|key_hex)"
)
# A name in quotes is taken whole; a bare one must not be the tail of quoted text.
_NAME = (
    rf"(?:(?P<q>\\?['`\"])[\w.\-]*{_SENSITIVE}[\w.\-]*(?P=q)"
    rf"|(?<![\w.\-'`\"])(?:[\w.\-]*[\w.])?{_SENSITIVE}\w*)"
)
_NAME_VALUE = re.compile(rf"(?i){_NAME}{GAP}(?:={{1,2}}|:=|=>|:){GAP}(?P<v>{LITERAL % ('a', 'a')})")
_NAME_SPACE_VALUE = re.compile(
    rf"(?i)(?<![\w.\-'\"])`?\w*{_SENSITIVE}\w*`?(?:\s|/\*(?s:.*?)\*/|--[^\n]*\n)+"
    rf"(?P<v>{LITERAL % ('b', 'b')})"
)
_COLUMN_COMMENT = re.compile(r"(?i)\bCOMMENT\s+COLUMN\s+(?:IF\s+EXISTS\s+)?[\w.`]*\Z")
_JSON = re.compile(
    rf"(?i)(?P<q>\\*\")[\w.\-]*{_SENSITIVE}[\w.\-]*(?P=q)\s*:\s*(?P=q)(?P<v>(?:[^\"\\]|\\[^\"])*)"
)
_XML = re.compile(rf"(?i)<(?P<tag>\w*{_SENSITIVE}\w*)>(?P<v>[^<]+)")
# BY 'x' belongs to IDENTIFIED, unless one of these words says otherwise.
_BY = re.compile(
    rf"(?i)(?<!\w)(?:(?P<other>ORDER|GROUP|PARTITION|LIMIT|PRIMARY|SAMPLE|CLUSTER){GAP})?"
    rf"(?:BY(?:{GAP}KEY)?|SALT){GAP}(?P<v>{LITERAL % ('c', 'c')})"
)
_IDENTIFIED = re.compile(rf"(?i)\bIDENTIFIED{GAP}(?P<v>{LITERAL % ('d', 'd')})")

# Plain text, also inside literals. Group ``v`` is what is hidden.
_PLAIN = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i)[a-z][a-z0-9+.\-]*://[^\s:/?#@'\"]*:"
        r"(?!\d+[/?#])(?P<v>(?:(?!://)[^@\s'\"])*(?:@[^@\s'\"/?#,]*)*)@",
        rf"(?i)[?&;](?:[\w.\-]*{_SENSITIVE}[\w.\-]*|[\w\-]*signature|sig|pwd|key"
        r"|awsaccesskeyid|googleaccessid)=(?P<v>[^&\s'\"\\;]+)",
        r"(?i)\b(?:account|sharedaccess)(?:key|signature)\s*=\s*(?P<v>[^;\s'\"\\]+)",
        r"(?i)(?<=[;'\"?&])\s*(?:pwd|password|passwd|uid_secret)\s*=\s*(?P<v>[^;\s'\"\\&]+)",
        r"(?i)\w=[^\s'\"=]+\s+(?:pwd|password|passwd)=(?P<v>[^;\s'\"\\]+)",
        r"(?i)\bCredential=(?P<v>[^\s,'\"\\]+)",
        r"(?i)\bSignature=(?P<v>[^\s,'\"\\&]{8,})",
        r"(?i)\bAuthorization['\"]?\s*[:=]\s*['\"]?(?:(?:Bearer|Basic|Token)\s+)?"
        r"(?P<v>(?!(?:Bearer|Basic|Token)\s)[^\s'\",;)\\]+)",
        r"(?i)\b(?:Bearer|Basic)\s+(?P<v>(?=\S*[\d=._])[\w.~+/=\-]{6,})",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<v>(?s:.*?))(?:-----END|\Z)",
    )
)
_OPENING = re.compile(r"[xXbB]?(?P<q>\\?')|\$\w*\$|\u2018")


def redact(text: str) -> str:
    """Return ``text`` with ``[HIDDEN]`` in the place of each secret.

    A literal stays a literal (``'[HIDDEN]'``), so SQL still reads as SQL. Running
    it twice changes nothing. Never raises.
    """
    parts: list[str] = []
    at = 0
    for start, end, replacement in _merged(text):
        parts += [text[at:start], replacement]
        at = end
    return "".join((*parts, text[at:]))


def holds_secret(text: str) -> bool:
    """Return True when `redact` would change ``text``."""
    return next(iter(_merged(text)), None) is not None


def secrets_in(text: str) -> tuple[str, ...]:
    """Return the secrets that stand in ``text``, as they are written there.

    For a `Redactor`: a server may quote a statement from the middle on, where
    nothing says any more that what follows is a password.
    """
    found = dict.fromkeys(_content(text[start:end]) for start, end, _ in _merged(text))
    return tuple(secret for secret in found if secret)


class Redactor:
    """Redacts, and hides what is known to be secret wherever it occurs.

    Args:
        secrets: Such as the password of the connection's URL, raw; it is hidden
            URL-quoted and SQL-escaped too. Empty ones are ignored.
    """

    __slots__ = ("_known",)

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in filter(None, secrets):
            escaped = secret.replace("\\", "\\\\").replace("'", "\\'")
            forms |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), escaped}
            forms.add(secret.replace("'", "''"))
        # A short secret is hidden only where it stands alone, or text turns to noise.
        patterns = [
            re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms - {HIDDEN}, key=lambda form: (-len(form), form))
        ]
        self._known = re.compile("|".join([re.escape(HIDDEN), *patterns])) if patterns else None

    def __call__(self, text: str) -> str:
        """Return ``text`` without its secrets; never raises."""
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        return redact(text)

    def __repr__(self) -> str:
        """Say nothing about the secrets."""
        return "Redactor(...)"


def _merged(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield what to replace, in order and without overlaps."""
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
    """Yield ``(start, end, replacement)`` for all that some rule takes for a secret."""
    for start, end in _literals(text):
        literal = text[start:end]
        if _content(literal) not in ("", HIDDEN):
            opening = _OPENING.match(literal)
            mark = (opening["q"] if opening else "") or "'"
            yield start, end, f"{mark}{HIDDEN}{mark}"
    for pattern in (*_PLAIN, _JSON, _XML):
        for found in pattern.finditer(text):
            if found["v"] not in ("", HIDDEN):
                yield *found.span("v"), HIDDEN


def _literals(text: str) -> Iterator[Span]:
    """Yield the literals that are secrets for what stands before them."""
    for pattern in (_NAME_VALUE, _IDENTIFIED):
        for found in pattern.finditer(text):
            yield found.span("v")
    for found in _NAME_SPACE_VALUE.finditer(text):
        if not _COLUMN_COMMENT.search(text, max(0, found.start() - 200), found.start()):
            yield found.span("v")
    for found in _BY.finditer(text):
        if not found["other"]:
            yield found.span("v")
    yield from secret_arguments(text)


def _content(literal: str) -> str:
    """Return what a literal holds, as written; any other text as it is."""
    opening = _OPENING.match(literal)
    if opening is None:
        return literal
    mark = opening["q"] or opening.group().replace("\u2018", "\u2019")
    return literal[opening.end() :].removesuffix(mark)
