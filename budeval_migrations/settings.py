"""Where the settings come from, and what they are.

First found wins: argument, ``alembic -x key=value``, environment
(``BUDEVAL_MIGRATIONS_<NAME>``, or what ``env_prefix`` in alembic.ini says),
``[budeval_migrations]`` in alembic.ini, default. Reads files and the environment;
opens no connection. Imports ``errors`` only, so that a start-up at head pays for
nothing else.
"""

from __future__ import annotations

import configparser
import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypedDict

from budeval_migrations.errors import ConfigError
from budeval_migrations.files import read_file

ENV_PREFIX = "BUDEVAL_MIGRATIONS_"
# Only in alembic.ini, since it says where else to look.
_PREFIX = "env_prefix"
SECTION = "budeval_migrations"
DEFAULT_URL = "chdb:///./.budeval/clickhouse"
DEFAULT_DATABASE = "budeval"


@dataclass(frozen=True)
class Settings:
    """What a run needs to know.

    Attributes:
        url: SQLAlchemy URL of the server; its password is never shown.
        database: The target database, created if it is missing. Empty means: the one in
            the URL, or ``budeval``.
        environment: ``development`` allows ``reset``; anything else does not.
        cluster: The cluster to migrate, as in ``system.clusters``; ``auto`` finds it;
            empty means one server.
        ddl_timeout: Seconds to wait until every host of a cluster has run a statement.
        max_lag: Seconds that a replica may be behind for a run to begin.
        allow_inactive: Whether a run begins though hosts are unreachable or not in sync; also
            ``up --allow-inactive``.
        lock: ``auto`` takes the lock that the server can offer. ``off`` takes none: you
            answer for it that one runner starts.
        lock_timeout: Seconds to wait for somebody else's lock.
        lock_lease: Seconds after which a holder that no longer renews is dead.
        read_timeout: Seconds that the server may take to answer a question of ours. The
            statements of revisions have no limit.
        jobs: How many statements may run at the same time, where they are independent;
            also ``up --jobs`` and ``down --jobs``.
        versions: Directories that hold the revision files, with the separator of ``PATH``
            between them; empty means: as alembic.ini says.
        schema: The schema that revisions shall lead to: a file of SQL, or
            ``module:metadata``; for ``diff`` and ``alembic revision --autogenerate``.
        hooks: A module with ``before_revision(event)`` or ``after_revision(event)``.
        server_version: The ClickHouse version that a ``--sql`` script is written for, as
            numbers: ``24.8``.
        config: Path of alembic.ini; empty when there is none.

    """

    url: str = field(default=DEFAULT_URL, repr=False)
    database: str = ""
    environment: str = "production"
    cluster: str = ""
    ddl_timeout: float = 180.0
    max_lag: float = 60.0
    allow_inactive: bool = False
    lock: str = "auto"
    lock_timeout: float = 600.0
    lock_lease: float = 30.0
    read_timeout: float = 30.0
    jobs: int = 1
    versions: tuple[str, ...] = ()
    schema: str = ""
    hooks: str = ""
    server_version: str = "26.0"
    config: str = ""

    def __repr__(self) -> str:
        """Return the settings without the password of the URL."""
        scheme, _, place = self.url.partition("://")
        userinfo, at, host = (place or scheme).rpartition("@")
        name, colon, _ = userinfo.partition(":")
        user = f"{name}{':***' if colon else ''}@" if at else ""
        shown = f"{scheme if place else ''}://{user}{host.split('?')[0]}"
        rest = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"Settings(url={shown!r}, {rest})"


class Given(TypedDict, total=False):
    """What a caller may give: the settings by name, and where alembic.ini is."""

    config: str | os.PathLike[str] | None
    x: Mapping[str, str] | None
    url: str | None
    database: str | None
    environment: str | None
    cluster: str | None
    ddl_timeout: float | str | None
    max_lag: float | str | None
    allow_inactive: bool | str | None
    lock: str | None
    lock_timeout: float | str | None
    lock_lease: float | str | None
    read_timeout: float | str | None
    jobs: int | str | None
    versions: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
    schema: str | None
    hooks: str | None
    server_version: str | None


