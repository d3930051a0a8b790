"""Call a function in a process of its own, so that an embedded server can live and die there.

What goes in and comes out is pickled; a child that dies takes nothing with it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from budeval_migrations.errors import EngineError, MigrationError, Unsupported

_T = TypeVar("_T")
_TAIL = 2000
NEEDED = ("chdb", "chdb_sqlalchemy")


class There(Exception):
    """What was raised in the other process: its traceback, as text."""


class Apart(Generic[_T]):
    """A process that waits for one call; it starts up while the caller gets ready.

    Args:
        function: What will be called there, of a module. Its first argument is an empty
            directory, which is removed afterwards, whatever happened.

    Raises:
        Unsupported: chDB is not installed.

    """

    def __init__(self, function: Callable[..., _T]) -> None:
        self._function = function
        for package in NEEDED:
            if importlib.util.find_spec(package) is None:
                raise Unsupported(
                    f"This needs an embedded ClickHouse, and {package} is not installed.",
                    hint="pip install 'budeval-migrations[embedded]'",
                )

    def __enter__(self) -> Apart[_T]:
        self._directory = tempfile.TemporaryDirectory(prefix="budeval-shadow-")
        self._answer = os.path.join(self._directory.name, "answer")
        shadow = os.path.join(self._directory.name, "shadow")
        os.mkdir(shadow, mode=0o700)
        self._process = subprocess.Popen(  # noqa: S603  this interpreter, this module
            [sys.executable, "-m", __name__, shadow, self._answer, self._function.__module__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._directory.cleanup()

    def call(self, *arguments: Any) -> _T:
        """Return what the function returns there; see :meth:`begin` and :meth:`result`."""
        self.begin(*arguments)
        return self.result()

    def begin(self, *arguments: Any) -> None:
        """Have the function called; once only.

        Args:
            *arguments: What it gets beside the directory.

        """
        asked = (sys.path, self._function.__module__, self._function.__qualname__, arguments)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # result() says why
            self._process.stdin.write(pickle.dumps(asked))
            self._process.stdin.close()
        self._process.stdin = None

    def result(self) -> _T:
        """Wait for what the function returns.

        Raises:
            EngineError: The process died.
            MigrationError: What the function raised, from its traceback as text.

        """
        _, said = self._process.communicate()
        if not os.path.exists(self._answer):
            tail = said.decode("utf-8", "replace").strip()[-_TAIL:]
            raise EngineError(
                f"The embedded server ended (exit {self._process.returncode}) before it answered."
                + (f" It said: {tail}" if tail else ""),
                hint="Nothing was changed anywhere. If it comes back, run it with --debug.",
            )
        with open(self._answer, "rb") as file:
            good, result, trace = pickle.load(file)  # noqa: S301  our own child wrote it
        if not good:
            raise result from There(trace)
        returned: _T = result
        return returned


def _main(shadow: str, answer: str, needed: str) -> None:
    # While the caller is still busy.
    import chdb  # noqa: F401

    with suppress(ImportError):  # it may be found on the caller's path only
        importlib.import_module(needed)
    asked = pickle.load(sys.stdin.buffer)  # noqa: S301  our own parent wrote it
    sys.path[:], module, name, arguments = asked
    function = getattr(importlib.import_module(module), name)
    try:
        result: tuple[bool, Any, str] = True, function(shadow, *arguments), ""
    except MigrationError as error:
        result = False, error, traceback.format_exc()
    except Exception as error:
        unexpected = MigrationError(
            f"Unexpected {type(error).__name__} on the shadow engine.",
            hint="Run again with --debug for the traceback, and report it.",
        )
        result = False, unexpected, traceback.format_exc()
    with open(f"{answer}.part", "wb") as file:
        pickle.dump(result, file)
    os.replace(f"{answer}.part", answer)
    sys.stdout.flush()
    # chDB's threads need no goodbye, and its directory is about to be removed.
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
