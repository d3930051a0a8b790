"""Which number, which parent, which file; and what the kinds refuse."""

from __future__ import annotations

import ast
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from budeval_migrations.errors import (
    ConfigError,
    MigrationError,
    MultipleHeads,
    RevisionCompileError,
    RevisionError,
    RevisionNotFound,
)
from budeval_migrations.model import RevisionFile
from budeval_migrations.scaffold.draft import Draft, render
from budeval_migrations.scaffold.kinds import (
    KINDS,
    choose_parent,
    known_kind,
    make_draft,
    new_id,
    next_number,
    slug,
    write_file,
)
from budeval_migrations.sql.changes import Name

EVENTS = "CREATE TABLE shop.events (`id` UInt64, `site` String DEFAULT 'x') ENGINE = MergeTree ORDER BY id SETTINGS index_granularity = 8192"


def draft(kind: str, *, ddl: str = "", written: str = "", **given: Any) -> Draft:
    def look(table: Name) -> tuple[str, str]:
        return ddl, "the test"

    known = {"look": look, "today": date(2026, 11, 23), "mark": "007", "written": written}
    return make_draft(kind, given, known)


def sql(kind: str, **given: Any) -> tuple[list[str], list[str]]:
    """The SQL of both directions, as Python reads the file."""
    text = render(draft(kind, **given), "007_x", "006_y")
    found: dict[str, list[str]] = {"upgrade": [], "downgrade": []}
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name in found:
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and isinstance(call.args[-1], ast.Constant):
                    found[node.name].append(str(call.args[-1].value).strip())
    return found["upgrade"], found["downgrade"]


def files(directory: Path, **parents: Any) -> dict[str, RevisionFile]:
    found = {}
    for name, parent in parents.items():
        path = directory / f"{name}.py"
        path.write_text(f"revision = {name!r}\ndown_revision = {parent!r}\n")
        found[name] = RevisionFile(name, str(path), "")
    return found


@pytest.mark.parametrize(
    ("known", "number"),
    [
        ([], "001"),
        (["001_a", "006_b"], "007"),
        (["0009_a"], "0010"),
        (["999_a"], "1000"),
        (["ae10_x", "abc"], "001"),
    ],
)
def test_the_next_number_is_as_wide_as_the_others(known: list[str], number: str) -> None:
    assert next_number(known) == number


def test_a_name_is_made_of_the_first_text_of_which_something_is_left() -> None:
    assert new_id("007", ("", "Add status!", "x")) == "007_add_status"
    assert new_id("007", ("", "Добавить", "add_x")) == "007_add_x"
    assert new_id("007", ("", "", "Добавить")) == "007_revision"
    assert new_id("007", ("012_mine", "Add status", "x")) == "012_mine"
    assert new_id("007", ("mine", "Add status", "x")) == "007_mine"
    assert new_id("007", ("../../etc", "", "")) == "007_etc"
    assert slug("a" * 100) == "a" * 60


def test_the_only_head_is_the_parent(tmp_path: Path) -> None:
    assert choose_parent({}) is None
    assert choose_parent(files(tmp_path, a=None, b="a")) == "b"
    assert choose_parent(files(tmp_path, a=None, b="a", c="a", d=("b", "c"))) == "d"


def test_several_heads_are_refused_until_one_is_chosen(tmp_path: Path) -> None:
    found = files(tmp_path, a_1=None, b_2="a_1", c_3="a_1")
    with pytest.raises(MultipleHeads) as raised:
        choose_parent(found)
    assert str(raised.value) == "There are several heads: b_2, c_3."
    assert raised.value.hint.startswith("Choose one with --head b_2")
    assert choose_parent(found, "c_3") == "c_3"
    assert choose_parent(found, "b") == "b_2"
    for wrong in ("a_1", "zzz"):
        with pytest.raises(RevisionNotFound, match="names no head"):
            choose_parent(found, wrong)
    with pytest.raises(RevisionNotFound, match="names no head"):
        choose_parent({}, "x")


