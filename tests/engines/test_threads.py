"""Two threads of one process that migrate two databases at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.settings import Settings
from tests.support.project import Project

pytestmark = pytest.mark.embedded


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_threads_that_compile_at_once_do_not_mix_their_statements(
    embedded_directory: Path, project: Project, database: str, hasty_threads: None
) -> None:
    ids = project.write_chain(20, "CREATE TABLE t{n} (a Int32) ENGINE = MergeTree ORDER BY a")
    url = f"chdb:///{embedded_directory}"
    names = [f"{database}_{n}" for n in range(2)]
    failures: list[BaseException] = []

    def upgrade(name: str) -> None:
        try:
            bm.upgrade(url=url, database=name, versions=[str(project.versions)])
        except BaseException as error:
            failures.append(error)

    with Session(Settings(url=url, database=names[0])) as session:
        session.ensure_database()
        threads = [threading.Thread(target=upgrade, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        rows = {
            name: session.query(
                f"SELECT version, statements_total FROM {name}.schema_migrations ORDER BY sequence"
            )
            for name in names
        }
        for name in names:
            session.execute(f"DROP DATABASE {name}")
    assert failures == []
    assert rows == {name: [[id, 1] for id in ids] for name in names}
