"""pytest-alembic's own suite passes on budeval's versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from pytest_alembic import tests as suite
from sqlalchemy import create_engine
from sqlalchemy.engine import Engine

from tests.support.project import REPOSITORY

pytestmark = pytest.mark.embedded


@pytest.fixture
def alembic_config(embedded_directory: Path, database: str) -> Config:
    config = Config(str(REPOSITORY / "alembic.ini"))
    config.attributes["budeval_migrations"] = {
        "url": f"chdb:///{embedded_directory}",
        "database": database,
    }
    return config


@pytest.fixture
def alembic_engine(embedded_directory: Path) -> Engine:
    return create_engine(f"chdb:///{embedded_directory}")


def test_there_is_a_single_head(alembic_runner: Any) -> None:
    suite.test_single_head_revision(alembic_runner)


def test_an_empty_database_can_be_upgraded_to_head(alembic_runner: Any) -> None:
    suite.test_upgrade(alembic_runner)


def test_every_revision_goes_up_and_down(alembic_runner: Any) -> None:
    suite.test_up_down_consistency(alembic_runner)


def test_no_revision_is_left_to_generate(alembic_runner: Any) -> None:
    suite.test_model_definitions_match_ddl(alembic_runner)
    assert len(list((REPOSITORY / "versions").glob("*.py"))) == 6
