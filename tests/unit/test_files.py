"""Files that we write: whole, through links, into devices, and for their owner."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from budeval_migrations import cache
from budeval_migrations.errors import ConfigError
from budeval_migrations.files import write_file


def test_a_file_is_replaced_as_a_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text("old")
    file.chmod(0o640)
    write_file(file, "new")
    assert file.read_text() == "new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    file, link = tmp_path / "page.html", tmp_path / "latest.html"
    link.symlink_to(file)
    write_file(link, "one")
    write_file(link, "two")
    assert link.is_symlink()
    assert file.read_text() == "two"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "page")
    reader.join(10)
    assert read == ["page"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_device_stays_a_device() -> None:
    before = os.stat(os.devnull)
    write_file(os.devnull, "page")
    assert os.stat(os.devnull).st_ino == before.st_ino
    with pytest.raises(ConfigError, match="/dev/full cannot be written: No space left"):
        write_file("/dev/full", "page")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_directory_and_a_file_in_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        write_file(tmp_path, "page")
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_file(tmp_path / "nowhere" / "page", "page")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of something that is in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.keep("replays", "key", {"a": 1}, most=3)
    assert cache.recall("replays", "key") == {"a": 1}
    [file] = (tmp_path / "budeval-migrations" / "replays").iterdir()
    return file


def test_the_cache_is_for_its_owner_alone(kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_may_have_written_is_not_believed(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    assert cache.recall("replays", "key") is None
    kept.chmod(0o600)
    kept.parent.chmod(0o777)
    assert cache.recall("replays", "key") is None


def test_what_another_user_owns_is_not_believed(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert cache.recall("replays", "key") is None
