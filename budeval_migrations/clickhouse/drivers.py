"""Which drivers there are: what each scheme of URL needs, takes and sends. No I/O.

An installed package adds a scheme by an entry point of the group
``budeval_migrations.transports``: a :class:`Driver` whose name is the scheme, as in
``clickhouse+ssh``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any
from urllib.request import getproxies

from sqlalchemy.engine import URL

from budeval_migrations.clickhouse.transports.base import Context, Transport
from budeval_migrations.clickhouse.transports.embedded import EmbeddedTransport
from budeval_migrations.clickhouse.transports.http import HttpTransport, connect_post, requests_post
from budeval_migrations.clickhouse.transports.native import NativeTransport
from budeval_migrations.errors import ConfigError
from budeval_migrations.plugins import REMEDY, find, load

GROUP = "budeval_migrations.transports"


def _nothing(*_: object) -> None:
    pass


def _no_arguments(url: URL, read_timeout: float) -> dict[str, Any]:
    return {}


def _as_it_is(url: URL) -> URL:
    return url


@dataclass(frozen=True)
class Driver:
    """What a scheme of URL means.

    Attributes:
        package: What has to be importable.
        remedy: What to do where it is not: ``pip install …``.
        dialect: SQLAlchemy's dialect, as ``module:class``.
        transport: Returns the way to send SQL over an open connection: gets the DBAPI
            connection, the target database, and what a transport needs to know.
        options: What the dialect takes from the URL for itself; the rest are settings of
            ClickHouse, which are checked. None where the driver checks and sends them itself.
        send_settings: Has the DBAPI connection send the URL's settings from now on.
        timeout: The option of the URL that says how many seconds an answer may take.
        engine_url: Returns the URL that SQLAlchemy gets.
        arguments: Returns the arguments of its connection, from the URL and the seconds
            that an answer may take.

    """

    package: str
    remedy: str
    dialect: str
    transport: Callable[[Any, str, Context], Transport]
    options: frozenset[str] | None = None
    send_settings: Callable[[Any, Mapping[str, str]], None] = _nothing
    timeout: str = "send_receive_timeout"
    engine_url: Callable[[URL], URL] = _as_it_is
    arguments: Callable[[URL, float], dict[str, Any]] = _no_arguments

    def own_timeout(self, url: URL) -> float | None:
        """Return the seconds that a URL gives for an answer; None where it says none."""
        try:
            return float(url.query[self.timeout]) or None  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError):  # the last two the driver refuses itself
            return None

    def settings_in(self, url: URL) -> dict[str, str]:
        """Return the settings of ClickHouse in a URL, if the driver leaves them to us."""
        if self.options is None:
            return {}
        return {
            name: value if isinstance(value, str) else value[-1]
            for name, value in url.query.items()
            if name not in self.options and not name.startswith(_HEADER)
        }


@cache  # each session asks several times; installed packages do not change meanwhile
def find_driver(scheme: str) -> Driver:
    """Return the driver of a URL's scheme.

    Raises:
        ConfigError: No driver, or two, have this scheme, or an installed one cannot be loaded.

    """
    if scheme in _DRIVERS:
        return _DRIVERS[scheme]
    point = find(GROUP, scheme, "transport")
    if point is not None:
        found = load(point, "transport")
        if not isinstance(found, Driver):
            raise ConfigError(
                f"The transport {scheme} ({point.value}) is not a Driver.",
                hint=REMEDY,
            )
        return found
    known = [*_DRIVERS, *entry_points(group=GROUP).names]
    near = difflib.get_close_matches(scheme, known, n=1, cutoff=0.5)
    listed = "chdb://, clickhouse+http://, clickhouse+native:// or clickhousedb://"
    raise ConfigError(
        f"{scheme}:// is not a ClickHouse URL.",
        hint=f"Did you mean {near[0]}://?" if near else f"Use {listed}.",
    )


def _http_url(url: URL) -> URL:
    url = url.difference_update_query(HTTP.settings_in(url))
    # clickhouse-sqlalchemy writes the host as it is.
    return url.set(host=f"[{url.host}]") if url.host and ":" in url.host else url


def _connect_arguments(url: URL, read_timeout: float) -> dict[str, Any]:
    """Return arguments for clickhouse-connect, which asks the server while it connects."""
    arguments: dict[str, Any] = {}
    if CONNECT.own_timeout(url) is None:
        arguments["send_receive_timeout"] = max(int(read_timeout), 1)  # whole seconds
    # With options of TLS or a proxy, its own connections are needed.
    own = ("verify", "ca_cert", "client_cert", "server_host_name", "http_proxy", "https_proxy")
    if not any(name in url.query for name in own) and not getproxies():
        from urllib3 import PoolManager

        from budeval_migrations.clickhouse.transports.http_client import seeing_through

        arguments["pool_mgr"] = seeing_through(PoolManager(retries=False))
    return arguments


_HEADER = "header__"
EMBEDDED = Driver(
    "chdb_sqlalchemy",
    "pip install 'budeval-migrations[embedded]'",
    "chdb_sqlalchemy.dialect:ChdbDialect",
    EmbeddedTransport,
)
# What the drivers of clickhouse-sqlalchemy take for their own: drivers/http/{base,transport}.py
# (0.3.2); clickhouse-driver's util/helpers.py (0.2.10).
HTTP = Driver(
    "clickhouse_sqlalchemy",
    "pip install clickhouse-sqlalchemy",
    "clickhouse_sqlalchemy.drivers.http.base:ClickHouseDialect_http",
    lambda raw, _, context: HttpTransport(requests_post(raw.transport), context),
    frozenset(
        {"protocol", "endpoint", "engine_reflection", "timeout", "verify", "cert", "unicode_errors"}
        | {"ddl_timeout"}
    ),
    send_settings=lambda raw, settings: raw.transport.ch_settings.update(settings),
    timeout="timeout",
    engine_url=_http_url,
)
NATIVE = Driver(
    "clickhouse_driver",
    "pip install clickhouse-driver",
    "clickhouse_sqlalchemy.drivers.native.base:ClickHouseDialect_native",
    lambda raw, _, context: NativeTransport(raw.transport, context),
    frozenset(
        {"compression", "secure", "use_numpy", "round_robin", "client_name", "connect_timeout"}
        | {"send_receive_timeout", "sync_request_timeout", "compress_block_size", "tcp_keepalive"}
        | {"settings_is_important", "client_revision", "verify", "check_hostname", "ssl_version"}
        | {"ca_certs", "ciphers", "keyfile", "keypass", "certfile", "server_hostname", "alt_hosts"}
        | {"engine_reflection"}
    ),
)
CONNECT = Driver(
    "clickhouse_connect",
    "pip install 'budeval-migrations[connect]'",
    "clickhouse_connect.cc_sqlalchemy.dialect:ClickHouseDialect",
    lambda raw, _, context: HttpTransport(connect_post(raw.client, context.own_timeout), context),
    arguments=_connect_arguments,
)
_DRIVERS = {
    "chdb": EMBEDDED,
    "chdb+dbapi": EMBEDDED,
    "clickhouse": HTTP,
    "clickhouse+http": HTTP,
    "clickhouse+native": NATIVE,
    "clickhousedb": CONNECT,
    "clickhousedb+connect": CONNECT,
}
