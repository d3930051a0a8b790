"""The least possible: the driver alone, in a process of its own (:mod:`bench.bare`)."""

from __future__ import annotations

import json
from pathlib import Path

from bench.catalogue import DRIVER, STATEMENTS
from bench.environments import REPOSITORY
from bench.places import EMBEDDED, NATIVE, Place
from bench.tools.tool import DIALECTS, Application, Command, Tool


class Bare(Tool):
    """A loop over the driver; its no-op is one SELECT."""

    name = DRIVER
    application = Application(
        loaded=f"{DIALECTS}\nimport os\nfrom bench import bare",
        call="bare.select(os.environ['BENCH_PLACE'])",
    )

    def write(self, project: Path, count: int, statement: str) -> None:
        """Write nothing but how many there are and what they do."""
        (project / "loop.json").write_text(json.dumps([count, statement]))

    def environment(self, place: Place) -> dict[str, str]:
        """The place, and the way to :mod:`bench.bare`."""
        where = {
            "engine": place.engine,
            "database": place.database,
            "directory": str(place.directory),
            "host": place.host,
            "port": place.port,
            "user": place.user,
            "password": place.password,
        }
        return {"BENCH_PLACE": json.dumps(where), "PYTHONPATH": str(REPOSITORY)}

    def upgrade(self, place: Place) -> Command:
        """The same statements, and a row for each."""
        del place
        return [self.python, "-m", "bench.bare", "loop"]

    def nothing(self, place: Place) -> Command:
        """The interpreter, the driver, a connection and one SELECT."""
        del place
        return [self.python, "-m", "bench.bare", "select"]

    def imports_of(self, place: Place) -> Command:
        """The interpreter, Alembic and the dialect; no connection, but chDB's engine is started."""
        modules = {
            EMBEDDED: "chdb_sqlalchemy.dialect",
            NATIVE: "clickhouse_sqlalchemy.drivers.native.base",
        }
        dialect = modules.get(place.engine, "clickhouse_sqlalchemy.drivers.http.base")
        source = f"import alembic.config, alembic.command, {dialect}"
        if place.engine == EMBEDDED:
            source += "\nfrom bench import bare\nbare.main('select')"
        return [self.python, "-c", source]

    def tables(self, place: Place) -> Command:
        """How many tables ``t1``, ``t2`` … there are."""
        del place
        return [self.python, "-m", "bench.bare", "tables"]


class BareStatements(Bare):
    """The same loop without the rows."""

    name = STATEMENTS

    def upgrade(self, place: Place) -> Command:
        """The statements alone."""
        del place
        return [self.python, "-m", "bench.bare", "statements"]
