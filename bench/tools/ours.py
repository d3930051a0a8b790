"""budeval_migrations: through its own command, and through Alembic's."""

from __future__ import annotations

from pathlib import Path

from bench.places import EMBEDDED, HTTP, NATIVE, Place
from bench.tools.alembic_project import write_chain
from bench.tools.tool import DIALECTS, Application, Command, Tool

_ENV_PY = """from alembic import context
from budeval_migrations.alembic_env.environment import run_env
run_env(context)
"""
_SCHEMES = {HTTP: "clickhouse+http", NATIVE: "clickhouse+native"}


def url_of(place: Place) -> str:
    """The database as budeval_migrations wants it."""
    if place.engine == EMBEDDED:
        return f"chdb:///{place.directory}"
    return place.url(_SCHEMES[place.engine])


class Ours(Tool):
    """``budeval-migrate``."""

    name = "budeval-migrate"
    imports: tuple[str, ...] = ("budeval_migrations", "budeval_migrations.services.api")
    application: Application | None = Application(
        loaded=DIALECTS,
        call="import budeval_migrations\nbudeval_migrations.upgrade()",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``versions/``."""
        write_chain(project / "versions", count, statement)

    def configure(self, project: Path, place: Place) -> None:
        """Write ``alembic.ini`` and ``env.py``; 18.16 cannot offer a lock."""
        settings = {"url": url_of(place), "database": place.database}
        if place.engine == NATIVE:
            settings["lock"] = "off"
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (project / "alembic.ini").write_text(
            "[alembic]\nscript_location = %(here)s\npath_separator = os\n"
            f"\n[budeval_migrations]\n{lines}"
        )
        (project / "env.py").write_text(_ENV_PY)

    def upgrade(self, place: Place) -> Command:
        """Run ``budeval-migrate up``."""
        del place
        return [self.python, "-m", "budeval_migrations", "up"]

    def status(self, place: Place) -> Command | None:
        """Run ``budeval-migrate status``."""
        del place
        return [self.python, "-m", "budeval_migrations", "status"]


class OursThroughAlembic(Ours):
    """The same package behind ``alembic``."""

    name = "budeval_migrations, alembic"
    imports = ()
    application = None
    shares = Ours.name

    def upgrade(self, place: Place) -> Command:
        """Run ``alembic upgrade head``."""
        del place
        return [self.python, "-m", "alembic", "upgrade", "head"]

    def status(self, place: Place) -> Command | None:
        """Alembic has none."""
        del place
        return None

    def current(self, place: Place) -> Command | None:
        """Run ``alembic current``."""
        del place
        return [self.python, "-m", "alembic", "current"]
