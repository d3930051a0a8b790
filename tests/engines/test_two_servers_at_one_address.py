"""Servers that do not belong together, behind one address."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import budeval_migrations as bm
from budeval_migrations.errors import EngineError
from tests.support import targets
from tests.support.project import Project
from tests.support.round_robin import RoundRobin
from tests.support.servers import ChdbFront, OldServer

# Seconds between their starts. On one machine they are told by these alone: two
# seconds of difference are allowed, and each start is known to a second only.
APART = 5
DATABASES = "SELECT count() FROM system.databases WHERE name = 'mine'"


@pytest.fixture(params=["newest", "oldest"])
def pair(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Sequence[ChdbFront] | Sequence[OldServer]]:
    """Two servers with the same users that know nothing of each other."""
    if request.param == "newest":
        targets.require_packages("chdb")
        fronts = [ChdbFront(tmp_path / name, password="same") for name in ("a", "b")]
        with fronts[0]:
            time.sleep(APART)
            with fronts[1]:
                yield fronts
    else:
        targets.require_old_server()
        old = [OldServer(tmp_path / name) for name in ("a", "b")]
        old[1].users = old[0].users
        with old[0]:
            time.sleep(APART)
            with old[1]:
                yield old


def test_two_servers_behind_one_address_are_told_from_a_missing_database(
    pair: Sequence[ChdbFront], project: Project
) -> None:
    project.write_chain(1)
    with RoundRobin([server.http_port for server in pair]) as balancer:
        url = pair[0].url(database="mine")
        url = url.replace(f":{pair[0].http_port}/", f":{balancer.port}/")
        for call in (bm.upgrade, bm.status):
            with pytest.raises(EngineError, match="Two servers answer at ") as refused:
                call(url=url, database="mine", versions=[str(project.versions)], lock="off")
            assert "cluster" in refused.value.hint
    assert [server.query(DATABASES).strip() for server in pair] == ["0", "0"]
