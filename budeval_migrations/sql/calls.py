"""Read a call, ``f(a, 'b', c = 1)``, token by token; copes with broken and cut off text.

May import ``sql.lexer``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from budeval_migrations.sql.lexer import BLOCK_COMMENT, WHITESPACE

LITERAL = (
    r"(?:[xXbB]?'[^'\\]*(?:(?:\\(?s:.)|'')[^'\\]*)*(?:'|\\?\Z)"
    # The same inside a literal, as in the server's "In scope SELECT formatQuery('...')".
    r"|\\'(?:\\\\\\'|\\\\|(?!\\')(?s:.))*(?:\\'|\Z)"
    r"|\$(?P<%s>\w*)\$(?s:.*?)(?:\$(?P=%s)\$|\Z)"
    r"|\u2018[^\u2019]*(?:\u2019|\Z))"
)
"""A string literal in any of its forms; the tail may be cut off. Format with a tag's name."""

COMMENT = rf"{BLOCK_COMMENT}|(?:--|//|#[ !])[^\n]{{0,1000}}(?:\n|\Z)"
GAP = rf"(?:[{WHITESPACE}]|{COMMENT})*"
"""White space and comments: each can be read in one way only, or some text takes for ever."""

Span = tuple[int, int]

_PIECE = re.compile(
    rf"(?P<literal>{LITERAL % ('p', 'p')})"
    rf"|(?P<gap>[{WHITESPACE}]+|{COMMENT})"
    r"|(?P<name>`(?:[^`\\]|\\.|``)*`|\"(?:[^\"\\]|\\.|\"\")*\"|[A-Za-z_$][\w$]*)"
    r"|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<comma>,)|(?P<other>[\w.]+|(?s:.))"
)
# The formats and compressions that an argument of a table function may name (26.9).
_FORMAT = re.compile(
    r"(?i)(?:csv|tsv|raw|tsvraw|tabseparated(?:raw)?|customseparated(?:ignorespaces)?|lineasstring"
    r"|rowbinary|jsoncompact(?:strings)?eachrow)"
    r"(?:withnames(?:andtypes(?:anddefaults)?)?|withdefaults|withprogress)?"
    r"|json(?:asobject|asstring|columns(?:withmetadata)?|compact(?:columns|strings)?"
    r"|(?:object|strings)?eachrow(?:withprogress)?|l|lines|strings)?"
    r"|pretty(?:compact|space)?(?:noescapes)?(?:monoblock)?|(?:pretty)?(?:ndjson|jsonlines)"
    r"|prettyjsoneachrow|arrow(?:stream)?|avro(?:confluent)?|bsoneachrow|buffers|capnproto|dwarf"
    r"|form|geojson|hash|hivetext|md|markdown|msgpack|mysqldump|mysqlwire|native|npy|null"
    r"|odbcdriver2|one|orc|png|postgresqlwire|prometheus|protobuf(?:list|single)?|rawblob|regexp"
    r"|(?:parquet|puffin)(?:metadata)?|sqlinsert|template(?:ignorespaces)?|tskv|values|vertical"
    r"|xml|auto|none|nosign|gz(?:ip)?|deflate|br(?:otli)?|xz|lzma|zstd?|lz4|bz2|snappy"
)
_STRUCTURE = re.compile(r"\s*\w+\s+(?:[A-Z]\w+)\b")  # a Int8, b String
# Tokens of one call that are read.
MOST_TOKENS = 20_000
_KINDS = ("literal", "gap", "name", "open", "close", "comma", "other")


class Piece(NamedTuple):
    """A token of a call; ``kind`` is the name of a group of the pattern."""

    kind: str
    start: int
    end: int
    text: str


class Argument(NamedTuple):
    """What stands between two commas."""

    pieces: tuple[Piece, ...]

    @property
    def span(self) -> Span:
        """Where it begins and ends."""
        return self.pieces[0].start, self.pieces[-1].end

    @property
    def plain(self) -> str:
        """A name or a literal without its quotes; empty for anything longer."""
        return self.pieces[0].text.strip("'`\"\\") if len(self.pieces) == 1 else ""

    @property
    def is_named(self) -> bool:
        """Whether it is ``name = value``."""
        return len(self.pieces) > 2 and self.pieces[0].kind == "name" and self.pieces[1].text == "="

    @property
    def is_single(self) -> bool:
        """Whether it is one literal or one name, and no number or expression."""
        return len(self.pieces) == 1 and self.pieces[0].kind in ("literal", "name")

    @property
    def is_format(self) -> bool:
        """Whether it says a format or a compression."""
        return bool(_FORMAT.fullmatch(self.plain))

    @property
    def is_structure(self) -> bool:
        """Whether it says the structure of a table."""
        return bool(_STRUCTURE.match(self.plain))


def read_pieces(text: str, start: int) -> list[Piece]:
    """Read tokens up to the closing bracket, a semicolon, or as far as the text goes."""
    pieces: list[Piece] = []
    depth, at = 0, start
    while len(pieces) < MOST_TOKENS:
        found = _PIECE.match(text, at)
        if found is None:
            break
        kind = next(name for name in _KINDS if found[name] is not None)
        at = found.end()
        depth += (kind == "open") - (kind == "close")
        if depth < 0 or found[0] == ";":
            break
        if kind != "gap":
            pieces.append(Piece(kind, found.start(), at, found[0]))
    return pieces


def split_arguments(pieces: Sequence[Piece]) -> list[Argument]:
    """Cut tokens at the commas outside brackets; an empty argument is left out."""
    arguments: list[list[Piece]] = [[]]
    depth = 0
    for piece in pieces:
        depth += (piece.kind == "open") - (piece.kind == "close")
        if piece.kind == "comma" and depth == 0:
            arguments.append([])
        else:
            arguments[-1].append(piece)
    return [Argument(tuple(each)) for each in arguments if each]
