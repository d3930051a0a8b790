"""What a server of a given version can do, and how its version is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.clickhouse.capabilities import Features, parse_version

# ability -> the last version without it, and the first one with it
SINCE = {
    "current_user": ("19.17.10.1", "20.1.2.4"),
    "datetime64": ("19.17.10.1", "20.1.2.4"),
    "boolean": ("21.11.11.1", "21.12.1.9017"),
    "codecs": ("18.16.1", "19.1.6"),
    "skipping_indices": ("19.17.10.1", "20.1.2.4"),
    "insert_quorum_parallel": ("20.9.7", "20.10.3"),
    "atomic_by_default": ("20.9.7", "20.10.3"),
    "fsync_of_inserts": ("20.9.7", "20.10.3"),
    "alias_tables": ("24.12.9", "25.1.1"),
    "lazy_tables": ("24.12.9", "25.1.1"),
    "drop_replica": ("20.4.9", "20.5.2"),
    "format_row": ("20.4.9", "20.5.2"),
    "format_function": ("22.3.2", "22.4.2"),
    "insert_deduplication_token": ("22.7.7.24", "22.8.1.2097"),
    "part_hashes": ("18.16.1", "19.1.6"),
    "detached_parts": ("19.14.3", "19.15.2"),
    "mutations": ("19.1.16", "19.3.3"),
    "distributed_ddl_queue": ("20.12.1", "21.1.2"),
    "mutations_sync": ("19.10.1", "19.11.3"),
    "move_partition": ("19.17.10.1", "20.1.2.4"),
    "query_log_details": ("20.3.8", "20.4.2"),
    "atomic_databases": ("20.6.3", "20.7.2"),
    "functions": ("21.9.4", "21.10.2"),
    "killed_mutations": ("22.3.2", "22.4.2"),
    "lightweight_deletes_sync": ("24.3.1", "24.4.1"),
}

VERSIONS = (
    ("26.9.2.1", (26, 9, 2, 1)),
    ("18.16.1", (18, 16, 1)),
    ("18.16.1.0", (18, 16, 1, 0)),
    ("26.9.0", (26, 9, 0)),
    ("26.0", (26, 0)),
    ("24.8.14.39.altinitystable", (24, 8, 14, 39)),
    ("v25.3.2.39-lts", (25, 3, 2, 39)),
    ("26.9.2.1 (official build)", (26, 9, 2, 1)),
    ("ClickHouse server version 23.8.16.16 (revision 54465)", (23, 8, 16, 16)),
    ("", ()),
)


@pytest.mark.parametrize(("text", "version"), VERSIONS)
def test_a_version_is_read_from_its_text(text: str, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@given(st.lists(st.integers(0, 99999), min_size=1, max_size=4))
def test_a_version_of_up_to_four_numbers_survives_being_written_and_read(parts: list[int]) -> None:
    assert parse_version(".".join(map(str, parts))) == tuple(parts)


@pytest.mark.parametrize("ability", SINCE)
def test_an_ability_begins_with_the_version_that_the_changelog_names(ability: str) -> None:
    before, since = (Features(parse_version(text)) for text in SINCE[ability])

    assert (getattr(before, ability), getattr(since, ability)) == (False, True)


@pytest.mark.parametrize("ability", SINCE)
@pytest.mark.parametrize(("version", "expected"), [("18.16.1", False), ("26.9.2.1", True)])
def test_the_oldest_server_lacks_what_the_newest_has(
    ability: str, version: str, expected: bool
) -> None:
    assert getattr(Features(parse_version(version)), ability) is expected


def test_the_table_of_abilities_names_all_of_them() -> None:
    abilities = {name for name, value in vars(Features).items() if isinstance(value, property)}

    assert set(SINCE) == abilities


_versions = st.tuples(st.integers(1, 99), st.integers(1, 12), st.integers(1, 99))


@given(_versions, _versions)
def test_a_newer_server_can_do_all_that_an_older_one_can(
    one: tuple[int, ...], other: tuple[int, ...]
) -> None:
    older, newer = (Features(version) for version in sorted((one, other)))

    lost = [name for name in SINCE if getattr(older, name) and not getattr(newer, name)]

    assert lost == []
