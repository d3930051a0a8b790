"""A revision on the bench: statements in, what one rule says of them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from budeval_migrations.linter.known import Tables
from budeval_migrations.linter.registry import rules
from budeval_migrations.linter.subject import Said, Subject, read_statements
from budeval_migrations.model import CompiledRevision, Direction, Reach, Statement
from budeval_migrations.sql.session_settings import Carrier

EVENTS = """
CREATE TABLE IF NOT EXISTS events
(
    id UInt64,
    kind LowCardinality(String),
    at DateTime64(3),
    amount Decimal(10, 2),
    score Float64,
    note Nullable(String),
    state Enum8('new' = 1, 'done' = 2),
    INDEX by_kind kind TYPE set(100) GRANULARITY 4
)
ENGINE = ReplacingMergeTree(at)
PARTITION BY toYYYYMM(at)
ORDER BY (kind, id)
"""
"""A table as an earlier revision made it."""


@dataclass(frozen=True)
class Case:
    """What a rule has to say of a revision.

    Attributes:
        says: The case as a sentence; the test's name.
        up: The statements of upgrade().
        expected: The messages, in order; none where the rule is to keep silent.
        earlier: The statements of the revision before it.
    """

    says: str
    up: Sequence[str]
    expected: Sequence[str] = ()
    down: Sequence[str] | None = ()
    earlier: Sequence[str] = (EVENTS,)
    settings: dict[str, str] = field(default_factory=dict)
    reach: Reach = Reach.EVERYWHERE
    unless: str | None = None

    def messages(self, code: str) -> list[str]:
        """Return what the rule says."""
        return [spot.message for spot in rules()[code].check(self.subject())]

    def subject(self) -> Subject:
        """Return the revision as rules see it."""
        _, tables = _read("001_before", Direction.UP, self.earlier, Tables("budeval"))
        up, tables = self._read(Direction.UP, self.up, tables)
        down = None if self.down is None else self._read(Direction.DOWN, self.down, tables)[0]
        return Subject("002_new", "versions/002_new.py", "", 9, up, down, **self.settings)

    def _read(
        self, direction: Direction, statements: Sequence[str], tables: Tables
    ) -> tuple[tuple[Said, ...], Tables]:
        return _read("002_new", direction, statements, tables, self.reach, self.unless)


def _read(
    revision: str,
    direction: Direction,
    statements: Sequence[str],
    tables: Tables,
    reach: Reach = Reach.EVERYWHERE,
    unless: str | None = None,
) -> tuple[tuple[Said, ...], Tables]:
    file = f"versions/{revision}.py"
    carrier = Carrier()
    compiled = CompiledRevision(
        revision,
        direction,
        file,
        tuple(
            carrier.take(Statement(text, file, line, unless, reach=reach))
            for line, text in enumerate(statements, start=10)
        ),
    )
    return read_statements(compiled, tables)
