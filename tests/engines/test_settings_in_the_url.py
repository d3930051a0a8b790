"""ClickHouse settings in the URL go with every statement; what nobody knows is refused."""

from __future__ import annotations

from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ConfigError, MigrationError
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

pytestmark = pytest.mark.every_engine

servers = pytest.mark.parametrize(
    "engine_url",
    engine_parameters("modern-http", "modern-connect", "old-http", "old-native"),
    indirect=True,
)
SEEN = (
    "INSERT INTO seen SELECT name, value FROM system.settings "
    "WHERE name IN ('max_block_size', 'join_use_nulls')"
)


def options(workspace: Workspace, query: str) -> dict[str, Any]:
    return {**workspace.options, "url": f"{workspace.options['url']}?{query}"}


def write(workspace: Workspace) -> None:
    create = "CREATE TABLE seen (name String, value String) ENGINE = MergeTree ORDER BY name"
    workspace.project.write_revision("001_a", None, [create, SEEN])
    workspace.project.write_revision("002_b", "001_a", ["SET join_use_nulls = 0", SEEN])


@servers
def test_settings_go_with_every_statement_and_a_set_wins(workspace: Workspace) -> None:
    write(workspace)
    bm.upgrade(**options(workspace, "max_block_size=1234&join_use_nulls=1"))
    rows = workspace.rows("SELECT name, value FROM seen ORDER BY name, value")
    assert [(str(name), str(value)) for name, value in rows] == [
        ("join_use_nulls", "0"),
        ("join_use_nulls", "1"),
        ("max_block_size", "1234"),
        ("max_block_size", "1234"),
    ]


@servers
def test_what_neither_driver_nor_server_knows_is_refused(workspace: Workspace) -> None:
    write(workspace)
    with pytest.raises(MigrationError) as caught:
        bm.upgrade(**options(workspace, "max_blok_size=1"))
    assert "max_blok_size" in caught.value.message
    if not workspace.target.url.startswith("clickhousedb"):
        assert isinstance(caught.value, ConfigError)
        assert caught.value.hint == "Did you mean max_block_size?"
    assert bm.status(**workspace.options).current == ()


@servers
def test_options_of_the_driver_stay_its_own(workspace: Workspace) -> None:
    write(workspace)
    native = "native" in workspace.target.url
    option = "connect_timeout=7" if native else "timeout=70"
    if workspace.target.url.startswith("clickhousedb"):
        option = "connect_timeout=7"
    assert bm.upgrade(**options(workspace, option)).applied == ("001_a", "002_b")


@pytest.mark.parametrize("scheme", ["clickhouse+http", "clickhouse+native", "clickhousedb"])
def test_a_path_is_not_dropped_in_silence(scheme: str) -> None:
    with pytest.raises(ConfigError, match="The URL's path is some/path/shop"):
        bm.status(url=f"{scheme}://h/some/path/shop")


@pytest.mark.parametrize("scheme", ["clickhouse+http", "clickhouse+native", "clickhousedb"])
@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("wait_for_async_insert=0", "the server answers before it is done"),
        ("run_query_in_background=1", "the server answers before it is done"),
        ("ignore_drop_queries_probability=1", "the server says that it dropped what it did not"),
        ("dialect=prql", "the statements are not SQL"),
        ("database=other", "the statement is about another database than it says"),
    ],
)
def test_a_setting_that_makes_answers_worthless_is_refused(
    scheme: str, option: str, why: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        bm.status(url=f"{scheme}://h/shop?{option}")
    assert caught.value.message == f"With {option.partition('=')[0]} in the URL {why}."
