"""The whole kill matrix: ``python -m tests.faults --jobs 2 --table FILE`` (``make faults``).

Goes over every case, seam and victim, again and again with other delays and locks, until
``--kills`` is reached. Ends with 1 when anything was wrong or the harness failed.
"""

from __future__ import annotations

import argparse
import queue
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tests.faults import report
from tests.faults.cases import CASES
from tests.faults.kills import Order, Outcome, orders
from tests.faults.worker import Worker


class Campaign:
    """Workers that carry out orders, and what came of them."""

    def __init__(self, directory: Path, seed: int, names: list[str], wanted: int) -> None:
        self.results: list[report.Result] = []
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []
        self._directory = directory
        self._seed = seed
        self._names = names
        self._wanted = wanted
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._told = self._began

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(self.counts.values()) - self.counts["skipped"]

    def run(self, jobs: int) -> None:
        """Run passes over the matrix until there were enough kills."""
        number = 0
        while (number == 0 or self.kills < self._wanted) and not self.broken:
            chunks: queue.SimpleQueue[list[Order]] = queue.SimpleQueue()
            names = list(self._names)
            random.Random(f"{self._seed} {number}").shuffle(names)
            for name in names:
                chunks.put(orders(CASES[name], self._seed + number))
            threads = [
                threading.Thread(target=self._work, args=(chunks, f"w{number}-{job}"))
                for job in range(jobs)
            ]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            except KeyboardInterrupt:
                self.broken.append("interrupted")  # the threads end after the kill at hand
                for thread in threads:
                    thread.join()
            if not self.kills:
                break
            number += 1

    def _work(self, chunks: queue.SimpleQueue[list[Order]], name: str) -> None:
        worker = None
        try:
            worker = Worker(self._directory / name)
            while True:
                for order in chunks.get_nowait():
                    if self.broken:
                        return
                    self._note(order, worker.kill(order))
        except queue.Empty:
            pass
        except Exception as error:
            with self._lock:
                self.broken.append(str(error))
        finally:
            if worker is not None:
                worker.close()

    def _note(self, order: Order, outcome: Outcome) -> None:
        with self._lock:
            self.results.append((order, outcome))
            self.counts[outcome.verdict] += 1
            if outcome.verdict == "unknown":
                print(f"unknown {order}: {outcome.why}")
            if outcome.verdict in ("wrong", "error"):
                print(f"{outcome.verdict.upper()} {order}: {outcome.why[:1500]}")
                print(f"  the kill left: {outcome.effect or 'not looked at'}")
                print("\n".join(f"  {line}" for d in outcome.details for line in d.splitlines()))
            now = time.monotonic()
            if now - self._told > 15:
                self._told = now
                print(self.summary(), flush=True)

    def summary(self) -> str:
        """Where it stands, on one line."""
        seconds = time.monotonic() - self._began
        shown = ", ".join(f"{n} {verdict}" for verdict, n in sorted(self.counts.items()))
        return f"{seconds:5.0f} s  {self.kills} kills ({self.kills / seconds:.1f}/s): {shown}"


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=2000, help="at least so many")
    parser.add_argument("--only", action="append", metavar="NAME", help="this case; repeatable")
    parser.add_argument("--table", type=Path, help="write Markdown there")
    options = parser.parse_args()
    unknown = [name for name in options.only or () if name not in CASES]
    if unknown:
        parser.error(f"no case {', '.join(unknown)}; there are: {', '.join(CASES)}")
    if options.table:
        options.table.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(
        prefix="budeval-faults-", ignore_cleanup_errors=True
    ) as directory:
        campaign = Campaign(
            Path(directory), options.seed, options.only or list(CASES), options.kills
        )
        campaign.run(options.jobs)
    print(campaign.summary())
    for error in campaign.broken:
        print(f"BROKEN {error}")
    if options.table:
        import chdb

        seconds = time.monotonic() - began
        text = report.page(
            campaign.results,
            seconds=seconds,
            jobs=options.jobs,
            clickhouse=chdb.engine_version,
        )
        options.table.write_text(text, encoding="utf-8")
    bad = campaign.counts["wrong"] + campaign.counts["error"] + len(campaign.broken)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
