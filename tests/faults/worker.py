"""The process that kills: ``python -m tests.faults.worker DIRECTORY``.

Reads orders from stdin and answers on stdout, a JSON object a line. It has one thread, because
every process that it kills is a fork of itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.faults.kills import Order, Outcome, Workspace
from tests.faults.nursery import preload
from tests.support.project import REPOSITORY


class Worker:
    """A worker process, seen from outside."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "worker.err").open("a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker", str(directory)],
                cwd=REPOSITORY,
                env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._errors = directory / "worker.err"

    def kill(self, order: Order) -> Outcome:
        """Carry out an order."""
        return Outcome(**self._ask({"order": asdict(order)}))

    def run_tampered(self, case: str, tamper: str) -> list[str]:
        """What an uninterrupted run of a tampered file differs in."""
        differences: list[str] = self._ask({"case": case, "tamper": tamper})["differences"]
        return differences

    def close(self) -> None:
        """End the process and what it has started."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended: {self._errors.read_text()[-3000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def main() -> int:
    """Serve until stdin closes."""
    preload()
    workspace = Workspace(Path(sys.argv[1]))
    try:
        for line in sys.stdin:
            question = json.loads(line)
            if "order" in question:
                answer = asdict(workspace.carry_out(Order(**question["order"])))
            else:
                found = workspace.run_tampered(question["case"], question["tamper"])
                answer = {"differences": found}
            print(json.dumps(answer), flush=True)
    finally:
        workspace.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
