"""Statements of every form that ClickHouse 26.9 parses to a tree, from templates.

``[x]`` may be there or not, ``<a|b>`` is one of them, ``N`` is a name, perhaps with its
database, ``A`` a column, ``D`` a database.
"""

from __future__ import annotations

import random
import re
from itertools import pairwise

_TAILS = "[ SETTINGS max_threads = 1][ FORMAT Null]"
_ALTERS = (
    "ADD COLUMN [IF NOT EXISTS ]A Int8[ DEFAULT 1][ CODEC(ZSTD)][ <FIRST|AFTER k>]",
    "DROP COLUMN [IF EXISTS ]A",
    "CLEAR COLUMN [IF EXISTS ]A[ IN PARTITION 1]",
    "RENAME COLUMN [IF EXISTS ]A TO b",
    "MODIFY COLUMN [IF EXISTS ]A <Int8|Int16 DEFAULT 2|COMMENT 'x'|REMOVE DEFAULT|CODEC(NONE)>",
    "COMMENT COLUMN [IF EXISTS ]A 'text'",
    "MODIFY COMMENT 'text'",
    "MODIFY ORDER BY (k, A)",
    "MODIFY TTL d + INTERVAL 1 DAY",
    "REMOVE TTL",
    "MODIFY SETTING max_parts_in_total = 7",
    "RESET SETTING max_parts_in_total",
    "ADD INDEX [IF NOT EXISTS ]A k TYPE minmax",
    "<DROP|CLEAR|MATERIALIZE> INDEX [IF EXISTS ]A",
    "ADD PROJECTION [IF NOT EXISTS ]A (SELECT k ORDER BY k)",
    "<DROP|CLEAR|MATERIALIZE> PROJECTION [IF EXISTS ]A",
    "ADD CONSTRAINT [IF NOT EXISTS ]A CHECK k > 0",
    "DROP CONSTRAINT [IF EXISTS ]A",
    "<ADD|MODIFY> STATISTICS [IF NOT EXISTS ]A TYPE minmax",
    "DROP STATISTICS [IF EXISTS ]A",
    "MATERIALIZE <COLUMN A|TTL|STATISTICS A>",
    "<DROP|DETACH|FREEZE|ATTACH> PARTITION <1|ID 'x'|(1, 2)|ALL>",
    "DROP <PART|DETACHED PARTITION|DETACHED PART> 'all_1_1_0'",
    "<REPLACE|ATTACH> PARTITION 1 FROM N",
    "MOVE PARTITION 1 TO <TABLE N|DISK 'd'>",
    "UPDATE A = 1 WHERE k = 2",
    "DELETE WHERE k = 1",
    "MODIFY QUERY SELECT 1 AS k",
    "MODIFY SQL SECURITY INVOKER",
    "APPLY DELETED MASK",
)
TEMPLATES = (
    "CREATE [OR REPLACE ]TABLE [IF NOT EXISTS ]N (k Int8) ENGINE = <Log|MergeTree ORDER BY k>"
    "[ COMMENT 'on cluster'][ AS SELECT 1 AS k]",
    "CREATE TABLE [IF NOT EXISTS ]N [EMPTY ]AS SELECT 1 AS k",
    "CREATE TABLE [IF NOT EXISTS ]N [CLONE ]AS N",
    "REPLACE TABLE N (k Int8) ENGINE = Log",
    "CREATE [OR REPLACE ]VIEW [IF NOT EXISTS ]N[ (k Int8)] AS SELECT 1 AS k",
    "CREATE MATERIALIZED VIEW [IF NOT EXISTS ]N <TO N|ENGINE = Log[ POPULATE]> AS SELECT 1 AS k",
    "CREATE MATERIALIZED VIEW [IF NOT EXISTS ]N REFRESH EVERY 1 HOUR TO N AS SELECT 1 AS k",
    "CREATE DATABASE [IF NOT EXISTS ]D[ ENGINE = Atomic][ COMMENT 'x']",
    "CREATE [OR REPLACE ]DICTIONARY [IF NOT EXISTS ]N (k UInt64) PRIMARY KEY k "
    "SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(0)",
    "CREATE [OR REPLACE ]FUNCTION [IF NOT EXISTS ]D AS (x) -> x",
    "CREATE INDEX [IF NOT EXISTS ]A ON N (k) TYPE minmax",
    "DROP INDEX [IF EXISTS ]A ON N",
    f"<DROP|DETACH> <TABLE|VIEW|DICTIONARY> [IF EXISTS ]N[ <PERMANENTLY|SYNC>]{_TAILS}",
    "DROP TABLE [IF EXISTS ]<N, N|N, N, N>[ SYNC]",
    "DROP TABLE IF EMPTY N",
    "<DROP|DETACH> DATABASE [IF EXISTS ]D",
    "ATTACH TABLE [IF NOT EXISTS ]N",
    f"TRUNCATE [<TABLE|VIEW|DICTIONARY> ][IF EXISTS ]N[ SYNC]{_TAILS}",
    "TRUNCATE DATABASE [IF EXISTS ]D",
    "TRUNCATE [ALL ]TABLES FROM [IF EXISTS ]D[ LIKE '%x']",
    "RENAME <TABLE |>[IF EXISTS ]N TO N[, [IF EXISTS ]N TO N]",
    "RENAME <DICTIONARY N TO N|DATABASE D TO D>",
    "EXCHANGE <TABLES|DICTIONARIES> N AND N",
    *(f"ALTER TABLE N {clause}{_TAILS}" for clause in _ALTERS),
    *(f"ALTER TABLE N ({one}), ({other})" for one, other in pairwise(_ALTERS)),
    *(f"ALTER TABLE N {one}, {other}" for one, other in zip(_ALTERS, _ALTERS[2:], strict=False)),
    "ALTER DATABASE D MODIFY <COMMENT 'x'|SETTING a = 1>",
    "DELETE FROM N[ IN PARTITION 1] WHERE k = 1",
    "UPDATE N SET A = 1 WHERE k = 2",
    "INSERT INTO [TABLE ]N[ (A, k)][ SETTINGS max_threads = 1] SELECT 1, 2",
    "INSERT INTO FUNCTION null('k Int8') SELECT 1",
    "WITH 1 AS x INSERT INTO N SELECT x",
    "OPTIMIZE TABLE N[ PARTITION 1][ FINAL][ DEDUPLICATE]",
    "SELECT A FROM N[ INTO OUTFILE 'f'][ FORMAT CSV]",
    "(SELECT 1) UNION ALL (SELECT 2)",
    "EXPLAIN [AST ]SELECT 1[ INTO OUTFILE 'f']",
    "SHOW <TABLES|DATABASES|CREATE TABLE N>[ INTO OUTFILE 'f']",
    "<DESCRIBE|DESC> TABLE N[ INTO OUTFILE 'f']",
    "EXISTS TABLE N",
    "CHECK TABLE N",
    "KILL <QUERY|MUTATION> WHERE 1",
    "SYSTEM <FLUSH LOGS|RELOAD CONFIG|STOP MERGES N|DROP MARK CACHE|SYNC REPLICA N>",
    "SET max_threads = 1",
    "USE D",
)
NAMES = (
    *("t", "u", "temporary", "table", "cluster", "exists", "empty", "format", "values", "parallel"),
    *("`a b`", '"x.y"', "`if exists`", "database", "index", "view", "all", "tables", "permanently"),
    *("settings", "replace", "partition", "on", "to", "if", "from", "sync", "column", "modify"),
)
_CHOICE = re.compile(r"\[([^\[\]<>]*)\]|<([^\[\]<>]*)>")
_NAME = re.compile(r"\b[NAD]\b")


def fill(template: str, source: random.Random) -> str:
    """Return one statement of a form."""

    def choose(found: re.Match[str]) -> str:
        if found[1] is not None:
            return found[1] if source.random() < 0.5 else ""
        return source.choice(found[2].split("|"))

    def name(found: re.Match[str]) -> str:
        own = source.choice(NAMES)
        with_database = found[0] == "N" and source.random() < 0.4
        return f"{source.choice(NAMES)}.{own}" if with_database else own

    while _CHOICE.search(template):
        template = _CHOICE.sub(choose, template)
    return _NAME.sub(name, template)