def test_files_without_a_head_or_without_sense_are_told(tmp_path: Path) -> None:
    with pytest.raises(RevisionError, match="in a circle"):
        choose_parent(files(tmp_path, a="b", b="a"))
    found = files(tmp_path, a=None)
    Path(found["a"].path).write_text("revision = (")
    with pytest.raises(RevisionCompileError, match=r"a\.py does not parse"):
        choose_parent(found)


def test_a_file_is_never_written_over_another(tmp_path: Path) -> None:
    path = write_file(str(tmp_path), "007_x", "text")
    assert Path(path).read_text() == "text"
    with pytest.raises(RevisionError, match=r"There is a file .*007_x\.py already"):
        write_file(str(tmp_path), "007_x", "other")
    assert Path(path).read_text() == "text"
    with pytest.raises(ConfigError, match="cannot be written"):
        write_file(str(tmp_path / "nowhere"), "007_x", "text")


def test_a_kind_that_is_not_there_names_the_nearest_one() -> None:
    for wrong, right in (("add-colum", "add-column"), ("add_index", "add-index")):
        with pytest.raises(ConfigError) as raised:
            known_kind(wrong)
        assert raised.value.hint == f"Did you mean {right}?"
    with pytest.raises(ConfigError) as raised:
        known_kind("zzz")
    assert raised.value.hint == f"There are: {', '.join(KINDS)}."


def test_what_is_missing_and_what_is_too_much_is_named() -> None:
    with pytest.raises(ConfigError, match="new add-column needs COLUMN and TYPE"):
        draft("add-column", table="events")
    with pytest.raises(ConfigError) as raised:
        draft("add-column", table="t", column="c", type="String", defalt="1")
    assert str(raised.value) == "add-column has no option defalt."
    assert raised.value.hint == "Did you mean default?"


def test_one_alter_in_each_direction_adds_and_drops_a_column() -> None:
    assert sql(
        "add-column", table="db.events", column="order", type=" Array( String ) ", after="a b"
    ) == (
        ["ALTER TABLE db.events ADD COLUMN IF NOT EXISTS `order` Array( String ) AFTER `a b`"],
        ["ALTER TABLE db.events DROP COLUMN IF EXISTS `order`"],
    )


def test_a_dropped_column_is_described_by_the_table_or_by_a_flag() -> None:
    assert sql("drop-column", table="events", column="site", ddl=EVENTS)[1] == [
        "ALTER TABLE events ADD COLUMN IF NOT EXISTS site String DEFAULT 'x' AFTER id"
    ]
    assert sql("drop-column", table="events", column="site", type="UInt8", default="5")[1] == [
        "ALTER TABLE events ADD COLUMN IF NOT EXISTS site UInt8 DEFAULT 5"
    ]
    with pytest.raises(ConfigError) as raised:
        draft("drop-column", table="events", column="site")
    assert str(raised.value) == "What events.site is now is not known: no server has the table."
    assert raised.value.hint.startswith("--type says what it is")
    assert draft("drop-column", table="events", column="site", ddl=EVENTS).destructive


def test_a_modified_column_needs_to_be_known_as_it_was() -> None:
    assert sql("modify-column", table="e", column="n", type="UInt64", was="UInt8 DEFAULT 1") == (
        ["ALTER TABLE e MODIFY COLUMN IF EXISTS n UInt64"],
        ["ALTER TABLE e MODIFY COLUMN IF EXISTS n UInt8 DEFAULT 1"],
    )
    with pytest.raises(ConfigError, match="is not known"):
        draft("modify-column", table="e", column="n", type="UInt64")


def test_an_index_is_materialised_by_a_statement_of_its_own() -> None:
    assert sql("add-index", table="e", index="i", on="lower(a)", granularity=4)[0] == [
        "ALTER TABLE e ADD INDEX IF NOT EXISTS i lower(a) TYPE bloom_filter GRANULARITY 4",
        "ALTER TABLE e MATERIALIZE INDEX IF EXISTS i",
    ]


