"""The page about generated revisions, typed from its first line to its last."""

from __future__ import annotations

import re
import time
from datetime import date, datetime, timedelta
from pathlib import Path

from budeval_migrations.scaffold.kinds import KINDS
from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support.project import REPOSITORY
from tests.support.targets import require_packages

PAGE = "docs/generate.md"
ITS_DAY = "20261127"  # that of the page: what is dropped is renamed after the day
LONG_ENOUGH = timedelta(minutes=3)


def a_day_that_lasts() -> str:
    """Return today as the tool writes it; tomorrow, where today would end within the page."""
    now = datetime.now()
    midnight = datetime.combine(now + timedelta(days=1), datetime.min.time())
    if midnight - now < LONG_ENOUGH:
        time.sleep((midnight - now).total_seconds() + 1)
    return f"{date.today():%Y%m%d}"


def test_a_revision_of_every_kind_is_written_and_applied(tmp_path: Path) -> None:
    require_packages("chdb", "chdb_sqlalchemy")
    text = (REPOSITORY / PAGE).read_text("utf-8")
    assert set(re.findall(r"^\$ budeval-migrate new ([\w-]+)", text, re.M)) == set(KINDS)
    with Terminal(tmp_path) as terminal:
        read(PAGE, terminal, stand_ins={ITS_DAY: a_day_that_lasts()})
