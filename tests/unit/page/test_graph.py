"""How revisions are laid out beside one another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.model import RevisionNode
from budeval_migrations.page.graph import Row, lay_out, parents_first


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    count = draw(st.integers(0, 12))
    return {
        str(n): [str(p) for p in draw(st.lists(st.integers(0, n - 1), unique=True, max_size=3))]
        if n
        else []
        for n in range(count)
    }


@given(graphs())
def test_every_line_that_leaves_a_revision_ends_at_its_parent(graph: dict[str, list[str]]) -> None:
    rows = lay_out(graph)
    assert [row.revision for row in rows] == list(reversed(graph))
    for n, row in enumerate(rows):
        ends = {_end(rows[n + 1 :], track) for track in row.below}
        assert ends == set(graph[row.revision])


@given(graphs())
def test_no_dot_stands_on_a_line_that_goes_by(graph: dict[str, list[str]]) -> None:
    assert all(row.track not in row.past for row in lay_out(graph))


def test_two_branches_stand_side_by_side_until_they_meet() -> None:
    graph = {"1": [], "left": ["1"], "right": ["1"], "both": ["left", "right"]}
    assert lay_out(graph) == [
        Row("both", 0, (), (), (0, 1)),
        Row("right", 1, (0,), (1,), (1,)),
        Row("left", 0, (1,), (0,), (1,)),
        Row("1", 1, (), (1,), ()),
    ]


def test_a_revision_without_a_file_comes_before_its_child_and_a_circle_is_cut() -> None:
    nodes = {
        "2": RevisionNode("2", ("1",)),
        "1": RevisionNode("1", ()),
        "a": RevisionNode("a", ("b",)),
        "b": RevisionNode("b", ("a",)),
    }
    assert list(parents_first(nodes)) == ["1", "2", "b", "a"]
    assert len(lay_out({name: node.parents for name, node in nodes.items()})) == 4


def _end(rows: list[Row], track: int) -> str:
    return next(row.revision for row in rows if track in row.above)
