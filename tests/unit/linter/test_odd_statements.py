"""No rule trips over what is cut off or makes no sense; the server says what is wrong with it."""

from __future__ import annotations

import pytest

from budeval_migrations.linter.registry import rules
from tests.unit.linter.bench import EVENTS, Case

WHOLE = (
    EVENTS,
    "CREATE OR REPLACE TABLE t (a LowCardinality(Nullable(String)) DEFAULT now(), n Nested(x Int8))"
    " ENGINE = ReplacingMergeTree(a) PARTITION BY a ORDER BY (a, lower(n.x)) SETTINGS x = 1",
    "CREATE MATERIALIZED VIEW v TO events POPULATE AS WITH 1 AS one SELECT DISTINCT one AS two, * FROM t",
    "ALTER TABLE events ON CLUSTER c ADD COLUMN a.b Int8 AFTER id, ADD INDEX i (a, b) TYPE minmax,"
    " MODIFY COLUMN score Float32 TTL at + 1, UPDATE note = 'x', id = 2 IN PARTITION 1 WHERE 1"
    " SETTINGS mutations_sync = 1",
    "ALTER TABLE events RENAME COLUMN note TO top, DROP COLUMN IF EXISTS score, MODIFY ORDER BY (id, a)",
    "RENAME TABLE events TO a, b TO events",
    "EXCHANGE TABLES events AND t",
    "DROP DATABASE IF EXISTS d SYNC",
    "DROP INDEX IF EXISTS i ON TABLE events",
    "CREATE INDEX IF NOT EXISTS i ON events (note) TYPE minmax",
    "TRUNCATE TABLE IF EXISTS events",
    "OPTIMIZE TABLE events PARTITION 1 FINAL",
    "DETACH TABLE events PERMANENTLY",
    "CREATE USER IF NOT EXISTS u IDENTIFIED BY 'x'",
    "INSERT INTO events (id) VALUES (1)",
)  # fmt: skip


@pytest.mark.parametrize("whole", WHOLE, ids=lambda text: " ".join(text.split()[:4]))
def test_every_beginning_of_a_statement_is_survived(whole: str) -> None:
    words = whole.split(" ")
    beginnings = [" ".join(words[:count]) for count in range(1, len(words) + 1)]
    for text in beginnings:
        if text.count("'") % 2 or text.count("(") != text.count(")"):
            continue  # what is not closed is refused before
        case = Case(text, [text], down=[text], settings={"cluster": "main"})
        for rule in rules().values():
            list(rule.check(case.subject()))
