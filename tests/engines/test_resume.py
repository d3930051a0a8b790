"""After a failure in the middle: what runs again, what does not, and what is refused."""

from __future__ import annotations

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import (
    ChecksumMismatch,
    LedgerError,
    MigrationError,
    MutationFailed,
    RevisionError,
    StatementFailed,
    StatementOutcomeUnknown,
)
from budeval_migrations.events import (
    Event,
    RevisionFinished,
    RevisionStarted,
    StatementFinished,
    StatementStarted,
)
from tests.engines.workspace import Workspace
from tests.support.targets import engine_parameters

LOG = "CREATE TABLE IF NOT EXISTS log (n Int64) ENGINE = MergeTree ORDER BY n"
FAILS = "ALTER TABLE t UPDATE v = toString(throwIf(1)) WHERE 1"
PARTS = "(k Int64, v String) ENGINE = MergeTree ORDER BY k"
modern = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http", "modern-connect"), indirect=True
)


def note(n: int) -> str:
    return f"INSERT INTO log SELECT {n}"


def logged(workspace: Workspace) -> list[int]:
    """What was inserted into ``log``, in order: a statement that ran twice is there twice."""
    return [int(n) for (n,) in workspace.rows("SELECT n FROM log ORDER BY n")]


def journal(workspace: Workspace, revision: str) -> list[tuple[int, str]]:
    rows = workspace.rows(
        "SELECT position, event FROM schema_migrations_journal "
        f"WHERE revision = '{revision}' ORDER BY sequence"
    )
    return [(int(position), str(event)) for position, event in rows]


def attempts(workspace: Workspace, revision: str) -> list[tuple[str, int, int, int]]:
    """Direction, success, statements applied and in all, of each row of the ledger."""
    rows = workspace.rows(
        "SELECT direction, toUInt8(success), statements_applied, statements_total "
        f"FROM schema_migrations WHERE version = '{revision}' ORDER BY sequence"
    )
    return [(str(d), int(s), int(a), int(t)) for d, s, a, t in rows]


def state(workspace: Workspace, revision: str) -> str:
    return next(
        r.state.value for r in bm.status(**workspace.options).revisions if r.revision == revision
    )


def fail(workspace: Workspace) -> StatementFailed:
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(**workspace.options)
    return caught.value


def test_only_the_corrected_statement_and_what_follows_are_sent(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a", None, [LOG, note(1), "INSERT INTO nowhere SELECT 1", note(3)]
    )
    assert fail(workspace).index == 3
    assert logged(workspace) == [1]
    workspace.project.write_revision("001_a", None, [LOG, note(1), note(2), note(3), note(4)])

    told: list[Event] = []
    report = bm.upgrade(on_event=told.append, **workspace.options)

    assert report.applied == ("001_a",)
    assert logged(workspace) == [1, 2, 3, 4]
    assert [e.index for e in told if isinstance(e, StatementStarted)] == [3, 4, 5]
    skipped = [(e.index, e.why) for e in told if isinstance(e, StatementFinished) and e.skipped]
    assert skipped == [(1, "applied by an earlier run"), (2, "applied by an earlier run")]
    assert attempts(workspace, "001_a") == [("up", 0, 2, 4), ("up", 1, 5, 5)]
    assert state(workspace, "001_a") == "applied"


def test_failing_again_and_again_repeats_nothing_that_took_effect(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1), "SELECT * FROM nowhere"])
    for _ in range(3):
        assert fail(workspace).index == 3
    assert logged(workspace) == [1]
    assert attempts(workspace, "001_a") == [("up", 0, 2, 3)] * 3
    assert bm.status(**workspace.options).revisions[0].statements_applied == 2


def test_revisions_before_the_failed_one_are_not_sent_again(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1)])
    workspace.project.write_revision("002_b", "001_a", [note(2), "SELECT * FROM nowhere"])
    workspace.project.write_revision("003_c", "002_b", note(3))
    error = fail(workspace)
    assert error.report is not None
    assert error.report.applied == ("001_a",)
    workspace.project.write_revision("002_b", "001_a", note(2))
    assert bm.upgrade(**workspace.options).applied == ("002_b", "003_c")
    assert logged(workspace) == [1, 2, 3]


