"""A minute of :mod:`tests.faults.storm`; an hour of it is ``make storm``."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.faults.storm import Storm
from tests.support import targets

_SECONDS = 60.0


def test_in_a_storm_everything_happens_once_or_is_told_as_unknown(tmp_path: Path) -> None:
    targets.require_packages("chdb")
    seed = random.SystemRandom().randrange(10**6)
    until = time.monotonic() + _SECONDS
    with Storm(tmp_path, seed) as storm:
        while time.monotonic() < until:
            done = storm.round()
            assert done.wrong == [], f"seed {seed}: {done}"
