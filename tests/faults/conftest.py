"""The worker that kills, for all the tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.worker import Worker
from tests.support import targets


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One engine on disk and the processes around it."""
    targets.require_packages("chdb")
    worker = Worker(tmp_path_factory.mktemp("faults"))
    try:
        yield worker
    finally:
        worker.close()
