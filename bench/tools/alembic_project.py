"""The files that every tool on Alembic shares."""

from __future__ import annotations

from pathlib import Path

from bench.bare import numbered
from bench.places import Place
from bench.tools.tool import Command, Tool, revision_ids

_REVISION = '''"""{id}"""

from alembic import op

revision = "{id}"
down_revision = {down!r}


def upgrade() -> None:
    op.execute("{up}")


def downgrade() -> None:
    op.execute("SELECT 1")
'''
_INI = "[alembic]\nscript_location = %(here)s\n"

# What an application calls.
UPGRADE = (
    "from alembic import command, config\ncommand.upgrade(config.Config('alembic.ini'), 'head')"
)
_ENV_PY = """from alembic import context
from sqlalchemy import create_engine
{support}
engine = create_engine('{{url}}')

with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        {before}context.run_migrations()
"""


def env_py(support: str, before: str = "") -> str:
    """Return the text of an env.py with ``{url}``; ``before`` runs ahead of the migrations."""
    return _ENV_PY.format(support=support, before=f"{before}\n        " if before else "")


def write_chain(versions: Path, count: int, statement: str) -> None:
    """Write a chain of revisions."""
    versions.mkdir(parents=True, exist_ok=True)
    down = None
    for n, revision in enumerate(revision_ids(count), start=1):
        text = _REVISION.format(id=revision, down=down, up=numbered(statement, n))
        (versions / f"{revision}.py").write_text(text)
        down = revision


class AlembicTool(Tool):
    """A tool whose commands are Alembic's; ``env_py`` is its environment's text, with ``{url}``."""

    env_py = ""

    def url(self, place: Place) -> str:
        """The database, in the tool's own dialect."""
        raise NotImplementedError

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write ``versions/``."""
        write_chain(project / "versions", count, statement)

    def configure(self, project: Path, place: Place) -> None:
        """Write ``alembic.ini`` and ``env.py``."""
        (project / "alembic.ini").write_text(_INI)
        (project / "env.py").write_text(self.env_py.replace("{url}", self.url(place)))

    def alembic(self, *arguments: str) -> Command:
        """One of Alembic's commands."""
        return [self.python, "-m", "alembic", *arguments]

    def upgrade(self, place: Place) -> Command:
        """Run ``alembic upgrade head``."""
        del place
        return self.alembic("upgrade", "head")

    def catch_up(self, place: Place) -> Command:
        """Stamp: Alembic's table holds one row, whatever led to it."""
        del place
        return self.alembic("stamp", "head")

    def current(self, place: Place) -> Command | None:
        """Run ``alembic current``."""
        del place
        return self.alembic("current")
