"""A table fits in the width that there is, and says the important things."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from budeval_migrations.cli.table import Column, table

COLUMNS = (
    Column("revision"),
    Column("state", styles={"applied": "green"}),
    Column("executed", spare=1),
    Column("ms", right=True, spare=2),
)
ROWS = [
    ("001_create_tables", "applied", "2026-01-02", "7"),
    ("002_add", "pending", "-", "-"),
]


def lines(width: int) -> list[str]:
    return table(COLUMNS, ROWS, width).plain.splitlines()


def test_columns_stand_under_one_another_and_numbers_at_the_right() -> None:
    assert lines(200) == [
        "revision           state    executed    ms",
        "001_create_tables  applied  2026-01-02   7",
        "002_add            pending  -            -",
    ]


def test_a_state_has_its_colour_and_a_title_is_bold() -> None:
    spans = table(COLUMNS, ROWS, 200).spans
    assert [str(span.style) for span in spans if span.style] == ["bold"] * 4 + ["green"]


def test_where_there_is_no_room_spare_columns_go() -> None:
    assert lines(40) == [
        "revision           state    executed",
        "001_create_tables  applied  2026-01-02",
        "002_add            pending  -",
    ]
    assert lines(26) == [
        "revision           state",
        "001_create_tables  applied",
        "002_add            pending",
    ]


def test_then_the_widest_column_is_cut() -> None:
    assert lines(20) == [
        "revision     state",
        "001_create…  applied",
        "002_add      pending",
    ]
    assert lines(1)[1] == "001_cre…  applied"  # there is no sense in less


def test_a_table_without_rows_is_its_titles() -> None:
    assert table(COLUMNS, [], 80).plain == "revision  state  executed  ms\n"


_cells = st.text(st.characters(exclude_categories=("C", "Z", "M")), min_size=1, max_size=30)


@given(st.lists(st.tuples(_cells, _cells, _cells, _cells), max_size=6), st.integers(40, 200))
def test_no_line_is_wider_than_there_is_room_and_every_row_is_there(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    written = table(COLUMNS, rows, width).plain.splitlines()
    assert len(written) == len(rows) + 1
    states = max([cell_len("state"), *(cell_len(row[1]) for row in rows)])
    names = max([cell_len("revision"), *(cell_len(row[0]) for row in rows)])
    if min(states, names) + 10 <= width:
        assert max(map(cell_len, written)) <= width
