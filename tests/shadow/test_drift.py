"""``drift`` finds every difference of substance, and none of spelling."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import ChecksumMismatch
from budeval_migrations.model.previews import Difference
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

on_modern = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
on_a_few = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-connect", "old-native"), indirect=True
)

EVENTS = """
create table events (
    id int, `name` VARCHAR(10) DEFAULT   'x' || 'y', "at" datetime('UTC') default now(),
    price DECIMAL(9,2) CODEC(Delta, ZSTD(3)), note text comment 'it''s', gone Date TTL gone + interval 1 day,
    index by_name (lower(name), id) TYPE minmax granularity 2,
    projection by_day (select toDate(at), sum(price) group by toDate(at)),
    constraint sane check id<1000
) engine mergetree partition by (toYYYYMM(at)) primary key id order by (id, name)
ttl at + toIntervalMonth(1) settings min_bytes_for_wide_part=0 comment 'events of a kind'
""".replace("mergetree", "MergeTree")
OTHERS = [
    "create table target (day Date, total Decimal(38, 2)) engine=SummingMergeTree order by day",
    "create materialized view sums to target as select toDate(at) day, sum(price) total from events group by day",
    "create view names as with 1 as one select name, one from events where id>one",
    "create materialized view inner_sums engine=SummingMergeTree order by name as select name, count() c from events group by name",
    "create dictionary by_id (id UInt64, name String default 'none') primary key id "
    "source(clickhouse(table 'events')) lifetime(min 0 max 60) layout(flat())",
]


def everything(workspace: Workspace) -> None:
    workspace.project.write_revision("001_events", None, [EVENTS, *OTHERS])
    bm.upgrade(**workspace.options)


def differences(workspace: Workspace) -> list[tuple[str, str, str | None, str | None]]:
    found = bm.drift(**workspace.options)
    assert found.notes == ()
    assert found.revisions == ("001_events",)
    return [(d.name, d.part, d.before, d.after) for d in found.differences]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@on_a_few
def test_a_database_as_its_revisions_made_it_has_no_drift(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_events",
        None,
        [
            "CREATE TABLE events (id UInt32, name String, at DateTime) ENGINE = MergeTree "
            "PARTITION BY toYYYYMM(at) ORDER BY (id, name)",
            "ALTER TABLE events ADD COLUMN more Array(Nullable(String)) AFTER id",
            "CREATE VIEW names AS SELECT DISTINCT name FROM events WHERE id > 5",
            "CREATE MATERIALIZED VIEW counts ENGINE = SummingMergeTree ORDER BY name AS "
            "SELECT name, count() AS c FROM events GROUP BY name",
        ],
    )
    bm.upgrade(**workspace.options)
    assert differences(workspace) == []


@pytest.mark.parametrize("engine_url", engine_parameters("modern-http", "old-http"), indirect=True)
def test_a_user_who_may_only_read_can_look_ahead(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision(
        "001_events", None, "CREATE TABLE events (id UInt32) ENGINE = MergeTree ORDER BY id", []
    )
    bm.upgrade(**workspace.options)
    project.write_revision("002_more", "001_events", "ALTER TABLE events ADD COLUMN a String", None)
    reader = {**workspace.options, "url": workspace.target.reader_url}
    assert bm.drift(**reader).ok
    plan = bm.plan(rehearse=True, **reader)
    assert plan.rehearsal is not None
    assert [d.part for d in plan.rehearsal.changes] == ["column a"]


@on_modern
def test_spelling_is_no_difference(workspace: Workspace) -> None:
    everything(workspace)
    assert differences(workspace) == []


# What is done by hand -> what is said of it: name, part, expected, found.
BY_HAND: dict[str, tuple[str, str, str | None, str | None]] = {
    "ALTER TABLE events ADD COLUMN more String": ("events", "column more", None, "String"),
    "ALTER TABLE events DROP COLUMN note": (
        "events",
        "column note",
        "String COMMENT 'it\\'s'",
        None,
    ),
    "ALTER TABLE target MODIFY COLUMN total Decimal(38, 3)": (
        "target",
        "column total type",
        "Decimal(38, 2)",
        "Decimal(38, 3)",
    ),
    "ALTER TABLE events MODIFY COLUMN note DEFAULT 'none'": (
        "events",
        "column note default",
        None,
        "DEFAULT 'none'",
    ),
    "ALTER TABLE events MODIFY COLUMN price CODEC(ZSTD(3))": (
        "events",
        "column price CODEC",
        "(Delta(4), ZSTD(3))",
        "(ZSTD(3))",
    ),
    "ALTER TABLE events COMMENT COLUMN note 'other'": (
        "events",
        "column note COMMENT",
        "'it\\'s'",
        "'other'",
    ),
    "ALTER TABLE events MODIFY COLUMN gone REMOVE TTL": (
        "events",
        "column gone TTL",
        "gone + toIntervalDay(1)",
        None,
    ),
    "ALTER TABLE events MODIFY COLUMN note String AFTER id": (
        "events",
        "order of columns",
        "id, name, at, price, note, gone",
        "id, note, name, at, price, gone",
    ),
    "ALTER TABLE events ADD COLUMN new UInt8, MODIFY ORDER BY (id, name, new)": (
        "events",
        "ORDER BY",
        "(id, name)",
        "(id, name, new)",
    ),
    "ALTER TABLE events REMOVE TTL": ("events", "TTL", "at + toIntervalMonth(1)", None),
    "ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = 7": (
        "events",
        "setting min_bytes_for_wide_part",
        "0",
        "7",
    ),
    "ALTER TABLE events DROP INDEX by_name": (
        "events",
        "index by_name",
        "(lower(name), id) TYPE minmax GRANULARITY 2",
        None,
    ),
    "ALTER TABLE events DROP PROJECTION by_day": (
        "events",
        "projection by_day",
        "(SELECT toDate(at), sum(price) GROUP BY toDate(at))",
        None,
    ),
    "ALTER TABLE events DROP CONSTRAINT sane": (
        "events",
        "constraint sane",
        "CHECK id < 1000",
        None,
    ),
    "ALTER TABLE events MODIFY COMMENT 'other'": (
        "events",
        "COMMENT",
        "'events of a kind'",
        "'other'",
    ),
    "CREATE OR REPLACE VIEW names AS SELECT name FROM events": (
        "names",
        "query",
        "WITH 1 AS one SELECT name, one FROM {database}.events WHERE id > one",
        "SELECT name FROM {database}.events",
    ),
    "ALTER TABLE sums MODIFY QUERY SELECT toDate(at) AS day, max(price) AS total FROM events "
    "GROUP BY day": (
        "sums",
        "query",
        "SELECT toDate(at) AS day, sum(price) AS total FROM {database}.events GROUP BY day",
        "SELECT toDate(at) AS day, max(price) AS total FROM {database}.events GROUP BY day",
    ),
    "CREATE OR REPLACE DICTIONARY by_id (id UInt64, name String) PRIMARY KEY id "
    "SOURCE(CLICKHOUSE(TABLE 'events')) LIFETIME(MIN 0 MAX 60) LAYOUT(FLAT())": (
        "by_id",
        "column name default",
        "DEFAULT 'none'",
        None,
    ),
}


@on_modern
@pytest.mark.parametrize("statement", BY_HAND, ids=lambda text: " ".join(text.split()[:6]))
def test_what_was_done_by_hand_is_said_part_by_part(workspace: Workspace, statement: str) -> None:
    everything(workspace)
    workspace.prepare(statement)
    name, part, before, after = BY_HAND[statement]
    database = workspace.target.database
    expected = (
        name,
        part,
        before.format(database=database) if before and "{" in before else before,
        after.format(database=database) if after and "{" in after else after,
    )
    assert expected in differences(workspace)


@on_modern
def test_tables_that_came_and_went_are_said_and_the_command_exits_with_7(
    workspace: Workspace,
) -> None:
    everything(workspace)
    workspace.prepare(
        "DROP TABLE names",
        "CREATE TABLE mine (a UInt8) ENGINE = MySQL('h:1', 'd', 't', 'u', 'hunter2')",
    )
    found = bm.drift(**workspace.options)
    assert [(d.name, d.kind, d.before is None, d.after is None) for d in found.differences] == [
        ("names", "view", False, True),
        ("mine", "table", True, False),
    ]
    assert found.notes == ("mine: ENGINE = Null stands for MySQL",)
    done = workspace.project.cli("drift")
    assert done.returncode == 7, done.output
    assert done.stdout == (
        "  - view names\n  + table mine\n"
        f"{workspace.target.database}: 2 differences from what 1 revision yields\n"
    )
    assert "hunter2" not in done.output
    as_json = workspace.project.cli("drift", "--json")
    assert json.loads(as_json.stdout)["differences"][0]["name"] == "names"
    assert "hunter2" not in as_json.output


@on_modern
def test_functions_and_tables_of_other_databases_are_there(workspace: Workspace) -> None:
    other = f"{workspace.target.database}_other"
    function = f"plus_{workspace.target.database}"
    workspace.prepare(
        f"CREATE DATABASE {other}",
        f"CREATE TABLE {other}.there (a UInt8) ENGINE = MergeTree ORDER BY a",
    )
    try:
        workspace.project.write_revision(
            "001_events",
            None,
            [
                f"CREATE FUNCTION {function} AS (a, b) -> a + b",
                f"CREATE VIEW both AS SELECT {function}(a, 1) AS x FROM {other}.there",
                f"CREATE TABLE {other}.made (a UInt8) ENGINE = MergeTree ORDER BY a",
            ],
        )
        bm.upgrade(**workspace.options)
        assert differences(workspace) == []
        workspace.prepare(f"CREATE OR REPLACE FUNCTION {function} AS (a, b) -> a - b")
        assert differences(workspace) == [
            (
                function,
                "",
                f"CREATE FUNCTION {function} AS (a, b) -> (a + b)",
                f"CREATE FUNCTION {function} AS (a, b) -> (a - b)",
            )
        ]
    finally:
        workspace.prepare(f"DROP DATABASE {other}", f"DROP FUNCTION {function}")


@on_modern
def test_a_replay_is_remembered_until_a_file_changes(workspace: Workspace, cache: Path) -> None:
    everything(workspace)
    assert differences(workspace) == []
    [known] = (cache / "budeval-migrations" / "replays").iterdir()
    text = known.read_text()
    known.write_text(text.replace("min_bytes_for_wide_part = 0", "min_bytes_for_wide_part = 5"))
    # It is what is compared with, without another replay.
    assert differences(workspace) == [("events", "setting min_bytes_for_wide_part", "5", "0")]
    known.write_text("{")
    assert differences(workspace) == []
    assert known.read_text() == text
    path = workspace.project.versions / "001_events.py"
    path.write_text(path.read_text() + "\n# a word more\n")
    bm.drift(**workspace.options)
    assert len(os.listdir(known.parent)) == 2


@on_modern
def test_an_edited_revision_is_refused_before_anything_is_compared(workspace: Workspace) -> None:
    everything(workspace)
    workspace.project.write_revision("001_events", None, EVENTS)
    with pytest.raises(ChecksumMismatch):
        bm.drift(**workspace.options)


def test_a_difference_says_what_it_is_in_json() -> None:
    assert Difference("t", "table", "column a", None, "UInt8").as_dict() == {
        "name": "t",
        "kind": "table",
        "part": "column a",
        "before": None,
        "after": "UInt8",
    }
