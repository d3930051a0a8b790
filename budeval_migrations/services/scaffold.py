"""Write what is new: a project (``init``), revisions (``new``, ``diff``). Only asks servers."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from budeval_migrations.errors import AccessDenied, ConfigError, ConnectionFailed, EngineError
from budeval_migrations.files import read_file
from budeval_migrations.settings import NAMES, Settings, load_settings
from budeval_migrations.sql import quote
from budeval_migrations.sql.changes import Name

if TYPE_CHECKING:
    from budeval_migrations.clickhouse.connection import Session
    from budeval_migrations.scaffold.kinds import NewRevision
    from budeval_migrations.scaffold.project import NewProject

# What is wrong with the SQL itself: a syntax error, an unknown type, function or identifier.
_WRONG = frozenset({62, 50, 46, 47})
_UNKNOWN_DATABASE = 81
# What the server adds to an error: the SELECT that asked it.
_OUR_QUESTION = re.compile(
    r": In scope SELECT (?:formatQuery|defaultValueOfTypeName)\(.*(?=\. \(\w+\)\Z)", re.S
)


def init(directory: str, database: str = "", env_prefix: str = "") -> NewProject:
    """Write the files of a new project, and return which; asks no server.

    ``alembic upgrade head`` works in it at once, on ClickHouse in the process. Killed in
    between, it leaves some of the files, and the next call writes the rest.

    Args:
        directory: Is made where it is missing; ``.`` is this one.
        database: The database to migrate; by the directory's name without it.
        env_prefix: What environment variables begin with; by the database's name without it.

    Raises:
        ConfigError: There are files that say something else, and nothing was written; or
            the directory cannot be written to.

    """
    from budeval_migrations.scaffold.project import write_project

    if not directory.strip():
        raise ConfigError("The directory is empty.", hint="Write . for this directory.")
    return write_project(Path(directory), database, env_prefix)


def new(
    kind: str,
    *,
    message: str = "",
    name: str = "",
    head: str = "",
    from_ddl: str = "",
    dry_run: bool = False,
    **options: Any,
) -> NewRevision:
    """Write the revision file of a common task, and return what it says.

    What a table is now is taken from ``from_ddl`` or else from the server, if it can be
    reached; the server is only read.

    Args:
        kind: ``create-table``, ``add-column``, ``drop-column``, ``modify-column``,
            ``rename-column``, ``add-index``, ``materialized-view``, ``backfill``,
            ``change-order-by``, ``swap``, ``drop-table`` or ``blank``.
        message: The first line of its docstring, and the end of its name.
        name: The end of its name, or the whole of it.
        head: The revision that it stands on, where there are several heads.
        from_ddl: A file with the CREATE TABLE of the table as it is.
        dry_run: Write nothing.
        **options: What the kind asks for (``table="events", column="status"`` …), and
            settings as for :func:`budeval_migrations.upgrade`.

    Raises:
        ConfigError: Something is missing, or is not what it should be.
        RevisionError: The files are not in order, or there are several heads.

    """
    from budeval_migrations.revisions.directory import read_files, read_text
    from budeval_migrations.scaffold.kinds import (
        choose_parent,
        known_kind,
        make_draft,
        write_revision,
    )

    kind = known_kind(kind)
    settings, given = _apart(options)
    files = read_files(settings)
    parent = choose_parent(files, head)
    with _Surroundings(settings, from_ddl, parent).opened() as around:
        known: dict[str, Any] = {
            "look": around.look,
            "today": date.today(),
            "written": "\n".join(read_text(Path(file.path)) for file in files.values()),
        }
        around.complete(kind, given, known)
        draft = make_draft(kind, given, known)
        around.check(draft.statements())
        notices = (*draft.notices, *around.notices)
    names = (name, message, draft.slug)
    return write_revision(
        draft, settings, files, parent, names, message, dry_run=dry_run, notices=notices
    )


def _apart(options: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Return the settings among options, and what is given to a kind of revision."""
    names = {*NAMES, "config"}
    settings = load_settings(**{k: v for k, v in options.items() if k in names})
    given = {k: v for k, v in options.items() if k not in names}
    if isinstance(given.get("columns"), str):
        given["columns"] = [given["columns"]]
    return settings, given


def diff(
    to: str = "",
    *,
    message: str = "",
    name: str = "",
    head: str = "",
    destructive: str = "",
    dry_run: bool = False,
    **options: Any,
) -> NewRevision | None:
    """Write the revision that leads from the revisions there are to a target schema.

    It is found, and taken there and back, on an embedded server; no other is asked.

    Args:
        to: A file of SQL statements that make the target schema from nothing; or
            ``module:name`` of SQLAlchemy's MetaData; the setting ``schema`` without it.
        message: The first line of its docstring, and the end of its name.
        name: The end of its name, or the whole of it.
        head: The revision that it stands on, where there are several heads.
        destructive: Why it may lose what it would lose.
        dry_run: Write nothing.
        **options: Settings as for :func:`budeval_migrations.upgrade`.

    Returns:
        The revision; None where there is no difference.

    Raises:
        ConfigError: The target schema cannot be read, or data would be lost and
            ``destructive`` does not say why it may.
        RevisionError: A statement of the target schema fails, or no way was found.
        Unsupported: chDB is not installed.

    """
    from budeval_migrations.clickhouse.connection import Session
    from budeval_migrations.services.diff import make_revision
    from budeval_migrations.services.target_schema import read_target_schema

    settings = load_settings(**options)
    source = to or settings.schema
    if not source:
        raise ConfigError(
            "No target schema given.",
            hint="Name it with --to schema.sql, or set schema = schema.sql.",
        )
    with Session(settings) as session:
        return make_revision(
            session,
            read_target_schema(source),
            message=message,
            name=name,
            head=head,
            destructive=destructive,
            dry_run=dry_run,
        )


