"""No password is printed, recorded or sent where it does not belong."""

from __future__ import annotations

from functools import partial
from urllib.parse import quote, quote_plus

from tests.cli.shell import TABLE, Shell, all_of, one_object
from tests.support.project import Finished, Project
from tests.support.servers import ChdbFront

HUNTER = "hunter2RabbitHole"


def _forms(password: str) -> list[str]:
    """A password as written, quoted, and its random end, which nothing else can contain."""
    return [
        password,
        quote(password, safe=""),
        quote(password),
        quote_plus(password),
        password[-8:],
    ]


def _silent(done: Finished, *secrets: str) -> None:
    for secret in secrets:
        assert secret not in done.stdout + done.stderr, f"{secret!r} is shown by {done.args}"


def test_no_command_shows_or_records_the_password_of_the_connection(
    shell: Shell, old_shell: Shell
) -> None:
    def check(each: Shell) -> None:
        secrets = [f for password in each.server.users.values() for f in _forms(password)]
        each.write(2)
        each.project.write_revision(
            "003_step", "002_step", ["SELECT 1", "ALTER TABLE no_such DROP COLUMN x"]
        )
        for args, code in (
            (("--verbose", "up", "002_step"), 0),
            (("--verbose", "--json", "up"), 6),
            (("--debug", "--verbose", "up"), 1),
            (("--debug", "up", "no_such"), 1),
            (("--verbose", "status"), 0),
            (("history",), 0),
            # 003 is half applied and builds on what would be reverted.
            (("--json", "down", "001_step"), 4),
        ):
            done = each.run(*args)
            assert done.returncode == code or "--debug" in args, done.output
            _silent(done, *secrets)
        reader = each.run("--debug", "--url", each.url(user="reader"), "up")
        assert reader.returncode != 0
        _silent(reader, *secrets)
        for args in (("upgrade", "head"), ("current", "--verbose"), ("history", "-i")):
            _silent(each.project.run(*args), *secrets)
        rows = "\n".join(
            each.rows("SELECT * FROM schema_migrations")
            + each.rows("SELECT * FROM schema_migrations_journal")
        )
        assert "003_step" in rows
        for secret in secrets:
            assert secret not in rows

    all_of(partial(check, each) for each in (shell, old_shell))


def test_a_connection_that_fails_does_not_show_the_password(shell: Shell) -> None:
    shell.write(1)
    secrets = _forms(shell.server.users["default"])
    for dialect in ("clickhouse+http", "clickhousedb", "clickhouse+native"):
        url = f"{dialect}://default:{quote(shell.server.users['default'], safe='')}@127.0.0.1:1/x"
        done = shell.run("--debug", "--verbose", "--url", url, "up")
        assert done.returncode != 0
        _silent(done, *secrets)
    done = shell.run("--debug", "--url", shell.url(password="wr0ng%40:/?#&+ %s{x}pass"), "up")
    _silent(done, *secrets, "wr0ng", "%s{x}pass")


def test_a_password_among_the_options_of_a_url_is_not_shown(shell: Shell) -> None:
    shell.write(1)
    shell.configure(url=f"clickhouse+http://127.0.0.1:1/x?password={HUNTER}&api_key={HUNTER}")
    for args in (("up",), ("--json", "status"), ("--debug", "up")):
        done = shell.run(*args)
        assert done.returncode != 0
        _silent(done, HUNTER)


def _recorded(shell: Shell) -> str:
    return "\n".join(
        shell.rows("SELECT * FROM schema_migrations")
        + shell.rows("SELECT * FROM schema_migrations_journal")
    )


def test_a_secret_in_a_statement_that_works_is_kept_out_of_everything(
    shell: Shell, modern: ChdbFront
) -> None:
    statements = [
        f"CREATE TABLE IF NOT EXISTS s (a String) ENGINE = "
        f"S3('http://127.0.0.1:1/bucket/x.csv', 'AKIA{HUNTER}', 'sec{HUNTER}', 'CSV')",
        f"CREATE TABLE IF NOT EXISTS u (a String) ENGINE = "
        f"URL('http://me:{HUNTER}@127.0.0.1:1/x', 'CSV')",
        f"CREATE TABLE IF NOT EXISTS l (a String) ENGINE = MergeTree ORDER BY a -- token='{HUNTER}'",
    ]
    shell.project.write_revision("001_secret", None, statements, "DROP TABLE IF EXISTS s")
    before = len(modern.queries())
    for args in (("--json", "--verbose", "up"), ("--verbose", "status"), ("history",)):
        done = shell.ok(*args)
        _silent(done, HUNTER)
    recorded = _recorded(shell)
    assert HUNTER not in recorded
    assert "127.0.0.1:1/bucket" in recorded and "replayable" in recorded
    assert shell.tables() >= {"s", "u", "l"}
    sent = [q["query"] for q in modern.queries()[before:] if HUNTER in q["query"]]
    assert all(q.startswith("CREATE TABLE") for q in sent), sent
    done = shell.project.run("upgrade", "head", "--sql")
    assert done.returncode == 0, done.output


