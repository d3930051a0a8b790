"""Read or write a file, or import a module, that a person named; or say in a sentence why not."""

from __future__ import annotations

import importlib
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

from budeval_migrations.errors import ConfigError


def read_file(path: str | Path, hint: str) -> str:
    """Return the text of a file.

    Args:
        hint: What should be there; for the error.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8.

    """
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8 ({error.reason} at byte {error.start})"
    raise ConfigError(f"{path} cannot be read: {reason}.", hint=hint)


def write_file(path: str | Path, text: str) -> None:
    """Write a file as a whole: a crash leaves what was there, or the new text.

    Follows links, keeps the mode of a file that is there, and writes straight into what
    is no regular file, such as a device or a pipe.

    Raises:
        ConfigError: It cannot be written.

    """
    try:
        target = Path(os.path.realpath(path))
        if target.is_dir():
            raise ConfigError(f"{path} is a directory.", hint="Name a file.")
        if target.exists() and not target.is_file():
            target.write_text(text, "utf-8")
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_text(text, "utf-8")
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            part.replace(target)
        finally:
            if part.parent.is_dir():
                part.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(
            f"{path} cannot be written: {reason}.", hint="Name a file in a directory that is there."
        ) from None


def import_from_here(name: str, hint: str) -> ModuleType:
    """Return a module; the working directory is searched first.

    Args:
        hint: How to name it; for the error.

    Raises:
        ConfigError: It cannot be imported.

    """
    sys.path.insert(0, os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:
        raise ConfigError(
            f"{name} cannot be imported: {type(error).__name__}: {error}", hint=hint
        ) from error
    finally:
        sys.path.remove(os.getcwd())
