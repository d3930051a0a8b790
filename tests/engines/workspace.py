"""A project and one database of one engine, for tests that need both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.settings import Settings
from tests.support.project import Project
from tests.support.targets import Target

TABLE = "CREATE TABLE IF NOT EXISTS {name} (a Int32, s String) ENGINE = MergeTree ORDER BY a"
BOOKKEEPING = {
    "schema_migrations",
    "schema_migrations_journal",
    "schema_migrations_lock",
    "alembic_version",
}


@dataclass
class Workspace:
    """A project that migrates one database of one engine."""

    project: Project
    target: Target

    @property
    def options(self) -> dict[str, Any]:
        """The settings for calls from code; 18.16 can offer no lock."""
        return {
            "url": self.target.url,
            "database": self.target.database,
            "versions": [str(self.project.versions)],
            "lock": "auto" if self.target.modern else "off",
        }

    def session(self) -> Session:
        """A connection beside the tool's own."""
        return Session(Settings(url=self.target.url, database=self.target.database))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a SELECT in the target database."""
        with self.session() as session:
            return [tuple(row) for row in session.query(sql)]

    def prepare(self, *statements: str) -> None:
        """Make the database and run statements in it, beside the tool."""
        with self.session() as session:
            session.ensure_database()
            for statement in statements:
                session.execute(statement)

    def tables(self) -> set[str]:
        """The tables that are not bookkeeping."""
        found = self.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")
        return {str(name) for (name,) in found} - BOOKKEEPING

    def heads(self) -> set[str]:
        """What the view alembic_version says."""
        return {str(v) for (v,) in self.rows("SELECT version_num FROM alembic_version")}

    def write_three(self) -> None:
        """Write 001_one, 002_two and 003_three, a table each."""
        self.project.write_revision("001_one", None, *_table(1))
        self.project.write_revision("002_two", "001_one", *_table(2))
        self.project.write_revision("003_three", "002_two", *_table(3))


def _table(number: int) -> tuple[str, str]:
    return TABLE.format(name=f"t{number}"), f"DROP TABLE IF EXISTS t{number}"
