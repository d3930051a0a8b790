"""Write the files of a new project; never over a file that says something else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from unicodedata import combining, normalize

from budeval_migrations.errors import ConfigError
from budeval_migrations.revisions.directory import shown_path
from budeval_migrations.settings import check_database, checked_prefix

# In the project -> in the templates.
_FILES = {
    "alembic.ini": "alembic.ini",
    "env.py": "env.py",
    "script.py.mako": "script.py.mako",
    "versions/001_create_events.py": "001_create_events.py",
    "tests/test_revisions.py": "test_revisions.py",
    ".github/workflows/migrations.yml": "migrations.yml",
    ".gitignore": "gitignore",
}
# What .gitignore has to have: ClickHouse's data.
_DATA = "/.clickhouse/"


@dataclass(frozen=True)
class NewProject:
    """A project that was written.

    Attributes:
        directory: Where it is.
        database: The database that its ``alembic.ini`` names.
        env_prefix: What its environment variables begin with.
        files: What was written, below the directory; without what was there already.
        notices: What the person should do.

    """

    directory: str
    database: str
    env_prefix: str
    files: tuple[str, ...]
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON-ready object."""
        return {
            "directory": self.directory,
            "database": self.database,
            "env_prefix": self.env_prefix,
            "files": list(self.files),
            "notices": list(self.notices),
        }


def write_project(directory: Path, database: str = "", env_prefix: str = "") -> NewProject:
    """Write a project that can be upgraded at once; killed in between, again is enough.

    Args:
        directory: Is made where it is missing.
        database: The database to migrate; by the directory's name without it.
        env_prefix: What environment variables begin with; by the database's name without it.

    Raises:
        ConfigError: There are files that say something else, and nothing was written; the
            prefix is none; or the directory cannot be written to.

    """
    taken = next((p for p in (directory, *directory.parents) if p.is_file()), None)
    if taken is not None:
        raise ConfigError(f"{shown_path(str(taken))} is a file.", hint="Name a directory.")
    place = directory.resolve()
    told = bool(database)
    database = database or _word(place.name) or "app"
    word = _word(database).upper().lstrip("0123456789_") or "APP"
    env_prefix = env_prefix or f"{word}_MIGRATIONS_"
    if set("?%") & set(str(place)):
        raise ConfigError(
            f"A URL and an ini file cannot hold the path {place}.", hint="Without ? and %."
        )
    # Backslashes and % mean something in an ini file, and a line is a line.
    if not re.fullmatch(r"\w[\w.-]*", database):
        raise ConfigError(
            f"{database!r} cannot be written as the name of a database into alembic.ini.",
            hint="Letters, digits and _; another one can be set by --database later.",
        )
    check_database(database)
    known = {"database": database, "prefix": checked_prefix(env_prefix)}
    texts = {directory / name: _text(template, known) for name, template in _FILES.items()}
    notices = _see_to_gitignore(directory / ".gitignore", texts)
    missing = [path for path, text in texts.items() if not _is_there(path, text)]
    try:
        for path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "x", encoding="utf-8") as file:
                file.write(texts[path])
    except OSError as error:
        raise ConfigError(
            f"{shown_path(str(error.filename or directory))} cannot be written: {error.strerror}.",
            hint="Name a directory that we may write to.",
        ) from error
    written = tuple(path.relative_to(directory).as_posix() for path in missing)
    if written and not told and database != place.name:
        notices += (f"The database is named {database}; alembic.ini may say another name.",)
    if written and (place.parent / "alembic.ini").is_file():
        notices += ("The directory above it has an alembic.ini, and is a project as well.",)
    return NewProject(str(directory), database, env_prefix, written, notices)


def _text(template: str, known: dict[str, str]) -> str:
    place = resources.files("budeval_migrations.revisions") / "templates" / f"{template}.txt"
    return Template(place.read_text("utf-8")).substitute(known)


def _see_to_gitignore(path: Path, texts: dict[Path, str]) -> tuple[str, ...]:
    """Leave one that is there to the person: most repositories have one."""
    if not path.is_file():
        return ()
    del texts[path]
    held = path.read_text("utf-8", "replace").splitlines()
    return () if _DATA in held else (f"Add {_DATA} to {shown_path(str(path))}.",)


def _is_there(path: Path, text: str) -> bool:
    """Whether a file says this already; refused where it says something else."""
    try:
        if path.read_text("utf-8") == text:
            return True
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        pass  # it is something else
    raise ConfigError(
        f"There is {shown_path(str(path))} already, and it says something else.",
        hint="Nothing was written. Name another directory, or move that file away.",
    )


def _word(name: str) -> str:
    # ü is u and a mark: the letter stays.
    letters = "".join(each for each in normalize("NFKD", name) if not combining(each))
    return re.sub(r"\W+", "_", letters, flags=re.ASCII).strip("_").lower()