def test_an_edited_statement_that_took_effect_is_refused_until_it_is_restored(
    workspace: Workspace,
) -> None:
    broken = [LOG, note(1), "SELECT * FROM nowhere"]
    workspace.project.write_revision("001_a", None, broken)
    fail(workspace)
    workspace.project.write_revision("001_a", None, [LOG, note(100), note(2)])

    with pytest.raises(ChecksumMismatch) as caught:
        bm.upgrade(**workspace.options)

    assert caught.value.exit_code == 4
    assert (caught.value.details["applied"], caught.value.details["now"]) == (note(1), note(100))
    assert caught.value.details["statement"] == 2
    assert logged(workspace) == [1]
    assert attempts(workspace, "001_a") == [("up", 0, 2, 3)]

    workspace.project.write_revision("001_a", None, [LOG, note(1), note(2)])
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert logged(workspace) == [1, 2]


def test_an_edited_statement_runs_again_when_a_person_says_so(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1), "SELECT * FROM nowhere"])
    fail(workspace)
    workspace.project.write_revision("001_a", None, [LOG, note(100), note(2)])
    bm.repair_statement("001_a", 2, applied=False, **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert logged(workspace) == [1, 2, 100]


def test_a_statement_put_before_an_applied_one_is_refused(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1), "SELECT * FROM nowhere"])
    fail(workspace)
    workspace.project.write_revision("001_a", None, [note(0), LOG, note(1), note(2)])
    with pytest.raises(ChecksumMismatch):
        bm.upgrade(**workspace.options)
    assert logged(workspace) == [1]


def test_reformatting_the_file_of_a_failed_revision_is_no_edit(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1), "SELECT * FROM nowhere"])
    fail(workspace)
    path = workspace.project.write_revision("001_a", None, [LOG, note(1), note(2)])
    path.write_text(path.read_text() + "\n# a remark\n")
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert logged(workspace) == [1, 2]


def test_a_downgrade_that_failed_blocks_the_upgrade_until_it_is_finished(
    workspace: Workspace,
) -> None:
    workspace.project.write_revision("001_a", None, LOG)
    down = ["DROP TABLE t", note(-2), "SELECT * FROM nowhere"]
    table = f"CREATE TABLE t {PARTS}"
    workspace.project.write_revision("002_b", "001_a", [table, note(2)], down)
    workspace.project.write_revision("003_c", "002_b", note(3))
    bm.upgrade("002_b", **workspace.options)

    with pytest.raises(StatementFailed) as failed:
        bm.downgrade("001_a", **workspace.options)
    assert failed.value.index == 3
    assert workspace.heads() == {"002_b"}
    assert state(workspace, "002_b") == "failed"

    with pytest.raises(LedgerError) as refused:
        bm.upgrade(**workspace.options)
    assert refused.value.details == {"revision": "002_b", "kind": "half_reverted"}
    assert refused.value.exit_code == 4
    assert "2 statements took effect" in refused.value.message
    assert logged(workspace) == [-2, 2]

    workspace.project.write_revision("002_b", "001_a", [table, note(2)], [*down[:2], note(-3)])
    assert bm.downgrade("001_a", **workspace.options).applied == ("002_b",)
    assert logged(workspace) == [-3, -2, 2]
    assert attempts(workspace, "002_b")[1:] == [("down", 0, 2, 3), ("down", 1, 3, 3)]
    assert bm.upgrade(**workspace.options).applied == ("002_b", "003_c")
    assert logged(workspace) == [-3, -2, 2, 2, 3]


def test_a_database_with_a_half_finished_downgrade_is_not_at_head(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, LOG, [note(-1), "SELECT * FROM nowhere"])
    bm.upgrade(**workspace.options)
    with pytest.raises(StatementFailed):
        bm.downgrade("base", **workspace.options)
    with pytest.raises(LedgerError):
        bm.upgrade(**workspace.options)
    assert not bm.validate(**workspace.options).ok


