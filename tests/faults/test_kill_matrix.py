"""A part of the kill matrix: every statement, seam and victim, but not all with all.

``make faults`` runs the whole of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import nursery
from tests.faults.cases import CASES, CLIENT, ENGINE, SEAMS
from tests.faults.kills import Order, Outcome
from tests.faults.report import page
from tests.faults.worker import Worker


def _reduced() -> Iterator[Order]:
    """Every kind while it runs, and elsewhere; its cases, such as with and without IF, in turn."""
    kinds: dict[str, list[str]] = {}
    for case in CASES.values():
        kinds.setdefault(case.kind, []).append(case.name)
    others = [(seam, victim) for seam in (1, 2, 5, 6) for victim in (ENGINE, CLIENT)]
    for number, names in enumerate(kinds.values()):
        first, second, third = (names[(number // 2 + turn) % len(names)] for turn in range(3))
        victim = CLIENT if number % 2 else ENGINE
        restart = ("both", "at once", "both", "at once", "late")[number % 5]
        yield Order(first, 3, victim, number, restart=restart)
        if number % 2 or len(names) > 2:
            other = CLIENT if number // 2 % 2 else ENGINE
            yield Order(third, 4, other, number, restart=restart)
        seam, victim = others[number % len(others)]
        # A statement that may be repeated has no intent, and so no seam 2.
        seam = 4 if seam == 2 and "_if_" in second else seam
        yield Order(second, seam, victim, number, "lease" if number % 8 == 7 else "off", restart)


REDUCED = list(_reduced())


@pytest.mark.parametrize("order", REDUCED, ids=str)
def test_after_a_kill_the_next_run_ends_as_if_nothing_had_been(
    worker: Worker, order: Order
) -> None:
    outcome = worker.kill(order)
    assert outcome.verdict in ("same", "unknown", "skipped"), "\n".join(
        [f"{order}: {outcome.verdict}: {outcome.why}", outcome.effect, *outcome.details]
    )


def test_the_part_covers_every_case_seam_and_victim_with_120_kills() -> None:
    assert len(REDUCED) >= 120
    assert {order.case for order in REDUCED} == set(CASES)
    cells = {(order.seam, order.victim) for order in REDUCED}
    assert cells == {(seam, victim) for seam in SEAMS for victim in (CLIENT, ENGINE)}
    assert len({case.kind for case in CASES.values()}) >= 24


@pytest.mark.parametrize("name", ["insert_values", "alter_update", "exchange_tables"])
def test_the_harness_sees_a_statement_that_ran_twice(worker: Worker, name: str) -> None:
    assert worker.run_tampered(name, "") == []
    assert worker.run_tampered(name, "doubled")


@pytest.mark.parametrize(
    "name", ["insert_values", "alter_update", "exchange_tables", "add_column", "comment_column"]
)
def test_the_harness_sees_a_statement_that_was_skipped(worker: Worker, name: str) -> None:
    assert worker.run_tampered(name, "skipped")


@pytest.mark.parametrize("tamper", ["doubled neighbour", "skipped neighbour"])
def test_the_harness_sees_what_becomes_of_the_neighbours(worker: Worker, tamper: str) -> None:
    differences = worker.run_tampered("create_table", tamper)
    assert any(line.startswith("rows log:") for line in differences), differences


def test_a_forked_process_that_is_killed_says_so(tmp_path: Path) -> None:
    import time

    pid = nursery.fork(lambda: time.sleep(60), tmp_path / "child")
    assert nursery.wait(pid, 0.05) is None
    assert nursery.end(pid) == -9


def test_the_page_counts_what_was_wrong() -> None:
    order = Order("create_table", 3, ENGINE)
    results = [(order, Outcome("same")), (order, Outcome("wrong")), (order, Outcome("unknown"))]
    text = page(results, seconds=60, jobs=2, clickhouse="26.9")
    assert "3 kills in 1 min" in text
    assert "| CREATE TABLE | – | – | 1 1? 1! | – | – | – |" in text