NAMES = tuple(f.name for f in fields(Settings) if f.name != "config")
# An empty one would mean another server or another database than was meant.
_NEVER_EMPTY = ("url", "database")
CHOICES = {"lock": ("auto", "off")}
FLAGS = ("allow_inactive",)
MOST_JOBS = 64
# With the least that they may be.
SECONDS = {"ddl_timeout": 0, "max_lag": 0, "lock_timeout": 0, "lock_lease": 1, "read_timeout": 1}
_SAID = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def load_settings(
    *,
    config: str | os.PathLike[str] | None = None,
    x: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    **arguments: Any,
) -> Settings:
    """Return the settings; read-only.

    Args:
        config: Path of alembic.ini. Without it, ``BUDEVAL_MIGRATIONS_CONFIG``
            and then ``./alembic.ini`` are looked at; neither has to exist. That
            variable has this name whatever ``env_prefix`` says.
        x: The ``-x key=value`` pairs of the Alembic command line.
        environ: The environment; ``os.environ`` without it.
        **arguments: Values by name; None means not given.

    Raises:
        ConfigError: Unknown name, bad value, or a file that cannot be read.

    """
    environ = os.environ if environ is None else environ
    for name in arguments:
        _known(name, "setting")
    for name in x or {}:
        _known(name, "-x option")
    path = _config_path(config, environ)
    ini = read_ini(path) if path else {}
    prefix = checked_prefix(ini.pop(_PREFIX, ENV_PREFIX))
    for name in environ:
        if name.startswith(prefix) and name != ENV_PREFIX + "CONFIG":
            _known(name[len(prefix) :].lower(), "environment variable", prefix)
    values: dict[str, Any] = {"config": str(path) if path else ""}
    for name in NAMES:
        found = arguments.get(name)
        if found is None and x:
            found = x.get(name)
        if found is None:
            found = environ.get(prefix + name.upper())
        if found is None:
            found = ini.get(name)
        if found == "" and name in _NEVER_EMPTY:
            raise ConfigError(
                f"{name} is given, and is empty.",
                hint=f"Say which {name} is meant, or leave it out. A variable that is not set?",
            )
        if found is not None and found != "":
            values[name] = _convert(name, found)
    if not values.get("versions") and path:
        values["versions"] = version_locations(path)
    return Settings(**values)


def check_on_ahead(value: str) -> None:
    """Refuse an ``on_ahead`` that is neither ``warn`` nor ``error`` with a ConfigError."""
    if value not in ("warn", "error"):
        raise ConfigError(f"on_ahead cannot be {value!r}.", hint="Choose warn or error.")


def check_database(name: str) -> None:
    """Raise where a database is ClickHouse's own, which forgets what is written into it.

    Raises:
        ConfigError: Names it.

    """
    if name.lower() in ("system", "information_schema"):
        raise ConfigError(
            f"The database {name} is ClickHouse's own.", hint="Name one of yours with --database."
        )


def checked_prefix(prefix: str) -> str:
    """Return what environment variables begin with.

    Raises:
        ConfigError: Others might begin with it too.

    """
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*_", prefix):
        raise ConfigError(
            f"{_PREFIX} cannot be {prefix!r}.",
            hint="Capital letters, digits and _, with _ at the end: SHOP_MIGRATIONS_.",
        )
    return prefix


def read_ini(path: Path) -> dict[str, str]:
    """Return ``[budeval_migrations]`` of an ini file; read-only.

    Raises:
        ConfigError: The file is not there, is not an ini file, or has an option
            of another name.

    """
    parser = _parse(path)
    if not parser.has_section(SECTION):
        return {}
    inherited = parser.defaults()
    options = {k: v for k, v in _items(parser, path).items() if k not in inherited}
    for name in options.keys() - {_PREFIX}:
        _known(name, f"option in [{SECTION}] of {path.name}:")
    return options


