"""One kill: a run that is interrupted at a seam, the run after it, and the verdict.

``same``: the second run succeeded and everything is as after an uninterrupted run. ``unknown``:
it stopped with StatementOutcomeUnknown where the case allows that, and the command in its hint
mended the records. ``wrong``: anything else. ``error``: the harness failed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults import snapshot
from tests.faults.cases import CASES, CLIENT, ENGINE, SEAMS, VICTIMS, Case
from tests.faults.nursery import Client, Front, HarnessError
from tests.support.project import Project
from tests.support.server import QueryError
from tests.support.waiting import PATIENCE

INTENT = (
    r"\s*INSERT INTO [`\w.]*schema_migrations_journal\b.*"
    r'"revision": "{revision}"[^{{}}]*"position": 2,[^{{}}]*"event": "intent".*'
)
LEDGER = r'\s*INSERT INTO [`\w.]*\bschema_migrations`?\s*\(.*"version": "{revision}".*'
_REPAIR = re.compile(r"repair --revision (\S+) --statement (\d+)")


class LeaseLost(Exception):
    """The machine was too slow for the shortest lease, so the run did not come to the seam."""


@dataclass(frozen=True)
class Order:
    """What to kill, and where.

    ``restart``, of a killed engine: ``at once``, ``late`` (after a second), or when the client
    has been killed too (``both``), as in a power failure.
    """

    case: str
    seam: int
    victim: str
    seed: int = 0
    lock: str = "off"
    restart: str = "both"

    def __str__(self) -> str:
        extra = f" lock={self.lock} restart={self.restart} seed={self.seed}"
        return f"{self.case} seam {self.seam} ({SEAMS[self.seam]}) {self.victim}{extra}"


@dataclass
class Outcome:
    """What came of an order. ``effect``: what the kill left, as far as that was looked at."""

    verdict: str
    why: str = ""
    effect: str = ""
    details: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class Shot:
    """The request that brings the kill: its text, or None for the statement itself."""

    match: str | None
    phase: str


@dataclass
class Reference:
    """An uninterrupted run of a case."""

    expected: snapshot.Snapshot
    shots: dict[int, tuple[Shot, ...]]
    seconds: float


def orders(case: Case, seed: int) -> list[Order]:
    """One order for each seam and victim of a case."""
    chance = random.Random(f"{case.name} {seed}")
    return [
        Order(
            case.name,
            seam,
            victim,
            seed,
            lock="lease" if chance.random() < 0.12 else "off",
            restart=chance.choice(("both", "at once", "both", "at once", "late")),
        )
        for seam, victim in itertools.product(SEAMS, VICTIMS)
    ]


class Workspace:
    """An engine on a directory, and everything that is killed on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.front = Front(directory / "engine")
        self.front.start()
        self._references: dict[str, Reference] = {}
        self._states: dict[str, tuple[snapshot.Snapshot, snapshot.Snapshot]] = {}
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """End what runs."""
        self.front.stop()

    def carry_out(self, order: Order) -> Outcome:
        """Kill once and judge; never raises."""
        began = time.monotonic()
        try:
            for _ in range(5):
                with contextlib.suppress(LeaseLost):
                    outcome = self._carry_out(order)
                    break
            else:
                outcome = Outcome("error", "too slow for the shortest lease, five times")
        except Exception as error:
            outcome = Outcome("error", f"{type(error).__name__}: {error}")
            self.front.stop()
            self.front.start()
        outcome.seconds = time.monotonic() - began
        return outcome

    def run_tampered(self, name: str, tamper: str) -> list[str]:
        """What an uninterrupted run differs in when its file was tampered with."""
        case = CASES[name]
        reference = self.reference(case)
        with Trial(self, case, tamper=tamper) as trial:
            trial.begin()
            trial.must_run(*trial.command)
            return trial.compare(reference.expected)

    def number(self) -> int:
        """A number for names."""
        return next(self._numbers)

    def reference(self, case: Case) -> Reference:
        """The uninterrupted run of a case; made once."""
        if case.name not in self._references:
            self._references[case.name] = self._make_reference(case)
        return self._references[case.name]

    def states(self, case: Case) -> tuple[snapshot.Snapshot, snapshot.Snapshot]:
        """The states before and after the statement, made by hand, once."""
        if case.name not in self._states:
            expected = self.reference(case).expected
            with Trial(self, case) as trial:
                before, after, end = trial.run_by_hand()
            wrong = snapshot.differences(end, expected)
            if wrong:
                raise HarnessError(f"{case.name}: by hand, it differs: {wrong}")
            self._states[case.name] = before, after
        return self._states[case.name]

    def _carry_out(self, order: Order) -> Outcome:
        case = CASES[order.case]
        reference = self.reference(case)
        shots = reference.shots.get(order.seam)
        if shots is None:
            return Outcome("skipped", "the statement has no intent")
        shot = shots[order.seed % len(shots)]
        with Trial(self, case, lock=order.lock) as trial:
            return Experiment(self, trial, order, shot, reference).run()

    def _make_reference(self, case: Case) -> Reference:
        with Trial(self, case) as trial:
            trial.begin()
            mark, database = self.front.mark(), trial.database
            trial.must_run(*trial.command)
            requests = self.front.since(mark, database)
            expected = trial.snapshot()
            wrong = trial.compare(expected)
            if wrong:
                raise HarnessError(f"{case.name}: uninterrupted, it differs: {wrong}")
            shots, seconds = _aim(case, database, requests)
        return Reference(expected, shots, seconds)


