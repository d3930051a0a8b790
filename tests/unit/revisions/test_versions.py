"""What the revision files sum up to: remembered as long as no file looks different."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from budeval_migrations.errors import ConfigError, RevisionCompileError
from budeval_migrations.model import RevisionFile
from budeval_migrations.revisions import versions as module
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.revisions.versions import Versions
from budeval_migrations.settings import Settings
from budeval_migrations.sql.checksum import summary

FILE = 'revision = "001_a"\n'
WITH_SQL = 'revision = "002_b"\nop.execute_file("b.sql")\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two revisions and a SQL file, changed long ago as far as the code can tell."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_SETTLED_NS", -(10**15))
    path = tmp_path / "versions"
    path.mkdir()
    (path / "001_a.py").write_text(FILE)
    (path / "002_b.py").write_text(WITH_SQL)
    (path / "b.sql").write_text("SELECT 1")
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """Grows by one whenever all files are read."""
    seen: list[Settings] = []

    def counted(settings: Settings) -> dict[str, RevisionFile]:
        seen.append(settings)
        return read_files(settings)

    monkeypatch.setattr(module, "read_files", counted)
    return seen


def look(*folders: Path) -> str:
    return Versions(Settings(versions=tuple(map(str, folders)))).summary()


def truth(*folders: Path) -> str:
    files = read_files(Settings(versions=tuple(map(str, folders))))
    return summary((file.revision, file.checksum) for file in files.values())


def test_files_that_look_as_before_are_not_read_again(folder: Path, reads: list[Settings]) -> None:
    first = look(folder)
    assert first == truth(folder)
    assert first.startswith("2 ")
    assert look(folder) == first
    assert len(reads) == 1


def test_what_was_changed_a_moment_ago_is_not_remembered(
    folder: Path, reads: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SETTLED_NS", 2 * 10**9)
    look(folder)
    look(folder)
    assert len(reads) == 2


def edit_in_place(folder: Path) -> None:
    """Another text of the same length, and the old time of change."""
    path = folder / "001_a.py"
    before = path.stat()
    path.write_text(FILE.replace("a", "b"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_another(folder: Path) -> None:
    other = folder / "other"
    other.write_text(FILE.replace("a", "c"))
    before = (folder / "001_a.py").stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(folder / "001_a.py")


CHANGES: dict[str, Callable[[Path], object]] = {
    "edited in place": edit_in_place,
    "replaced": replace_by_another,
    "a file more": lambda folder: (folder / "003_c.py").write_text(FILE),
    "a file less": lambda folder: (folder / "001_a.py").unlink(),
    "renamed": lambda folder: (folder / "001_a.py").rename(folder / "000_a.py"),
    "SQL edited": lambda folder: (folder / "b.sql").write_text("SELECT 2"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_seen(folder: Path, change: Callable[[Path], object]) -> None:
    before = look(folder)
    change(folder)
    assert look(folder) == truth(folder)
    assert look(folder) != before


def test_what_is_no_revision_changes_nothing(folder: Path, reads: list[Settings]) -> None:
    look(folder)
    (folder / "__init__.py").write_text("")
    (folder / "notes.txt").write_text("")
    look(folder)
    assert len(reads) == 1


def test_a_sql_file_that_goes_is_told(folder: Path) -> None:
    look(folder)
    (folder / "b.sql").unlink()
    with pytest.raises(RevisionCompileError, match=r"executes b\.sql, and there is no such file"):
        look(folder)


def test_a_sql_file_whose_name_is_written_in_parts_is_told(folder: Path) -> None:
    [revision] = [path for path in folder.glob("*.py") if '"b.sql"' in path.read_text()]
    revision.write_text(revision.read_text().replace('"b.sql"', '"c" ".sql"'))
    with pytest.raises(RevisionCompileError, match=r"executes c\.sql, and there is no such file"):
        look(folder)


def test_a_directory_that_is_not_there_is_told(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no directory"):
        look(folder, tmp_path / "nowhere")


def test_each_set_of_directories_is_remembered_by_itself(
    folder: Path, tmp_path: Path, reads: list[Settings]
) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "009_z.py").write_text(FILE)
    for _ in range(2):
        assert look(folder).startswith("2 ")
        assert look(folder, more) == truth(folder, more)
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"looks": 1}', "null", "\x00"])
def test_a_memory_that_makes_no_sense_is_ignored(folder: Path, tmp_path: Path, text: str) -> None:
    look(folder)
    [kept] = (tmp_path / "cache").rglob("*.json")
    kept.write_text(text)
    assert look(folder) == truth(folder)


def test_where_nothing_can_be_kept_everything_is_read(
    folder: Path, tmp_path: Path, reads: list[Settings]
) -> None:
    (tmp_path / "cache").write_text("a file, and no directory")
    assert look(folder) == look(folder) == truth(folder)
    assert len(reads) == 2


def test_adopted_revisions_count_without_their_checksum(folder: Path) -> None:
    versions = Versions(Settings(versions=(str(folder),)))
    checksums = {name: file.checksum for name, file in versions.files.items()}
    expected = summary([("001_a", ""), ("002_b", checksums["002_b"])])
    assert versions.summary({"001_a", "gone"}) == expected
    assert versions.summary() == truth(folder)
