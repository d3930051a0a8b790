"""Read a file that a person named, or say in a sentence why not."""

from __future__ import annotations

from pathlib import Path

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
