"""The revision files of a project, read no further than the question needs.

May not import Alembic: a start-up at head comes through here.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

from budeval_migrations.cache import keep, recall
from budeval_migrations.errors import MigrationError
from budeval_migrations.model import RevisionFile
from budeval_migrations.revisions.directory import is_revision, read_files
from budeval_migrations.settings import Settings
from budeval_migrations.sql.checksum import summary
from budeval_migrations.version import __version__

_KIND, _MOST = "versions", 50
# What was changed so shortly before may be changed again within the same tick of the
# file system's clock (FAT's is the coarsest).
_SETTLED_NS = 2_000_000_000


class Versions:
    """The revision files that settings point at."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def files(self) -> dict[str, RevisionFile]:
        """The files by id, every one read and hashed now.

        Raises:
            ConfigError: There is no versions directory.
            RevisionCompileError: Two files have the same name, or one cannot be read.

        """
        return read_files(self._settings)

    @contextmanager
    def summed_beside(self) -> Iterator[None]:
        """Do what :meth:`summary` needs on a thread, while the block waits for a server."""
        thread = threading.Thread(target=self._sum_quietly, name="budeval-migrations files")
        thread.start()
        try:
            yield
        finally:
            thread.join()

    def _sum_quietly(self) -> None:
        with suppress(MigrationError):  # who asks for the summary gets it raised again
            self._summary  # noqa: B018

    def summary(self, adopted: Collection[str] = ()) -> str:
        """Return names and checksums in a few numbers, to compare with a ledger's.

        Args:
            adopted: Revisions that count with an empty checksum.

        Raises:
            ConfigError: There is no versions directory.
            RevisionCompileError: Two files have the same name, or one cannot be read.

        """
        return self._summed(adopted) if adopted else self._summary

    @cached_property
    def _summary(self) -> str:
        """As it was kept, if no file has another size, time of change or inode since.

        A changed file always has another ``ctime``, which cannot be set:
        https://man7.org/linux/man-pages/man7/inode.7.html
        """
        began = time.time_ns()
        directories = self._settings.versions
        key = "\n".join((__version__, *directories))
        known = recall(_KIND, key)
        if isinstance(known, dict):
            looks = _look(directories, known.get("included", ()))
            if looks and looks.hash == known.get("looks"):
                return str(known["summary"])
        found = self._summed(())
        included = sorted({path for file in self.files.values() for path in file.included})
        looks = _look(directories, included)
        if looks and looks.newest < began - _SETTLED_NS:
            value = {"looks": looks.hash, "included": included, "summary": found}
            keep(_KIND, key, value, most=_MOST)
        return found

    def _summed(self, adopted: Collection[str]) -> str:
        return summary(
            (file.revision, "" if file.revision in adopted else file.checksum)
            for file in self.files.values()
        )


class _Looks(NamedTuple):
    """How files look from outside, and when the last of them was changed."""

    hash: str
    newest: int


def _look(directories: Sequence[str], included: Iterable[str]) -> _Looks | None:
    """Return None where something is not there."""
    seen: list[tuple[str, os.stat_result]] = []
    try:
        for directory in directories:
            with os.scandir(directory) as entries:
                seen += [(e.path, e.stat()) for e in entries if is_revision(e.name)]
        seen += [(path, os.stat(path)) for path in included]
    except OSError:
        return None
    seen.sort(key=itemgetter(0))
    pack = struct.Struct("=QqqQQ").pack
    numbers = [pack(s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_ino, s.st_dev) for _, s in seen]
    names = "\n".join([path for path, _ in seen]).encode("utf-8", "surrogatepass")
    times = [s.st_ctime_ns for _, s in seen] + [s.st_mtime_ns for _, s in seen]
    return _Looks(hashlib.sha256(b"".join([*numbers, names])).hexdigest(), max(times, default=0))
