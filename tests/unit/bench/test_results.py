"""What is computed from the figures of a benchmark; nothing is measured here."""

from __future__ import annotations

import json

import pytest

from bench.results import Results, Series, Spread, ratios


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_a_ratio_is_taken_within_its_round() -> None:
    assert ratios([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_a_round_that_one_of_the_two_did_not_finish_has_no_ratio() -> None:
    assert ratios([2.0, 9.0], [1.0]) == [2.0]
    assert ratios([2.0], [0.0]) == []


@pytest.fixture
def results() -> Results:
    return Results(
        {"Date": "today"},
        [
            Series("fresh", "http", 10, "the driver alone", [1.0, 2.0]),
            Series("fresh", "http", 10, "slow", [4.0, 8.0]),
            Series("fresh", "http", 10, "broken", said="failed: it did"),
        ],
    )


def test_a_tool_is_divided_by_the_floor_of_the_same_case(results: Results) -> None:
    slow = results.at("fresh", "http", 10, "slow")
    assert results.ratio(slow, "the driver alone") == Spread(4.0, 4.0, 4.0)


def test_what_has_no_values_has_no_ratio(results: Results) -> None:
    broken = results.at("fresh", "http", 10, "broken")
    assert results.ratio(broken, "the driver alone") is None
    assert results.ratio(results.at("fresh", "http", 10, "slow"), "nobody") is None


def test_a_series_is_made_once(results: Results) -> None:
    assert results.at("noop", "http", 10, "slow") is results.at("noop", "http", 10, "slow")


def test_results_survive_json(results: Results) -> None:
    assert Results.from_json(json.loads(json.dumps(results.as_json()))) == results