def test_a_secret_in_a_statement_that_fails_is_kept_out_of_everything(shell: Shell) -> None:
    for number, statement in enumerate(
        (
            f"CREATE USER x IDENTIFIED BY '{HUNTER}'",
            f"CREATE USERR x IDENTIFIED WITH plaintext_password BY '{HUNTER}'",
            f"SELECT * FROM mysql('127.0.0.1:1', 'db', 't', 'user', '{HUNTER}')",
            f"CREATE TABLE t ENGINE = S3('http://h/x', 'AKIA{HUNTER}', '{HUNTER}', 'CSV') BROKEN",
            f"CREATE NAMED COLLECTION c AS url = 'http://h', password = '{HUNTER}' BROKEN",
            f"CREATE DICTIONARY d (a Int32) PRIMARY KEY a SOURCE(MYSQL(PASSWORD '{HUNTER}' HOTS 'x'))",
        )
    ):
        shell.project.write_revision("001_secret", None, ["SELECT 1", statement])
        args = ("--json", "--verbose", "up") if number % 2 else ("--debug", "--verbose", "up")
        done = shell.run(*args)
        assert done.returncode != 0, done.output
        _silent(done, HUNTER)
        if "--json" in args:
            one_object(done)
        _silent(shell.ok("--json", "status"), HUNTER)
    _silent(shell.ok("history"), HUNTER)
    _silent(shell.project.run("upgrade", "head"), HUNTER)
    assert HUNTER not in _recorded(shell)


def test_an_embedded_database_that_refuses_a_user_does_not_show_the_password(
    embedded: Project,
) -> None:
    embedded.write_revision("001_user", None, f"CREATE USER x IDENTIFIED BY '{HUNTER}'")
    done = embedded.cli("--json", "--verbose", "up")
    assert done.returncode == 6, done.output
    answer = one_object(done)
    assert (answer["failed"]["revision"], answer["failed"]["code"]) == ("001_user", 497)
    assert "hint: " in done.stderr
    _silent(done, HUNTER)
    _silent(embedded.cli("--json", "history"), HUNTER)


def test_a_statement_with_a_secret_that_does_not_lex_is_not_repeated(shell: Shell) -> None:
    """With --debug too: a traceback shows the line of the revision file."""
    shell.project.write_revision("001_secret", None, f"CREATE USER x IDENTIFIED BY '{HUNTER}")
    for args in (("up",), ("--json", "validate"), ("--debug", "up")):
        done = shell.run(*args)
        assert done.returncode != 0, done.output
        _silent(done, HUNTER)


def test_an_exception_of_a_revision_with_a_secret_in_it_is_redacted(shell: Shell) -> None:
    shell.write(1)
    shell.project.write_revision(
        "002_raises",
        "001_step",
        body=f"""
        def upgrade() -> None:
            raise ValueError("cannot reach postgresql://me:{HUNTER}@elsewhere/x")
        """,
    )
    for args in (("--json", "up"), ("--json", "status"), ("validate",)):
        _silent(shell.run(*args), HUNTER)
    path = shell.project.revision_file("002_raises")
    path.write_text(
        path.read_text().replace("def upgrade() -> None:\n    raise", "if True:\n    raise")
    )
    for args in (("--json", "up"), ("validate",)):
        done = shell.run(*args)
        assert done.returncode == 3, done.output
        _silent(done, HUNTER)


def test_the_password_of_the_connection_raised_by_a_revision_is_redacted(shell: Shell) -> None:
    shell.write(1)
    password = shell.server.users["default"]
    shell.project.write_revision(
        "002_raises",
        "001_step",
        body="""
        def upgrade() -> None:
            url = op.get_bind().engine.url
            op.execute("SELECT 1")
            raise ValueError(f"cannot use {url.password}")
        """,
    )
    for args in (("--json", "--verbose", "up"), ("--json", "status"), ("history",)):
        _silent(shell.run(*args), *_forms(password))
    rows = _recorded(shell)
    assert password not in rows and password[-8:] not in rows


def test_a_password_in_a_comment_or_docstring_of_the_ledger_is_not_kept(shell: Shell) -> None:
    password = shell.server.users["default"]
    table = TABLE.format(name="t1")
    shell.project.write_revision("001_note", None, f"{table} /* {password} */", None)
    done = shell.run("--verbose", "up")
    _silent(done, *_forms(password))
    if done.returncode == 0:
        assert password[-8:] not in _recorded(shell)
