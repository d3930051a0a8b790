"""Run the cases: every tool in turn, round after round, each time in a process of its own."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import inside
from bench.catalogue import CASES, IMPORTS, LEFT, MEMORY, SQLALCHEMY, WORK
from bench.places import EMBEDDED, Engine, Place, running
from bench.processes import ChildFailed, Finished, run
from bench.results import Results
from bench.tools import BARE, STATEMENTS
from bench.tools.tool import CHEAP, CREATE, Command, Tool
from bench.turns import TurnCounter

_ROOT = Path(__file__).resolve().parents[1]
_STANDING = ("noop", "app", "again", "status", "current", "trips", "memory", "memory-upgrade")


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    cases: Sequence[str]
    engines: Sequence[str]
    tools: Sequence[Tool]
    revisions: Sequence[int]
    fresh: Sequence[int]
    rounds: int
    rows: int


@dataclass(frozen=True)
class Project:
    """A tool's files, and the database that they are for."""

    tool: Tool
    directory: Path
    place: Place

    @classmethod
    def create(cls, tool: Tool, home: Path, engine: Engine, count: int, statement: str) -> Project:
        """Write the files, make the database, run what the tool wants first."""
        slug = f"{re.sub(r'[^a-z]+', '_', tool.name)}_{count}"
        project = cls(tool, home / slug, engine.place(slug))
        project.directory.mkdir(parents=True)
        tool.write(project.directory, count, statement)
        tool.configure(project.directory, project.place)
        for command in tool.prepare(project.place):
            project.run(command)
        return project

    def run(self, command: Command) -> Finished:
        """One command in the project."""
        return run(command, self.directory, self.tool.environment(self.place))

    def through(self, port: int) -> Project:
        """The same project, with the server behind a proxy."""
        moved = Project(self.tool, self.directory, self.place.through(port))
        self.tool.configure(self.directory, moved.place)
        return moved


