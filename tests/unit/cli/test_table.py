"""A table fits in the width that there is, and says the important things."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from budeval_migrations.cli.table import OutputColumn, table

COLUMNS = (
    OutputColumn("revision"),
    OutputColumn("state", styles={"applied": "green"}),
    OutputColumn("executed", spare=1),
    OutputColumn("ms", right=True, spare=2),
)
ROWS = [
    ("001_create_tables", "applied", "2026-01-02", "7"),
    ("002_add", "pending", "-", "-"),
]


def lines(width: int) -> list[str]:
    return table(COLUMNS, ROWS, width).text.plain.splitlines()


def test_columns_stand_under_one_another_and_numbers_at_the_right() -> None:
    assert lines(200) == [
        "revision           state    executed    ms",
        "001_create_tables  applied  2026-01-02   7",
        "002_add            pending  -            -",
    ]


def test_a_state_has_its_colour_and_a_title_is_bold() -> None:
    spans = table(COLUMNS, ROWS, 200).text.spans
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


def test_then_the_widest_column_is_cut_in_its_middle() -> None:
    assert lines(20) == [
        "revision     state",
        "001_cre…les  applied",
        "002_add      pending",
    ]
    assert lines(1)[1] == "001_c…es  applied"  # there is no sense in less


def test_columns_without_room_are_named() -> None:
    assert table(COLUMNS, ROWS, 200).left_out == ()
    assert table(COLUMNS, ROWS, 40).left_out == ("ms",)
    assert table(COLUMNS, ROWS, 26).left_out == ("executed", "ms")


def test_a_name_that_may_be_cut_is_cut_before_a_column_goes() -> None:
    columns = (OutputColumn("revision", least=12), *COLUMNS[1:])
    found = table(columns, ROWS, 40)
    assert found.left_out == ()
    assert found.text.plain.splitlines() == [
        "revision         state    executed    ms",
        "001_create…bles  applied  2026-01-02   7",
        "002_add          pending  -            -",
    ]
    assert table(columns, ROWS, 36).left_out == ("ms",)


def test_a_table_without_rows_is_its_titles() -> None:
    assert table(COLUMNS, [], 80).text.plain == "revision  state  executed  ms\n"


_cells = st.text(st.characters(exclude_categories=("C", "Z", "M")), min_size=1, max_size=30)


@given(st.lists(st.tuples(_cells, _cells, _cells, _cells), max_size=6), st.integers(40, 200))
def test_no_line_is_wider_than_there_is_room_and_every_row_is_there(
    rows: list[tuple[str, str, str, str]], width: int
) -> None:
    written = table(COLUMNS, rows, width).text.plain.splitlines()
    assert len(written) == len(rows) + 1
    states = max([cell_len("state"), *(cell_len(row[1]) for row in rows)])
    names = max([cell_len("revision"), *(cell_len(row[0]) for row in rows)])
    if min(states, names) + 10 <= width:
        assert max(map(cell_len, written)) <= width