def test_a_dropped_table_goes_to_the_trash_of_that_day() -> None:
    assert sql("drop-table", table="db.events") == (
        ["RENAME TABLE IF EXISTS db.events TO db._trash_events_20261123"],
        ["RENAME TABLE IF EXISTS db._trash_events_20261123 TO db.events"],
    )
    taken = "RENAME … TO _trash_events_20261123; RENAME … TO _trash_events_20261123_2"
    assert sql("drop-table", table="events", written=taken)[0] == [
        "RENAME TABLE IF EXISTS events TO _trash_events_20261123_3"
    ]
    with pytest.raises(ConfigError, match="--purge drops what lies in the trash, and events"):
        draft("drop-table", table="events", purge=True)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("add-column", {"type": "String)"}, "a bracket of 'String\\)' is not closed"),
        ("add-column", {"type": "Array(String"}, "a bracket"),
        ("add-column", {"type": "String", "default": "0; DROP TABLE x"}, "has a semicolon"),
        ("add-column", {"type": "String", "default": "'open"}, "is not whole"),
        ("add-column", {"type": "String", "default": "/* */"}, "--default is empty"),
        ("add-column", {"type": "String", "first": True, "after": "a"}, "exclude each other"),
    ],
)
def test_pieces_of_sql_that_are_not_whole_are_refused(
    kind: str, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        draft(kind, table="events", column="c", **given)


@pytest.mark.parametrize("table", ["", "  ", "``"])
def test_a_table_without_a_name_is_refused(table: str) -> None:
    with pytest.raises(MigrationError):
        draft("create-table", table=table, columns=["a UInt8"], order_by="a")


def test_a_table_is_written_line_by_line() -> None:
    [create], [drop] = sql(
        "create-table",
        table="a-b",
        columns=["id UInt64, m Map(String, UInt8)", "`index` Enum('a, b' = 1)"],
        order_by="id",
    )
    assert create == (
        "CREATE TABLE IF NOT EXISTS `a-b`\n(\n    id UInt64,\n    m Map(String, UInt8),\n"
        "    `index` Enum('a, b' = 1)\n)\nENGINE = MergeTree\nORDER BY id"
    )
    assert drop == "DROP TABLE IF EXISTS `a-b`"


def test_a_table_without_columns_or_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="The columns of t are not given"):
        draft("create-table", table="t", order_by="a")
    with pytest.raises(ConfigError, match="The key of t is not given"):
        draft("create-table", table="t", columns=["a UInt8"])
    with pytest.raises(ConfigError, match="is no CREATE TABLE with columns"):
        make_draft("create-table", {"table": "t", "ddl": "DROP TABLE t"}, {})


def test_a_rebuild_says_what_it_changes_and_needs_the_table() -> None:
    found = draft("change-order-by", table="events", order_by="(site, id)", ddl=EVENTS)
    assert found.title == "Rebuild events with ORDER BY (site, id)"
    assert found.requires == "23.8"
    with pytest.raises(ConfigError, match="What events is now is not known"):
        draft("change-order-by", table="events", order_by="site")
    with pytest.raises(ConfigError, match="What is to change of events is not given"):
        draft("change-order-by", table="events", ddl=EVENTS)
    with pytest.raises(RevisionError, match="only tables of the MergeTree family"):
        draft("change-order-by", table="events", engine="Log", ddl=EVENTS)


@pytest.mark.parametrize("kind", ["swap", "backfill"])
def test_kinds_that_name_two_tables(kind: str) -> None:
    if kind == "swap":
        assert sql(kind, table="a", other="`b c`")[0] == ["EXCHANGE TABLES a AND `b c`"]
        with pytest.raises(ConfigError, match="exchanged with itself"):
            draft(kind, table="a", other="`a`")
    else:
        text = render(draft(kind, table="a", source="b", columns=["id, `from`"]), "1_x", None)
        assert '"SELECT id, `from` FROM b\\nWHERE {chunk}"' in text or "WHERE {chunk}" in text
        assert 'irreversible = "' in text and "def downgrade" not in text
        with pytest.raises(ConfigError, match="What goes into a is not given"):
            draft(kind, table="a", source="b")


def test_a_source_without_partitions_has_to_be_cut_by_an_expression() -> None:
    log = "CREATE TABLE b (id UInt8) ENGINE = Log"
    with pytest.raises(ConfigError, match="b has no partitions to go by"):
        draft("backfill", table="a", source="b", columns=["id"], ddl=log)
    draft("backfill", table="a", source="b", columns=["id"], by="id", ddl=log)
