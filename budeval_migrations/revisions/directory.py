"""Find and hash the revision files, without importing one.

May not import Alembic: a start-up at head comes through here.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from budeval_migrations.errors import ConfigError, RevisionCompileError
from budeval_migrations.model import RevisionFile
from budeval_migrations.settings import Settings
from budeval_migrations.sql.checksum import file_checksum

_CALL = "execute_file"


def not_known() -> ConfigError:
    """Return what is said where there is no project."""
    return ConfigError(
        "No alembic.ini found in this directory.",
        hint="Run where alembic.ini is, name it with --config, or set versions to the "
        "directory of the revision files.",
    )


def read_files(settings: Settings) -> dict[str, RevisionFile]:
    """Return the revision files by id, hashed; read-only.

    Raises:
        ConfigError: There is no versions directory.
        RevisionCompileError: Two files have the same name, or one cannot be read.

    """
    if not settings.versions:
        raise not_known()
    files: dict[str, RevisionFile] = {}
    for directory in settings.versions:
        for path in _paths(directory):
            revision = path.stem
            if revision in files:
                raise RevisionCompileError(
                    f"Two files are named {path.name}: {files[revision].path} and {path}.",
                    hint="A revision's id is its file's name; rename one of them.",
                    revision=revision,
                )
            files[revision] = hashed(path, read_text(path))
    return files


def is_revision(name: str) -> bool:
    """Tell from its name whether a file is one of a revision."""
    return name.endswith(".py") and name != "__init__.py" and not name.startswith(".")


def shown_path(path: str) -> str:
    """Return a path as people want to read it: relative where that is shorter."""
    here = os.getcwd() + os.sep
    if path.startswith(here):
        return path.removeprefix(here)
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else path


def sql_files(text: str) -> tuple[str, ...]:
    """Return the names that ``op.execute_file("…")`` is called with in a revision.

    Only literal names are seen; the compiler refuses others, because they could
    not count in the checksum.
    """
    if _CALL not in text:
        return ()
    try:
        tree = ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError):
        return ()  # the import says what is wrong, with its line
    names = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == _CALL
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    return tuple(dict.fromkeys(names))


def read_text(path: Path) -> str:
    """Return a file's text, line endings as they are.

    Raises:
        RevisionCompileError: It cannot be read, or is not UTF-8.

    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except OSError as error:
        raise RevisionCompileError(
            f"{shown_path(str(path))} cannot be read: {error.strerror}.",
            hint="It must be a file, and we must be allowed to read it.",
            file=str(path),
        ) from error
    except UnicodeDecodeError as error:
        raise RevisionCompileError(
            f"{shown_path(str(path))} is not UTF-8: {error.reason} at byte {error.start}.",
            hint="Save the file as UTF-8.",
            file=str(path),
        ) from error


def read_header(path: Path) -> dict[str, Any] | None:
    """Return the literals that a revision file assigns at its top level; None if it has errors."""
    try:
        tree = ast.parse(read_text(path))
    except (SyntaxError, ValueError):
        return None
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                with suppress(ValueError):
                    found[target.id] = ast.literal_eval(node.value)  # type: ignore[arg-type]
    return found


def hashed(path: Path, text: str) -> RevisionFile:
    """Return a revision file with this text, hashed with the SQL files that it names.

    Raises:
        RevisionCompileError: It names a file that is not there or cannot be read.

    """
    included = []
    for name in sql_files(text):
        if not (path.parent / name).is_file():
            rows = enumerate(text.splitlines(), 1)
            line = next((n for n, row in rows if name in row), 1)  # it may be written in parts
            raise RevisionCompileError(
                f"{shown_path(str(path))}:{line} executes {name}, and there is no such file "
                f"in {shown_path(str(path.parent))}.",
                hint="Restore the file, or correct the name.",
                revision=path.stem,
                file=str(path),
                line=line,
            )
        included.append((name, read_text(path.parent / name)))
    paths = tuple(str(path.parent / name) for name, _ in included)
    return RevisionFile(path.stem, str(path), file_checksum(text, included), paths)


def _paths(directory: str) -> Iterable[Path]:
    folder = Path(directory)
    if not folder.is_dir():
        raise ConfigError(
            f"There is no directory {shown_path(directory)} for revision files.",
            hint="Create it, or correct version_locations in alembic.ini.",
        )
    return sorted(path for path in folder.iterdir() if is_revision(path.name))
