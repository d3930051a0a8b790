"""Find and hash the revision files, without importing one.

May not import Alembic: a start-up at head comes through here.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable
from pathlib import Path

from budeval_migrations.errors import ConfigError, RevisionCompileError
from budeval_migrations.model import RevisionFile
from budeval_migrations.settings import Settings
from budeval_migrations.sql.checksum import file_checksum

_CALL = "execute_file"


def read_files(settings: Settings) -> dict[str, RevisionFile]:
    """Return the revision files by id, hashed; read-only.

    Raises:
        ConfigError: There is no versions directory.
        RevisionCompileError: Two files have the same name, or one cannot be read.

    """
    if not settings.versions:
        raise ConfigError(
            "It is not known where the revision files are.",
            hint="Run where alembic.ini is, name it with --config, or set versions.",
        )
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
            files[revision] = RevisionFile(revision, str(path), _checksum(path))
    return files


def shown_path(path: str) -> str:
    """Return a path as people want to read it: relative where that is shorter."""
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
        tree = ast.parse(text)
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
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RevisionCompileError(
            f"{shown_path(str(path))} cannot be read: {error}",
            hint="Revision files and the .sql files beside them are UTF-8 text.",
            file=str(path),
        ) from error


def _paths(directory: str) -> Iterable[Path]:
    folder = Path(directory)
    if not folder.is_dir():
        raise ConfigError(
            f"There is no directory {shown_path(directory)} for revision files.",
            hint="Create it, or correct version_locations in alembic.ini.",
        )
    return sorted(
        path
        for path in folder.glob("*.py")
        if path.name != "__init__.py" and not path.name.startswith(".")
    )


def _checksum(path: Path) -> str:
    text = read_text(path)
    return file_checksum(text, [(name, read_text(path.parent / name)) for name in sql_files(text)])