def test_a_downgrade_that_did_nothing_yet_blocks_nothing(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, LOG, ["SELECT * FROM nowhere"])
    bm.upgrade(**workspace.options)
    with pytest.raises(StatementFailed):
        bm.downgrade("base", **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ()
    assert workspace.heads() == {"001_a"}


def test_a_half_applied_revision_blocks_the_downgrade_of_what_it_builds_on(
    workspace: Workspace,
) -> None:
    workspace.project.write_revision("001_a", None, LOG, "DROP TABLE log")
    workspace.project.write_revision("002_b", "001_a", [note(1), "SELECT * FROM nowhere"])
    fail(workspace)

    with pytest.raises(LedgerError) as refused:
        bm.downgrade("base", **workspace.options)

    assert refused.value.details == {"revision": "002_b"}
    with pytest.raises(LedgerError, match=r"002_b is half applied .* only whole revisions") as too:
        bm.downgrade("001_a", **workspace.options)
    assert too.value.hint == refused.value.hint
    assert "repair --revision 002_b --statement 1 --not-applied" in refused.value.hint
    assert logged(workspace) == [1]

    bm.repair_statement("002_b", 1, applied=False, **workspace.options)
    assert bm.downgrade("base", **workspace.options).applied == ("001_a",)
    assert workspace.heads() == set()


def test_a_dynamic_revision_knows_its_statements_by_their_text(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(7)])
    body = """
    from sqlalchemy import text

    def upgrade() -> None:
        found = op.get_bind().execute(text("SELECT count() FROM log")).scalar()
        op.execute("INSERT INTO log SELECT 1")
        op.execute("INSERT INTO log SELECT 1")
        op.execute("{broken}")
        op.execute("INSERT INTO log SELECT 3")

    def downgrade() -> None:
        pass
    """
    workspace.project.write_revision("002_b", "001_a", body=body.replace("{broken}", "SELECT x"))
    error = fail(workspace)
    assert (error.index, error.total) == (3, None)
    assert logged(workspace) == [1, 1, 7]
    workspace.project.write_revision("002_b", "001_a", body=body.replace("{broken}", note(2)))
    assert bm.upgrade(**workspace.options).applied == ("002_b",)
    assert logged(workspace) == [1, 1, 2, 3, 7]
    assert attempts(workspace, "002_b") == [("up", 0, 2, 3), ("up", 1, 4, 4)]


def test_the_journal_tells_the_story_of_each_statement(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1), "INSERT INTO nowhere SELECT 1"])
    fail(workspace)
    assert journal(workspace, "001_a") == [
        (1, "applied"),
        (2, "intent"),
        (2, "applied"),
        (3, "intent"),
        (3, "failed"),
    ]
    [row] = workspace.rows(
        "SELECT error_code, error != '', since FROM schema_migrations_journal WHERE event = 'failed'"
    )
    assert [int(v) for v in row] == [60, 1, 0]


@modern
def test_what_a_refused_statement_left_behind_is_settled_by_a_person(workspace: Workspace) -> None:
    table = f"CREATE TABLE t {PARTS}"
    bad = "ALTER TABLE t ADD COLUMN z Int8, UPDATE k = 1 WHERE 1"
    workspace.project.write_revision("001_a", None, [LOG, table, bad, note(1)])

    error = fail(workspace)

    assert (error.index, error.code) == (3, 420)
    assert "statement 3 perhaps in part" in error.outcome
    assert journal(workspace, "001_a")[-1] == (3, "doubtful")
    assert state(workspace, "001_a") == "unknown"
    assert attempts(workspace, "001_a") == [("up", 0, 2, 4)]
    assert workspace.rows("SELECT name FROM system.columns WHERE database = currentDatabase() "
                      "AND table = 't' ORDER BY position") == [("k",), ("v",), ("z",)]  # fmt: skip

    for _ in range(2):
        with pytest.raises(StatementOutcomeUnknown) as unknown:
            bm.upgrade(**workspace.options)
        assert unknown.value.index == 3
        assert "repair --revision 001_a --statement 3 --applied" in unknown.value.outcome
        assert unknown.value.exit_code == 4
    assert logged(workspace) == []

    bm.repair_statement("001_a", 3, applied=True, **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert logged(workspace) == [1]
    assert attempts(workspace, "001_a")[-1] == ("up", 1, 4, 4)


chdb = pytest.mark.parametrize("engine_url", engine_parameters("embedded"), indirect=True)


class Stopped(BaseException):
    """Somebody stops the run."""


@chdb
def test_what_a_dynamic_revision_does_is_not_taken_for_the_work_of_the_next(
    workspace: Workspace,
) -> None:
    workspace.prepare(f"CREATE TABLE t {PARTS}")
    workspace.project.write_revision("001_a", None, f"CREATE TABLE x {PARTS}")
    body = """
    def upgrade() -> None:
        op.get_bind()
        op.execute("ALTER TABLE t ADD COLUMN y Int8")
    """
    workspace.project.write_revision("002_b", "001_a", body=body)
    workspace.project.write_revision("003_c", "002_b", "ALTER TABLE t ADD COLUMN z Int8")

    def stop(event: Event) -> None:
        if isinstance(event, StatementStarted) and event.revision == "003_c":
            raise Stopped

    with pytest.raises(Stopped):
        bm.upgrade(on_event=stop, **workspace.options)
    bm.upgrade(**workspace.options)

    found = workspace.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 't' "
        "ORDER BY name"
    )
    assert found == [("k",), ("v",), ("y",), ("z",)]