def version_locations(path: Path) -> tuple[str, ...]:
    """Return the directories that alembic.ini names for revision files; read-only.

    Follows Alembic's own reading of ``version_locations``, ``script_location``
    and ``path_separator``; relative paths count from the working directory:
    https://alembic.sqlalchemy.org/en/latest/branches.html#setting-up-multiple-version-directories
    """
    parser = _parse(path)
    if not parser.has_section("alembic"):
        return ()
    try:
        option = {k: parser.get("alembic", k) for k in parser.options("alembic") if k in _LOCATIONS}
    except configparser.Error as error:
        raise ConfigError(f"{path}: {error}") from error
    listed = option.get("version_locations", "")
    if listed:
        separator = option.get("path_separator") or option.get("version_path_separator", "")
        parts = _split_locations(listed, separator)
    elif "script_location" in option:
        parts = [os.path.join(option["script_location"], "versions")]
    else:
        return ()
    return tuple(os.path.abspath(part) for part in parts)


_LOCATIONS = ("version_locations", "script_location", "path_separator", "version_path_separator")
_SEPARATORS = {"os": os.pathsep, ":": ":", ";": ";", "space": " ", "newline": "\n"}


def _split_locations(listed: str, separator: str) -> list[str]:
    if separator:
        parts = listed.split(_SEPARATORS.get(separator, separator))
    else:
        parts = re.split(r", *|(?: +)", listed)
    return [part.strip() for part in parts if part.strip()]


def _config_path(given: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> Path | None:
    named = given if given is not None else environ.get(ENV_PREFIX + "CONFIG")
    if named:
        path = Path(named)
        if not path.is_file():
            raise ConfigError(
                f"There is no configuration file {path}.",
                hint="Name an existing alembic.ini with --config, or run where one is.",
            )
        return path
    path = Path("alembic.ini")
    return path if path.is_file() else None


def _parse(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser({"here": str(path.resolve().parent)})
    hint = "alembic.ini has [sections] with lines name = value."
    text = read_file(path, hint)
    try:
        parser.read_string(text, source=str(path))
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be read: {reason}", hint=hint) from error
    return parser


def _items(parser: configparser.ConfigParser, path: Path) -> dict[str, str]:
    try:
        return dict(parser.items(SECTION))
    except configparser.InterpolationError as error:
        raise ConfigError(
            f"{path}: option {error.option!r} of [{SECTION}] has a % that stands alone.",
            hint="Write %% for a percent sign in an ini file.",
        ) from None


def _known(name: str, what: str, prefix: str = "") -> None:
    if name in NAMES:
        return
    near = difflib.get_close_matches(name, NAMES, n=1)
    shown = prefix + name.upper() if prefix else name
    if near:
        best = prefix + near[0].upper() if prefix else near[0]
        hint = f"Did you mean {best}?"
    else:
        hint = "Known: " + ", ".join(prefix + n.upper() if prefix else n for n in NAMES) + "."
    raise ConfigError(f"Unknown {what} {shown}.", hint=hint)


def _convert(name: str, value: Any) -> Any:
    if name in SECONDS:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1.0
        least = SECONDS[name]
        if not least <= number < float("inf"):
            raise ConfigError(
                f"{name} must be a number of seconds, not {value!r}.",
                hint=f"{name} must be at least {least}." if least else "Such as 60.",
            )
        return number
    if name == "jobs":
        if not str(value).isdecimal() or not 1 <= int(value) <= MOST_JOBS:
            raise ConfigError(
                f"jobs must be a number from 1 to {MOST_JOBS}, not {value!r}.", hint="Such as 4."
            )
        return int(value)
    if name in FLAGS:
        said = _SAID.get(str(value).lower())
        if said is None:
            raise ConfigError(f"{name} cannot be {value!r}.", hint="Choose yes or no.")
        return said
    if name in CHOICES and value not in CHOICES[name]:
        near = difflib.get_close_matches(str(value), CHOICES[name], n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose {' or '.join(CHOICES[name])}."
        raise ConfigError(f"{name} cannot be {value!r}.", hint=hint)
    if name == "versions":
        if isinstance(value, (str, os.PathLike)):
            value = [part for part in os.fspath(value).split(os.pathsep) if part]
        return tuple(os.path.abspath(part) for part in value)
    if name == "server_version" and not re.match(r"\d+(\.\d+)*$", str(value)):
        raise ConfigError(
            f"server_version cannot be {value!r}.", hint="Write it as numbers, such as 24.8."
        )
    return str(value)
