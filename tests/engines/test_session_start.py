"""A connection that a server refused at first works as soon as there is something to connect to."""

from __future__ import annotations

import pytest

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import EngineError
from budeval_migrations.settings import Settings
from tests.support.servers import OldServer

pytestmark = pytest.mark.old


@pytest.mark.parametrize("dialect", ["clickhouse+http", "clickhouse+native"])
def test_a_session_that_was_opened_before_its_database_was_made_can_be_used_afterwards(
    old_server: OldServer, database: str, dialect: str
) -> None:
    url = old_server.url(dialect, database)
    with Session(Settings(url=url, database=database)) as session:
        with pytest.raises(EngineError) as refused:
            session.query("SELECT 1")
        assert refused.value.code == 81
        old_server.query(f"CREATE DATABASE {database}")
        try:
            session.execute("CREATE TABLE t (a Int8) ENGINE = Log")
            assert [tuple(row) for row in session.query("SHOW TABLES")] == [("t",)]
        finally:
            old_server.query(f"DROP DATABASE {database}")
