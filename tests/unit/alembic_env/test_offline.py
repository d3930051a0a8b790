"""``--sql``: the script, letter for letter."""

from __future__ import annotations

import pytest

from budeval_migrations.alembic_env.offline import write_script
from budeval_migrations.clickhouse.capabilities import Features, parse_version
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import RevisionError
from budeval_migrations.model import (
    CompiledRevision,
    Direction,
    Operation,
    Statement,
    Step,
)
from budeval_migrations.settings import Settings
from budeval_migrations.sql import quote
from budeval_migrations.sql.splitter import split
from budeval_migrations.state import schema
from budeval_migrations.state.stored_statements import stored_statements
from budeval_migrations.version import __version__

URL = "clickhouse+http://u:hunter2@nowhere.invalid/d"


def compiled(*texts: str, direction: Direction = Direction.UP) -> CompiledRevision:
    statements = tuple(Statement(text, "v/001_a.py", n) for n, text in enumerate(texts, start=1))
    return CompiledRevision("001_a", direction, "v/001_a.py", statements)


def step(*texts: str, operation: Operation = Operation.UPGRADE, **other: object) -> Step:
    down = operation is Operation.DOWNGRADE
    given: dict[str, object] = {
        "revision": "001_a",
        "operation": operation,
        "direction": Direction.DOWN if down else Direction.UP,
        "checksum": "c0ffee",
        "statements_checksum": "beef",
        "up": None if down else compiled(*texts),
        "down": compiled(*texts, direction=Direction.DOWN) if down else None,
        **other,
    }
    return Step(**given)  # type: ignore[arg-type]


def script(*steps: Step, server_version: str = "26.9") -> list[str]:
    """Return the pieces that are written."""
    written: list[str] = []
    with Session(Settings(url=URL, server_version=server_version)) as session:
        write_script(session, written.append, steps)
    return written


def kept(revision: CompiledRevision | None) -> str:
    return quote.string(stored_statements(revision, lambda text: text))


LEDGER_COLUMNS = (
    "version, checksum, executed_at, execution_time_ms, success, error_message, operation, "
    "direction, parents, statements_applied, statements_total, error_code, sequence, run_id, "
    "lock_generation, host, server_user, tool_version, server_version, statements_checksum, "
    "upgrade_statements, downgrade_statements, ledger_format"
)


def test_nothing_to_do_is_an_empty_script() -> None:
    assert script() == []


@pytest.mark.parametrize(
    ("version", "now", "user"), [("18.16", "now()", "''"), ("26.9", "now64(3)", "currentUser()")]
)
def test_an_upgrade_is_the_ledger_the_statements_and_a_row(
    version: str, now: str, user: str
) -> None:
    one = step("CREATE TABLE t (x Int8) ENGINE = Memory", "SELECT 2", parents=("000_z", "000_y"))
    features = Features(parse_version(version))

    assert script(one, server_version=version) == [
        schema.create_journal(features) + ";",
        schema.create_ledger(features) + ";",
        schema.create_version_view() + ";",
        "-- Running upgrade 000_z, 000_y -> 001_a",
        "CREATE TABLE t (x Int8) ENGINE = Memory;",
        "SELECT 2;",
        f"INSERT INTO schema_migrations ({LEDGER_COLUMNS})\n"
        f"SELECT '001_a', 'c0ffee', {now}, 0, 1, NULL, 'upgrade', 'up', "
        "CAST(['000_z', '000_y'], 'Array(String)'), 2, 2, 0, "
        "ifNull((SELECT max(sequence) FROM schema_migrations), 0) + 1, 'offline', 0, hostName(), "
        f"{user}, '{__version__}', version(), 'beef', {kept(one.up)}, {kept(None)}, 1;",
    ]


def test_a_downgrade_is_its_statements_and_a_row() -> None:
    one = step("DROP TABLE t", operation=Operation.DOWNGRADE, parents=("000_z",))

    *_, headline, statement, row = script(one)

    assert (headline, statement) == ("-- Running downgrade 001_a -> 000_z", "DROP TABLE t;")
    assert ", 'downgrade', 'down', CAST(['000_z'], 'Array(String)'), 1, 1, 0, " in row


