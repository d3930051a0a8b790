"""The settings, from the class that holds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

from budeval_migrations import settings
from budeval_migrations.settings import Settings
from docs.site.reference import docstring
from docs.site.reference.markdown import code, inline, page, table

_WHERE = """\
First found wins: argument, `alembic -x key=value`, environment, `[budeval_migrations]` in
alembic.ini, default. Options of a command are arguments: `--url`, `up --jobs`.\
"""
_NAMES = f"""\
`env_prefix` in alembic.ini is what the variables begin with instead of `{settings.ENV_PREFIX}`: two
projects can stand side by side in one environment. Every variable that begins with it has to be a
setting.

`{settings.ENV_PREFIX}CONFIG` (whatever the prefix) or `--config` names alembic.ini; without either
it is `./alembic.ini`. An unknown name in any of these places is an error that names the nearest
one.\
"""
_EXAMPLE = """\
[budeval_migrations]
url = clickhouse+http://user@host:8123
database = shop
lock_timeout = 60\
"""
_URLS = (
    ("chdb:///./dir", "ClickHouse in the process, its data below the working directory"),
    ("chdb:////dir", "the same, with an absolute path"),
    ("clickhouse+http://user:password@host:8123", "HTTP, by clickhouse-sqlalchemy"),
    ("clickhouse+native://user:password@host:9000", "native protocol, by clickhouse-sqlalchemy"),
    ("clickhousedb://user:password@host:8123", "HTTP, by clickhouse-connect (extra `connect`)"),
)
_ENCODED = """\
Special characters of the password are percent-encoded. In alembic.ini a `%` is written `%%`.\
"""


def text() -> str:
    """Return the page."""
    head = ("setting", "environment", "default", "values", "what it is")
    return page(
        "Settings",
        "budeval_migrations.settings",
        _WHERE,
        table(head, _rows()),
        _NAMES,
        code(_EXAMPLE, "ini"),
        "## URLs",
        table(("URL", "what it leads to"), ((f"`{url}`", what) for url, what in _URLS)),
        _ENCODED,
    )


def _rows() -> Iterator[tuple[str, ...]]:
    said = docstring.read(Settings).attributes
    for each in fields(Settings):
        if each.name in settings.NAMES:
            variable = f"`{settings.ENV_PREFIX}{each.name.upper()}`"
            default = _default(each.default)
            yield f"`{each.name}`", variable, default, _values(each.name), inline(said[each.name])


def _default(value: object) -> str:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return f"`{shown}`" if value not in ("", ()) else "empty"


def _values(name: str) -> str:
    if name in settings.CHOICES:
        return ", ".join(f"`{choice}`" for choice in settings.CHOICES[name])
    if name in settings.FLAGS:
        return "`yes`, `no`"
    if name in settings.SECONDS:
        return f"seconds, {settings.SECONDS[name]} or more"
    return f"1 to {settings.MOST_JOBS}" if name == "jobs" else "text"
