"""What a user's profile does to results does not change what ledger and journal say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import MigrationError
from tests.engines.profiles import live, telling_values, write_project, wrong_settings
from tests.support import targets
from tests.support.servers import ChdbFront, OldServer

# Parts in which all the settings of the newest ClickHouse are tried.
_PARTS = 40
CUTTING = (
    {"limit": "5"},
    {"limit": "1"},
    {"max_result_rows": "5", "result_overflow_mode": "'break'"},
    {"max_rows_to_read": "5", "read_overflow_mode": "'break'"},
    {"max_rows_in_set": "5", "set_overflow_mode": "'break'"},
    {"max_rows_to_group_by": "5", "group_by_overflow_mode": "'any'"},
    {"max_rows_to_sort": "5", "sort_overflow_mode": "'break'"},
    {"max_rows_in_distinct": "5", "distinct_overflow_mode": "'break'"},
    {"max_rows_in_join": "5", "join_overflow_mode": "'break'"},
    {"offset": "1"},
    {"additional_result_filter": "'0'"},
    {"additional_table_filters": "{'schema_migrations': '0', 'schema_migrations_journal': '0'}"},
    {"extremes": "1"},
    {"aggregate_functions_null_for_empty": "1"},
)
# With this a server says that it did what it did not.
LYING = ({"ignore_drop_queries_probability": "1"},)
REFUSING = (
    {"force_primary_key": "1"},
    {"use_query_cache": "1"},
    {"data_type_default_nullable": "1"},
    {"max_rows_to_read": "5"},
    {"implicit_transaction": "1"},
    {"max_ast_elements": "5"},
    {"max_expanded_ast_elements": "1"},
    {"memory_tracker_fault_probability": "1"},
    {"max_memory_usage_for_user": "1"},
    {"max_rows_to_read_leaf": "5"},
    {"parts_to_throw_insert": "1"},
    {"query_plan_max_optimizations_to_apply": "1"},
    {"allow_ddl": "0"},
)
OLD = tuple(
    profile
    for profile in (*CUTTING, *REFUSING)
    if not profile.keys()
    & {
        "additional_result_filter",
        "additional_table_filters",
        "aggregate_functions_null_for_empty",
        "data_type_default_nullable",
        "implicit_transaction",
        "join_overflow_mode",
        "limit",
        "max_expanded_ast_elements",
        "max_rows_to_read_leaf",
        "parts_to_throw_insert",
        "query_plan_max_optimizations_to_apply",
        "memory_tracker_fault_probability",
        "offset",
        "use_query_cache",
    }
)


@pytest.fixture(scope="module")
def oldest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OldServer]:
    """ClickHouse 18.16 with profiles of its own."""
    targets.require_old_server()
    with OldServer(tmp_path_factory.mktemp("oldest")) as server:
        yield server


@pytest.mark.parametrize("profile", [{}, *CUTTING, *LYING, *REFUSING], ids=str)
def test_a_profile_changes_nothing_or_is_named(
    modern: ChdbFront, tmp_path: Path, database: str, profile: dict[str, str]
) -> None:
    life = live(modern, write_project(tmp_path / "project"), database, profile)
    assert life.wrong == []


@pytest.mark.parametrize("profile", [{}, *OLD], ids=str)
def test_a_profile_of_18_16_changes_nothing_or_is_named(
    oldest: OldServer, tmp_path: Path, database: str, profile: dict[str, str]
) -> None:
    life = live(oldest, write_project(tmp_path / "project"), database, profile)
    assert life.wrong == []


def test_a_profile_that_cuts_our_queries_is_not_refused(
    modern: ChdbFront, tmp_path: Path, database: str
) -> None:
    for profile in CUTTING[:4]:
        life = live(modern, write_project(tmp_path / "project"), database, profile)
        assert life.refusals == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(_PARTS))
def test_no_setting_of_the_newest_clickhouse_falsifies_the_ledger(
    modern: ChdbFront, tmp_path: Path, database: str, part: int
) -> None:
    project = write_project(tmp_path / "project")
    every = [*telling_values(modern)]
    assert len(every) > 2000
    assert wrong_settings(modern, project, database, every[part::_PARTS]) == {}


@pytest.mark.exhaustive
def test_no_setting_of_18_16_falsifies_the_ledger(
    oldest: OldServer, tmp_path: Path, database: str
) -> None:
    project = write_project(tmp_path / "project")
    every = [*telling_values(oldest)]
    assert len(every) > 300
    assert wrong_settings(oldest, project, database, every) == {}


def test_a_reader_whose_profile_cuts_results_is_told_of_it(
    oldest: OldServer, tmp_path: Path, database: str
) -> None:
    """Nobody can lift a limit with readonly = 1, and some of the rows are a lie."""
    project = write_project(tmp_path / "project")
    options: dict[str, Any] = {
        "url": oldest.url("clickhouse+http", database),
        "database": database,
        "versions": [str(project.versions)],
        "lock": "off",
    }
    bm.upgrade(**options)
    cuts = {"max_result_rows": "5", "result_overflow_mode": "'break'", "readonly": "1"}
    oldest.set_profile(database, cuts)
    try:
        with pytest.raises(MigrationError) as caught:
            bm.status(**options)
    finally:
        oldest.set_profile(database, {})
    assert "Cannot override setting (max_result_rows) in readonly mode" in caught.value.message
    assert caught.value.hint.startswith(
        "A setting of the user's profile would falsify the answer, and readonly = 1 does not let "
        "us set it back. Take it out of the profile, or give the user readonly = 2."
    )
    assert "max_result_rows, result_overflow_mode, readonly" in caught.value.hint
