"""Read, check and show the URL of a server. No I/O."""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Sequence
from urllib.parse import quote

from sqlalchemy.dialects import registry
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from budeval_migrations.clickhouse.drivers import find_driver
from budeval_migrations.errors import ConfigError
from budeval_migrations.settings import DEFAULT_DATABASE, Settings, check_database

_PROXY = re.compile(r"//[^/@:\s]*:([^@\s]+)@")
_SECRET_OPTIONS = ("password", "secret", "token", "key", "auth")


def parse_url(settings: Settings) -> URL:
    """Return the URL to connect to, with the target database in it.

    A ``chdb`` URL names a directory and no database, so it is returned as it is.

    Raises:
        ConfigError: Not a URL, a scheme that is not ClickHouse's, or a package
            that is not installed.

    """
    try:
        url = make_url(settings.url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "The URL cannot be read; it is not shown because it may hold a password.",
            hint="Write it as clickhouse+http://user:password@host:8123/database; "
            "percent-encode special characters of the password.",
        ) from None
    _check_driver(url)
    if is_embedded(url):
        if not url.database:
            raise ConfigError(
                "The chdb:// URL names no directory.",
                hint="Write chdb:///./relative/dir or chdb:////absolute/dir.",
            )
        return url
    if _is_torn(settings.url, url):
        raise ConfigError(
            "The URL has more than one @; it is not shown because it may hold a password.",
            hint="Percent-encode special characters of the password: @ is %40.",
        )
    if not url.host:
        raise ConfigError(
            f"The {url.drivername}:// URL names no host.",
            hint=f"Write {url.drivername}://user:password@host/database.",
        )
    if url.database and "/" in url.database:
        raise ConfigError(
            f"The URL's path is {url.database}, and only the database's name can stand there.",
            hint="A path before ClickHouse is the option endpoint: ?endpoint=some/path.",
        )
    if url.port is not None and not 0 < url.port < 65536:
        raise ConfigError(
            f"There is no port {url.port} in {url.drivername}://{url.host}.",
            hint="A port is a number from 1 to 65535; ClickHouse's are 8123 (HTTP), 9000 (native).",
        )
    _check_settings(url)
    return url.set(database=database_name(settings, url))


def _check_driver(url: URL) -> None:
    """Refuse a scheme that is not ClickHouse's, or whose package is not installed."""
    driver = find_driver(url.drivername)
    if importlib.util.find_spec(driver.package) is None:
        raise ConfigError(
            f"A {url.drivername}:// URL needs the package {driver.package}, which is not "
            "installed.",
            hint=f"{driver.remedy}.",
        )


def _check_settings(url: URL) -> None:
    """Refuse a setting with which nobody would know what became of a statement."""
    if not url.query:
        return  # at head nothing else needs to read SQL
    from budeval_migrations.sql.session_settings import why_no_proof

    for name, values in url.query.items():
        for value in [values] if isinstance(values, str) else values:
            if why := why_no_proof(name, value):
                hint = "Leave it out: nobody would know what became of a statement."
                if name == "database":
                    hint = "Write the database as the path of the URL, behind the host."
                raise ConfigError(f"With {name} in the URL {why}.", hint=hint)


def _is_torn(text: str, url: URL) -> bool:
    """Return whether a password with an @ was taken for a shorter one and a part of the rest."""
    plain = re.sub(r"=[^&]*", "", text)  # an option may hold a URL of its own
    return plain.count("@") > 1 or "@" in f"{url.host}{url.database}"


def know_dialect(url: URL) -> None:
    """Tell SQLAlchemy where a URL's dialect is.

    It would find out itself, by reading what every installed package says of itself: a
    tenth of a start-up at head.
    """
    name = url.drivername.replace("+", ".")
    if name not in registry.impls:
        module, _, dialect = find_driver(url.drivername).dialect.partition(":")
        registry.register(name, module, dialect)


def is_embedded(url: URL) -> bool:
    """Return whether the URL means ClickHouse in this process."""
    return url.get_backend_name() == "chdb"


def embedded_path(url: URL) -> str:
    """Return the directory of a chdb URL as chdb-sqlalchemy reads it."""
    path = str(url.database or "")
    if path == ":memory:":
        return os.curdir  # is always there
    if path.startswith(("./", "../")):
        return os.path.abspath(path)
    return path if path.startswith("/") else "/" + path


def database_name(settings: Settings, url: URL) -> str:
    """Return the database to migrate: the setting, else the URL's, else ``budeval``.

    Raises:
        ConfigError: The two differ; or it is one of ClickHouse's own, which hold nothing
            over a restart.

    """
    theirs = "" if is_embedded(url) else url.database
    # Whoever means no database in particular writes default: it is where a client is at first.
    if settings.database and theirs not in (None, "", "default", settings.database):
        raise ConfigError(
            f"The URL names the database {theirs}, and the setting database {settings.database}.",
            hint="Name one of them, or the same in both.",
        )
    name = settings.database or theirs or DEFAULT_DATABASE
    check_database(name)
    return name


def unknown_setting(name: str, settings: Sequence[str], url: URL) -> ConfigError:
    """Return the refusal of an option that neither driver nor server knows.

    Args:
        settings: The names that the server knows.

    """
    options = find_driver(url.drivername).options or ()
    near = difflib.get_close_matches(name, [*options, *settings], n=1)
    return ConfigError(
        f"{name} in the URL is no option of {url.drivername}:// and no setting of the server.",
        hint=f"Did you mean {near[0]}?" if near else "Leave it out.",
    )


def shown_url(url: URL) -> str:
    """Return the URL for people: without its password and secret options."""
    query = {k: "***" if _secret(k) or _userinfo(v) else v for k, v in url.query.items()}
    shown = url.set(query=query).render_as_string(hide_password=True)
    return shown.replace("%2A%2A%2A", "***")


def secrets_of(url: URL) -> tuple[str, ...]:
    """Return every text of the URL that must not be shown, in both spellings."""
    found: list[str] = [url.password] if url.password else []
    for key, value in url.query.items():
        if _secret(key):
            found.extend([value] if isinstance(value, str) else value)
        found.extend(_userinfo(value))
    return tuple(dict.fromkeys([*found, *(quote(s, safe="") for s in found)]))


def _userinfo(value: str | tuple[str, ...]) -> list[str]:
    """Return the passwords of URLs within an option, such as a proxy's."""
    values = [value] if isinstance(value, str) else value
    return [found[1] for text in values for found in _PROXY.finditer(text)]


def _secret(option: str) -> bool:
    return any(word in option.lower() for word in _SECRET_OPTIONS)