class _Surroundings:
    """What a file or a server can say of the tables; a server that is away says nothing."""

    def __init__(self, settings: Settings, from_ddl: str, parent: str | None) -> None:
        self._settings = settings
        self._parent = parent
        self._path = from_ddl
        self._session: Session | None = None
        self._away = False
        wanted = "--from-ddl names a file with a CREATE TABLE."
        self.file = read_file(from_ddl, wanted) if from_ddl else ""
        self.notices: list[str] = []

    @contextmanager
    def opened(self) -> Iterator[_Surroundings]:
        """Close the connection afterwards, if there was one."""
        try:
            yield self
        except ConfigError as error:
            # Why a server could not help out belongs to what is missing.
            error.hint = " ".join([error.hint, *self.notices])
            raise
        finally:
            if self._session is not None:
                self._session.close()

    def complete(self, kind: str, given: dict[str, Any], known: dict[str, Any]) -> None:
        """Add what a kind takes, and what a file or the server tells of it.

        Raises:
            ConfigError: The server has no such type.

        """
        from budeval_migrations.scaffold.kinds import KINDS

        wanted = inspect.signature(KINDS[kind]).parameters
        if self.file and "ddl" in wanted:
            given["ddl"] = self.file
        if "views" in wanted and given.get("table"):
            known["views"] = self.views(str(given["table"]))
        if kind == "materialized-view" and given.get("select") and not given.get("columns"):
            given["columns"] = self.columns_of(str(given["select"]))
        if given.get("type") and kind != "add-index":
            self.check_type(str(given["type"]))

    def look(self, table: Name) -> tuple[str, str]:
        """Return the CREATE statement of a table, and where it was read; empty if unknown."""
        if self.file:
            return self.file, self._path
        database = quote.string(table.database) if table.database else "currentDatabase()"
        rows = self._ask(
            "SELECT create_table_query FROM system.tables "
            f"WHERE database = {database} AND name = {quote.string(table.name)}"
        )
        if not rows:
            return "", ""
        self._tell_if_behind()
        return str(rows[0][0]), "The server's CREATE TABLE"

    def _tell_if_behind(self) -> None:
        heads = {
            str(head) for (head,) in self._ask("SELECT version_num FROM alembic_version") or ()
        }
        told = (
            f"The server is at {', '.join(sorted(heads))}, not at {self._parent}: "
            "what it says of the table may be old."
        )
        if heads and self._parent and self._parent not in heads and told not in self.notices:
            self.notices.append(told)

    def views(self, table: str) -> tuple[str, ...]:
        """Return the materialized views that read a table, as far as a server says."""
        from budeval_migrations.recipes.identifiers import read_name

        name = read_name(table)
        database = quote.string(name.database) if name.database else "currentDatabase()"
        rows = self._ask(
            "SELECT arrayJoin(dependencies_table) FROM system.tables "
            f"WHERE database = {database} AND name = {quote.string(name.name)}"
        )
        return tuple(str(view) for (view,) in rows or ())

    def columns_of(self, select: str) -> list[str]:
        """Return the columns that a SELECT yields, as a CREATE TABLE has them."""
        from budeval_migrations.recipes.identifiers import named

        rows = self._ask(f"DESCRIBE ({select})", strict=True)
        return [f"{named(str(row[0]))} {row[1]}" for row in rows or ()]

    def check_type(self, type: str) -> None:
        """Refuse a type that the server does not know."""
        if type:
            self._ask(f"SELECT defaultValueOfTypeName({quote.string(type)})", strict=True)

    def check(self, statements: list[str]) -> None:
        """Refuse what the server cannot parse; what holds a secret is not sent."""
        from budeval_migrations.sql.definition import read_definition
        from budeval_migrations.sql.redact import redact

        for statement in statements:
            if redact(statement) == statement:
                self._ask(f"SELECT formatQuery({quote.string(statement)})", strict=True)
            created = read_definition(statement)
            if created is not None and created.engine:
                for column in created.columns:
                    self.check_type(column.type)
                self._check_engine(created.engine)

    def _check_engine(self, engine: str) -> None:
        names = [str(name) for (name,) in self._ask("SELECT name FROM system.table_engines") or ()]
        if names and engine not in names:
            near = difflib.get_close_matches(engine, names, n=1)
            raise ConfigError(
                f"The server has no engine {engine}.",
                hint=f"Did you mean {near[0]}?" if near else "system.table_engines lists them.",
            )

    def _ask(self, sql: str, *, strict: bool = False) -> list[Any] | None:
        """Return the rows of a query; None where no server can be asked.

        Args:
            strict: What the server says against the SQL itself is an error.

        """
        from budeval_migrations.clickhouse.connection import Session

        if self._away:
            return None
        if self._session is None:
            self._session = Session(self._settings)
        try:
            return list(self._session.query(sql))
        except (ConnectionFailed, AccessDenied) as error:
            self._away = True
            self.notices.append(f"No server was asked: {error.message}")
        except EngineError as error:
            if strict and error.code in _WRONG:
                raise ConfigError(
                    f"ClickHouse rejected the statement: {_OUR_QUESTION.sub('', error.message)}",
                    hint="Correct it; nothing was written.",
                ) from error
            self._away = error.code == _UNKNOWN_DATABASE
        return None