def _aim(
    case: Case, database: str, requests: list[dict[str, Any]]
) -> tuple[dict[int, tuple[Shot, ...]], float]:
    """Find the seams among the requests of an uninterrupted run."""
    sql, revision = case.sql(database), f"r{case.place}"
    intent, ledger = INTENT.format(revision=revision), LEDGER.format(revision=revision)
    queries = [request["query"] for request in requests]
    places = [n for n, query in enumerate(queries) if query == sql]
    if len(places) != 1:
        raise HarnessError(f"{case.name}: sent {len(places)} times: {queries}")
    [place] = places
    intents = [n for n in range(place) if re.fullmatch(intent, queries[n], re.DOTALL)]
    rows = [n for n in range(place, len(queries)) if re.fullmatch(ledger, queries[n], re.DOTALL)]
    if len(intents) > 1 or len(rows) != 1:
        raise HarnessError(f"{case.name}: {len(intents)} intents, {len(rows)} rows: {queries}")
    arrives = Shot(None, "before")
    shots = {
        1: (arrives,),
        3: (Shot(None, "during"),),
        4: (Shot(None, "after"),),
        5: (Shot(ledger, "before"),),
        6: (Shot(ledger, "after"),),
    }
    if intents:
        shots[1] = (Shot(intent, "before"),)
        shots[2] = (Shot(intent, "after"), arrives)
    return shots, float(requests[place]["finished"] - requests[place]["time"])