@chdb
@pytest.mark.parametrize("kind", [RevisionStarted, RevisionFinished])
def test_a_run_that_is_stopped_between_revisions_forgets_nothing(
    workspace: Workspace, kind: type[Event]
) -> None:
    workspace.project.write_revision("001_a", None, [LOG, note(1)])
    workspace.project.write_revision("002_b", "001_a", note(2))
    revision = "002_b" if kind is RevisionStarted else "001_a"

    def stop(event: Event) -> None:
        if isinstance(event, kind) and event.revision == revision:  # type: ignore[attr-defined]
            raise Stopped

    with pytest.raises(Stopped):
        bm.upgrade(on_event=stop, **workspace.options)

    assert bm.upgrade(**workspace.options).current == ("002_b",)
    assert logged(workspace) == [1, 2]


@chdb
def test_a_repaired_checksum_forgets_no_half_finished_downgrade(workspace: Workspace) -> None:
    workspace.project.write_revision("001_a", None, LOG, [note(-1), "SELECT * FROM nowhere"])
    bm.upgrade(**workspace.options)
    with pytest.raises(StatementFailed):
        bm.downgrade("base", **workspace.options)

    with pytest.raises(RevisionError, match="would hide that"):
        bm.repair(["001_a"], **workspace.options)

    assert state(workspace, "001_a") == "failed"


HALFWAY = (
    "INSERT INTO t SELECT number, toString(throwIf(number = 9)) FROM numbers(20) "
    "SETTINGS max_block_size = 1, max_threads = 1, max_insert_threads = 1, "
    "min_insert_block_size_rows = 1, min_insert_block_size_bytes = 1"
)


@modern
def test_an_insert_that_fails_halfway_is_settled_by_a_person(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a", None, [LOG, f"CREATE TABLE t {PARTS}", HALFWAY, note(1)]
    )
    assert fail(workspace).code == 395
    [(left,)] = workspace.rows("SELECT count() FROM t")
    assert 0 < int(left) < 20
    assert journal(workspace, "001_a")[-1] == (3, "doubtful")
    with pytest.raises(StatementOutcomeUnknown):
        bm.upgrade(**workspace.options)
    assert workspace.rows("SELECT count() FROM t") == [(left,)]

    workspace.prepare("TRUNCATE TABLE t")
    bm.repair_statement("001_a", 3, applied=False, **workspace.options)
    workspace.project.write_revision(
        "001_a",
        None,
        [LOG, f"CREATE TABLE t {PARTS}", HALFWAY.replace("throwIf(number = 9)", "number"), note(1)],
    )
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert [int(n) for (n,) in workspace.rows("SELECT count() FROM t")] == [20]
    assert logged(workspace) == [1]


@modern
def test_an_insert_whose_view_fails_is_not_taken_as_applied(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            f"CREATE TABLE t {PARTS}",
            f"CREATE TABLE copy {PARTS}",
            "CREATE MATERIALIZED VIEW mv TO copy AS SELECT k, toString(throwIf(k = 2)) AS v FROM t",
            "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
        ],
    )
    assert fail(workspace).index == 4
    left = [int(n) for (n,) in workspace.rows("SELECT count() FROM t")]
    event = journal(workspace, "001_a")[-1][1]
    assert event == ("failed" if left == [0] else "doubtful")
    if event == "doubtful":
        with pytest.raises(StatementOutcomeUnknown):
            bm.upgrade(**workspace.options)


