"""Read revision files into what the rules of lint look at; opens no connection."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from types import ModuleType

from alembic.script import Script
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import SQLAlchemyError

from budeval_migrations.alembic_ext.compile import ONE_AT_A_TIME, Compiler, has_downgrade
from budeval_migrations.clickhouse.url import database_name, parse_url, secrets_of
from budeval_migrations.errors import ConfigError
from budeval_migrations.linter.known import Tables
from budeval_migrations.linter.registry import rules
from budeval_migrations.linter.report import lint_subjects
from budeval_migrations.linter.subject import Subject, read_statements
from budeval_migrations.linter.waivers import upgrade_line
from budeval_migrations.model import Direction, RevisionFile
from budeval_migrations.model.findings import LintReport
from budeval_migrations.revisions.directory import read_files, read_text, shown_path, sql_files
from budeval_migrations.revisions.script import load_graph, open_directory
from budeval_migrations.settings import Settings
from budeval_migrations.sql.redact import Redactor


def lint_files(
    settings: Settings, paths: Sequence[str], select: Collection[str], ignore: Collection[str]
) -> LintReport:
    """Return what the rules find in revision files; read-only, offline.

    Args:
        paths: The files to report, revisions' or the SQL files that they execute; empty
            for all. The others are context.
        select: The codes of the rules to apply; empty for all.
        ignore: The codes of the rules to leave out.

    Raises:
        ConfigError: A path is no revision's, or a code no rule's.
        RevisionError: The files do not import, compile or form a graph.

    """
    codes = _codes(select, ignore)
    files = read_files(settings)
    wanted = _wanted(files, paths)
    subjects = read_subjects(settings, files)
    return lint_subjects((each for each in subjects if each.revision in wanted), codes)


def read_subjects(settings: Settings, files: dict[str, RevisionFile]) -> Iterator[Subject]:
    """Yield every revision as rules see it, parents before children."""
    redact, home = _of_the_url(settings)
    directory = open_directory(settings.versions)
    compiler = Compiler(_dialect(settings), redact)
    with ONE_AT_A_TIME:
        graph = load_graph(directory, files, redact)
    awaited = Counter(parent for node in graph.values() for parent in node.parents)
    left: dict[str, Tables] = {}
    for revision, node in graph.items():
        before = reduce(Tables.common, [left[name] for name in node.parents] or [Tables(home)])
        # The tables of a thousand revisions are let go of as soon as no child needs them.
        awaited.subtract(node.parents)
        left = {name: tables for name, tables in left.items() if awaited[name]}
        script = directory.get_revision(revision)
        assert script is not None, revision
        subject, left[revision] = _read(compiler, script, files[revision], before)
        yield replace(subject, cluster=settings.cluster)


def _read(
    compiler: Compiler, script: Script, file: RevisionFile, before: Tables
) -> tuple[Subject, Tables]:
    """Return one revision as rules see it, and the tables that its upgrade leaves."""
    compiled = compiler.compile(script, Direction.UP)
    up, after = read_statements(compiled, before)
    down, dynamic = None, compiled.dynamic
    if has_downgrade(script):
        compiled = compiler.compile(script, Direction.DOWN)
        down, _ = read_statements(compiled, after)
        dynamic |= compiled.dynamic
    source = read_text(Path(file.path))
    subject = Subject(
        revision=script.revision,
        file=shown_path(file.path),
        source=source,
        line=upgrade_line(source),
        up=up,
        down=down,
        dynamic=dynamic,
        irreversible=_reason(script.module, "irreversible"),
        destructive=_reason(script.module, "destructive"),
    )
    return subject, after


def _reason(module: ModuleType, name: str) -> str:
    """Return the reason that a module attribute gives; True gives none."""
    said = getattr(module, name, "")
    return said.strip() if isinstance(said, str) else ""


def _dialect(settings: Settings) -> Dialect:
    """Return what renders Alembic's own directives; the database's package need not be there."""
    from clickhouse_sqlalchemy.drivers.http.base import ClickHouseDialect_http

    try:
        return make_url(settings.url).get_dialect()()
    except (SQLAlchemyError, ImportError, ValueError):
        dialect: Dialect = ClickHouseDialect_http()
        return dialect


def _of_the_url(settings: Settings) -> tuple[Redactor, str]:
    """Return what hides the URL's secrets, and the database that it leads to.

    A URL that cannot be used, or whose package is not installed, is none of lint's concern.
    """
    try:
        url = parse_url(settings)
    except ConfigError:
        return Redactor(()), settings.database
    return Redactor(secrets_of(url)), database_name(settings, url)


def _codes(select: Iterable[str], ignore: Iterable[str]) -> list[str]:
    """Return the codes to apply."""
    chosen = [_known(code) for code in select] or list(rules())
    left_out = {_known(code) for code in ignore}
    return [code for code in dict.fromkeys(chosen) if code not in left_out]


def _known(code: str) -> str:
    """Return a rule's code in capitals.

    Raises:
        ConfigError: There is no such rule.

    """
    if code.upper() in rules():
        return code.upper()
    names = {rule.name: rule.code for rule in rules().values()}
    near = difflib.get_close_matches(code.upper(), rules(), n=1) or [
        names[name] for name in difflib.get_close_matches(code.lower(), names, n=1)
    ]
    hint = f"Did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"There is no rule {code!r}.",
        hint=f"{hint}budeval-migrate lint --list shows them all.",
    )


def _wanted(files: dict[str, RevisionFile], paths: Sequence[str]) -> set[str]:
    """Return the revisions that paths mean: all without one."""
    if not paths:
        return set(files)
    homes: dict[str, set[str]] = {}
    for name, file in files.items():
        path = Path(file.path)
        beside = [path.parent / included for included in sql_files(read_text(path))]
        for each in (path, *beside):
            homes.setdefault(os.path.realpath(each), set()).add(name)
    wanted: set[str] = set()
    for given in paths:
        found = homes.get(os.path.realpath(given))
        if found is None:
            raise _not_a_revision(given, homes, files)
        wanted |= found
    return wanted


def _not_a_revision(
    given: str, homes: Collection[str], files: dict[str, RevisionFile]
) -> ConfigError:
    if not os.path.exists(given):
        names = {os.path.basename(home): home for home in homes}
        stem = os.path.basename(given)
        near = difflib.get_close_matches(stem, names, n=1, cutoff=0.5)
        if stem in files:
            near = [f"{stem}.py"]
        hint = (
            f"Did you mean {shown_path(names[near[0]])}?"
            if near
            else "Without a FILE, all are looked at."
        )
        return ConfigError(f"There is no file {given}.", hint=hint)
    return ConfigError(
        f"{given} is no revision file, nor an SQL file that a revision executes.",
        hint="Revision files are the .py files of the versions directory; without a FILE all are "
        "looked at.",
    )
