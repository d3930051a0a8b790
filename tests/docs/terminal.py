"""A shell that types what a page says, one command after the other."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

from tests.support.project import clean_environment
from tests.support.waiting import wait_until


class Terminal:
    """A bash of its own session; what it started and is still there ends with it.

    Args:
        place: The directory in which it begins.
        env: Variables beside those of a user who has this project installed.

    """

    def __init__(self, place: Path, env: Mapping[str, str] | None = None) -> None:
        ours = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(place)}
        self.place = place
        self._code = "0"
        self._files = TemporaryDirectory()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=place,
            env=clean_environment({**ours, **(env or {})}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Return its exit code, and what it printed on both streams."""
        typed, printed = (Path(self._files.name, name) for name in ("typed", "printed"))
        typed.write_text(command)
        last = f"(exit {self._code})"  # so that the command may ask for $?
        told = f"{last}; . {shlex.quote(str(typed))} </dev/null >{shlex.quote(str(printed))} 2>&1"
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f'{told}; echo $? "$PWD"\n')
        self._bash.stdin.flush()
        self._code, _, place = self._bash.stdout.readline().rstrip("\n").partition(" ")
        self.place = Path(place)
        return int(self._code), printed.read_text("utf-8")

    def until_served(self, port: str) -> Callable[[Path], None]:
        """Return what waits until a service that was started here says that it is well."""
        command = f"curl -sf http://127.0.0.1:{port}/health"
        return lambda _: wait_until(lambda: self.run(command)[0] == 0)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.killpg(self._bash.pid, signal.SIGTERM)
        try:
            wait_until(self._alone)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._bash.pid, signal.SIGKILL)
            self._bash.communicate()
            self._files.cleanup()

    def _alone(self) -> bool:
        """Whether nothing of the session is left."""
        self._bash.poll()
        try:
            os.killpg(self._bash.pid, 0)
        except ProcessLookupError:
            return True
        return False