@modern
def test_a_mutation_of_a_view_that_the_server_refuses_leaves_nothing(workspace: Workspace) -> None:
    view = "CREATE MATERIALIZED VIEW v TO t AS SELECT k, v FROM u"
    workspace.project.write_revision(
        "001_a",
        None,
        [
            f"CREATE TABLE t {PARTS}",
            f"CREATE TABLE u {PARTS}",
            view,
            "ALTER TABLE v DELETE WHERE k = 1",
        ],
    )
    assert fail(workspace).outcome.endswith("the next run goes on at statement 4")


@modern
def test_rows_are_changed_when_the_upgrade_returns(workspace: Workspace) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            f"CREATE TABLE t {PARTS}",
            "INSERT INTO t SELECT number, 'old' FROM numbers(1000)",
            "ALTER TABLE t UPDATE v = 'new' WHERE k % 2 = 0",
            "ALTER TABLE t DELETE WHERE k < 100",
            "DELETE FROM t WHERE k >= 900",
        ],
    )
    bm.upgrade(**workspace.options)
    found = workspace.rows("SELECT v, count() FROM t GROUP BY v ORDER BY v")
    assert [(v, int(n)) for v, n in found] == [("new", 400), ("old", 400)]
    left = workspace.rows(
        "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
    )
    assert [int(n) for (n,) in left] == [0]


@modern
@pytest.mark.parametrize("comment", ["-- token = 'none\n", "/* the token = 'none */"])
def test_rows_are_changed_when_the_upgrade_returns_whatever_a_comment_says(
    workspace: Workspace, comment: str
) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            f"CREATE TABLE t {PARTS}",
            "INSERT INTO t SELECT number, 'old' FROM numbers(10)",
            f"ALTER TABLE t {comment} UPDATE v = 'new' WHERE sleepEachRow(0.1) = 0 AND k < 5",
        ],
    )
    bm.upgrade(**workspace.options)
    found = workspace.rows("SELECT v, count() FROM t GROUP BY v ORDER BY v")
    assert [(v, int(n)) for v, n in found] == [("new", 5), ("old", 5)]


@modern
@pytest.mark.parametrize(
    "through",
    [
        "MATERIALIZED VIEW v ENGINE = MergeTree ORDER BY k AS SELECT k, v FROM t",
        "TABLE v ENGINE = Alias('t')",
    ],
)
def test_rows_behind_a_view_are_changed_when_the_upgrade_returns(
    workspace: Workspace, through: str
) -> None:
    workspace.project.write_revision(
        "001_a",
        None,
        [
            f"CREATE TABLE t {PARTS}",
            f"CREATE {through}",
            "INSERT INTO t SELECT number, 'old' FROM numbers(10)",
            "ALTER TABLE v UPDATE v = 'new' WHERE sleepEachRow(0.1) = 0 AND k % 2 = 0",
        ],
    )
    bm.upgrade(**workspace.options)
    found = workspace.rows("SELECT v, count() FROM v GROUP BY v ORDER BY v")
    assert [(v, int(n)) for v, n in found] == [("new", 5), ("old", 5)]


