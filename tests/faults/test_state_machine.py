"""Commands, kills and edits in any order, beside a plain model of the ledger.

Every statement that must not run twice inserts a number of its own into ``log``, so what ran is
counted there. A *stop* is an exception from the listener, which the tool hears and records; a
*kill* is one from the connection, for everything from that moment on, so that nothing more can be
written down.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import budeval_migrations as bm
from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.errors import (
    ChecksumMismatch,
    LedgerError,
    MigrationError,
    MissingRevision,
    RevisionNotFound,
    StatementFailed,
    StatementOutcomeUnknown,
)
from budeval_migrations.events import Event, RunStarted, StatementFinished, StatementStarted, ignore
from budeval_migrations.execution import recorder
from budeval_migrations.settings import Settings
from tests.support.project import Project

NAMES = ("001_a", "002_b", "003_c", "004_d")
UP, DOWN = "up", "down"
Key = tuple[str, str]


class Killed(BaseException):
    """The process is gone, or somebody stopped it."""


@dataclass
class Known:
    """What the model knows of a statement that was touched: its text, and how it stands.

    ``applied``, ``failed``; or when unsure: ``ran``, ``unsent``.
    """

    text: str
    how: str
    log_size: int = 0


@dataclass(frozen=True)
class File:
    """What a revision file says."""

    up: tuple[str, ...]
    down: tuple[str, ...]


@dataclass(frozen=True)
class Crash:
    """Where a run ends: at a statement of the run, counted from 0, and how.

    ``stop`` comes from the listener, ``kill`` from the connection; before or after the statement.
    """

    at: int
    kill: bool
    after: bool


@dataclass
class Model:
    """The ledger and the journal, kept the plain way."""

    files: dict[str, File] = field(default_factory=dict)
    applied: dict[str, File] = field(default_factory=dict)
    unfinished_runs: dict[Key, dict[int, Known]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    log: Counter[int] = field(default_factory=Counter)

    def begun(self, key: Key) -> bool:
        return any(k.how != "failed" for k in self.unfinished_runs.get(key, {}).values())

    def doubtful(self, key: Key) -> list[int]:
        found = self.unfinished_runs.get(key, {})
        return [n for n, k in sorted(found.items()) if k.how in ("ran", "unsent")]

    def finish(self, name: str, way: str) -> None:
        for key in ((name, UP), (name, DOWN)):
            self.unfinished_runs.pop(key, None)
        self.failed.discard(name)
        if way == UP:
            self.applied[name] = self.files[name]
        else:
            self.applied.pop(name, None)

    @property
    def heads(self) -> set[str]:
        # A chain: the last one; after a stamp nothing else is possible.
        return {max(self.applied)} if self.applied else set()

    def refusal(self, *, down: bool) -> type[MigrationError] | None:
        for name, recorded in self.applied.items():
            if name in self.files and self.files[name].up != recorded.up:
                return ChecksumMismatch
        if not down and any(self.begun((n, DOWN)) for n in self.applied):
            return LedgerError
        if not down and any(name not in self.files for name in self.applied):
            return MissingRevision
        return None

    def file(self, name: str) -> File:
        """What is run of a revision: the ledger keeps what its file said."""
        return self.files.get(name) or self.applied[name]

    def steps_up(self, target: str) -> list[str]:
        wanted = sorted(self.files)
        if target != "heads":
            wanted = [n for n in wanted if n <= target]
        return [n for n in wanted if n not in self.applied]

    def steps_down(self, target: str) -> list[str]:
        return [
            n for n in reversed(NAMES) if n in self.applied and (target == "base" or n > target)
        ]

    def blocked(self, leaving: list[str]) -> bool:
        """A half applied revision is in the way: of what it builds on, and of nothing at all."""
        return any(
            way == UP
            and name not in self.applied
            and self.begun((name, way))
            and (not leaving or any(n <= name for n in leaving))
            for name, way in self.unfinished_runs
        )

    def edited(self, steps: list[str], way: str) -> bool:
        for name in steps:
            now = getattr(self.file(name), way)
            for position, known in self.unfinished_runs.get((name, way), {}).items():
                if known.how == "applied" and now[position - 1] != known.text:
                    return True
        return False

    def run(self, steps: list[str], way: str, crash: Crash | None) -> Outcome:
        """Do the steps as they should be done, and say how it ends."""
        sent = 0
        done: list[str] = []
        # What is not known is found out before anything is sent.
        for name in steps:
            for position in self.doubtful((name, way)):
                known = self.unfinished_runs[name, way][position]
                if _number(known.text) is None:
                    continue  # it may be run twice; until then nobody knows
                if known.how == "ran" or known.log_size != self.log.total():
                    self.failed.add(name)
                    return Outcome(StatementOutcomeUnknown, done, (name, position))
                known.how = "failed"
        for name in steps:
            texts = getattr(self.file(name), way)
            unfinished = self.unfinished_runs.setdefault((name, way), {})
            for position, text in enumerate(texts, start=1):
                known = unfinished.get(position, Known("", "failed"))
                if known.how == "applied":
                    continue
                mine = crash is not None and crash.at == sent
                sent += 1
                size = self.log.total()
                guarded = _number(text) is None
                if mine and crash and not crash.after:
                    if crash.kill:
                        if not (guarded and way == UP):
                            unfinished[position] = Known(text, "unsent", size)
                    else:
                        self.failed.add(name)
                    return Outcome(Killed, done)
                if text.startswith("SELECT"):
                    if mine and crash and crash.kill:  # the answer did not come
                        if way == DOWN:
                            unfinished[position] = Known(text, "ran", size)
                        return Outcome(Killed, done)
                    unfinished[position] = Known(text, "failed")
                    self.failed.add(name)
                    return Outcome(StatementFailed, done)
                number = _number(text)
                if number is not None:
                    self.log[number] += 1
                if mine and crash and crash.kill:
                    if not (guarded and way == UP):
                        unfinished[position] = Known(text, "ran", size)
                    return Outcome(Killed, done)
                unfinished[position] = Known(text, "applied")
                if mine:
                    self.failed.add(name)
                    return Outcome(Killed, done)
            self.finish(name, way)
            done.append(name)
        return Outcome(None, done)


@dataclass(frozen=True)
class Outcome:
    """How a command ends: with which error, after which revisions, at which statement."""

    error: type[BaseException] | None
    done: list[str] = field(default_factory=list)
    unknown: tuple[str, int] | None = None


def _number(text: str) -> int | None:
    return int(text.rsplit(" ", 1)[1]) if text.startswith("INSERT") else None


class Migrations(RuleBasedStateMachine):
    """One database on chDB, a directory of revisions, and the model."""

    directory: ClassVar[Path]
    holder: ClassVar[Session]
    numbers: ClassVar[Iterator[int]] = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.database = f"m_{uuid.uuid4().hex[:12]}"
        self.path = Path(tempfile.mkdtemp(prefix="machine", dir=self.directory))
        self.project = Project(self.path / "project")
        self.url = f"chdb:///{self.directory}/data"
        self.project.configure(url=self.url, database=self.database)
        self.options: dict[str, Any] = {
            "url": self.url,
            "database": self.database,
            "versions": [str(self.project.versions)],
        }
        self.holder.execute(f"CREATE DATABASE {self.database}")
        self.holder.execute(
            f"CREATE TABLE {self.database}.log (n Int64) ENGINE = MergeTree ORDER BY n"
        )

    def teardown(self) -> None:
        self.holder.execute(f"DROP DATABASE IF EXISTS {self.database}")
        shutil.rmtree(self.path, ignore_errors=True)

    # --- files ---

    @initialize()
    def write_all(self) -> None:
        for name in NAMES:
            self._write(
                name,
                File(
                    (
                        self._insert(),
                        f"CREATE TABLE IF NOT EXISTS x{name} (k Int8) ENGINE = Log",
                        self._insert(),
                    ),
                    (self._insert(), f"DROP TABLE IF EXISTS x{name}", self._insert()),
                ),
            )

    def _insert(self) -> str:
        return f"INSERT INTO log SELECT {next(self.numbers)}"

    def _write(self, name: str, file: File, remark: str = "") -> None:
        self.model.files[name] = file
        below = NAMES[NAMES.index(name) - 1] if name != NAMES[0] else None
        path = self.project.write_revision(name, below, file.up, file.down)
        if remark:
            path.write_text(path.read_text() + f"\n# {remark}\n")

    @precondition(lambda self: self.model.files)
    @rule(data=st.data())
    def reformat_a_file(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.files)))
        self._write(name, self.model.files[name], f"remark {next(self.numbers)}")

    @rule(
        data=st.data(),
        way=st.sampled_from([UP, UP, UP, DOWN]),
        position=st.sampled_from([1, 3, 3]),
        broken=st.booleans(),
    )
    def edit_a_statement(self, data: st.DataObject, way: str, position: int, broken: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.files)))
        file = self.model.files[name]
        texts = list(getattr(file, way))
        last = position == 3
        texts[position - 1] = (
            f"SELECT nothing_{next(self.numbers)}" if broken and last else self._insert()
        )
        changed = {UP: file.up, DOWN: file.down, way: tuple(texts)}
        self._write(name, File(changed[UP], changed[DOWN]))

    @precondition(lambda self: any(n in self.model.files for n in self.model.applied))
    @rule(data=st.data())
    def restore_an_applied_file(self, data: st.DataObject) -> None:
        model = self.model
        name = data.draw(st.sampled_from(sorted(n for n in model.applied if n in model.files)))
        self._write(name, File(model.applied[name].up, model.files[name].down))

    @rule()
    def restore_what_took_effect(self) -> None:
        for (name, way), unfinished in self.model.unfinished_runs.items():
            if name in self.model.files:
                file = self.model.files[name]
                texts = list(getattr(file, way))
                for position, known in unfinished.items():
                    if known.how == "applied":
                        texts[position - 1] = known.text
                changed = {UP: file.up, DOWN: file.down, way: tuple(texts)}
                self._write(name, File(changed[UP], changed[DOWN]))

    @precondition(lambda self: len(self.model.files) > 1)
    @rule()
    def delete_the_last_file(self) -> None:
        name = max(self.model.files)
        self.deleted = {**getattr(self, "deleted", {}), name: self.model.files.pop(name)}
        self.project.revision_file(name).unlink()

    @precondition(lambda self: len(self.model.files) < len(NAMES))
    @rule()
    def restore_the_deleted_files(self) -> None:
        for name in NAMES:
            if name not in self.model.files:
                self._write(name, self.deleted[name])

    # --- commands ---

    @rule(to=st.sampled_from(["heads", "heads", "heads", *NAMES]))
    def upgrade(self, to: str) -> None:
        if to == "heads" or to in self.model.files:
            self._up(to, None)

    @rule(
        to=st.sampled_from(["heads", "heads", "002_b"]),
        at=st.integers(0, 11),
        kill=st.booleans(),
        after=st.booleans(),
    )
    def upgrade_and_die(self, to: str, at: int, kill: bool, after: bool) -> None:
        if to == "heads" or to in self.model.files:
            self._up(to, Crash(at, kill, after))

    @rule(to=st.sampled_from(["base", *NAMES[:3]]))
    def downgrade(self, to: str) -> None:
        self._down(to, None)

    @rule(
        to=st.sampled_from(["base", "001_a"]),
        at=st.integers(0, 8),
        kill=st.booleans(),
        after=st.booleans(),
    )
    def downgrade_and_die(self, to: str, at: int, kill: bool, after: bool) -> None:
        self._down(to, Crash(at, kill, after))

    @rule(to=st.sampled_from(["base", *NAMES]))
    def stamp(self, to: str) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        model = self.model
        if to != "base" and to not in model.files:
            return
        config = Config(self.project.ini)
        if model.heads - set(model.files):
            with pytest.raises(CommandError, match="is applied and has no file"):
                command.stamp(config, to)
            return
        command.stamp(config, to)
        for name in NAMES:
            wanted = to != "base" and name <= to
            if wanted and name not in model.applied:
                model.finish(name, UP)
            elif not wanted and name in model.applied:
                model.finish(name, DOWN)

    @precondition(lambda self: self.model.refusal(down=True) is ChecksumMismatch)
    @rule()
    def accept_the_files_as_they_are(self) -> None:
        model = self.model
        names = [
            name
            for name, recorded in model.applied.items()
            if name in model.files
            and model.files[name].up != recorded.up
            and (name, DOWN) not in model.unfinished_runs
        ]
        if not names:
            return
        bm.repair(names, on_event=ignore, **self.options)
        for name in names:
            model.finish(name, UP)

    @rule()
    def two_upgrades_at_once(self) -> None:
        model = self.model
        steps = model.steps_up("heads")
        if model.refusal(down=False) or model.edited(steps, UP):
            return
        outcome = model.run(steps, UP, None)
        reports: list[Any] = []

        def one(emit: Callable[[Event], None] = ignore) -> None:
            try:
                reports.append(bm.upgrade(on_event=emit, **self.options))
            except MigrationError as error:
                reports.append(error)

        # The second reads its files while the first runs: alembic's ``op`` belongs to one thread.
        second = threading.Thread(target=one)
        one(lambda event: second.start() if isinstance(event, RunStarted) else None)
        if second.ident is None:
            second.start()
        second.join()
        if outcome.error is None:
            assert sorted(n for r in reports for n in r.applied) == outcome.done
        elif outcome.error is StatementFailed:
            assert [type(r) for r in reports] == [StatementFailed] * 2, reports
        else:
            assert [type(r) for r in reports] == [StatementOutcomeUnknown] * 2, reports
            self._answer(outcome)

    # --- how a command is done and judged ---

    def _up(self, target: str, crash: Crash | None) -> None:
        model = self.model
        steps = model.steps_up(target)
        expected = model.refusal(down=False)
        if expected is None and model.edited(steps, UP):
            expected = ChecksumMismatch
        self._do(
            steps,
            UP,
            expected,
            crash,
            lambda emit: bm.upgrade(target, on_event=emit, **self.options),
        )

    def _down(self, target: str, crash: Crash | None) -> None:
        model = self.model
        expected: type[MigrationError] | None = model.refusal(down=True)
        steps = model.steps_down(target)
        if expected is None and target != "base" and target not in model.applied:
            expected = RevisionNotFound
        if expected is None and model.blocked(steps):
            expected = LedgerError
        if expected is None and model.edited(steps, DOWN):
            expected = ChecksumMismatch
        self._do(
            steps,
            DOWN,
            expected,
            crash,
            lambda emit: bm.downgrade(target, on_event=emit, **self.options),
        )

    def _do(
        self,
        steps: list[str],
        way: str,
        refusal: type[MigrationError] | None,
        crash: Crash | None,
        command: Callable[[Any], Any],
    ) -> None:
        outcome = Outcome(refusal) if refusal else self.model.run(steps, way, crash)
        raised: BaseException | None = None
        report = None
        with self._dying(crash) as emit:
            try:
                report = command(emit)
            except (MigrationError, Killed) as error:
                raised = error
        assert type(raised) is (outcome.error or type(None)), (raised, outcome)
        if report is not None:
            assert list(report.applied) == outcome.done
            assert set(report.current) == self.model.heads
        if isinstance(raised, StatementFailed):
            assert raised.report is not None
            assert list(raised.report.applied) == outcome.done
        if outcome.unknown:
            assert isinstance(raised, StatementOutcomeUnknown)
            assert (raised.revision, raised.index) == outcome.unknown
            self._answer(outcome)

    def _answer(self, outcome: Outcome) -> None:
        """Say of a statement in doubt what is true."""
        assert outcome.unknown is not None
        name, position = outcome.unknown
        way = next(w for w in (UP, DOWN) if position in self.model.doubtful((name, w)))
        known = self.model.unfinished_runs[name, way][position]
        bm.repair_statement(
            name, position, applied=known.how == "ran", on_event=ignore, **self.options
        )
        known.how = "applied" if known.how == "ran" else "failed"
        texts = getattr(self.model.files[name], way) if name in self.model.files else ()
        if position <= len(texts):
            known.text = texts[position - 1]  # an answer is about the statement as it is now

    @contextmanager
    def _dying(self, crash: Crash | None) -> Iterator[Callable[[Event], None]]:
        if crash is None:
            yield ignore
        elif not crash.kill:
            yield _stopping(crash)
        else:
            with _killing(crash):
                yield ignore

    # --- what must always hold ---

    @invariant()
    def every_statement_ran_as_often_as_it_should(self) -> None:
        rows = self.holder.query(f"SELECT n, count() FROM {self.database}.log GROUP BY n")
        found = {int(n): int(count) for n, count in rows}
        assert found == {n: c for n, c in self.model.log.items() if c}

    @invariant()
    def the_status_is_true(self) -> None:
        model = self.model
        if not model.files:
            return
        status = bm.status(**self.options)
        assert set(status.current) == model.heads
        assert set(status.pending) == {n for n in model.files if n not in model.applied}
        half = {n for n, way in model.unfinished_runs if way == UP and model.begun((n, way))}
        shown = {r.revision: r.state.value for r in status.revisions}
        assert shown == {n: self._state(n) for n in {*model.files, *model.applied, *half}}

    def _state(self, name: str) -> str:
        model = self.model
        ways = [w for w in (UP, DOWN) if model.begun((name, w))]
        if any(model.doubtful((name, w)) for w in ways):
            return "unknown"
        if ways:
            return "failed"
        if name in model.applied:
            return "applied"
        return "failed" if name in model.failed else "pending"


def _stopping(crash: Crash) -> Callable[[Event], None]:
    begun: list[tuple[str, int]] = []

    def emit(event: Event) -> None:
        if isinstance(event, StatementStarted):
            begun.append((event.revision, event.index))
            stops = not crash.after
        else:
            stops = crash.after and isinstance(event, StatementFinished) and not event.skipped
        if stops and len(begun) - 1 == crash.at:
            raise Killed

    return emit


@contextmanager
def _killing(crash: Crash) -> Iterator[None]:
    seen, dead = 0, False
    execute, query, insert = Session.execute, Session.query, Session.insert

    def dying_execute(self: Session, sql: str, **more: Any) -> Any:
        nonlocal seen, dead
        if dead:
            raise Killed
        ours = (
            "schema_migrations" in sql or "alembic_version" in sql or sql.startswith("CREATE DAT")
        )
        mine = not ours and seen == crash.at
        seen += not ours
        dead = mine
        if mine and not crash.after:
            raise Killed
        try:
            return execute(self, sql, **more)
        finally:
            if mine:
                raise Killed

    def dying(real: Any) -> Any:
        def call(self: Session, *arguments: Any, **more: Any) -> Any:
            if dead:
                raise Killed
            return real(self, *arguments, **more)

        return call

    with (
        mock.patch.object(Session, "execute", dying_execute),
        mock.patch.object(Session, "query", dying(query)),
        mock.patch.object(Session, "insert", dying(insert)),
    ):
        yield


@pytest.fixture
def machine(embedded_directory: Path, tmp_path: Path) -> Iterator[type[Migrations]]:
    Migrations.directory = embedded_directory.parent
    url = f"chdb:///{embedded_directory}"
    with Session(Settings(url=url, database="default")) as session:
        session._link.may_create = True
        session.query("SELECT 1")
        Migrations.holder = session
        with mock.patch.object(recorder, "_LONGEST_WAIT", 1e9):
            yield Migrations


def _run(machine: type[Migrations], begin: int, examples: int, steps: int) -> None:
    """Run examples that are the same each time for the same ``begin``."""
    run_state_machine_as_test(
        seed(begin)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)
def test_the_ledger_is_what_the_model_says(machine: type[Migrations]) -> None:
    _run(machine, 0, examples=25, steps=15)


def test_what_a_run_has_found_out_of_a_kill_is_known_after_it_is_stopped(
    machine: type[Migrations],
) -> None:
    commands = machine()
    try:
        commands.write_all()
        commands.upgrade("heads")
        commands.downgrade_and_die("base", at=0, kill=True, after=False)
        commands.the_status_is_true()
        commands.downgrade_and_die("base", at=0, kill=False, after=False)
        commands.the_status_is_true()
        commands.downgrade("base")
        commands.every_statement_ran_as_often_as_it_should()
    finally:
        commands.teardown()


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("begin", range(1, 9))
def test_the_ledger_is_what_the_model_says_for_longer(
    machine: type[Migrations], begin: int
) -> None:
    _run(machine, begin, examples=50, steps=40)
