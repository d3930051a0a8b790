"""A migrations project in a directory of its own, and the commands that run in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.support.answers import check_answer, check_printer
from tests.support.commands import COMMANDS

REPOSITORY = Path(__file__).resolve().parents[2]

Statements = str | Sequence[str]

_ENV_PY = """\
from alembic import context
from budeval_migrations.alembic_env.environment import run_env
run_env(context)
"""


@dataclass(frozen=True)
class Finished:
    """What a command left behind."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both streams, for messages of failed assertions."""
        return f"$ {' '.join(self.args)}\n{self.stdout}{self.stderr}[exit {self.returncode}]"


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for commands: this repository, 100 columns, no colours."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BUDEVAL_", "ALEMBIC_", "CLICKHOUSE_"))
    }
    ours = {
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    return inherited | ours | dict(extra or {})


class Project:
    """``alembic.ini``, ``env.py`` and ``versions/`` in a directory."""

    def __init__(self, path: Path, *, url: str = "", database: str = "") -> None:
        self.path = path
        self.versions = path / "versions"
        self.versions.mkdir(parents=True, exist_ok=True)
        (path / "env.py").write_text(_ENV_PY)
        self.configure(url=url, database=database)

    def configure(self, *, url: str, database: str = "", **settings: str) -> None:
        """Write ``alembic.ini``; further settings go to ``[budeval_migrations]``."""
        self.url, self.database = url, database
        options = {"url": url, "database": database, **settings}
        lines = [f"{name} = {value.replace('%', '%%')}" for name, value in options.items() if value]
        self.ini.write_text(
            "[alembic]\nscript_location = %(here)s\nversion_locations = %(here)s/versions\n"
            "path_separator = os\n\n[budeval_migrations]\n" + "".join(f"{x}\n" for x in lines)
        )

    @property
    def ini(self) -> Path:
        """The path of ``alembic.ini``."""
        return self.path / "alembic.ini"

    def write_revision(
        self,
        id: str,
        down_revision: str | Sequence[str] | None = None,
        upgrade: Statements = (),
        downgrade: Statements | None = (),
        *,
        depends_on: str | Sequence[str] | None = None,
        branch_labels: str | Sequence[str] | None = None,
        body: str | None = None,
    ) -> Path:
        """Write ``versions/<id>.py``.

        ``upgrade`` and ``downgrade`` are SQL, one statement or several; ``downgrade=None`` leaves
        the function out. ``body`` replaces both functions by Python source of your own.
        """
        header = [f"revision = {id!r}", f"down_revision = {_plain(down_revision)!r}"]
        if depends_on is not None:
            header.append(f"depends_on = {_plain(depends_on)!r}")
        if branch_labels is not None:
            header.append(f"branch_labels = {_plain(branch_labels)!r}")
        if body is None:
            functions = [_function("upgrade", upgrade)]
            if downgrade is not None:
                functions.append(_function("downgrade", downgrade))
            body = "\n\n".join(functions)
        else:
            body = dedent(body).strip("\n") + "\n"
        source = f'"""{id}"""\n\nfrom alembic import op\n\n' + "\n".join(header) + f"\n\n\n{body}"
        path = self.revision_file(id)
        path.write_text(source, encoding="utf-8")
        return path

    def write_chain(self, count: int, upgrade: str = "SELECT {n}") -> list[str]:
        """Write ``count`` revisions in a row; ``{n}`` in the SQL is the number, from 1."""
        ids = [f"{n:03}_step" for n in range(1, count + 1)]
        for n, id in enumerate(ids, start=1):
            down = ids[n - 2] if n > 1 else None
            self.write_revision(id, down, upgrade.replace("{n}", str(n)))
        return ids

    def revision_file(self, id: str) -> Path:
        """Where a revision lives."""
        return self.versions / f"{id}.py"

    def run(
        self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> Finished:
        """Run ``python -m alembic …`` in the project's directory."""
        return self._python("alembic", args, env, timeout)

    def cli(
        self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 120
    ) -> Finished:
        """Run ``python -m budeval_migrations …`` in the project's directory.

        With ``--json``, what it prints has to be as the schema says that it names, and
        one that this command is said to print.
        """
        done = self._python("budeval_migrations", args, env, timeout)
        if "--json" in args and done.stdout and args[-1] != "sarif":
            check_answer(done.stdout)
            check_printer(done.stdout, args)
        return done

    def start(
        self, module: str, *args: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Start ``python -m <module> …`` and return the process: it is the caller's to end."""
        return subprocess.Popen(
            [sys.executable, "-m", module, *args],
            cwd=self.path,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            preexec_fn=_hear_interrupts,
        )

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment commands run in."""
        return clean_environment(extra)

    def _python(
        self, module: str, args: Sequence[str], env: Mapping[str, str] | None, timeout: float
    ) -> Finished:
        environment = self.environment(env)
        code, out, err = COMMANDS.run(module, args, self.path, environment, timeout)
        return Finished((module, *args), code, out, err)


def _hear_interrupts() -> None:
    """Undo what a shell does to its background jobs, which ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _plain(value: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    return value if value is None or isinstance(value, str) else tuple(value)


def _function(name: str, statements: Statements) -> str:
    """The source of ``upgrade()`` or ``downgrade()``, every statement one ``op.execute``."""
    if isinstance(statements, str):
        statements = [statements]
    lines = [f"op.execute({_literal(statement)})" for statement in statements] or ["pass"]
    return f"def {name}() -> None:\n{_indented(lines)}"


def _indented(lines: Sequence[str]) -> str:
    """Indent statements; the lines inside a triple-quoted string stay where they are."""
    return "".join(f"    {line}\n" for line in lines)


def _literal(text: str) -> str:
    """A Python literal that reads like SQL, and is the text exactly."""
    plain = "\\" not in text and '"""' not in text and not text.endswith('"')
    plain = plain and all(c == "\n" or c.isprintable() for c in text)
    return f'"""{text}"""' if plain else repr(text)
