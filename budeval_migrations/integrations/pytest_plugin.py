"""A pytest plugin: ``pytest --budeval-versions versions`` adds a test for each revision.

Each goes up, down and up again on an empty embedded server. Imports nothing of this
package before it is asked to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from budeval_migrations.model.previews import Verification, Verified

_FOUND: pytest.StashKey[Verification] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option; without it the plugin does nothing."""
    group = parser.getgroup("budeval-migrations")
    group.addoption(
        "--budeval-versions",
        metavar="DIR",
        help="Test each revision in DIR: up, down and up again on an embedded ClickHouse.",
    )


def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add an item for each revision, and one for the graph."""
    directory = config.getoption("--budeval-versions")
    if not directory:
        return
    from budeval_migrations.errors import MigrationError
    from budeval_migrations.revisions.directory import read_files
    from budeval_migrations.settings import load_settings

    settings: dict[str, Any] = {"versions": [directory]}
    try:
        names = sorted(read_files(load_settings(**settings)))
    except MigrationError as error:
        raise pytest.UsageError(f"--budeval-versions: {error.message}") from error
    if not names:
        raise pytest.UsageError(f"--budeval-versions: there is no revision in {directory}.")
    items.append(_Heads.from_parent(session, name=f"{directory}::single head", settings=settings))
    items += [
        _Revision.from_parent(
            session, name=f"{directory}::{name}", settings=settings, revision=name
        )
        for name in names
    ]


class Wrong(Exception):
    """What a revision does that it should not."""


class _Item(pytest.Item):
    def __init__(self, *, settings: dict[str, Any], **known: Any) -> None:
        super().__init__(**known)
        self._settings = settings

    def found(self) -> Verification:
        """Return what there is to say of all revisions; tried once a session."""
        from budeval_migrations.services import preview

        stash = self.session.stash
        if _FOUND not in stash:
            stash[_FOUND] = preview.verify(**self._settings)
        return stash[_FOUND]

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what is wrong, without a traceback through this plugin."""
        from budeval_migrations.errors import MigrationError

        if isinstance(excinfo.value, (Wrong, MigrationError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Return what stands in the report's headline."""
        return self.path, None, self.name


class _Heads(_Item):
    def runtest(self) -> None:
        heads = self.found().heads
        if len(heads) > 1:
            raise Wrong(f"The revisions have several heads: {', '.join(heads)}.")


class _Revision(_Item):
    def __init__(self, *, revision: str, **known: Any) -> None:
        super().__init__(**known)
        self._revision = revision

    def runtest(self) -> None:
        found = self.found()
        if self._revision in found.untried:
            pytest.skip("a revision before it fails")
        [verified] = [tried for tried in found.revisions if tried.revision == self._revision]
        if not verified.ok:
            raise Wrong(_told(verified))


def _told(verified: Verified) -> str:
    from budeval_migrations.cli.forecast import told_of

    return told_of(verified)
