"""Revision files: found and hashed, and never imported."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.errors import ConfigError, RevisionCompileError
from budeval_migrations.model import RevisionFile
from budeval_migrations.revisions.directory import read_files, read_text, shown_path, sql_files
from budeval_migrations.settings import Settings
from budeval_migrations.sql.checksum import file_checksum

FILE = 'raise SystemExit("imported")\nop.execute("SELECT 1")\n'


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    """An empty directory for revision files."""
    path = tmp_path / "versions"
    path.mkdir()
    return path


def read(*directories: Path) -> dict[str, RevisionFile]:
    return read_files(Settings(versions=tuple(map(str, directories))))


def checksum(path: Path) -> str:
    return read(path.parent)[path.stem].checksum


# --- found ----------------------------------------------------------------------------------


def test_an_empty_directory_has_no_revisions(versions: Path) -> None:
    assert read(versions) == {}


def test_files_are_hashed_by_name_and_not_imported(versions: Path) -> None:
    path = versions / "001_a.py"
    path.write_text(FILE)

    assert read(versions) == {
        "001_a": RevisionFile("001_a", str(path), hashlib.sha256(FILE.encode()).hexdigest())
    }


def test_files_come_in_the_order_of_their_names(versions: Path) -> None:
    for name in ("010_j", "002_b", "001_a", "abc"):
        (versions / f"{name}.py").write_text("")

    assert list(read(versions)) == ["001_a", "002_b", "010_j", "abc"]


@pytest.mark.parametrize(
    "name",
    ["__init__.py", ".#001_a.py", ".hidden.py", "notes.md", "001_a.sql", "001_a.pyc", "001_a.py~"],
)
def test_what_is_no_revision_file_is_left_alone(versions: Path, name: str) -> None:
    (versions / name).write_text(FILE)
    (versions / "__pycache__").mkdir()
    (versions / "__pycache__" / "001_a.py").write_text(FILE)

    assert read(versions) == {}


def test_several_directories_are_one_set_of_revisions(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("")

    assert list(read(tmp_path / "two", tmp_path / "one")) == ["two", "one"]


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "001_a.py").write_text("")

    with pytest.raises(RevisionCompileError) as caught:
        read(tmp_path / "one", tmp_path / "two")

    one, two = (tmp_path / name / "001_a.py" for name in ("one", "two"))
    assert caught.value.message == f"Two files are named 001_a.py: {one} and {two}."
    assert caught.value.details == {"revision": "001_a"}


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path / "no")

    assert str(tmp_path / "no") in caught.value.message
    assert caught.value.hint


def test_it_has_to_be_known_where_the_files_are() -> None:
    with pytest.raises(ConfigError) as caught:
        read()

    assert caught.value.message == "No alembic.ini found in this directory."
    assert "--config" in caught.value.hint


@pytest.mark.parametrize("name", ["001_a.py", "a.sql"])
def test_a_file_that_is_not_utf_8_is_named(versions: Path, name: str) -> None:
    (versions / "001_a.py").write_text('op.execute_file("a.sql")')
    (versions / "a.sql").write_text("SELECT 1")
    (versions / name).write_bytes(b"-- \xff")

    with pytest.raises(RevisionCompileError) as caught:
        read(versions)

    assert caught.value.message.endswith(f"{name} is not UTF-8: invalid start byte at byte 3.")
    assert caught.value.details["file"] == str(versions / name)


def test_a_sql_file_that_is_not_there_is_named(versions: Path) -> None:
    (versions / "001_a.py").write_text('op.execute_file("a.sql")')

    with pytest.raises(RevisionCompileError, match=r"001_a\.py:1 executes a\.sql, and there is no"):
        read(versions)


# --- hashed ---------------------------------------------------------------------------------

BASE = b'"""doc"""\n\nop.execute("SELECT 1")\n'
# What an editor or git does to a file without changing it.
SAME = {
    "CRLF": BASE.replace(b"\n", b"\r\n"),
    "CR": BASE.replace(b"\n", b"\r"),
    "a byte order mark": b"\xef\xbb\xbf" + BASE,
}
DIFFERENT = {
    "a space": BASE.replace(b"1", b"1 "),
    "a line": BASE + b"\n",
    "a letter": BASE.replace(b"doc", b"Doc"),
    "no end of line": BASE.rstrip(),
}


@pytest.mark.parametrize("content", SAME.values(), ids=SAME)
def test_line_endings_do_not_count(versions: Path, content: bytes) -> None:
    path = versions / "001_a.py"
    path.write_bytes(content)

    assert checksum(path) == hashlib.sha256(BASE).hexdigest()


@pytest.mark.parametrize("content", DIFFERENT.values(), ids=DIFFERENT)
def test_everything_else_counts(versions: Path, content: bytes) -> None:
    path = versions / "001_a.py"
    path.write_bytes(content)

    assert checksum(path) != hashlib.sha256(BASE).hexdigest()


def test_the_name_of_a_file_does_not_count(versions: Path) -> None:
    for name in ("001_a.py", "002_b.py"):
        (versions / name).write_bytes(BASE)

    one, two = read(versions).values()

    assert one.checksum == two.checksum


def test_a_sql_file_counts(versions: Path) -> None:
    text = 'op.execute_file("sql/a.sql")\n'
    path = versions / "001_a.py"
    path.write_text(text)
    (versions / "sql").mkdir()
    (versions / "sql" / "a.sql").write_bytes(b"SELECT 1\r\n")

    before = checksum(path)
    (versions / "sql" / "a.sql").write_bytes(b"SELECT 2\n")

    assert before == file_checksum(text, [("sql/a.sql", "SELECT 1\n")])
    assert checksum(path) == file_checksum(text, [("sql/a.sql", "SELECT 2\n")]) != before


def test_a_sql_file_that_nobody_runs_does_not_count(versions: Path) -> None:
    path = versions / "001_a.py"
    path.write_bytes(BASE)
    before = checksum(path)

    (versions / "001_a.sql").write_text("SELECT 1")

    assert checksum(path) == before


# --- sql_files ------------------------------------------------------------------------------

NAMED = {
    "none": ('op.execute("SELECT 1")', ()),
    "one": ('op.execute_file("a.sql")', ("a.sql",)),
    "several, in both directions": (
        'def upgrade():\n    op.execute_file("a.sql")\n    op.execute_file("b.sql")\n\n'
        'def downgrade():\n    op.execute_file("c.sql")\n',
        ("a.sql", "b.sql", "c.sql"),
    ),
    "twice": ('op.execute_file("a.sql")\nop.execute_file("a.sql")', ("a.sql",)),
    "side by side": ('op.execute_file("a" ".sql")', ("a.sql",)),
    "nested": ('if x:\n    for y in z:\n        op.execute_file("a.sql")', ("a.sql",)),
    "another name of op": ('operations.execute_file("a.sql")', ("a.sql",)),
    "a comment": ('# op.execute_file("a.sql")', ()),
    "a text": ("x = 'op.execute_file(\"a.sql\")'", ()),
    "a variable": ("op.execute_file(NAME)", ()),
    "an f-string": ('op.execute_file(f"{x}.sql")', ()),
    "bytes": ('op.execute_file(b"a.sql")', ()),
    "nothing": ("op.execute_file()", ()),
    "not Python": ('op.execute_file("a.sql"', ()),
    "a null byte": ('op.execute_file("a.sql")\0', ()),
    "CRLF": ('x = 1\r\nop.execute_file("a.sql")\r\n', ("a.sql",)),
    "a byte order mark": ('\ufeffop.execute_file("a.sql")', ("a.sql",)),
}


@pytest.mark.parametrize(("text", "names"), NAMED.values(), ids=NAMED)
def test_only_literal_names_of_files_are_seen(text: str, names: tuple[str, ...]) -> None:
    assert set(sql_files(text)) == set(names)
    assert len(sql_files(text)) == len(names)


@given(st.text())
def test_no_text_makes_the_search_for_files_fail(text: str) -> None:
    assert isinstance(sql_files("execute_file" + text), tuple)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=4))
def test_every_literal_name_is_seen(names: list[str]) -> None:
    text = "\n".join(f"op.execute_file({name!r})" for name in names)

    assert set(sql_files(text)) == set(names)


# --- text and paths -------------------------------------------------------------------------


def test_a_text_is_read_with_its_line_endings(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_bytes("SELECT 'ключ'\r\n\n\r".encode())

    assert read_text(tmp_path / "a.sql") == "SELECT 'ключ'\r\n\n\r"


@pytest.mark.parametrize("kind", ["missing", "directory"])
def test_a_text_that_cannot_be_read_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.sql"
    if kind == "directory":
        path.mkdir()

    with pytest.raises(RevisionCompileError) as caught:
        read_text(path)

    assert "a.sql cannot be read: " in caught.value.message
    assert caught.value.details == {"file": str(path)}


def test_a_path_is_shown_from_the_working_directory_where_that_is_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)

    assert shown_path(str(here / "versions" / "001_a.py")) == os.path.join("versions", "001_a.py")
    assert shown_path(str(tmp_path / "001_a.py")) == str(tmp_path / "001_a.py")
