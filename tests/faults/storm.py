"""Random faults over random revisions, for as long as asked: ``python -m tests.faults.storm``.

One invariant: each row and each column is there exactly once, or the run stopped and said that
the outcome of a statement is unknown. The seed is printed first; ``--seed`` runs the same faults
over the same revisions again, at about the same moments.

Of the journal, the outcomes after its last intent are lost now and then. An intent that the disk
loses after the server had confirmed it is not among the faults: the bookkeeping is written to the
disk before an answer (``fsync_after_insert``), and nothing could tell such a row from one that
never was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.project import Project
from tests.support.proxy import Fault, How, RecordingProxy
from tests.support.servers import ChdbFront, QueryError

LEASE = 5
# Seconds that a run may take, whatever happens to it.
_LONGEST = 180.0
# In each statement, and to the letter only where it is sent, not where it is spoken about.
_IT = "/* 'it' */"
_MATCHES = (
    "",
    _IT,
    _IT,
    _IT,
    _IT,
    "`schema_migrations_journal`",
    "`schema_migrations`",
    "schema_migrations_lock",
)
_HOWS = (
    How.SWALLOWED,
    How.CUT_AT_ONCE,
    How.CUT_ANSWER,
    How.CUT_MIDDLE,
    How.LATE,
    How.BALANCER,
    How.BALANCER_ALONE,
    How.KEPT_BACK,
    How.DELIVERED_LATE,
    How.DOUBLED,
    How.REWRITTEN,
)


@dataclass
class Round:
    """What a round did, and what became of it.

    ``told``: the faults, in order. ``unknown``: the run stopped with an unknown outcome.
    ``wrong``: what breaks the invariant; empty where all is well.
    """

    told: list[str] = field(default_factory=list)
    unknown: bool = False
    wrong: list[str] = field(default_factory=list)


@dataclass
class Wanted:
    """What the revisions lead to: rows (``n`` by ``x``) and added columns, by table."""

    rows: dict[str, dict[int, int]] = field(default_factory=dict)
    columns: dict[str, set[str]] = field(default_factory=dict)


def _ok(answer: bytes) -> bytes:
    return re.sub(rb"^HTTP/1.1 \d+ [^\r]*", b"HTTP/1.1 200 OK", answer)


def _bare(answer: bytes) -> bytes:
    return re.sub(rb"(?i)\r\nX-ClickHouse-[^:]*:[^\r]*", b"", answer)


def _page(answer: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<p>login</p>"


_REWRITES: tuple[Callable[[bytes], bytes], ...] = (_ok, _bare, _page, lambda a: _bare(_ok(a)))


# What a power cut can lose where a disk does not keep what it has confirmed.
_LOSE_THE_TAIL = (
    "ALTER TABLE schema_migrations_journal DELETE WHERE sequence > "
    "(SELECT max(sequence) FROM schema_migrations_journal WHERE event = 'intent') "
    "SETTINGS mutations_sync = 2"
)


def _pause(pid: int, seconds: float) -> None:
    """Stop a process for some time."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


