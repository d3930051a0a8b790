"""budeval's own versions through the commands, on chDB and over HTTP, beside a writer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from alembic import command
from alembic.config import Config

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError, StatementFailed, Unsupported
from budeval_migrations.settings import Settings
from tests.support.project import REPOSITORY
from tests.support.targets import Target, engine_parameters
from tests.support.waiting import again_while

from .data import TRENDS_OF_BASE, TRENDS_OF_VIEW

IDS = sorted(path.stem for path in (REPOSITORY / "versions").glob("*.py"))
SCHEMA = (
    "SELECT name, engine, replaceRegexpAll(create_table_query, '\\\\.inner_id\\\\.[0-9a-f-]+', 'x') "
    "FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE '.inner%' "
    "AND name NOT IN ('schema_migrations', 'schema_migrations_journal', 'schema_migrations_lock', "
    "'alembic_version') "
    "ORDER BY name"
)

on_two = pytest.mark.parametrize(
    "engine_url", engine_parameters("embedded", "modern-http"), indirect=True
)
on_http = pytest.mark.parametrize("engine_url", engine_parameters("modern-http"), indirect=True)


class Budeval:
    """The repository's own project, led to a database of the test."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.options: dict[str, Any] = {
            "url": target.url,
            "database": target.database,
            "config": REPOSITORY / "alembic.ini",
        }
        self.alembic = Config(str(REPOSITORY / "alembic.ini"))
        self.alembic.attributes["budeval_migrations"] = {
            "url": target.url,
            "database": target.database,
        }

    def session(self) -> Session:
        return Session(Settings(url=self.target.url, database=self.target.database))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.session() as session:
            return [tuple(row) for row in session.query(sql)]

    def run(self, *statements: str) -> None:
        with self.session() as session:
            for statement in statements:
                session.execute(statement)


@pytest.fixture
def budeval(engine_url: Target) -> Budeval:
    return Budeval(engine_url)


@on_two
def test_up_to_head_down_to_base_and_up_again_leaves_the_same_schema(budeval: Budeval) -> None:
    command.upgrade(budeval.alembic, "head")
    at_head = budeval.rows(SCHEMA)
    assert [name for name, _, _ in at_head] == [
        "dataset_results",
        "evaluation_jobs",
        "model_performance_trends",
        "model_performance_trends_data",
        "predictions",
    ]
    found = bm.status(**budeval.options)
    assert found.at_head and found.current == ("006_add_evaluation_id",)
    command.downgrade(budeval.alembic, "base")
    assert budeval.rows(SCHEMA) == []
    assert bm.upgrade(**budeval.options).applied == tuple(IDS)
    assert budeval.rows(SCHEMA) == at_head
    assert bm.validate(**budeval.options).ok


class ResultsWriter:
    """Inserts results over a connection of its own until the block ends."""

    def __init__(self, budeval: Budeval) -> None:
        self.count = 0
        self._budeval = budeval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.error: BaseException | None = None

    def _write(self) -> None:
        try:
            with self._budeval.session() as session:
                while not self._stop.is_set():
                    session.execute(
                        "INSERT INTO dataset_results (job_id, model_name, dataset_name, accuracy, "
                        "total_examples, correct_examples, evaluated_at, metadata) "
                        f"SELECT '{self.count}', 'm', 'd', 0.5, 1, 1, "
                        "toDateTime64('2026-01-01 00:00:00', 3), '{}'"
                    )
                    self.count += 1
                    self._stop.wait(0.02)
        except BaseException as error:
            self.error = error

    def __enter__(self) -> ResultsWriter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@on_two
def test_a_writer_beside_the_upgrade_loses_no_row_and_none_counts_twice(budeval: Budeval) -> None:
    bm.upgrade("003_add_status", **budeval.options)
    with ResultsWriter(budeval) as writer:
        while writer.count < 20 and writer.error is None:
            pass
        applied = upgrade_again_where_it_refuses(budeval)
    assert writer.error is None
    assert applied == tuple(IDS[3:])
    assert budeval.rows("SELECT toUInt32(count()) FROM dataset_results") == [(writer.count,)]
    assert budeval.rows(TRENDS_OF_VIEW) == budeval.rows(TRENDS_OF_BASE)


def upgrade_again_where_it_refuses(budeval: Budeval) -> tuple[str, ...]:
    """Upgrade as 004 says: where it refuses beside a writer (395), nothing is lost, run it again."""
    applied: list[str] = []

    def refused(error: Exception) -> bool:
        if not isinstance(error, StatementFailed) or error.code != 395 or error.report is None:
            return False
        applied.extend(error.report.applied)
        return True

    applied.extend(again_while(refused, lambda: bm.upgrade(**budeval.options)).applied)
    return tuple(applied)


@pytest.fixture
def old_installation(budeval: Budeval) -> Iterator[Budeval]:
    """A database as the first tool left it after 001 … 003, with data."""
    bm.upgrade("003_add_status", **budeval.options)
    budeval.run(
        "DROP TABLE alembic_version",
        "DROP TABLE schema_migrations",
        "CREATE TABLE schema_migrations (version String, checksum String, "
        "executed_at DateTime64(3) DEFAULT now(), execution_time_ms UInt32, "
        "success Bool DEFAULT 1, error_message Nullable(String), "
        "INDEX idx_migration_version version TYPE bloom_filter GRANULARITY 1) "
        "ENGINE = MergeTree PRIMARY KEY version ORDER BY (version, executed_at)",
        "INSERT INTO schema_migrations (version, checksum, execution_time_ms) "
        "SELECT '000_migration_tracking', 'bootstrap', 0",
        *(
            "INSERT INTO schema_migrations (version, checksum, execution_time_ms) "
            f"SELECT '{name}', 'old', 5"
            for name in IDS[:3]
        ),
        "INSERT INTO dataset_results (job_id, model_name, dataset_name, accuracy, total_examples, "
        "correct_examples, evaluated_at, metadata) SELECT 'j', 'm', 'd', 1, 1, 1, "
        "toDateTime64('2026-01-01 00:00:00', 3), '{}' FROM numbers(100)",
    )
    yield budeval


@on_two
def test_an_old_installation_runs_only_what_is_pending_and_keeps_its_data(
    old_installation: Budeval,
) -> None:
    report = bm.upgrade(**old_installation.options)
    assert report.applied == tuple(IDS[3:])
    assert report.notices == (
        f"Adopted 3 revisions from the old schema_migrations: {', '.join(IDS[:3])}.",
    )
    counted = "SELECT toUInt32(countMerge(eval_count)) FROM model_performance_trends"
    assert old_installation.rows(counted) == [(100,)]
    states = [
        (r.state.value, r.checksum.value) for r in bm.status(**old_installation.options).revisions
    ]
    assert states == [("applied", "legacy")] * 3 + [("applied", "ok")] * 3


@pytest.mark.parametrize("engine_url", engine_parameters("old-http"), indirect=True)
def test_a_server_that_is_too_old_for_budeval_says_so_and_nothing_is_left(budeval: Budeval) -> None:
    with pytest.raises(Unsupported) as caught:
        bm.upgrade(lock="off", **budeval.options)
    assert caught.value.message == (
        "001_initial_schema needs ClickHouse 22.8 or newer; this server is 18.16.1."
    )
    with pytest.raises(EngineError) as missing:
        budeval.rows("SELECT 1")
    assert missing.value.code == 81