@modern
@pytest.mark.parametrize(
    ("settings", "statement"),
    [
        ("", "ALTER TABLE other MODIFY COLUMN v Int32"),
        ("", "ALTER TABLE other MODIFY COLUMN v Int32 SETTINGS alter_sync = 0"),
        ("SET alter_sync = 0", "ALTER TABLE other MODIFY COLUMN v Int32"),
        (
            "SET alter_sync = 0; SET param_t = 't'",
            "ALTER TABLE {t:Identifier} MODIFY COLUMN v Int32",
        ),
        (
            "",
            "ALTER TABLE other UPDATE v = toString(throwIf(1)) WHERE 1 SETTINGS mutations_sync = 0",
        ),
        ("", "ALTER TABLE v UPDATE v = toString(throwIf(1)) WHERE 1 SETTINGS mutations_sync = 0"),
        ("", f"{FAILS} PARALLEL WITH CREATE TABLE x (a Int8) ENGINE = Log"),
        ("", f"{FAILS} SETTINGS mutations_sync = 0 PARALLEL WITH SELECT 1"),
        (
            "SET mutations_sync = 0",
            f"{FAILS} PARALLEL WITH CREATE TABLE x (a Int8) ENGINE = Log",
        ),
    ],
)
def test_a_mutation_that_fails_behind_another_name_is_not_taken_as_applied(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, settings: str, statement: str
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.mutations._PATIENCE", 0.5)
    made = [
        f"CREATE TABLE t {PARTS}",
        "INSERT INTO t SELECT number, 'x' FROM numbers(10)",
        "CREATE TABLE other ENGINE = Alias('t')",
        "CREATE MATERIALIZED VIEW v TO t AS SELECT k, v FROM t WHERE 0",
    ]
    said = [each for each in settings.split("; ") if each]
    workspace.project.write_revision("001_a", None, made)
    workspace.project.write_revision("002_b", "001_a", [*said, statement])

    with pytest.raises(MigrationError):
        bm.upgrade(**workspace.options)
    assert "002_b" not in bm.status(**workspace.options).current


@modern
def test_a_mutation_that_cannot_succeed_is_told_and_can_be_replaced(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.mutations._PATIENCE", 0.5)
    table = f"CREATE TABLE t {PARTS}"
    rows = "INSERT INTO t SELECT number, 'x' FROM numbers(10)"
    bad = "ALTER TABLE t UPDATE v = toString(throwIf(k = 5, 'five')) WHERE 1"
    workspace.project.write_revision("001_a", None, [LOG, table, rows, bad, note(1)])

    with pytest.raises(MutationFailed) as caught:
        bm.upgrade(**workspace.options)

    error = caught.value
    assert (error.index, error.code, error.exit_code) == (4, 395, 6)
    assert error.reason.startswith(
        f"mutation_2.txt of {workspace.target.database}.t fails: five: while "
    )
    assert "1 part to do" in error.outcome
    assert "KILL MUTATION WHERE database = " in error.hint
    assert state(workspace, "001_a") == "unknown"
    assert attempts(workspace, "001_a") == [("up", 0, 3, 5)]
    for jobs in (1, 2):
        with pytest.raises(MutationFailed) as again:
            bm.upgrade(jobs=jobs, **workspace.options)
        assert (again.value.index, again.value.file, again.value.line) == (
            4,
            error.file,
            error.line,
        )
        assert again.value.outcome == error.outcome
    assert error.outcome.startswith("3 statements of this revision took effect. ")
    assert attempts(workspace, "001_a") == [("up", 0, 3, 5)] * 3
    assert logged(workspace) == []

    workspace.prepare(error.hint[error.hint.index("KILL") :].split(" — ")[0])
    good = "ALTER TABLE t UPDATE v = 'y' WHERE 1"
    workspace.project.write_revision("001_a", None, [LOG, table, rows, good, note(1)])
    with pytest.raises(StatementOutcomeUnknown, match="was killed before it was done"):
        bm.upgrade(**workspace.options)
    assert "repair --revision 001_a --statement 4 --not-applied" in error.hint
    bm.repair_statement("001_a", 4, applied=False, **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert workspace.rows("SELECT DISTINCT v FROM t") == [("y",)]
    assert logged(workspace) == [1]


@modern
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "left"])
def test_a_mutation_that_is_killed_while_no_run_waits_is_not_forgotten(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, jobs: int, *, killed: bool
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.mutations._NOTED_AFTER", 0.0)
    workspace.prepare(f"CREATE TABLE t {PARTS}", "INSERT INTO t VALUES (1, 'a')")
    workspace.project.write_revision(
        "001_a", None, "ALTER TABLE t UPDATE v = concat(v, 'x') WHERE 1"
    )
    workspace.prepare("SYSTEM STOP MERGES t")

    def stop(*_: object) -> str:
        raise RuntimeError("the run ends here")

    with monkeypatch.context() as patched:
        patched.setattr("budeval_migrations.execution.mutations.counted", stop)
        with pytest.raises(StatementFailed, match="the run ends here"):
            bm.upgrade(jobs=jobs, **workspace.options)
    assert state(workspace, "001_a") == "unknown"
    if killed:
        workspace.prepare("KILL MUTATION WHERE database = currentDatabase()")
    workspace.prepare("SYSTEM START MERGES t")

    if killed:
        for _ in range(2):
            with pytest.raises(StatementOutcomeUnknown, match="was killed before it was done, or"):
                bm.upgrade(jobs=jobs, **workspace.options)
        return
    assert bm.upgrade(jobs=jobs, **workspace.options).applied == ("001_a",)
    assert workspace.rows("SELECT v FROM t") == [("ax",)]


@modern
def test_a_type_that_the_data_does_not_fit_is_not_called_applied_once_its_mutation_is_killed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("budeval_migrations.execution.mutations._PATIENCE", 0.5)
    workspace.prepare(f"CREATE TABLE t {PARTS}", "INSERT INTO t VALUES (1, 'a')")
    workspace.project.write_revision("001_a", None, "ALTER TABLE t MODIFY COLUMN v Int64")
    with pytest.raises(MutationFailed):
        bm.upgrade(**workspace.options)

    workspace.prepare("KILL MUTATION WHERE database = currentDatabase()")

    with pytest.raises(StatementOutcomeUnknown, match="was killed before it was done, or"):
        bm.upgrade(**workspace.options)


SECRET = "S3cr3tS3cr3t"


@modern
@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE USER u_@ IDENTIFIED BY '{SECRET}' NONSENSE",
        f"INSERT INTO log SELECT * FROM s3('http://127.0.0.1:1/x', 'key', '{SECRET}', 'TSV', 'n Int8')",
        f"CREATE TABLE q (k Int8) ENGINE = MySQL('127.0.0.1:1', 'd', 't', 'u', '{SECRET}') ORDER BY k",
    ],
    ids=["identified by", "s3", "mysql"],
)
def test_no_secret_is_written_down(workspace: Workspace, statement: str) -> None:
    sql = statement.replace("@", workspace.target.database)
    workspace.project.write_revision("001_a", None, [LOG, sql])
    told: list[Event] = []
    with pytest.raises(StatementFailed) as caught:
        bm.upgrade(on_event=told.append, **workspace.options)
    shown = [str(caught.value), str(caught.value.as_dict()), str(told)]
    for table in ("schema_migrations", "schema_migrations_journal"):
        shown.append(str(workspace.rows(f"SELECT * FROM {table}")))
    assert len(workspace.rows("SELECT 1 FROM schema_migrations_journal WHERE position = 2")) >= 1
    assert all(SECRET not in text for text in shown)