class Trial:
    """A database and a project for one case."""

    def __init__(
        self, workspace: Workspace, case: Case, *, lock: str = "off", tamper: str = ""
    ) -> None:
        self.front = workspace.front
        self.case = case
        self.database = f"k{workspace.number():06}"
        self.path = workspace.directory / self.database
        self.clients: list[Client] = []
        self._tamper = tamper
        self._lock = {"lock": "off"} if lock == "off" else {"lock": "auto", "lock_lease": "3"}
        self.command = ("down", "base") if case.down else ("up",)

    def __enter__(self) -> Trial:
        self.front.query(f"CREATE DATABASE {self.database}")
        for sql in self.case.prepare_sql(self.database):
            self.front.query(sql, self.database)
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.end()
        try:
            self.front.arm({})
            deadline = time.monotonic() + PATIENCE
            while self._is_busy() and time.monotonic() < deadline:
                time.sleep(0.02)
            for name in (self.database, f"{self.database}_more"):
                self.front.query(f"DROP DATABASE IF EXISTS {name} SYNC")
            self.front.query(f"DROP FUNCTION IF EXISTS f_{self.database}")
        except (OSError, QueryError):
            self.front.stop()
            self.front.start()
        shutil.rmtree(self.path, ignore_errors=True)

    def write_project(self) -> None:
        """Write the revisions; before that, nothing of the project is there."""
        project = Project(self.path)
        settings = {"lock_timeout": "30", **self._lock}
        project.configure(url=self.front.url(self.database), database=self.database, **settings)
        for number, (up, down) in enumerate(self._revisions(), 1):
            below = f"r{number - 1}" if number > 1 else None
            body = "\n\n".join(
                f"def {name}() -> None:\n" + "".join(f"    {line}\n" for line in lines)
                for name, lines in (("upgrade", up), ("downgrade", down))
            )
            project.write_revision(f"r{number}", below, body=body)

    def begin(self) -> None:
        """Do through the tool what comes before the run that is of interest."""
        self.write_project()
        if self.case.down:
            self.must_run("up")

    def run_by_hand(self) -> tuple[snapshot.Snapshot, snapshot.Snapshot, snapshot.Snapshot]:
        """Run the statements beside the tool; the states around the one under test, and last."""
        sql = self.case.sql(self.database)
        before: snapshot.Snapshot = {}
        after: snapshot.Snapshot = {}
        for statement in self._in_order():
            if statement == sql:
                before = self.snapshot()
            self.front.query(statement, self.database)
            if statement == sql:
                after = self.snapshot()
        return before, after, self.snapshot()

    def start(self, *args: str) -> Client:
        """A migrating process that waits for its start."""
        self.path.mkdir(exist_ok=True)
        client = Client(self.path, self.path / f"client{len(self.clients)}", *args)
        self.clients.append(client)
        return client

    def run(self, *args: str) -> Client:
        """Run a command to its end."""
        client = self.start(*args)
        client.go()
        if client.wait(PATIENCE) is None:
            client.end()
        return client

    def must_run(self, *args: str) -> None:
        """Run a command that has to succeed."""
        client = self.run(*args)
        if client.returncode != 0:
            raise HarnessError(f"without any kill: {client.output}")

    def snapshot(self, patience: float = 30) -> snapshot.Snapshot:
        """The database as it is."""
        return snapshot.take(
            self.front,
            self.database,
            patience=patience,
            parts=self.case.parts,
            functions="FUNCTION" in self.case.kind,
        )

    def compare(self, expected: snapshot.Snapshot) -> list[str]:
        """What is not as after an uninterrupted run, the records included."""
        return [*snapshot.differences(expected, self.snapshot()), *self._compare_ledger()]

    def find_leak(self) -> str:
        """Where a secret is seen that nobody should see; empty: nowhere."""
        if not self.case.secret:
            return ""
        shown = {f"output of {' '.join(c.args)}": c.output for c in self.clients}
        shown |= {name: json.dumps(rows) for name, rows in self.records().items()}
        return ", ".join(name for name, text in shown.items() if self.case.secret in text)

    def records(self) -> dict[str, list[list[Any]]]:
        """The rows of ledger and journal."""
        found = {}
        orders = {"schema_migrations": "sequence, executed_at"}
        for table in ("schema_migrations", "schema_migrations_journal"):
            order = orders.get(table, "sequence")
            try:
                found[table] = self.front.rows(
                    f"SELECT * FROM {table} ORDER BY {order}", self.database
                )
            except QueryError as error:
                found[table] = [[str(error)]]
        return found

    def _is_busy(self) -> bool:
        return any(r["database"] == self.database for r in self.front.running())

    def _compare_ledger(self) -> list[str]:
        names = [f"r{n}" for n in range(1, self.case.revisions + 1)]
        rows = self.front.rows(
            "SELECT version, direction, count() FROM schema_migrations WHERE success "
            "GROUP BY version, direction ORDER BY direction DESC, version",
            self.database,
        )
        wanted = [[name, "up", "1"] for name in names]
        if self.case.down:
            wanted += [[name, "down", "1"] for name in names]
        said = []
        found = [[version, way, str(count)] for version, way, count in rows]
        if found != wanted:
            said.append(f"successful ledger rows: expected {wanted}, found {found}")
        heads = self.front.rows("SELECT version_num FROM alembic_version", self.database)
        head = [] if self.case.down else [[names[-1]]]
        if heads != head:
            said.append(f"alembic_version: expected {head}, found {heads}")
        return said

    def _parts(self) -> list[tuple[list[str], list[str]]]:
        """The SQL of each revision: up and down."""
        case = self.case
        under_test = [_log(1), case.sql(self.database), _log(3)]
        parts: list[tuple[list[str], list[str]]] = []
        for number in range(1, case.revisions + 1):
            up, down = [_log(10 * number), _log(10 * number + 1)], [_log(10 * number + 5)]
            if number == case.place and case.down:
                down = under_test
            elif number == case.place:
                up = under_test
            parts.append((up, down))
        return parts

    def _in_order(self) -> list[str]:
        parts = self._parts()
        done = [sql for up, _ in parts for sql in up]
        if self.case.down:
            done += [sql for _, down in reversed(parts) for sql in down]
        return done

    def _revisions(self) -> Iterable[tuple[list[str], list[str]]]:
        """The Python lines of each revision: up and down."""
        for up, down in self._parts():
            yield self._lines(up), self._lines(down)

    def _lines(self, statements: list[str]) -> list[str]:
        sql = self.case.sql(self.database)
        lines = []
        for statement in statements:
            line = f"op.execute({statement!r})"
            if statement == sql and self.case.unless:
                line = f"op.execute_unless({self.case.unless!r}, {sql!r})"
            word, _, neighbour = self._tamper.partition(" ")
            if statement == (_log(1) if neighbour else sql):
                lines += [line] * {"doubled": 2, "skipped": 0}.get(word, 1)
            else:
                lines.append(line)
        return lines or ["pass"]