def test_a_stamp_is_a_row_and_no_statement() -> None:
    stamp = step("CREATE TABLE t (x Int8) ENGINE = Memory", operation=Operation.STAMP)

    pieces = script(stamp)

    assert pieces[3] == "-- Running stamp base -> 001_a"
    assert len(pieces) == 5
    assert ", 'stamp', 'up', CAST([], 'Array(String)'), 0, 0, 0, " in pieces[4]


def test_the_columns_of_the_row_are_those_of_the_ledger() -> None:
    names = [c.name for c in (*schema.LEGACY_COLUMNS, *schema.ADDED_COLUMNS)]

    assert LEDGER_COLUMNS.split(", ") == names


def test_a_dynamic_revision_cannot_be_written() -> None:
    dynamic = CompiledRevision("001_a", Direction.UP, "v/001_a.py", dynamic=True)

    with pytest.raises(RevisionError) as caught:
        script(step("SELECT 1"), step(up=dynamic))

    assert "cannot be written to a script" in caught.value.message
    assert caught.value.details["revision"] == "001_a"


def test_nothing_is_written_before_a_revision_that_cannot_be() -> None:
    dynamic = CompiledRevision("001_a", Direction.UP, "v/001_a.py", dynamic=True)
    written: list[str] = []

    with Session(Settings(url=URL)) as session, pytest.raises(RevisionError):
        write_script(session, written.append, [step("SELECT 1"), step(up=dynamic)])

    assert written == []


def test_rows_after_format_cannot_be_written() -> None:
    with pytest.raises(RevisionError) as caught:
        script(step("SELECT 1", 'INSERT INTO t FORMAT JSONEachRow\n{"a": 1}'))

    assert "(v/001_a.py:2)" in caught.value.message


def test_the_settings_of_a_revision_end_with_it() -> None:
    pieces = script(
        step("SET a = 1, param_x = 2", "SET b = 'c'", "SET a = DEFAULT", "SELECT 1"),
        step("SELECT 2"),
    )

    assert pieces[4:10] == [
        "SET a = 1, param_x = 2;",
        "SET b = 'c';",
        "SET a = DEFAULT;",
        "SELECT 1;",
        "SET b = DEFAULT;",
        pieces[9],
    ]
    assert not any("DEFAULT;" in piece for piece in pieces[10:])


def test_a_dynamic_revision_can_be_stamped() -> None:
    dynamic = CompiledRevision("001_a", Direction.UP, "v/001_a.py", dynamic=True)

    assert len(script(step(up=dynamic, operation=Operation.STAMP))) == 5


# What could swallow a semicolon, or be cut in two.
AWKWARD = (
    "SELECT 1 -- the end",
    "SELECT 1 # the end",
    "SELECT 1 #! the end",
    "SELECT 1\n-- the end",
    "SELECT 1 /* the end */",
    "SELECT 1 /* -- */",
    "SELECT '--', ';', '#', '//'",
    "SELECT $$ -- ; $$",
    'SELECT `a;b`, "c;d"',
    "SELECT 'it''s; \\' done'",
    "INSERT INTO t VALUES (1, ';'), (2, '--')",
    "INSERT INTO t VALUES (1) -- the end",
    "SELECT 1 // the end",
    "SELECT 1 \u2212- the end",
    "-- the beginning\nSELECT 1",
)


@pytest.mark.parametrize("text", AWKWARD)
def test_the_script_splits_into_what_was_put_in(text: str) -> None:
    pieces = script(step(text, "SELECT 2"))

    found = [piece.text for piece in split("\n".join(pieces))]

    assert found[3].endswith(text)
    assert found[4] == "SELECT 2"
    assert found[5].startswith("INSERT INTO schema_migrations")
    assert len(found) == 6


def test_the_password_of_the_url_is_not_in_the_ledger_row() -> None:
    one = step("CREATE USER u IDENTIFIED BY 'hunter2'")

    row = script(one)[-1]

    assert row.startswith("INSERT INTO schema_migrations")
    assert "hunter2" not in row