class Storm:
    """A server behind a proxy, and the rounds on it."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.seed = seed
        self._directory = directory
        self.server = ChdbFront(directory / "server")
        self._random = random.Random()
        self._rounds = 0

    def __enter__(self) -> Storm:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    def round(self) -> Round:
        """Let the faults of the next round happen, then calm, and compare."""
        self._rounds += 1
        self._random = random.Random(f"{self.seed} {self._rounds}")
        database = f"storm_{self._rounds}"
        project = Project(self._directory / database)
        wanted = self._write(project)
        done = Round()
        with RecordingProxy(self.server.http_port) as proxy:
            url = self.server.url(database=database)
            project.configure(
                url=url.replace(f":{self.server.http_port}/", f":{proxy.port}/"),
                database=database,
                lock_lease=str(LEASE),
                lock_timeout="60",
                read_timeout="10",
            )
            for _ in range(self._random.randint(1, 3)):
                self._weather(project, proxy, database, done)
                proxy.forget_faults()
            self._calm(project, done)
        self._compare(database, wanted, done)
        with contextlib.suppress(QueryError):
            self.server.query(f"DROP DATABASE IF EXISTS {database}")
        shutil.rmtree(project.path, ignore_errors=True)
        return done

    def _write(self, project: Project) -> Wanted:
        draw = self._random
        wanted, parent, x = Wanted(), None, 0
        for n in range(1, draw.randint(2, 4) + 1):
            table = f"c{n}"
            rows = wanted.rows.setdefault(table, {})
            columns = wanted.columns.setdefault(table, set())
            up = [f"CREATE TABLE {table} (x UInt64, n UInt32) ENGINE = MergeTree ORDER BY x"]
            for at in range(draw.randint(1, 4)):
                kind = draw.choice(("values", "select", "slow", "update", "column"))
                if kind == "values":
                    values = ", ".join(f"({x + i}, 0)" for i in range(3))
                    up.append(f"INSERT INTO {table} (x, n) {_IT} VALUES {values}")
                elif kind in ("select", "slow"):
                    slow = " WHERE NOT ignore(sleepEachRow(0.3))" if kind == "slow" else ""
                    up.append(
                        f"INSERT INTO {table} (x, n) {_IT} SELECT {x} + number, 0 FROM numbers(3){slow}"
                    )
                elif kind == "update":
                    up.append(f"ALTER TABLE {table} {_IT} UPDATE n = n + 1 WHERE 1")
                    rows.update({key: value + 1 for key, value in rows.items()})
                else:
                    up.append(f"ALTER TABLE {table} {_IT} ADD COLUMN k{at} UInt8")
                    columns.add(f"k{at}")
                if kind in ("values", "select", "slow"):
                    rows.update({x + i: 0 for i in range(3)})
                    x += 3
            project.write_revision(f"00{n}_r", parent, up)
            parent = f"00{n}_r"
        return wanted

    def _weather(self, project: Project, proxy: RecordingProxy, database: str, done: Round) -> None:
        draw = self._random
        for _ in range(draw.randint(0, 2)):
            fault = Fault(
                draw.choice(_HOWS),
                draw.choice(_MATCHES),
                seconds=draw.choice((0.3, 1.5, 4.0, 8.0)),
                status=draw.choice((502, 504)),
                rewrite=draw.choice(_REWRITES),
            )
            proxy.add(fault)
            done.told.append(f"{fault.how.name} {fault.match!r} {fault.seconds} s")
        runners = [
            project.start("budeval_migrations", "--json", "up")
            for _ in range(draw.choice((1, 1, 2)))
        ]
        try:
            time.sleep(draw.uniform(0.5, 4.0))
            self._strike(runners, database, done)
            for runner in runners:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    runner.communicate(timeout=_LONGEST)
                if runner.poll() is None:
                    done.wrong.append("a run goes on for ever")
        finally:
            for runner in runners:
                runner.kill()
                runner.communicate()

    def _strike(self, runners: list[subprocess.Popen[str]], database: str, done: Round) -> None:
        draw, runner = self._random, runners[0]
        what = draw.choice(
            ("nothing", "kill", "interrupt", "stop", "engine", "pause", "both", "lock", "tail")
        )
        done.told.append(what)
        if what in ("kill", "both"):
            runner.kill()
        if what == "interrupt":
            runner.send_signal(signal.SIGINT)
        if what in ("engine", "both"):
            self._restart(draw.choice((0.0, 2.0)))
        if what == "stop" and runner.poll() is None:
            _pause(runner.pid, draw.choice((1.0, LEASE + 2.0)))
        if what == "pause":
            _pause(self.server.pid, draw.choice((1.0, LEASE + 2.0, 12.0)))
        if what == "lock":
            with contextlib.suppress(QueryError):
                self.server.query("DROP TABLE schema_migrations_lock", database=database)
        if what == "tail":
            for each in runners:
                each.kill()
                each.wait()
            self._restart(0.0)
            with contextlib.suppress(QueryError):
                self.server.query(_LOSE_THE_TAIL, database=database)

    def _restart(self, seconds: float) -> None:
        self.server.kill()
        time.sleep(seconds)
        self.server.start()

    def _calm(self, project: Project, done: Round) -> None:
        """Run until there is nothing to do, or a person is asked."""
        said = ""
        for _ in range(6):
            ran = project.cli("--json", "up", timeout=_LONGEST)
            if ran.returncode == 0:
                return
            said = ran.output
            with contextlib.suppress(ValueError):
                if json.loads(ran.stdout).get("error") == "StatementOutcomeUnknown":
                    done.unknown = True
                    return
            time.sleep(1)
        done.wrong.append(f"it does not end: {said}")

    def _compare(self, database: str, wanted: Wanted, done: Round) -> None:
        def ask(sql: str) -> list[list[str]]:
            found = self.server.query(f"{sql} FORMAT TSV", database=database)
            return [line.split("\t") for line in found.splitlines()]

        there = {
            name
            for (name,) in ask(
                "SELECT name FROM system.tables WHERE name LIKE 'c_' "
                "AND database = currentDatabase()"
            )
        }
        for table, rows in wanted.rows.items():
            if table not in there:
                if not done.unknown:
                    done.wrong.append(f"{table} is missing")
                continue
            found = [(int(x), int(n)) for x, n in ask(f"SELECT x, n FROM {table}")]
            twice = [x for x, count in Counter(x for x, _ in found).items() if count > 1]
            if twice:
                done.wrong.append(f"{table}: rows {twice} are there twice")
            if any(n > rows.get(x, -1) for x, n in found):
                done.wrong.append(f"{table}: an update ran twice, or rows of nobody: {found}")
            columns = {
                name
                for (name,) in ask(
                    "SELECT name FROM system.columns WHERE database = currentDatabase() "
                    f"AND table = '{table}' AND name LIKE 'k_'"
                )
            }
            if not done.unknown and (dict(found) != rows or columns != wanted.columns[table]):
                done.wrong.append(f"{table}: {found} {columns}, and not {rows}")
        if done.unknown:
            return
        good = ask(
            "SELECT version, uniqExact(run_id, sequence) FROM schema_migrations "
            "WHERE success = 1 AND sequence > 0 GROUP BY version ORDER BY version"
        )
        expected = [[f"00{n}_r", "1"] for n in range(1, len(wanted.rows) + 1)]
        if good != expected:
            done.wrong.append(f"the ledger says {good}")


def main() -> int:
    """Let it storm for some minutes; exit 1 when the invariant does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    until = time.monotonic() + options.minutes * 60
    rounds = unknown = 0
    faults: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="storm-") as directory,
        Storm(Path(directory), options.seed) as storm,
    ):
        while time.monotonic() < until:
            done = storm.round()
            rounds += 1
            unknown += done.unknown
            faults.update(told.split()[0] for told in done.told)
            if done.wrong:
                print(f"round {rounds}: {done}", flush=True)
                return 1
    print(f"{rounds} rounds, {unknown} stopped as unknown; {dict(faults)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
