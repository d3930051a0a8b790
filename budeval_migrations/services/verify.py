"""Take every revision up, down and up again on an empty embedded server."""

from __future__ import annotations

from collections.abc import Sequence

from budeval_migrations.alembic_ext.catalogue import Catalogue
from budeval_migrations.alembic_ext.compile import has_downgrade
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import StatementError
from budeval_migrations.model import Direction
from budeval_migrations.model.previews import Difference, Verification, Verified
from budeval_migrations.services import migrate
from budeval_migrations.services.rehearse import RehearsalInput, apply_on, revert, stand_ins
from budeval_migrations.shadow.apart import Apart
from budeval_migrations.shadow.compare import compare
from budeval_migrations.shadow.engine import ShadowEngine
from budeval_migrations.shadow.source import imagined_source


def verify(session: Session, catalogue: Catalogue) -> Verification:
    """Try every revision, in order, up to one that fails; asks no server but its own.

    Raises:
        Unsupported: chDB is not installed.
        RevisionError: A revision cannot be read or compiled.

    """
    with Apart(on_shadow_verify) as apart:
        texts = [
            statement.text
            for name in catalogue.graph
            for statement in catalogue.compiled(name, Direction.UP).statements
        ]
        source = imagined_source(session.database, texts)
        given = RehearsalInput(session.settings, catalogue.files, source, ())
        return apart.call(given)


def on_shadow_verify(directory: str, given: RehearsalInput) -> Verification:
    """Up, down, compare, up, compare; for each revision."""
    with ShadowEngine(directory, given.settings, given.source) as shadow:
        catalogue = migrate.open_catalogue(shadow.session, given.files)
        again = migrate.open_catalogue(shadow.session, given.files)
        names = list(catalogue.graph)
        found: list[Verified] = []
        for name in names:
            tried = _try(
                shadow, catalogue, name, unstable=_said(catalogue, name) != _said(again, name)
            )
            found.append(tried)
            if tried.failed is not None:
                break
        covered = {parent for node in catalogue.graph.values() for parent in node.parents}
        return Verification(
            engine=shadow.session.version(),
            heads=tuple(sorted(set(names) - covered)),
            revisions=tuple(found),
            untried=tuple(names[len(found) :]),
            notes=tuple(stand_ins(catalogue, names)),
        )


def _try(shadow: ShadowEngine, catalogue: Catalogue, name: str, *, unstable: bool) -> Verified:
    way = Direction.UP
    lacks = not has_downgrade(catalogue.script(name))
    back: tuple[Difference, ...] = ()
    try:
        before = shadow.schema()
        apply_on(shadow.session, catalogue, [name])
        if lacks:
            return Verified(name, no_way_back=True, unstable=unstable)
        first = shadow.schema()
        way = Direction.DOWN
        revert(shadow.session, catalogue, [name])
        back = compare(before, shadow.schema())
        way = Direction.UP
        apply_on(shadow.session, catalogue, [name])
        again = compare(first, shadow.schema())
    except StatementError as error:
        assert error.report is not None
        return Verified(name, error.report.failed, way.value, back, unstable=unstable)
    return Verified(name, back=back, again=again, unstable=unstable)


def _said(catalogue: Catalogue, name: str) -> Sequence[Sequence[str]]:
    """Return everything that a revision says, both ways; nothing of a dynamic one."""
    ways = [Direction.UP]
    if has_downgrade(catalogue.script(name)):
        ways.append(Direction.DOWN)
    return [s.parts() for way in ways for s in catalogue.compiled(name, way).statements]
