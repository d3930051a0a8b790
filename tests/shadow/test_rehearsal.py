"""``plan`` tries pending revisions on a copy of the live schema, and leaves the live one alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import StatementFailed, Unsupported
from budeval_migrations.model.previews import Cost, Plan, Rehearsal, Touched
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

on_embedded = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)
on_modern = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)
on_a_few = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "old-native"), indirect=True
)

EVENTS = "CREATE TABLE events (id UInt32, name String) ENGINE = MergeTree ORDER BY id"
KEYED = "CREATE TABLE keyed (id UInt32, v UInt32) ENGINE = MergeTree ORDER BY id"


def rehearse(workspace: Workspace, target: str = "heads", **more: Any) -> Plan:
    return bm.plan(target, rehearse=True, **workspace.options, **more)


def half_apply_events(workspace: Workspace) -> None:
    """Leave 001_events with its table made and its second statement failed."""
    failing = [EVENTS, "INSERT INTO missing VALUES (1)"]
    workspace.project.write_revision("001_events", None, failing)
    with pytest.raises(StatementFailed):
        bm.upgrade(**workspace.options)


def tried(plan: Plan) -> Rehearsal:
    assert plan.rehearsal is not None
    return plan.rehearsal


@on_a_few
def test_what_an_upgrade_makes_of_the_live_schema_is_told_and_nothing_is_done(
    workspace: Workspace,
) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    bm.upgrade(**workspace.options)
    project.write_revision(
        "002_more",
        "001_events",
        [
            "ALTER TABLE events ADD COLUMN at Date",
            "CREATE VIEW names AS SELECT name FROM events",
        ],
        ["DROP TABLE names", "ALTER TABLE events DROP COLUMN at"],
    )
    before = (
        workspace.tables(),
        workspace.heads(),
        workspace.rows("SELECT count() FROM schema_migrations"),
    )
    found = tried(rehearse(workspace))
    assert found.ok, found
    assert found.applied == ("002_more",)
    assert found.taken_back
    assert found.back == ()
    assert [(d.kind, d.name, d.part, d.before, d.after) for d in found.changes[:1]] == [
        ("table", "events", "column at", None, "Date")
    ]
    assert [(d.kind, d.name, d.part) for d in found.changes[1:]] == [("view", "names", "")]
    after = (
        workspace.tables(),
        workspace.heads(),
        workspace.rows("SELECT count() FROM schema_migrations"),
    )
    assert before == after


# What 26.9 says; the statement fails on the live server with the same code.
FORESEEN = {
    "a column that is there": ("ALTER TABLE events ADD COLUMN name String", 15),
    "a TTL of nothing": ("ALTER TABLE events ADD COLUMN z Date TTL 'x'", 36),
    "a version that is not there": (
        "CREATE TABLE bad (a UInt8) ENGINE = ReplacingMergeTree(missing) ORDER BY a",
        16,
    ),
    "the type of a key column": ("ALTER TABLE events MODIFY COLUMN id String", 524),
    "a name that is not a column": (
        "ALTER TABLE events ADD INDEX i missing TYPE minmax GRANULARITY 1",
        47,
    ),
    "a table that is there": (EVENTS, 57),
    "a table that is not there": ("ALTER TABLE missing ADD COLUMN a UInt8", 60),
    "types that do not go together": ("ALTER TABLE events DELETE WHERE id = 'x'", 53),
    "an update of a key": ("ALTER TABLE events UPDATE id = 1 WHERE 1", 420),
    "a column that is not there": ("ALTER TABLE events DROP COLUMN missing", 10),
    "a function that is not there": ("SELECT missing_function(1)", 46),
    "a codec that does not fit": ("ALTER TABLE events ADD COLUMN s String CODEC(Delta)", 36),
    "a nullable key": (
        "CREATE TABLE bad (a Nullable(UInt8)) ENGINE = MergeTree ORDER BY a",
        44,
    ),
    "too many arguments": ("SELECT length(1, 2)", 42),
    "a view of what is not there": ("CREATE VIEW v AS SELECT a FROM missing", 60),
    "a setting that is not there": (
        "ALTER TABLE events MODIFY SETTING missing_setting = 1",
        115,
    ),
    "a database that is not there": (
        "CREATE TABLE missing.t (a UInt8) ENGINE = MergeTree ORDER BY a",
        81,
    ),
}


@on_embedded
@pytest.mark.parametrize("case", FORESEEN)
def test_an_error_of_the_server_is_foreseen_with_its_place(workspace: Workspace, case: str) -> None:
    statement, code = FORESEEN[case]
    project = workspace.project
    project.write_revision("001_events", None, EVENTS)
    bm.upgrade(**workspace.options)
    project.write_revision("002_bad", "001_events", [KEYED, statement])
    found = tried(rehearse(workspace))
    assert not found.ok
    assert found.failed is not None
    assert found.failed.code == code, found.failed
    assert (found.failed.revision, found.failed.statement) == ("002_bad", 2)
    assert found.failed.file is not None
    assert found.failed.file.endswith("002_bad.py")
    text = (project.versions / "002_bad.py").read_text().splitlines()
    assert found.failed.line is not None
    assert statement.split("(")[0].strip() in text[found.failed.line - 1]
    assert [d.name for d in found.changes] == ["keyed"]
    with pytest.raises(StatementFailed) as right:
        bm.upgrade(**workspace.options)
    assert (right.value.code, right.value.index) == (code, 2)


@on_embedded
def test_what_only_rows_show_is_foreseen_with_a_sample(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    bm.upgrade(**workspace.options)
    workspace.prepare(
        "INSERT INTO events SELECT number, if(number = 7, 'seven', '7') FROM numbers(9)"
    )
    project.write_revision(
        "002_number", "001_events", "ALTER TABLE events MODIFY COLUMN name UInt8", None
    )
    assert tried(rehearse(workspace)).failed is None
    assert tried(rehearse(workspace, sample=5)).failed is None
    failed = tried(rehearse(workspace, sample=100)).failed
    assert failed is not None
    assert "seven" in failed.error
    assert workspace.rows("SELECT count() FROM events") == [(9,)]


@on_embedded
def test_rows_of_every_kind_come_to_the_stage_as_they_are(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_kinds",
        None,
        [
            "CREATE TABLE kinds (a UInt8, s String, n Nullable(Decimal(9, 3)), l LowCardinality(String),"
            " x Array(Tuple(Float32, Map(String, DateTime64(6)))), al UInt8 ALIAS a + 1,"
            " m UInt8 MATERIALIZED a * 2, st AggregateFunction(uniq, UInt64))"
            " ENGINE = MergeTree ORDER BY a",
            "CREATE MATERIALIZED VIEW twice ENGINE = MergeTree ORDER BY a AS SELECT a FROM kinds",
        ],
    )
    bm.upgrade(**workspace.options)
    workspace.prepare(
        "INSERT INTO kinds (a, s, n, l, x, st) SELECT number, unhex('ff00fe'), 1.5, 'ä', "
        "[(1.5, map('k', toDateTime64('2026-01-01', 6)))], initializeAggregation('uniqState', number)"
        " FROM numbers(3)"
    )
    total = "(SELECT (count(), sum(cityHash64(a, s, n, l, toString(x), m, hex(st)))) FROM kinds)"
    [[known]] = workspace.rows(f"SELECT toString({total})")
    check = f"SELECT throwIf(toString({total}) != '{known}')"
    workspace.project.write_revision(
        "002_check", "001_kinds", [check, "SELECT throwIf((SELECT count() FROM twice) != 0)"], ()
    )
    found = tried(rehearse(workspace, sample=100))
    assert found.failed is None, found.failed
    # Without rows the check fails: it was not passed for nothing.
    assert tried(rehearse(workspace)).failed is not None


@on_modern
def test_a_downgrade_that_does_not_bring_the_schema_back_is_told(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS)
    bm.upgrade(**workspace.options)
    project.write_revision(
        "002_more",
        "001_events",
        "ALTER TABLE events ADD COLUMN at Date, ADD COLUMN by String",
        "ALTER TABLE events DROP COLUMN at",
    )
    found = tried(rehearse(workspace))
    assert not found.ok
    assert [(d.part, d.before, d.after) for d in found.back] == [("column by", None, "String")]
    done = project.cli("plan", "--rehearse")
    assert done.returncode == 7, done.output
    assert "the downgrade of 002_more does not bring the schema back\n" in done.stdout
    assert "\n  + table events column by  String\n" in done.stdout


@on_embedded
def test_downgrades_that_are_right_only_together_are_told_apart(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS)
    bm.upgrade(**workspace.options)
    add = "ALTER TABLE events ADD COLUMN IF NOT EXISTS at Date"
    drop = "ALTER TABLE events DROP COLUMN IF EXISTS at"
    project.write_revision("002_first", "001_events", add, drop)
    project.write_revision("003_again", "002_first", add, drop)
    found = tried(rehearse(workspace))
    assert not found.ok
    assert found.taken_back
    assert found.back_at == "003_again"
    assert [(d.part, d.before, d.after) for d in found.back] == [("column at", "Date", None)]


@on_embedded
def test_of_a_half_applied_revision_only_what_is_known_is_held_against_its_downgrade(
    workspace: Workspace,
) -> None:
    half_apply_events(workspace)
    drops = ["DROP TABLE keyed", "DROP TABLE events"]
    workspace.project.write_revision("001_events", None, [EVENTS, KEYED], drops)
    found = tried(rehearse(workspace))
    assert found.taken_back
    assert found.ok, found.back


@on_modern
def test_a_downgrade_that_fails_is_told_with_its_place(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_events", None, EVENTS, ["DROP TABLE events", "DROP TABLE no"]
    )
    found = tried(rehearse(workspace))
    assert not found.ok
    assert found.back_error is not None
    assert (found.back_error.revision, found.back_error.statement, found.back_error.code) == (
        "001_events",
        2,
        60,
    )
    assert not found.taken_back
    done = workspace.project.cli("plan", "--rehearse")
    assert done.returncode == 6, done.output
    assert "the downgrade would fail at 001_events  statement 2 of 2  (versions/001_events.py:" in (
        done.stdout
    )


@on_embedded
def test_a_revision_without_a_downgrade_may_go_ahead_and_it_is_told(workspace: Workspace) -> None:
    workspace.project.write_revision("001_events", None, EVENTS, None)
    found = tried(rehearse(workspace))
    assert found.ok
    assert not found.taken_back
    assert found.back_failed == "001_events has no downgrade"


@on_embedded
def test_a_revision_that_reads_the_database_reads_the_stage(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS, "DROP TABLE events")
    bm.upgrade(**workspace.options)
    project.write_revision(
        "002_dynamic",
        "001_events",
        body="""
        from sqlalchemy import text

        def upgrade():
            found = "SELECT name FROM system.tables WHERE database = currentDatabase()"
            for (name,) in op.get_bind().execute(text(found + " AND name = 'events'")):
                op.execute(f"CREATE TABLE {name}_copy (a UInt8) ENGINE = MergeTree ORDER BY a")

        def downgrade():
            op.execute("DROP TABLE events_copy")
        """,
    )
    found = tried(rehearse(workspace))
    assert found.ok, found.failed
    assert [(d.name, d.part) for d in found.changes] == [("events_copy", "")]
    assert "events_copy" not in workspace.tables()


@on_embedded
def test_what_an_unfinished_revision_has_applied_is_not_run_again_on_the_stage(
    workspace: Workspace,
) -> None:
    half_apply_events(workspace)
    workspace.project.write_revision("001_events", None, [EVENTS, KEYED])
    found = tried(rehearse(workspace))
    assert found.failed is None, found.failed
    assert [d.name for d in found.changes] == ["keyed"]


@on_modern
def test_without_pending_revisions_nothing_is_tried(workspace: Workspace) -> None:
    workspace.project.write_revision("001_events", None, EVENTS)
    bm.upgrade(**workspace.options)
    plan = rehearse(workspace)
    assert plan.revisions == ()
    assert plan.rehearsal is None
    done = workspace.project.cli("plan", "--rehearse")
    assert (done.returncode, done.stdout) == (0, f"{workspace.target.database}: nothing to do\n")


@on_embedded
def test_what_each_statement_costs_and_goes_through(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, EVENTS)
    bm.upgrade(**workspace.options)
    workspace.prepare(
        "INSERT INTO events SELECT number, 'n' FROM numbers(1000)",
        "INSERT INTO events SELECT number, 'n' FROM numbers(1000)",
    )
    expected = {
        "ALTER TABLE events ADD COLUMN a UInt8, DROP COLUMN IF EXISTS b": Cost.METADATA,
        "ALTER TABLE events UPDATE name = 'x' WHERE id = 1": Cost.MUTATION,
        "ALTER TABLE events MATERIALIZE COLUMN a": Cost.MUTATION,
        "ALTER TABLE events ADD COLUMN c UInt8, DELETE WHERE id = 1": Cost.MUTATION,
        "ALTER TABLE events MODIFY COLUMN name LowCardinality(String)": Cost.REWRITE,
        "ALTER TABLE events MODIFY COLUMN name COMMENT 'x'": Cost.METADATA,
        "OPTIMIZE TABLE events FINAL": Cost.REWRITE,
        "INSERT INTO events SELECT * FROM events": Cost.MOVEMENT,
        "CREATE TABLE copy ENGINE = MergeTree ORDER BY id AS SELECT * FROM events": Cost.MOVEMENT,
        "ALTER TABLE events ATTACH PARTITION tuple() FROM copy": Cost.MOVEMENT,
        "DELETE FROM events WHERE id = 2": Cost.MUTATION,
        "DROP TABLE copy": Cost.METADATA,
        "SELECT 1": Cost.QUERY,
    }
    project.write_revision("002_all", "001_events", list(expected))
    plan = bm.plan(stage=False, **workspace.options)
    assert plan.rehearsal is None
    statements = plan.revisions[0].statements
    assert {s.sql: s.cost for s in statements} == expected
    [update] = [s for s in statements if "UPDATE name" in s.sql]
    [touched] = update.touched
    assert isinstance(touched, Touched)
    assert (touched.table, touched.rows, touched.parts) == ("events", 2000, 2)
    assert touched.bytes > 0
    assert statements[0].touched == ()


@on_modern
def test_the_report_as_json_and_as_a_script(workspace: Workspace) -> None:
    project = workspace.project
    project.write_revision("001_events", None, [EVENTS, "SELECT 1"], "DROP TABLE events")
    done = project.cli("plan", "--rehearse", "--json")
    assert done.returncode == 0, done.output
    report = json.loads(done.stdout)["rehearsal"]
    assert report["ok"] is True
    assert report["downgrade"] == {
        "taken_back": True,
        "impossible": None,
        "failed": None,
        "incomplete": None,
        "differences": [],
    }
    assert [c["name"] for c in report["changes"]] == ["events"]
    script = project.cli("plan", "--sql")
    assert script.stdout == f"-- 001_events  001_events\n{EVENTS};\nSELECT 1;\n"


@on_modern
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--quick", "--rehearse"], 2, "--quick tries nothing"),
        (["--sql", "--rehearse"], 2, "--sql prints the statements only"),
        (["--sample", "-3"], 2, "A sample cannot have -3 rows."),
        (["--sample", "many"], 2, "'many' is not a valid integer"),
        (["009_missing"], 3, "There is no revision 009_missing."),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    workspace: Workspace, words: list[str], code: int, said: str
) -> None:
    workspace.project.write_revision("001_events", None, EVENTS)
    done = workspace.project.cli("plan", *words)
    assert done.returncode == code, done.output
    assert said in done.stderr


@on_modern
def test_without_the_embedded_server_a_plan_is_made_and_a_rehearsal_says_what_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.project.write_revision("001_events", None, EVENTS)
    monkeypatch.setattr("budeval_migrations.shadow.apart.NEEDED", ("no_such_package",))
    plan = bm.plan(**workspace.options)
    assert [s.sql for r in plan.revisions for s in r.statements] == [EVENTS]
    assert plan.rehearsal is None
    assert plan.notices == (
        "What it makes of the schema is not known: This needs an embedded ClickHouse, and "
        "no_such_package is not installed. pip install 'budeval-migrations[embedded]'",
    )
    with pytest.raises(Unsupported, match="no_such_package is not installed"):
        rehearse(workspace)
