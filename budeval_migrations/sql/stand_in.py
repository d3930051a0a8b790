"""Say what a statement becomes on a shadow engine: an embedded server with nothing around it.

No Keeper, no other hosts, no queues, buckets or foreign databases: what would reach
for them gets a stand-in, or is left out. Reads by tokens, never by substrings. May
import the other modules of ``sql``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from budeval_migrations.sql.changes import Kind
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.lexer import TokenKind
from budeval_migrations.sql.on_cluster import take_off_cluster
from budeval_migrations.sql.parallel_with import parts
from budeval_migrations.sql.reader import (
    NAMES,
    Lexeme,
    Reader,
    begins_query,
    lexemes,
    read_head,
)
from budeval_migrations.sql.replicated import engine_of, named_engine

NOTHING = "SELECT 1"
_DISK = "the default disk stands for disk(…)"
_REPLICATED = re.compile(r"(?:Replicated|Shared)(?=\w*MergeTree$)")
# They are made of what is in the server alone.
_INSIDE = re.compile(
    r"\w*MergeTree|(Stripe|Tiny)?Log|Memory|Null|Set|Join|Buffer|Merge|Distributed|Dictionary"
    r"|View|MaterializedView|LiveView|WindowView|GenerateRandom|Alias|TimeSeries|Loop"
)
# https://clickhouse.com/docs/sql-reference/table-functions
_OUTSIDE = re.compile(
    r"(?i)remote(secure)?|s3(cluster)?|gcs|oss|cosn|url(cluster)?|hdfs(cluster)?|file(cluster)?"
    r"|azureblobstorage(cluster)?|mysql|postgresql|mongodb|redis|sqlite|jdbc|odbc|executable"
    r"|iceberg\w*|deltalake\w*|hudi\w*|paimon\w*|arrowflight|ytsaurus|bigquery|kafka"
    r"|cluster(allreplicas)?"
)
_TABLES = frozenset({"FROM", "JOIN", "FUNCTION", "TABLE", "AS"})  # before a table function
_NOT_HERE = {
    Kind.ACCESS: "it is about users",
    Kind.BACKUP: "it writes a backup",
    Kind.RESTORE: "it needs a backup",
    Kind.SYSTEM: "it is about the server",
    Kind.KILL: "it is about the server",
}


class StandIn(NamedTuple):
    """A statement for the shadow engine, and what is not the same; empty when all is."""

    text: str
    note: str = ""


def stand_in(text: str) -> StandIn:
    """Return what the shadow engine runs in a statement's place.

    Raises:
        StatementSyntaxError: Something that had to be read is not closed.

    """
    said = classify(text)
    kind = said.kind
    if kind is Kind.PARALLEL:
        stands = [stand_in(part.text) for part in parts(text)]
        texts = [each.text for each in stands if each.text != NOTHING]
        notes = [each.note for each in stands if each.note]
        return StandIn(" PARALLEL WITH ".join(texts) or NOTHING, "; ".join(notes))
    if kind in _NOT_HERE:
        return StandIn(NOTHING, f"not run: {_NOT_HERE[kind]}")
    # Rows may be anything.
    found = _outside(text, kind, read_head(text)[0] if said.inline_data else lexemes(text))
    if found:
        return StandIn(NOTHING, f"not run: it reaches outside with {found}")
    if kind is Kind.INSERT:
        return StandIn(text)
    plain = text
    while (less := _without_disk(plain)) != plain:
        plain = less
    if plain != text:
        told = stand_in(plain)
        return StandIn(told.text, "; ".join(filter(None, (_DISK, told.note))))
    if kind is Kind.CREATE_DATABASE:
        return _database(take_off_cluster(text))
    text = _without_definer(take_off_cluster(text))
    engine = engine_of(text)
    plain = _REPLICATED.sub("", engine)
    if plain != engine:
        return StandIn(_unreplicated(text))
    if engine and not _INSIDE.fullmatch(engine):
        return StandIn(_null(text), f"ENGINE = Null stands for {engine}")
    return StandIn(text)


def _outside(text: str, kind: Kind, found: Sequence[Lexeme]) -> str:
    """Return what of a statement reads or writes outside of the server; empty without.

    The engine of a table and the source of a dictionary are no calls: others stand for them.
    """
    if any(pair == ("INTO", "OUTFILE") for pair in pairwise(lx.word for lx in found)):
        return "INTO OUTFILE"
    if kind is Kind.CREATE_DICTIONARY:
        return ""
    for before, name, bracket in zip((None, *found), found, found[1:], strict=False):
        calls = bracket.kind is TokenKind.OPEN and text[bracket.start] == "("
        if not calls or name.kind not in NAMES:
            continue
        said = text[name.start : name.end].strip('`"')
        engine = before is not None and text[before.start : before.end] in ("=", ".")
        defined = before is not None and before.word in ("TABLE", "EXISTS", "VIEW", "ENGINE")
        columns = before is not None and kind is Kind.INSERT and before.word in ("INTO", "TABLE")
        if engine or columns or (defined and kind is Kind.CREATE_TABLE):
            continue
        # file() is a function of one value, too.
        read = before is not None and (before.word in _TABLES or before.kind is TokenKind.OPEN)
        if _OUTSIDE.fullmatch(said) and (read or said.lower() != "file"):
            return f"{said}(…)"
    return ""


def _without_disk(text: str) -> str:
    """Take off a ``disk = disk(…)``, which would make a directory or reach for a bucket."""
    found = lexemes(text)
    for at, pair in enumerate(zip(found, found[1:], found[2:], found[3:], strict=False)):
        name, equals, call, bracket = (text[lx.start : lx.end].lower().strip('`"') for lx in pair)
        if (name, equals, call, bracket) != ("disk", "=", "disk", "("):
            continue
        depth = pair[3].depth
        end = next(i for i in range(at + 4, len(found)) if found[i].depth == depth)
        before, behind = found[at - 1], found[end + 1] if end + 1 < len(found) else None
        if behind is not None and behind.kind is TokenKind.COMMA:
            return f"{text[: found[at].start]}{text[behind.end :].lstrip()}"
        if before.word == "SETTING":  # ALTER … MODIFY SETTING, and nothing else
            return NOTHING
        # With the comma before it, or with SETTINGS.
        return f"{text[: before.start].rstrip()}{text[found[end].end :]}"
    return text


def _database(text: str) -> StandIn:
    """Make a database of the shadow engine's own kind, whatever its engine is."""
    found = lexemes(text)
    start = next((at for at, lx in enumerate(found) if lx.word == "ENGINE" and not lx.depth), None)
    if start is None:
        return StandIn(text)
    name = next((lx for lx in found[start + 1 :] if lx.word), found[-1])
    engine = text[name.start : name.end]
    end = next((lx.start for lx in found[start:] if lx.word == "COMMENT"), found[-1].end)
    plain = f"{text[: found[start].start]}{text[end:]}".rstrip()
    own = engine in ("Atomic", "Ordinary", "Memory", "Lazy", "Replicated", "Shared")
    return StandIn(plain, "" if own else f"an empty database stands for {engine}")


