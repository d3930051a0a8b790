"""Read the revision files as Alembic does, and say what is wrong with them."""

from __future__ import annotations

import difflib
import os
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError as AlembicRevisionError
from alembic.script.revision import RevisionMap
from alembic.util import CommandError

from budeval_migrations.errors import (
    MigrationError,
    MultipleHeads,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.model import RevisionFile, RevisionNode
from budeval_migrations.revisions.directory import (
    hashed,
    read_header,
    read_text,
    shown_path,
)
from budeval_migrations.sql.redact import redact

T = TypeVar("T")


def open_directory(locations: Sequence[str]) -> ScriptDirectory:
    """Return Alembic's view of the directories; reads no file yet."""
    home = os.path.dirname(locations[0])
    return ScriptDirectory(home, version_locations=list(locations), file_template="%(rev)s")


def load_graph(
    directory: ScriptDirectory,
    files: Mapping[str, RevisionFile],
    redact: Callable[[str], str] = redact,
) -> dict[str, RevisionNode]:
    """Import every revision file and return the graph, parents before children.

    From here on Alembic, too, knows each revision by the text that was hashed. It would
    take Python's cached bytecode for a file of the same size and second of change.

    Args:
        redact: Takes secrets out of what a file raises on import.

    Raises:
        RevisionCompileError: A file does not parse or import, has no
            ``upgrade``, is not named after its id, or shares its id.
        RevisionError: The graph itself is broken (a missing parent, a cycle).

    """
    with _import_errors(files, redact), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory.revision_map = _Map(lambda: _scripts(files))
        _check_names(directory, files)
        scripts = list(directory.walk_revisions())
    scripts.reverse()
    for script in scripts:
        if not hasattr(script.module, "upgrade"):
            raise RevisionCompileError(
                f"{shown_path(script.path)} has no upgrade() function.",
                hint="Add def upgrade() -> None: with op.execute(…) in it.",
                revision=script.revision,
                file=script.path,
            )
    return {script.revision: _node(directory, script) for script in scripts}


def add_strangers(directory: ScriptDirectory, parents: Mapping[str, Sequence[str]]) -> None:
    """Let Alembic find its way down from applied revisions that have no file.

    Args:
        parents: The recorded parents of those revisions, parents before children. Those
            of ``depends_on`` are among them, and count as ``down_revision``.

    """
    known = set(_known(directory))
    for name, above in parents.items():
        if name in known:
            continue
        module = ModuleType(name)
        vars(module).update(
            revision=name,
            down_revision=tuple(parent for parent in above if parent in known) or None,
            upgrade=_no_file,
            downgrade=_no_file,
        )
        directory.revision_map.add_revision(Script(module, name, ""))
        known.add(name)


def _no_file() -> None:
    raise AssertionError("what has no file is run from the ledger")


class _Map(RevisionMap):
    """Alembic's, but for what takes it the square of the number of revisions."""

    def _filter_into_branch_heads(self, targets: Iterable[Any]) -> set[Any]:
        """Return the targets below none of the others; ``alembic current`` asks for all."""
        found, below = set(targets), set()
        todo = [name for target in found for name in target._versioned_down_revisions]
        while todo:
            revision = self._revision_map[todo.pop()]
            if revision is not None and revision not in below:
                below.add(revision)
                todo += revision._versioned_down_revisions
        return found - below


def _scripts(files: Mapping[str, RevisionFile]) -> Iterator[Script]:
    for file in files.values():
        module = _module(file)
        if isinstance(getattr(module, "revision", None), str):
            yield Script(module, module.revision, file.path)


def _module(file: RevisionFile) -> ModuleType:
    """Run a revision file's text, which must be the one that was hashed."""
    path = Path(file.path)
    text = read_text(path)
    if hashed(path, text) != file:
        raise RevisionCompileError(
            f"{shown_path(file.path)} was changed while it was being read.",
            hint="Nothing was run; run it again.",
            revision=file.revision,
            file=file.path,
        )
    module = ModuleType(file.revision)
    module.__file__ = file.path
    exec(compile(text, file.path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102
    return module


def upgrade_path(directory: ScriptDirectory, target: str, heads: Sequence[str]) -> list[Script]:
    """Return the scripts between heads and target, in the order to run them.

    Raises:
        RevisionNotFound: Unknown or ambiguous target.
        MultipleHeads: ``head`` where there are several.
    """

    def find(full: str) -> list[Script]:
        path = directory.iterate_revisions(full, tuple(heads), implicit_base=True)
        return list(reversed(list(path)))

    if target == "base":
        raise RevisionNotFound(
            "base is where a downgrade ends; no upgrade leads there.",
            hint="To revert every revision: budeval-migrate down base",
            target=target,
        )
    return _resolve(directory, target, find)


def downgrade_path(directory: ScriptDirectory, target: str, heads: Sequence[str]) -> list[Script]:
    """Return the scripts to revert, newest first.

    Raises:
        RevisionNotFound: Unknown or ambiguous target.
    """

    def find(full: str) -> list[Script]:
        if len(heads) > 1 and full.startswith("-"):
            raise CommandError("Ambiguous walk")  # Alembic would choose one of the heads
        path = directory.iterate_revisions(tuple(heads), full, select_for_downgrade=True)
        return list(path)

    return _resolve(directory, target, find)


def resolve_revision(directory: ScriptDirectory, name: str) -> str:
    """Return the full id that a name stands for.

    Raises:
        RevisionNotFound: Unknown or ambiguous name.
    """

    def find(full: str) -> Script:
        found = directory.get_revision(full)
        if found is None:
            raise CommandError(f"Can't locate revision identified by '{full}'")
        return found

    return _resolve(directory, name, find).revision


_MARKS = ("head", "base", "current")


def _resolve(directory: ScriptDirectory, target: str, find: Callable[[str], T]) -> T:
    try:
        return find(_full_name(directory, target))
    except (CommandError, AlembicRevisionError, AssertionError) as error:
        raise _resolution_error(directory, target, str(error)) from error


def _full_name(directory: ScriptDirectory, target: str) -> str:
    """Return the id that starts with ``target``; marks, labels and steps as they are.

    Alembic takes the start of an id only from four characters on.
    """
    if not target.strip():
        raise RevisionNotFound("The revision's name is empty.", hint=_LIST)
    if target.startswith(_MARKS) or any(sign in target for sign in "@+:-"):
        return target
    known = _known(directory)
    several = [name for name in known if name.startswith(target)]
    if target in known or not several:
        return target
    if len(several) > 1:
        raise RevisionNotFound(
            f"{target} is ambiguous: {', '.join(several)}.",
            hint="Write more of the id.",
            target=target,
        )
    return several[0]


def _known(directory: ScriptDirectory) -> list[str]:
    return [script.revision for script in directory.walk_revisions()][::-1]


_LIST = "budeval-migrate status lists the revisions."


def _resolution_error(directory: ScriptDirectory, target: str, text: str) -> RevisionError:
    if "Multiple head revisions" in text or "multiple heads" in text.lower():
        heads = ", ".join(sorted(directory.get_heads()))
        return MultipleHeads(
            f"There are several heads: {heads}.",
            hint="Name one of them, say heads for all, or join them with: alembic merge heads",
            target=target,
        )
    if "Ambiguous walk" in text:
        return RevisionNotFound(
            f"{target} can mean several revisions from here.",
            hint="Name the revision that shall stay applied.",
            target=target,
        )
    if "Can't locate" in text or "No such revision" in text:
        near = difflib.get_close_matches(target, _known(directory), n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else _LIST
        return RevisionNotFound(f"There is no revision {target}.", hint=hint, target=target)
    reason = f"{target} names no revision here" + (f": {text.rstrip('.')}" if text else "")
    return RevisionNotFound(f"{reason}.", hint=_LIST, target=target)


def _node(directory: ScriptDirectory, script: Script) -> RevisionNode:
    down = script.down_revision
    parents = [down] if isinstance(down, str) else list(down or ())
    depends = script.dependencies
    for name in [depends] if isinstance(depends, str) else list(depends or ()):
        parents.append(resolve_revision(directory, name))
    return RevisionNode(script.revision, tuple(dict.fromkeys(parents)), script.doc or "")


def _check_names(directory: ScriptDirectory, files: Mapping[str, RevisionFile]) -> None:
    """Raise unless every file is named after the id that Alembic read from it."""
    by_path = {
        os.path.realpath(script.path): script.revision for script in directory.walk_revisions()
    }
    for file in files.values():
        if by_path.get(os.path.realpath(file.path)) != file.revision:
            _check_headers(files)
            raise RevisionCompileError(
                f"{shown_path(file.path)} is not a revision that Alembic reads.",
                hint=f'It must declare revision = "{file.revision}" and down_revision.',
                file=file.path,
            )


def _check_headers(files: Mapping[str, RevisionFile]) -> None:
    """Raise for the first file whose header is wrong, told from its text alone."""
    headers = {name: read_header(Path(file.path)) for name, file in files.items()}
    for name, header in headers.items():
        shown = shown_path(files[name].path)
        if header is None:
            continue  # it does not parse, and the import says where
        declared = header.get("revision")
        if declared is None:
            raise RevisionCompileError(
                f"{shown} declares no revision.",
                hint=f'Add revision = "{name}".',
                file=files[name].path,
            )
        if declared != name:
            other = f", and so does {shown_path(files[declared].path)}" if declared in files else ""
            raise RevisionCompileError(
                f"{shown} declares revision {declared!r}{other}; its name says {name!r}.",
                hint="A revision's id is its file's name: rename the file, or change the id.",
                file=files[name].path,
            )
        if "down_revision" not in header:
            raise RevisionCompileError(
                f"{shown} declares no down_revision.",
                hint="Add down_revision: the id of the revision below, or None for the first.",
                file=files[name].path,
            )
        for parent in _listed(header["down_revision"]) + _listed(header.get("depends_on")):
            if parent not in files and not _stands_for(parent, headers):
                raise RevisionError(
                    f"{name} refers to {parent}, which has no file ({shown}).",
                    hint="Restore the file, or correct down_revision or depends_on.",
                    revision=name,
                    missing=parent,
                )


def _stands_for(name: str, headers: Mapping[str, Mapping[str, Any] | None]) -> bool:
    read = [header for header in headers.values() if header]
    labels = {label for header in read for label in _listed(header.get("branch_labels"))}
    return name.split("@")[0] in labels or any(known.startswith(name) for known in headers)


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value or () if isinstance(item, str)]


@contextmanager
def _import_errors(
    files: Mapping[str, RevisionFile], redact: Callable[[str], str]
) -> Iterator[None]:
    """Turn whatever a revision file raises on import into one sentence."""
    try:
        yield
    except MigrationError:
        raise
    except (Exception, SystemExit) as error:
        where, line = _place(error, {file.path for file in files.values()})
        if where is None:
            _check_headers(files)
        graph = isinstance(error, (CommandError, AlembicRevisionError))
        if graph or (where is None and isinstance(error, KeyError)):
            raise RevisionError(
                f"The revisions do not form a graph: {redact(str(error))}",
                hint="Look at the down_revision and depends_on of the files named.",
            ) from error
        at = f"{shown_path(where)}:{line}" if where else "A revision file"
        raise RevisionCompileError(
            f"{at} cannot be imported: {redact(f'{type(error).__name__}: {error}')}",
            hint="Correct the file; nothing was run.",
            file=where,
            line=line,
        ) from error


def _place(error: BaseException, paths: set[str]) -> tuple[str | None, int | None]:
    if isinstance(error, SyntaxError) and error.filename in paths:
        return error.filename, error.lineno
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in paths:
            return frame.filename, frame.lineno
    return None, None
