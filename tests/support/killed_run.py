"""Run an upgrade in a process of its own that is killed at a statement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.support.project import REPOSITORY

_KILLED = """
import json, os, sys
import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session

send = Session.execute

def execute(self, sql, **options):
    last = options.get("query_id") and sys.argv[2] in sql
    if not last or sys.argv[3] == "after":
        found = send(self, sql, **options)
    if last:
        os._exit(9)
    return found

Session.execute = execute
bm.upgrade(**json.loads(sys.argv[1]))
"""


def kill(options: dict[str, Any], words: str, when: str = "before") -> None:
    """Run an upgrade that ends without a word at the first statement with certain words.

    Args:
        options: Of ``upgrade``, as JSON has them.
        when: ``before`` it is sent, and after its intent; or ``after`` the server has answered.

    """
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, json.dumps(options), words, when],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 9, done.stderr