@modern
def test_where_only_a_secret_differs_that_is_said_and_the_way_out_works(
    workspace: Workspace,
) -> None:
    name = workspace.options["database"]
    collection = f"CREATE NAMED COLLECTION {name} AS url = 'u', password = '{{}}'"

    def write(secret: str, last: str) -> None:
        workspace.project.write_revision("001_a", None, [LOG, collection.format(secret), last])

    write("old-hunter2", "INSERT INTO nowhere SELECT 1")
    assert fail(workspace).index == 3
    write("new-hunter2", note(1))
    with pytest.raises(ChecksumMismatch) as caught:
        bm.upgrade(**workspace.options)
    told = f"{caught.value.message}\n{caught.value.hint}"
    assert "001_a  statement 2" in told
    assert "with another secret than it has now, and is the same otherwise" in told
    assert "repair --revision 001_a --statement 2 --applied" in told
    assert "hunter2" not in told
    bm.repair_statement("001_a", 2, applied=True, **workspace.options)
    assert bm.upgrade(**workspace.options).applied == ("001_a",)
    assert logged(workspace) == [1]


@modern
@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["SET alter_update_mode = 'lightweight'", "ALTER TABLE t UPDATE v = v WHERE 1"], "follow"),
        (
            ["DELETE FROM t WHERE 1 SETTINGS lightweight_delete_mode = 'lightweight_update'"],
            "follow",
        ),
        (
            [
                "ALTER TABLE t UPDATE v = v WHERE 1 SETTINGS \"alter\\x5fupdate_mode\" = 'lightweight'"
            ],
            "follow",
        ),
    ],
)
def test_a_mutation_that_cannot_be_followed_is_refused_and_not_sent(
    workspace: Workspace, statements: list[str], told: str
) -> None:
    create = [f"CREATE TABLE t {PARTS}"]
    workspace.project.write_revision("001_a", None, [*create, *statements])
    error = fail(workspace)
    assert told in error.message
    assert error.index == len(create) + len(statements)
    assert workspace.rows(
        "SELECT count() FROM system.mutations WHERE database = currentDatabase()"
    ) in (
        [(0,)],
        [("0",)],
    )
