"""Read the revision files as Alembic does, and say what is wrong with them."""

from __future__ import annotations

import ast
import difflib
import os
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError as AlembicRevisionError
from alembic.util import CommandError

from budeval_migrations.errors import (
    MigrationError,
    MultipleHeads,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.model import RevisionFile, RevisionNode
from budeval_migrations.revisions.directory import shown_path

T = TypeVar("T")


def open_directory(locations: Sequence[str]) -> ScriptDirectory:
    """Return Alembic's view of the directories; reads no file yet."""
    home = os.path.dirname(locations[0])
    return ScriptDirectory(home, version_locations=list(locations), file_template="%(rev)s")


def load_graph(
    directory: ScriptDirectory, files: Mapping[str, RevisionFile]
) -> dict[str, RevisionNode]:
    """Import every revision file and return the graph, parents before children.

    Raises:
        RevisionCompileError: A file does not parse or import, has no
            ``upgrade``, is not named after its id, or shares its id.
        RevisionError: The graph itself is broken (a missing parent, a cycle).

    """
    with _import_errors(files), warnings.catch_warnings():
        warnings.simplefilter("ignore")
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


def upgrade_path(directory: ScriptDirectory, target: str, heads: Sequence[str]) -> list[Script]:
    """Return the scripts between heads and target, in the order to run them.

    Raises:
        RevisionNotFound: Unknown or ambiguous target.
        MultipleHeads: ``head`` where there are several.

    """
    return _resolve(
        directory,
        target,
        lambda: list(
            reversed(list(directory.iterate_revisions(target, tuple(heads), implicit_base=True)))
        ),
    )


def downgrade_path(directory: ScriptDirectory, target: str, heads: Sequence[str]) -> list[Script]:
    """Return the scripts to take back, newest first.

    Raises:
        RevisionNotFound: Unknown or ambiguous target, or one that is not applied.

    """
    return _resolve(
        directory,
        target,
        lambda: list(directory.iterate_revisions(tuple(heads), target, select_for_downgrade=True)),
    )


def resolve_revision(directory: ScriptDirectory, name: str) -> str:
    """Return the full id that a name stands for.

    Raises:
        RevisionNotFound: Unknown or ambiguous name.

    """

    def find() -> Script:
        found = directory.get_revision(name)
        if found is None:
            raise CommandError(f"Can't locate revision identified by '{name}'")
        return found

    return _resolve(directory, name, find).revision


def _resolve(directory: ScriptDirectory, target: str, find: Callable[[], T]) -> T:
    try:
        return find()
    except (CommandError, AlembicRevisionError) as error:
        raise _resolution_error(directory, target, str(error)) from error


def _resolution_error(directory: ScriptDirectory, target: str, text: str) -> RevisionError:
    known = [script.revision for script in directory.walk_revisions()][::-1]
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
    if "ambiguous" in text or "Multiple revisions start with" in text:
        several = ", ".join(name for name in known if name.startswith(target.split("@")[-1]))
        return RevisionNotFound(
            f"{target} is ambiguous: {several}.", hint="Write more of the id.", target=target
        )
    if "Can't locate" in text or "No such revision" in text:
        near = difflib.get_close_matches(target, known, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else "See: budeval-migrate history"
        return RevisionNotFound(f"There is no revision {target}.", hint=hint, target=target)
    return RevisionNotFound(
        text.rstrip(".") + ".", hint="See: budeval-migrate history", target=target
    )


def _node(directory: ScriptDirectory, script: Script) -> RevisionNode:
    down = script.down_revision
    parents = [down] if isinstance(down, str) else list(down or ())
    depends = script.dependencies
    for name in [depends] if isinstance(depends, str) else list(depends or ()):
        parents.append(resolve_revision(directory, name))
    return RevisionNode(script.revision, tuple(dict.fromkeys(parents)), script.doc or "")


def _check_names(directory: ScriptDirectory, files: Mapping[str, RevisionFile]) -> None:
    by_path = {
        os.path.realpath(script.path): script.revision for script in directory.walk_revisions()
    }
    for file in files.values():
        declared = by_path.get(os.path.realpath(file.path)) or _declared_id(file.path)
        name = shown_path(file.path)
        if declared is None:
            raise RevisionCompileError(
                f"{name} declares no revision.",
                hint=f'Add revision = "{file.revision}" and down_revision.',
                file=file.path,
            )
        if declared != file.revision:
            shared = (
                f", and so does {shown_path(files[declared].path)}" if declared in files else ""
            )
            raise RevisionCompileError(
                f"{name} declares revision {declared!r}{shared}; its name says {file.revision!r}.",
                hint="A revision's id is its file's name: rename the file, or change the id.",
                file=file.path,
            )


def _declared_id(path: str) -> str | None:
    for node in ast.parse(Path(path).read_text("utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        value = getattr(node, "value", None)
        named = any(isinstance(t, ast.Name) and t.id == "revision" for t in targets)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            return value.value
    return None


@contextmanager
def _import_errors(files: Mapping[str, RevisionFile]) -> Iterator[None]:
    """Turn whatever a revision file raises on import into one sentence."""
    try:
        yield
    except MigrationError:
        raise
    except KeyError as error:
        missing = re.sub(r"^'|'$", "", str(error))
        raise RevisionError(
            f"A revision refers to {missing}, which has no file.",
            hint="Restore the file, or correct down_revision or depends_on.",
            missing=missing,
        ) from error
    except (CommandError, AlembicRevisionError) as error:
        raise RevisionError(
            f"The revisions do not form a graph: {error}",
            hint="Look at the down_revision and depends_on of the files named.",
        ) from error
    except Exception as error:
        where, line = _place(error, {file.path for file in files.values()})
        at = f"{shown_path(where)}:{line}" if where else "A revision file"
        raise RevisionCompileError(
            f"{at} cannot be imported: {type(error).__name__}: {error}",
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