def _without_definer(text: str) -> str:
    """Take off ``DEFINER = user``: the users are not on the shadow engine."""
    if classify(text).kind not in (Kind.CREATE_VIEW, Kind.CREATE_MATERIALIZED_VIEW):
        return text
    found = [lx for lx in lexemes(text) if lx.depth == 0]
    for here, equals, user in zip(found, found[1:], found[2:], strict=False):
        if here.word == "DEFINER" and text[equals.start : equals.end] == "=":
            return f"{text[: here.start]}{text[user.end :]}"
    return text


def _unreplicated(text: str) -> str:
    """Take off Replicated or Shared, and the path and the replica's name behind it."""
    reader = Reader(text)
    found = named_engine(reader)
    assert found is not None  # its name was read
    name, bracket, _ = found
    plain = _REPLICATED.sub("", text[name.start : name.end])
    if bracket is None:
        return f"{text[: name.start]}{plain}{text[name.end :]}"
    inside = reader.rest[reader.rest.index(bracket) + 1 :]
    end = next(at for at, lexeme in enumerate(inside) if lexeme.depth == bracket.depth)
    arguments = _arguments(inside[:end])
    if len(arguments) > 1 and all(_is_literal(argument) for argument in arguments[:2]):
        arguments = arguments[2:]
    listed = ", ".join(text[each[0].start : each[-1].end] for each in arguments)
    return f"{text[: name.start]}{plain}({listed}){text[inside[end].end :]}"


def _arguments(inside: Sequence[Lexeme]) -> list[list[Lexeme]]:
    groups: list[list[Lexeme]] = [[]]
    for lexeme in inside:
        if lexeme.kind is TokenKind.COMMA and lexeme.depth == inside[0].depth:
            groups.append([])
        else:
            groups[-1].append(lexeme)
    return [group for group in groups if group]


def _is_literal(argument: Sequence[Lexeme]) -> bool:
    return len(argument) == 1 and argument[0].kind is TokenKind.STRING


def _null(text: str) -> str:
    """Write ENGINE = Null in the place of an engine and of all that belongs to it."""
    found = [lx for lx in lexemes(text) if lx.depth == 0]
    start = next(lx.start for lx in found if lx.word == "ENGINE")
    behind = [lx for lx in found if lx.start > start]
    end = behind[-1].end
    for here, following in pairwise(behind):
        query = here.word == "AS" and begins_query([following])
        if query or (here.word == "COMMENT" and following.kind is TokenKind.STRING):
            end = here.start
            break
    return f"{text[:start]}ENGINE = Null {text[end:]}".rstrip()
