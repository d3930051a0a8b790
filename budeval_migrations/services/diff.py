"""Find what leads from the revisions' schema to a target one, and prove it on a shadow engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import ConfigError, EngineError, RevisionError
from budeval_migrations.model import Direction, Statement
from budeval_migrations.model.previews import Difference
from budeval_migrations.revisions.directory import read_files
from budeval_migrations.scaffold.draft import Draft
from budeval_migrations.scaffold.evolution import Way, evolve, statements_of, without_trash
from budeval_migrations.scaffold.kinds import (
    NewRevision,
    choose_parent,
    next_number,
    write_revision,
)
from budeval_migrations.services import migrate
from budeval_migrations.services.rehearse import RehearsalInput, apply_on
from budeval_migrations.shadow.apart import Apart
from budeval_migrations.shadow.compare import compare
from budeval_migrations.shadow.engine import ShadowEngine
from budeval_migrations.shadow.replay_cache import remembered
from budeval_migrations.shadow.schema import Schema
from budeval_migrations.shadow.source import imagined_source
from budeval_migrations.sql import quote
from budeval_migrations.sql.stand_in import stand_in


@dataclass(frozen=True)
class Found:
    """A revision that leads to the target schema.

    Attributes:
        draft: Its text to be; None where there is no difference.
        loses: What of the data is gone after the upgrade, in words.

    """

    draft: Draft | None
    changes: tuple[Difference, ...] = ()
    loses: tuple[str, ...] = ()


def make_revision(
    session: Session,
    target: Sequence[Statement],
    *,
    message: str = "",
    name: str = "",
    head: str = "",
    destructive: str = "",
    dry_run: bool = False,
) -> NewRevision | None:
    """Write the revision that leads to a target schema; None where there is no difference.

    Args:
        message: The first line of its docstring, and the end of its name.
        name: The end of its name, or the whole of it.
        head: The revision that it stands on, where there are several heads.
        destructive: Why it may lose what it would lose.
        dry_run: Write nothing.

    Raises:
        ConfigError: Data would be lost, and ``destructive`` does not say why it may.
        RevisionError: A statement of the target schema fails, or no way was found.
        Unsupported: chDB is not installed.

    """
    files = read_files(session.settings)
    parent = choose_parent(files, head)
    catalogue = migrate.open_catalogue(session, files)
    found = find_difference(session, catalogue, target, next_number(files))
    if found.draft is None:
        return None
    if found.loses and not destructive:
        raise ConfigError(
            f"The target schema would lose {_listed(found.loses)}.",
            hint='If it may be lost, say why: --destructive "reason" (alembic -x '
            "destructive=reason). Nothing was written.",
            loses=list(found.loses),
        )
    draft = replace(found.draft, destructive=destructive if found.loses else "")
    names = (name, message, draft.slug)
    return write_revision(draft, session.settings, files, parent, names, message, dry_run=dry_run)


def find_difference(
    session: Session, catalogue: Catalogue, target: Sequence[Statement], mark: str
) -> Found:
    """Return the revision that leads from what the revisions yield to the target schema.

    Asks no server but an embedded one.

    Args:
        target: Statements that make the target schema from nothing.
        mark: The number of the revision to be; for the names of what is put aside.

    Raises:
        Unsupported: chDB is not installed.
        RevisionError: A statement of the target schema fails, or the way found does not lead
            there.
        StatementFailed: A revision does not run on the embedded server.

    """
    with Apart(shadow_difference) as apart:
        names = list(catalogue.graph)
        texts = [s.text for n in names for s in catalogue.compiled(n, Direction.UP).statements]
        source = imagined_source(session.database, [*texts, *(s.text for s in target)])
        given = RehearsalInput(session.settings, catalogue.files, source, ())
        return apart.call(given, names, tuple(target), mark)


def shadow_difference(
    directory: str,
    given: RehearsalInput,
    revisions: Sequence[str],
    target: Sequence[Statement],
    mark: str,
) -> Found:
    """Replay, load the target schema, find the way, and go it there and back."""
    with ShadowEngine(directory, given.settings, given.source) as shadow:

        def yielded() -> Schema:
            apply_on(shadow.session, migrate.open_catalogue(shadow.session, given.files), revisions)
            found = shadow.schema()
            shadow.clear()
            return found

        checksums = (f"{name} {given.files[name].checksum}" for name in revisions)
        before = remembered((given.source.fingerprint(), *checksums), yielded)
        after = _target(shadow, target)
        return evolve_on(shadow, before, after, mark)


def evolve_on(shadow: ShadowEngine, before: Schema, after: Schema, mark: str) -> Found:
    """Return the revision that leads from one schema to the other; tried there and back.

    Args:
        before: As the shadow engine printed it.
        after: The same.

    Raises:
        RevisionError: What was found does not lead there, or not back.

    """
    changes = compare(without_trash(before), without_trash(after))
    if not changes:
        return Found(None)
    shadow.session.execute("SET mutations_sync = 2")
    pretty, judge = _pretty(shadow), _judge(shadow)
    up = evolve(before, after, mark=mark, judge=judge, pretty=pretty)
    down = evolve(after, before, mark=mark, judge=judge, pretty=pretty, forward=up)
    try:
        _prove(shadow, before, after, up, down)
    finally:
        shadow.clear()
    return Found(_draft(changes, up, down), changes, tuple(up.loses))


def _target(shadow: ShadowEngine, target: Sequence[Statement]) -> Schema:
    for statement in target:
        try:
            shadow.session.execute(stand_in(statement.text).text)
        except EngineError as error:
            raise RevisionError(
                f"{statement.file}:{statement.line}: ClickHouse {error.code}: {error.message}",
                hint="Correct the statement; nothing was written.",
                file=statement.file,
                line=statement.line,
                code=error.code,
            ) from error
    found = shadow.schema()
    shadow.clear()
    return found


def _pretty(shadow: ShadowEngine) -> Callable[[str], str]:
    def pretty(text: str) -> str:
        [[lines]] = shadow.session.query(f"SELECT formatQuery({quote.string(text)})")
        return str(lines)

    return pretty


def _judge(shadow: ShadowEngine) -> Callable[[str, Sequence[str], str], bool]:
    def judge(before: str, statements: Sequence[str], after: str) -> bool:
        try:
            shadow.load_tables([before])
            for statement in statements:
                shadow.session.execute(statement)
            [(name, made)] = without_trash(shadow.schema()).tables.items()
        except EngineError:
            return False
        finally:
            shadow.clear()
        known = shadow.session.database
        return not compare(Schema(known, {name: made}), Schema(known, {name: after}))

    return judge


def _prove(shadow: ShadowEngine, before: Schema, after: Schema, up: Way, down: Way) -> None:
    shadow.load_tables([*before.functions.values(), *before.tables.values()])
    for way, calls, target in (("upgrade", up.calls, after), ("downgrade", down.calls, before)):
        for statement in statements_of(calls):
            try:
                shadow.session.execute(statement)
            except EngineError as error:
                raise RevisionError(
                    f"No {way} was found: ClickHouse {error.code}: {error.message}  "
                    f"({' '.join(statement.split())[:120]})",
                    hint="Write this revision by hand: budeval-migrate new blank",
                ) from error
        left = compare(without_trash(target), without_trash(shadow.schema()))
        if left:
            listed = ", ".join(f"{d.kind} {d.name} {d.part}".strip() for d in left[:5])
            raise RevisionError(
                f"The {way} that was found leaves differences: {listed}.",
                hint="Write this revision by hand: budeval-migrate new blank",
            )


def _draft(changes: Sequence[Difference], up: Way, down: Way) -> Draft:
    names = list(dict.fromkeys(difference.name for difference in changes))
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Draft(
        title=f"Change {listed}",
        slug=f"change_{'_'.join(names[:2])}",
        upgrade=tuple(up.calls),
        downgrade=tuple(down.calls),
        notes=tuple(dict.fromkeys((*up.notes, *down.notes))),
        requires=max(up.requires, down.requires),
    )


def _listed(things: Sequence[str]) -> str:
    return things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
