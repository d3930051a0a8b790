"""Write the revision file of a common task: which number, which parent, which kind.

``KINDS`` names the functions that know the SQL. Reads the files of the versions directory
without importing one of them; writes exactly one file, and never over another.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from budeval_migrations.errors import (
    ConfigError,
    MultipleHeads,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.model import RevisionFile
from budeval_migrations.revisions.directory import read_header, shown_path
from budeval_migrations.scaffold import alterations
from budeval_migrations.scaffold import table_kinds as tables
from budeval_migrations.scaffold.draft import Draft, render
from budeval_migrations.scaffold.view_kinds import materialized_view
from budeval_migrations.settings import Settings

KINDS: dict[str, Callable[..., Draft]] = {
    "create-table": tables.new_table,
    "add-column": alterations.add_column,
    "drop-column": alterations.drop_column,
    "modify-column": alterations.modify_column,
    "rename-column": alterations.rename_column,
    "add-index": alterations.add_index,
    "materialized-view": materialized_view,
    "backfill": tables.backfill,
    "change-order-by": tables.change_order_by,
    "swap": tables.swap,
    "drop-table": tables.drop_table,
    "blank": tables.blank,
}
_NUMBER = re.compile(r"^(\d+)_")


@dataclass(frozen=True)
class NewRevision:
    """A revision that was written, or would be.

    Attributes:
        revision: Its id.
        down_revision: Its parent; None for the first one.
        file: The path of its file.
        text: What the file says.
        written: False for a dry run.
        notices: What the person who asked for it should know.

    """

    revision: str
    down_revision: str | None
    file: str
    text: str
    written: bool
    notices: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON-ready object."""
        return {
            "revision": self.revision,
            "down_revision": self.down_revision,
            "file": self.file,
            "written": self.written,
            "text": self.text,
            "notices": list(self.notices),
        }


def make_draft(kind: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> Draft:
    """Return what a revision of a kind says.

    Args:
        given: What the person said, by parameter.
        known: What the surroundings know (``look``, ``today``, ``mark`` …), for the kinds
            that ask for it.

    Raises:
        ConfigError: There is no such kind, or a parameter is missing or unknown.

    """
    make = KINDS[known_kind(kind)]
    parameters = inspect.signature(make).parameters
    for name in given:
        if name not in parameters or name in known:
            near = difflib.get_close_matches(name, [p for p in parameters if p not in known], n=1)
            raise ConfigError(
                f"{kind} has no option {name}.",
                hint=f"Did you mean {near[0]}?" if near else f"See: budeval-migrate new {kind} -h",
            )
    missing = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and not given.get(name) and name not in known
    ]
    if missing:
        raise ConfigError(
            f"new {kind} needs {' and '.join(name.upper() for name in missing)}.",
            hint=f"See: budeval-migrate new {kind} --help; --interactive asks for it.",
        )
    wanted = {name: value for name, value in known.items() if name in parameters}
    return make(**given, **wanted)


def known_kind(kind: str) -> str:
    """Return a kind's name.

    Raises:
        ConfigError: There is none of that name; names the nearest one.

    """
    if kind in KINDS:
        return kind
    near = difflib.get_close_matches(kind.replace("_", "-"), KINDS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(KINDS)}."
    raise ConfigError(f"There is no kind of revision {kind!r}.", hint=hint)


def choose_parent(files: Mapping[str, RevisionFile], head: str = "") -> str | None:
    """Return the head that a new revision stands on; None where it is the first one.

    Raises:
        MultipleHeads: There are several, and none was chosen.
        RevisionNotFound: The one that was chosen is no head.
        RevisionCompileError: A file does not parse.

    """
    covered: set[str] = set()
    for name, file in files.items():
        header = read_header(Path(file.path))
        if header is None:
            raise RevisionCompileError(
                f"{shown_path(file.path)} does not parse, so its place is not known.",
                hint="Correct it first: budeval-migrate validate says where.",
                revision=name,
                file=file.path,
            )
        covered.update(_parents(header.get("down_revision")))
        covered.update(_parents(header.get("depends_on")))
    heads = [name for name in files if name not in covered]
    listed = ", ".join(heads)
    if head:
        found = [name for name in heads if name.startswith(head)]
        if head in heads:
            found = [head]
        if len(found) != 1:
            raise RevisionNotFound(
                f"{head} names no head." if not found else f"{head} names several heads.",
                hint=f"Heads: {listed}." if heads else "There is no revision yet; leave it out.",
                target=head,
            )
        return found[0]
    if len(heads) > 1:
        raise MultipleHeads(
            f"There are several heads: {listed}.",
            hint=f"Choose one with --head {heads[0]}, or join them with: alembic merge heads",
        )
    if files and not heads:
        raise RevisionError(
            "The revisions have no head: they refer to each other in a circle.",
            hint="budeval-migrate validate says where.",
        )
    return heads[0] if heads else None


def next_number(known: Iterable[str]) -> str:
    """Return the number of the next revision, as wide as the others': ``007``."""
    numbers = [found[1] for found in map(_NUMBER.match, known) if found]
    width = max(map(len, numbers), default=3)
    return f"{1 + max(map(int, numbers), default=0):0{width}d}"


def slug(text: str) -> str:
    """Return the part of a file's name that a message becomes; empty when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower())[:60].strip("_")


def new_id(number: str, names: Iterable[str]) -> str:
    """Return the id of a new revision, by the first name of which something is left."""
    for name in names:
        if _NUMBER.match(name) and re.fullmatch(r"\w+", name):
            return name
        if slug(name):
            return f"{number}_{slug(name)}"
    return f"{number}_revision"


def write_revision(
    draft: Draft,
    settings: Settings,
    files: Mapping[str, RevisionFile],
    parent: str | None,
    names: Iterable[str],
    message: str = "",
    *,
    dry_run: bool = False,
    notices: tuple[str, ...] = (),
) -> NewRevision:
    """Write a draft as the next revision, beside the one that it stands on.

    Args:
        names: For its id, the best first; see :func:`new_id`.
        message: Stands in the place of the draft's title.
        dry_run: Write nothing.
        notices: What the person should know.

    Raises:
        RevisionError: There is a file of that name.
        ConfigError: The directory cannot be written to.

    """
    revision = new_id(next_number(files), names)
    text = render(draft, revision, parent, message)
    directory = str(Path(files[parent].path).parent) if parent else settings.versions[0]
    file = str(Path(directory) / f"{revision}.py")
    if not dry_run:
        file = write_file(directory, revision, text)
    return NewRevision(revision, parent, file, text, not dry_run, notices)


def write_file(directory: str, revision: str, text: str) -> str:
    """Write a revision's file and return its path.

    Raises:
        RevisionError: There is a file of that name.
        ConfigError: The directory cannot be written to.

    """
    path = Path(directory) / f"{revision}.py"
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise RevisionError(
            f"There is a file {shown_path(str(path))} already.",
            hint="Choose another name with --name.",
            revision=revision,
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{shown_path(str(path))} cannot be written: {error.strerror}.",
            hint="Look at the directory's permissions, or take --dry-run.",
        ) from error
    return str(path)


def _parents(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value or () if isinstance(item, str)]
