"""What ClickHouse hides in its process list, we hide: over every call, engine and clause (26.9)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from budeval_migrations.sql.redact import redact
from tests.support.parser_judge import Judge

pytestmark = pytest.mark.embedded

# Secrets in every form that an argument may have; each of them has the word in it.
WORD = "Zq9hunter2"
FORMS = (
    f"'{WORD}'",
    f"$${WORD}$$",
    f"'it\\'s {WORD}'",
    f"'it''s {WORD}'",
    f"concat('{WORD}', 'x')",
    f"\u2018{WORD}\u2019",
)
# What stands beside it: names of formats, keys that begin like one, calls, names in quotes.
OTHERS = (
    *("'a'", "'CSV'", "'hashicorp'", "'OneAccessKey'", "'auto'", "NOSIGN", "currentDatabase()"),
    *("'a Int8'", "1", "`a,b(`", '"c)d"', "rand()", "'gzip'", "'nullable'", "d.t", "numbers(3)"),
)
GAPS = (" ", "\n", "/* , ( ' */", "-- '\n", "# '(\n", "// ')\n", "\u200b", "\u00a0 ", "")
# A name may be quoted in several ways, and written with escapes.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda name: f"`{name}`",
    lambda name: f'"{name}"',
    lambda name: f"“{name}”",
    lambda name: '"' + "".join(f"\\x{ord(char):02x}" for char in name) + '"',
    lambda name: f"`{name[0]}\\x{ord(name[1]):02X}{name[2:]}`",
)
DATABASE_ENGINES = (
    *("MySQL", "PostgreSQL", "MaterializedPostgreSQL", "S3", "HDFS", "DataLakeCatalog", "SQLite"),
    *("Filesystem", "Remote", "Redis", "Backup", "Replicated", "Iceberg"),
)
SOURCES = (
    *("MYSQL(PORT 1 USER 'u' PASSWORD{} DB 'd')", "CLICKHOUSE(HOST 'h' PASSWORD{} TABLE 't')"),
    *("HTTP(URL 'http://x' CREDENTIALS(USER 'u' PASSWORD{}))", "REDIS(HOST 'h' PASSWORD{})"),
    "MYSQL(PORT 1 “password”{} DB 'd')",
    *("HTTP(URL 'x' HEADERS(HEADER(NAME 'a' VALUE{})))", "MONGODB(HOST 'h' PASSWORD{} DB 'd')"),
    *(
        "POSTGRESQL(USER 'u' PASSWORD{})",
        "CASSANDRA(USER 'u' PASSWORD{})",
        "MYSQL(NAME n PASSWORD{})",
    ),
    *("MYSQL(REPLICA(HOST 'h' PASSWORD{}) DB 'd')", "YTSAURUS(OAUTH_TOKEN{} CYPRESS_PATH 'p')"),
    *("ODBC(CONNECTION_STRING{} TABLE 't')", "MONGODB(URI{})"),
)
DISKS = (
    *("type = encrypted, key = {}", "type = s3, endpoint = 'e', secret_access_key = {}"),
    *("type = encrypted, disk = disk(type = s3, header = {})", "type = local, path = {}"),
    *("name = 'x', type=encrypted, key_hex={}", "type = web, endpoint = {}, read_only = 1"),
)
COLLECTIONS = ("url = {}", "a = 1, `b c` = {} NOT OVERRIDABLE", "token = {} OVERRIDABLE, x = 'y'")
# What a password in a URL may have in it, or stand behind.
URL_PARTS = ("", "12/", "\\'", "''", "a b", '"', "#", "?", "\\n", "\n", "x://", "\\\\", "é", ":")
URLS = (
    *(f"http://u:{before}{WORD}{after}@h/x" for before in URL_PARTS for after in URL_PARTS),
    *(f"http://{user}:{WORD}@h/x" for user in ("", "h/u", "u v", "u\\'", "é", "u%3A")),
    f"http\\x3a//u:{WORD}@h",
    f"http://u\\x3A{WORD}@h",
    f"http:\\/\\/u:{WORD}@h",
    f"http://u:{WORD}\\x40h",
    f"http://u:a\\\\x40{WORD}@h",
    f"http://h:8123/?a={WORD}@c",
)
STRINGS = tuple(form for form in FORMS if not form.startswith("concat"))


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge() as judge:
        yield judge


@pytest.fixture(scope="module")
def known(judge: Judge) -> Callable[[str], list[str]]:
    """The names in a system table."""

    def names(table: str) -> list[str]:
        listed = f"(SELECT arrayStringConcat(arraySort(groupArray(name)), ' ') FROM system.{table})"
        [verdict] = judge.values([listed])
        return [name for name in str(verdict.result).split() if name.isidentifier()]

    return names


def check(judge: Judge, texts: Sequence[str], least: int) -> None:
    """Hold our redaction of each text against the process list; so many have to be masked."""
    masked, leaks = 0, []
    for text, verdict in zip(texts, judge.logged(texts), strict=True):
        if verdict.accepted and WORD not in verdict.result:
            masked += 1
            if WORD in redact(text):
                leaks.append((text, redact(text), verdict.result))
    assert leaks == []
    assert masked >= least


def call(source: random.Random, name: str, most: int = 7) -> str:
    """A call with a secret at some place, and odd neighbours."""
    count = source.randint(1, most)
    arguments = [source.choice(OTHERS) if source.random() < 0.6 else "'a'" for _ in range(count)]
    arguments[source.randrange(count)] = source.choice(FORMS)
    gap = source.choice(GAPS)
    name = source.choice(SPELLINGS)(name) if source.random() < 0.3 else name
    return f"{name}{source.choice(('', ' '))}({f',{gap}'.join(arguments)})"


def plain_calls(name: str, most: int) -> Iterator[str]:
    """The call with the secret at each place of each length, and nothing odd."""
    for count in range(1, most + 1):
        for at in range(count):
            yield f"{name}({', '.join(FORMS[0] if n == at else f'{n!r}' for n in range(count))})"


def selects(calls: Sequence[str], odd: Sequence[str] = ("",)) -> list[str]:
    return [f"SELECT 1 AS database{odd[n % len(odd)]} FROM {each}" for n, each in enumerate(calls)]


def tables(calls: Sequence[str]) -> list[str]:
    return [f"CREATE TABLE IF NOT EXISTS d.t (a Int8) ENGINE = {each}" for each in calls]


def databases(calls: Sequence[str]) -> list[str]:
    return [f"CREATE DATABASE IF NOT EXISTS d ENGINE = {each}" for each in calls]


def test_of_every_table_function(judge: Judge, known: Callable[[str], list[str]]) -> None:
    names = known("table_functions")
    check(judge, selects([c for name in names for c in plain_calls(name, 6)]), 100)


def test_of_every_function(judge: Judge, known: Callable[[str], list[str]]) -> None:
    names = known("functions")
    check(judge, [f"SELECT {c}" for name in names for c in plain_calls(name, 2)], 5)


def test_of_every_engine(judge: Judge, known: Callable[[str], list[str]]) -> None:
    names = known("table_engines")
    check(judge, tables([c for name in names for c in plain_calls(name, 6)]), 100)


def test_of_every_engine_of_a_database(judge: Judge) -> None:
    check(judge, databases([c for name in DATABASE_ENGINES for c in plain_calls(name, 6)]), 20)


def odd_calls(seed: int, names: Sequence[str], count: int) -> list[str]:
    source = random.Random(seed)
    return [call(source, source.choice(names)) for _ in range(count)]


def secret_bearing(names: Sequence[str]) -> list[str]:
    """Those whose calls ClickHouse masks; of the others a sample would find nothing."""
    parts = ("s3", "gcs", "oss", "cosn", "azure", "mysql", "postgresql", "mongo", "redis", "remote")
    parts += ("iceberg", "delta", "hudi", "paimon", "yt", "arrowflight", "odbc", "jdbc", "bigquery")
    parts += ("url", "external")
    return [name for name in names if any(part in name.lower() for part in parts)]


def check_odd(judge: Judge, known: Callable[[str], list[str]], seed: int, count: int) -> None:
    functions = secret_bearing(known("table_functions"))
    engines = secret_bearing(known("table_engines"))
    ciphers = ("encrypt", "decrypt", "tryDecrypt", "aes_encrypt_mysql", "HMAC")
    check(judge, selects(odd_calls(seed, functions, count)), count // 20)
    check(judge, tables(odd_calls(seed, engines, count)), count // 20)
    check(judge, databases(odd_calls(seed, DATABASE_ENGINES, count)), count // 50)
    check(judge, [f"SELECT {c}" for c in odd_calls(seed, ciphers, count)], count // 20)


def test_with_odd_neighbours_forms_and_comments(
    judge: Judge, known: Callable[[str], list[str]]
) -> None:
    check_odd(judge, known, 20261129, 250)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
def test_with_many_odd_neighbours(
    judge: Judge, known: Callable[[str], list[str]], seed: int
) -> None:
    check_odd(judge, known, seed, 3000)


def test_of_dictionaries_disks_and_named_collections(judge: Judge) -> None:
    create = (
        "CREATE DICTIONARY IF NOT EXISTS d.t (a UInt64) PRIMARY KEY a SOURCE({}) LAYOUT(FLAT())"
    )
    bare = (*STRINGS, WORD, f"concat('{WORD}', 'x')")
    spaced = [f"{gap or ' '}{value}" for value in bare for gap in GAPS]
    check(judge, [create.format(s.format(v)) for s in SOURCES for v in spaced], 300)
    disk = (
        "CREATE TABLE IF NOT EXISTS d.t (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = {}"
    )
    check(
        judge,
        [disk.format(f"disk({d.format(gap + v)})") for d in DISKS for v in STRINGS for gap in GAPS],
        50,
    )
    create = "CREATE NAMED COLLECTION IF NOT EXISTS n AS {}"
    check(
        judge,
        [create.format(c.format(gap + v)) for c in COLLECTIONS for v in STRINGS for gap in GAPS],
        30,
    )


def test_of_passwords_in_urls(judge: Judge) -> None:
    calls = ("url('{}')", "s3('{}', 'CSV')", "urlCluster('c', '{}', 'CSV', 'a Int8')")
    check(judge, selects([c.format(url) for c in calls for url in URLS]), 2 * len(URLS))
    engines = ("URL('{}')", "S3('{}', 'CSV')")
    check(judge, tables([c.format(url) for c in engines for url in URLS]), len(URLS))


def test_of_a_call_with_more_arguments_than_anybody_reads(judge: Judge) -> None:
    many = ", ".join("'x'" for _ in range(3000))
    check(judge, selects([f"bigquery('a', 'b', 'c', {many}, '{WORD}')"]), 1)


def test_of_headers_by_any_name(judge: Judge) -> None:
    names = [spelling("headers") for spelling in SPELLINGS]
    calls = [f"url('http://x', CSV, 'a Int8', {name}('X' = '{WORD}'))" for name in names]
    check(judge, selects(calls), 3)


def test_of_a_key_that_looks_like_a_structure(judge: Judge) -> None:
    check(judge, selects([f"s3('http://x', 'a', '{WORD} Int8')"]), 1)


def test_of_a_password_that_is_a_number(judge: Judge) -> None:
    text = (
        "CREATE DICTIONARY IF NOT EXISTS d.t (a UInt64) PRIMARY KEY a "
        "SOURCE(MYSQL(PORT 1 PASSWORD 73197319 DB 'd')) LAYOUT(FLAT())"
    )
    [verdict] = judge.logged([text])
    assert "73197319" not in verdict.result
    assert "73197319" not in redact(text)
