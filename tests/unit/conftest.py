"""Property tests are judged by what they find, and not by how busy the machine is."""

from __future__ import annotations

import pytest
from hypothesis import settings

from budeval_migrations.sql.remembered import forget

settings.register_profile("unit", deadline=None)
settings.load_profile("unit")


@pytest.fixture(scope="session", autouse=True)
def _nothing_remembered() -> None:
    """A mutant is a fork of a process in which the tests have run: it reads for itself."""
    forget()