def _log(n: int) -> str:
    return f"INSERT INTO log VALUES ({n})"


class Experiment:
    """One kill in a trial."""

    def __init__(
        self, workspace: Workspace, trial: Trial, order: Order, shot: Shot, reference: Reference
    ) -> None:
        self._workspace = workspace
        self._front = workspace.front
        self._trial = trial
        self._order = order
        self._shot = shot
        self._reference = reference
        self._mark = 0

    def run(self) -> Outcome:
        """Kill, run again, judge."""
        trial = self._trial
        trial.begin()
        self._mark = self._front.mark()
        client = trial.start(*trial.command)
        self._arm(client)
        client.go()
        wrong = self._await_kill(client)
        if wrong:
            return self._wrong(wrong)
        effect = self._look() if self._order.victim == ENGINE else ""
        outcome = self._judge(self._run_again())
        outcome.effect = effect
        if self._order.victim == ENGINE and snapshot.litter(self._front, trial.database):
            outcome.effect = f"{effect} and a temporary table of the server".lstrip()
        leak = trial.find_leak()
        if leak and outcome.verdict != "wrong":
            outcome = self._wrong(f"the secret is seen in: {leak}", effect)
        return outcome

    def _arm(self, client: Client) -> None:
        chance, order, seconds = (
            random.Random(str(self._order)),
            self._order,
            self._reference.seconds,
        )
        match = self._shot.match or re.escape(self._trial.case.sql(self._trial.database))
        reach = 0.7 if order.victim == ENGINE else 0.4
        self._front.arm(
            {
                "database": self._trial.database,
                "match": match,
                "phase": self._shot.phase,
                "victim": 0 if order.victim == ENGINE else client.pid,
                "delay": chance.uniform(0, reach) * seconds if order.seam == 3 else 0.0,
            }
        )

    def _await_kill(self, client: Client) -> str:
        """Wait until the victim is dead, and the engine is back; what is wrong with that."""
        if self._order.victim == CLIENT:
            if client.wait(PATIENCE) != -9:
                self._refuse_to_judge(client, "the client was not killed")
            return ""
        deadline = time.monotonic() + PATIENCE
        code = None
        while code is None and time.monotonic() < deadline:
            # A client that ends by itself has not come as far as the seam.
            ended = client.wait(0) is not None
            code = self._front.await_death(0.5 if ended else 0.02)
            if ended:
                break
        if code != -9:
            self._refuse_to_judge(client, f"the engine was not killed ({code})")
        if self._order.restart == "both":
            client.end()
        elif self._order.restart == "late":
            time.sleep(1)
        self._front.start()
        if client.wait(PATIENCE) is None:
            client.end()
            return f"the client hangs for {PATIENCE} s after its engine came back"
        return ""

    def _refuse_to_judge(self, client: Client, why: str) -> None:
        if client.returncode == 5 and self._order.lock == "lease":
            raise LeaseLost
        raise HarnessError(f"{why}: {client.output}")

    def _run_again(self) -> Client:
        """The second run; where the machine is too slow for the lease, another."""
        for _ in range(3):
            client = self._trial.run(*self._trial.command)
            if client.returncode != 5 or self._order.lock != "lease":
                break
        return client

    def _look(self) -> str:
        """What the kill left: before, after, or something in between."""
        now = self._trial.snapshot(patience=0)
        if "unfinished mutations" in now:
            return "mutation unfinished"
        if self._order.seam not in (3, 4) or self._order.restart != "both":
            return ""
        return self._place(now)

    def _place(self, now: snapshot.Snapshot) -> str:
        before, after = self._workspace.states(self._trial.case)
        found = [name for name, s in (("before", before), ("after", after)) if s == now]
        if len(found) == 2:
            return "no visible effect"
        return found[0] if found else "in between"

    def _judge(self, second: Client) -> Outcome:
        if second.returncode == 0:
            said = self._trial.compare(self._reference.expected)
            return self._wrong("; ".join(said)) if said else Outcome("same")
        if second.returncode == 4 and "StatementOutcomeUnknown" in json.dumps(second.json):
            return self._settle_by_hand(second)
        return self._wrong(f"the second run ended with exit {second.returncode}")

    def _settle_by_hand(self, second: Client) -> Outcome:
        case, order = self._trial.case, self._order
        hint = _REPAIR.search(json.dumps(second.json))
        if hint is None:
            return self._wrong("StatementOutcomeUnknown without a repair command")
        revision, number = hint.groups()
        if (revision, number) != (f"r{case.place}", "2"):
            return self._wrong(f"unknown is another statement: {revision} {number}")
        place = self._place(self._trial.snapshot())
        torn = case.torn and (order.seam, order.victim) == (3, ENGINE) and place == "in between"
        if not torn and (order.seam, order.victim) not in case.may_be_unknown:
            return self._wrong(f"StatementOutcomeUnknown is not expected here (it is {place})")
        if place == "in between":
            return Outcome("unknown", "half done: left to a person")
        answer = "--not-applied" if place == "before" else "--applied"
        repair = self._trial.run("repair", "--revision", revision, "--statement", number, answer)
        if repair.returncode != 0:
            return self._wrong(f"repair {answer} ended with exit {repair.returncode}")
        third = self._run_again()
        if third.returncode != 0:
            return self._wrong(f"after repair {answer}, exit {third.returncode}")
        said = self._trial.compare(self._reference.expected)
        if said:
            return self._wrong(f"after repair {answer}: {'; '.join(said)}")
        return Outcome("unknown", f"repaired with {answer}")

    def _wrong(self, why: str, effect: str = "") -> Outcome:
        details = [client.output for client in self._trial.clients]
        for table, rows in self._trial.records().items():
            details.append(f"{table}:\n" + "\n".join(json.dumps(row) for row in rows))
        requests = self._front.since(self._mark, self._trial.database)
        details.append("requests:\n" + "\n".join(r["query"][:160] for r in requests))
        return Outcome("wrong", why, effect, details)
