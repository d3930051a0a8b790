"""Read the names of the columns that a SELECT yields, as far as its text is certain."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.reader import NAMES, Lexeme, Reader, lexemes


def certain_names(query: str) -> list[str]:
    """Return the names that are certain: ``… AS name``, and columns by themselves.

    An asterisk, an expression without AS and a dotted name yield none, since their names
    are the server's to choose. Of a UNION the first SELECT gives the names.
    """
    found = lexemes(query)
    while found and found[0].kind is TokenKind.OPEN:
        depth = found[0].depth + 1
        end = next((at for at, lx in enumerate(found) if at and lx.depth < depth), len(found))
        found = found[1:end]
    base = found[0].depth if found else 0
    outer = [(at, lexeme.word) for at, lexeme in enumerate(found) if lexeme.depth == base]
    start = next((at for at, word in outer if word == "SELECT"), None)
    if start is None or found[0].word == "FROM":
        return []
    start += 1
    words = [lexeme.word for lexeme in found[start : start + 2]]
    if words[:1] in (["TOP"], ["ALL"]) or words == ["DISTINCT", "ON"]:
        return []
    start += words[:1] == ["DISTINCT"]
    end = next((at for at, word in outer if at > start and word == "FROM"), len(found))
    reader = Reader(query, found)
    return [name for each in _split(found[start:end], base) if (name := _name(reader, each))]


def _split(found: Sequence[Lexeme], base: int) -> list[list[Lexeme]]:
    groups: list[list[Lexeme]] = [[]]
    for lexeme in found:
        if lexeme.kind is TokenKind.COMMA and lexeme.depth == base:
            groups.append([])
        else:
            groups[-1].append(lexeme)
    return groups


def _name(reader: Reader, element: Sequence[Lexeme]) -> str:
    if not element or element[-1].kind not in NAMES:
        return ""
    *before, last = element
    alone = not before and last.word not in ("NULL", "TRUE", "FALSE")
    aliased = len(before) > 1 and before[-1].word == "AS"
    return reader.identifier(last) if alone or aliased else ""
