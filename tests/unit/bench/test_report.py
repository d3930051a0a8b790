"""Tables, bars and goals of a benchmark, from figures that were made up."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import plot, table
from bench.catalogue import CASES, DRIVER, IMPORTS
from bench.goals import goals, slower
from bench.results import Results, Series

FRESH = next(case for case in CASES if case.name == "fresh")


@pytest.fixture
def results() -> Results:
    return Results(
        {"Command": "`python -m bench`"},
        [
            Series("fresh", "http", 10, DRIVER, [0.5, 0.5]),
            Series("fresh", "http", 10, "budeval-migrate", [0.6, 0.7]),
            Series("fresh", "http", 10, "a | b", said="failed: so it said"),
            Series("memory", "http", 10, DRIVER, [100.0]),
            Series("memory", "http", 10, "budeval-migrate", [130.0]),
        ],
    )


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.01234, "s", "12.3 ms"),
        (1.5, "s", "1.50 s"),
        (0.6634, "s", "663 ms"),
        (131.6, "MB", "132 MB"),
        (4, "round trips", "4"),
    ],
)
def test_amounts_have_three_digits_and_their_unit(value: float, unit: str, expected: str) -> None:
    assert table.amount(value, unit) == expected


def test_a_cell_holds_the_median_and_the_ratio_with_its_spread(results: Results) -> None:
    text = table.case_table(results, FRESH)
    assert "| budeval-migrate | 650 ms · **1.30** (1.20–1.40) |" in text.splitlines()
    assert "| the driver alone | 500 ms |" in text.splitlines()


def test_a_tool_without_numbers_has_its_sentence(results: Results) -> None:
    assert "| a \\| b | failed: so it said |" in table.case_table(results, FRESH).splitlines()


def test_a_sentence_that_holds_for_every_number_of_revisions_stands_once() -> None:
    said = [Series("fresh", "http", count, "x", said="it cannot") for count in (10, 100)]
    assert "| x | it cannot |  |" in table.case_table(Results({}, said), FRESH).splitlines()


def test_memory_is_told_beyond_the_floor(results: Results) -> None:
    assert "| budeval-migrate | 130 MB (+30) |" in table.report(results).splitlines()


def test_a_case_that_was_not_run_has_no_table(results: Results) -> None:
    assert "Import" not in table.report(results)


def test_what_stands_between_the_markers_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    table.write_between_markers(page, "new\n")
    assert page.read_text() == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing here\n")
    with pytest.raises(ValueError, match="needs the lines"):
        table.write_between_markers(page, "new")


def test_a_goal_says_whether_it_was_met(results: Results) -> None:
    text = goals(results)
    assert "fresh upgrade over the bare loop, 10 revisions, chDB over HTTP | 1.5 × | 1.30 ×" in text
    assert "30.0 MB (30.0–30.0) | met |" in text
    assert "from an application" not in text


def test_bars_are_well_formed_and_leave_out_what_has_no_number(results: Results) -> None:
    drawing = ET.fromstring(plot.draw(results))
    words = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    bars = list(drawing.iter("{http://www.w3.org/2000/svg}rect"))
    assert "Fresh upgrade: 10 revisions, chDB over HTTP" in words
    assert "650 ms, 1.30 × the floor" in words
    assert len(bars) == 2


def test_a_competitor_that_takes_less_is_named(results: Results) -> None:
    results.series.append(Series("fresh", "http", 10, "clickhouse-migrations", [0.325]))
    assert "fresh, chDB over HTTP, 10: clickhouse-migrations takes 0.50 of ours" in slower(results)


def test_being_the_fastest_everywhere_is_said_too(results: Results) -> None:
    assert "Nowhere in this run." in slower(results)


def test_growth_is_one_where_time_follows_the_revisions() -> None:
    series = [
        Series("noop", "http", 10, IMPORTS, [1.0]),
        Series("noop", "http", 100, IMPORTS, [1.0]),
        Series("current", "http", 10, "budeval_migrations, alembic", [1.5]),
        Series("current", "http", 100, "budeval_migrations, alembic", [6.0]),
    ]
    assert "over that of revisions, chDB over HTTP | 1.25 × | 1.00 ×" in goals(Results({}, series))


def test_a_goal_that_only_some_rounds_met_is_open() -> None:
    series = [
        Series("fresh", "http", 10, DRIVER, [1.0, 1.0]),
        Series("fresh", "http", 10, "budeval-migrate", [1.4, 1.6]),
    ]
    assert "| 1.50 × (1.40–1.60) | open: the rounds disagree |" in goals(Results({}, series))