@dataclass
class Bench:
    """A run of a plan."""

    plan: Plan
    results: Results
    save: Callable[[Results], None] = lambda results: None  # after each part, for a run cut short

    def run(self) -> Results:
        """Everything, engine by engine."""
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            home = Path(folder)
            if "import" in self.plan.cases:
                self._imports(home)
                self.save(self.results)
            if EMBEDDED in self.plan.engines:
                self._work(home / "work")
            for engine in self.plan.engines:
                if "fresh" in self.plan.cases:
                    for count in self.plan.fresh:
                        self._fresh(engine, count, home)
                        self.save(self.results)
                if set(_STANDING) & set(self.plan.cases):
                    self._standing(engine, home)
        return self.results

    def _work(self, home: Path) -> None:
        """Long work on chDB, both ways; the one that goes first changes from round to round."""
        floors = {case.name: case.floor for case in CASES}
        for act, other in WORK.items():
            if act not in self.plan.cases:
                continue
            # Two tables and both ways are four.
            rows = self.plan.rows if act == "backfill" else self.plan.rows * 2 // 5
            for number in range(self.plan.rounds):
                home.mkdir()
                command = [sys.executable, "-m", "bench.work", act, str(rows), str(number % 2)]
                done = run(command, home, {"PYTHONPATH": str(_ROOT)})
                for tool, took in zip(
                    (floors[act], other), inside.last_line(done.output), strict=True
                ):
                    seconds, misjudged, memory = took
                    self.results.at(act, EMBEDDED, 0, tool).values.append(seconds)
                    if act == "backfill":
                        self.results.at(MEMORY, EMBEDDED, 0, tool).values.append(memory)
                        if misjudged is not None:
                            self.results.at(LEFT, EMBEDDED, 0, tool).values.append(misjudged)
                shutil.rmtree(home)
                _tell(f"{act} of {rows:,} rows, round {number + 1}")
            self.save(self.results)

    def _turns(self, number: int, tools: Sequence[Tool]) -> list[Tool]:
        """Every tool and the floor, beginning with another one in each round."""
        every = [BARE, *tools]
        start = number % len(every)
        return every[start:] + every[:start]

    def _tools(self, case: str, engine: str, counts: Sequence[int]) -> list[Tool]:
        """The tools that can be tried on an engine; the others' sentences are noted."""
        tried = []
        for tool in self.plan.tools:
            if not _concerns(case, engine, tool):
                continue
            if engine in tool.refused:
                for count in counts:
                    self.results.at(case, engine, count, tool.name).said = tool.refused[engine]
            else:
                tried.append(tool)
        return tried

    def _fresh(self, name: str, count: int, home: Path) -> None:
        tools = [STATEMENTS, *self._tools("fresh", name, [count])]
        for number in range(self.plan.rounds):
            for tool in self._turns(number, tools):
                series = self.results.at("fresh", name, count, tool.name)
                if not series.said:
                    work = home / "fresh"
                    try:
                        series.values.append(self._once_fresh(tool, name, count, work))
                    except ChildFailed as error:
                        series.said = f"failed: {error}"
                    shutil.rmtree(work, ignore_errors=True)
            _tell(f"fresh upgrade of {count}, {name}, round {number + 1}")

    def _once_fresh(self, tool: Tool, name: str, count: int, work: Path) -> float:
        """One upgrade against an engine that has just been started."""
        with running(name, work / "engine") as engine:
            project = Project.create(tool, work, engine, count, CREATE)
            done = project.run(tool.upgrade(project.place))
            counted = run(BARE.tables(project.place), work, BARE.environment(project.place))
            if int(counted.output.split()[-1]) != count:
                raise ChildFailed(f"it made {counted.output.split()[-1]} of {count} tables")
        return done.seconds

    def _standing(self, name: str, home: Path) -> None:
        """Everything that only looks at a database at head."""
        with running(name, home / f"{name}-engine") as engine:
            for count in self.plan.revisions:
                work = home / f"{name}-{count}"
                projects = self._at_head(engine, count, work)
                for number in range(self.plan.rounds):
                    order = self._turns(number, [each.tool for each in projects])
                    for project in sorted(projects, key=lambda each: order.index(each.tool)):
                        self._look(project, count)
                    _tell(f"at head with {count}, {name}, round {number + 1}")
                if "trips" in self.plan.cases and name != EMBEDDED:
                    for project in projects:
                        self._trips(project, count)
                self.save(self.results)
                shutil.rmtree(work, ignore_errors=True)

    def _at_head(self, engine: Engine, count: int, work: Path) -> list[Project]:
        """A project for each tool, brought to head; those that fail are noted and left out."""
        cases = [each for each in _STANDING if each in self.plan.cases]
        for case in cases:
            self._tools(case, engine.name, [count])
        tools = [tool for tool in self.plan.tools if engine.name not in tool.refused]
        projects: list[Project] = []
        for tool in [BARE, *tools]:
            whose = [each for each in projects if each.tool.name == tool.shares]
            if whose:
                projects.append(Project(tool, whose[0].directory, whose[0].place))
                continue
            try:
                project = Project.create(tool, work, engine, count, CHEAP)
                command = tool.catch_up(project.place)
                done = project.run(command)
            except ChildFailed as error:
                for case in cases:
                    if _concerns(case, engine.name, tool):
                        said = f"failed: {error}"
                        self.results.at(case, engine.name, count, tool.name).said = said
                continue
            if command[-1] in ("up", "loop"):
                self._note("memory-upgrade", project, count, done.peak_mb)
            projects.append(project)
            _tell(f"{tool.name} brought {count} to head on {engine.name} in {done.seconds:.1f} s")
        return projects

    def _look(self, project: Project, count: int) -> None:
        """One round of one project."""
        tool, place, wanted = project.tool, project.place, set(self.plan.cases)
        bare = tool is BARE
        nothing = BARE.nothing(place)
        if wanted & {"noop", "memory"}:
            done = self._try("noop", project, count, nothing if bare else tool.upgrade(place))
            if done:
                self._note("memory", project, count, done.peak_mb)
        if bare and "noop" in wanted:
            done = project.run(BARE.imports_of(place))
            series = self.results.at("noop", place.engine, count, IMPORTS)
            series.values.append(done.seconds)
        if tool.application and wanted & {"app", "again"}:
            source = inside.application(tool.application, place)
            done = self._try("", project, count, [tool.python, "-c", source], ("app", "again"))
            if done:
                for case, seconds in zip(
                    ("app", "again"), inside.two_times(done.output), strict=True
                ):
                    self._note(case, project, count, seconds)
        looks: tuple[tuple[str, Callable[[Place], Command | None]], ...]
        looks = (("status", tool.status), ("current", tool.current))
        for case, command_of in looks:
            command = nothing if bare else command_of(place)
            if command and case in wanted:
                self._try(case, project, count, command)

    def _try(
        self,
        case: str,
        project: Project,
        count: int,
        command: Command,
        cases: Sequence[str] = (),
    ) -> Finished | None:
        """Run a command unless it failed before; note its time, or what it said."""
        cases = cases or (case,)
        each = [self.results.at(c, project.place.engine, count, project.tool.name) for c in cases]
        if any(series.said for series in each):
            return None
        try:
            done = project.run(command)
        except ChildFailed as error:
            for series in each:
                series.said = f"failed: {error}"
            return None
        if case in self.plan.cases:
            each[0].values.append(done.seconds)
        return done

    def _trips(self, project: Project, count: int) -> None:
        with TurnCounter(project.place.port) as counter:
            moved = project.through(counter.port)
            bare = project.tool is BARE
            place = moved.place
            command = BARE.nothing(place) if bare else project.tool.upgrade(place)
            try:
                moved.run(command)
            except ChildFailed as error:
                series = self.results.at("trips", place.engine, count, project.tool.name)
                series.said = f"failed: {error}"
            else:
                self._note("trips", project, count, counter.turns)
        project.tool.configure(project.directory, project.place)

    def _note(self, case: str, project: Project, count: int, value: float) -> None:
        if case in self.plan.cases:
            series = self.results.at(case, project.place.engine, count, project.tool.name)
            series.values.append(value)

    def _imports(self, home: Path) -> None:
        tools = [tool for tool in self.plan.tools if tool.imports]
        for number in range(self.plan.rounds + 1):
            for tool in tools:
                source = inside.imports(tool.imports)
                series = self.results.at("import", "", 0, tool.name)
                if series.said:
                    continue
                try:
                    done = run([tool.python, "-c", source], home)
                except ChildFailed as error:
                    series.said = f"failed: {error}"
                    continue
                if not number:
                    continue  # the first round compiles
                floor, seconds = inside.two_times(done.output)
                series.values.append(seconds)
                if tool is tools[0]:
                    self.results.at("import", "", 0, SQLALCHEMY).values.append(floor)


def _concerns(case: str, engine: str, tool: Tool) -> bool:
    """Whether a tool would have a number in a case if it ran on the engine."""
    place = Place(engine, Path(), "")
    if case == "trips":
        return engine != EMBEDDED
    if case in ("status", "current"):
        return (tool.status if case == "status" else tool.current)(place) is not None
    return case != "memory-upgrade"


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
