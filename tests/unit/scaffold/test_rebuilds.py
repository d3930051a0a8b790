"""The calls of a rebuild: what is copied, what is refused, what stays behind."""

from __future__ import annotations

from typing import Any

import pytest

from budeval_migrations.errors import ConfigError, RevisionError
from budeval_migrations.model import Backfill
from budeval_migrations.recipes.all_rows import AllRows
from budeval_migrations.scaffold.draft import Execute, Recipe, source
from budeval_migrations.scaffold.rebuilds import Rebuild, rebuild
from budeval_migrations.sql.changes import Name

OLD = "CREATE TABLE shop.t (a UInt8, `b c` String, m UInt8 MATERIALIZED a, l UInt8 ALIAS a, e UInt8 EPHEMERAL) ENGINE = MergeTree ORDER BY a COMMENT 'mine'"
NEW = OLD.replace("ORDER BY a", "ORDER BY (a, `b c`)")


def made(old: str = OLD, new: str = NEW, **options: Any) -> Rebuild:
    return rebuild(new, AllRows(old, **options), Name("_trash_t", "shop"))


def recipe(found: Rebuild) -> Recipe:
    [call] = found.upgrade
    assert isinstance(call, Recipe)
    return call


def texts(found: Rebuild) -> list[str]:
    return [statement.text for statement in recipe(found).statements]


def fill(found: Rebuild) -> Backfill:
    [asked] = [s.backfill for s in recipe(found).statements if s.backfill is not None]
    return asked


def test_what_is_stored_is_copied_and_what_is_computed_is_not() -> None:
    assert fill(made()).select == (
        "SELECT a, `b c`, m\nFROM shop._rebuild_t\nWHERE {chunk}\n"
        "SETTINGS insert_allow_materialized_columns = 1"
    )
    assert fill(made()).columns == ("a", "`b c`", "m")
    assert made().lost == ()


def test_a_mapping_says_what_fills_each_column_and_what_is_lost_is_told() -> None:
    new = "CREATE TABLE shop.t (a UInt8, n UInt64) ENGINE = MergeTree ORDER BY a"
    found = made(new=new, columns={"a": "a", "n": "length(`b c`)"})
    assert fill(found).select == "SELECT a, length(`b c`)\nFROM shop._rebuild_t\nWHERE {chunk}"
    assert found.lost == ("m",)
    assert made(new=new).lost == ("b c", "m")
    assert made(new=new, columns={"n": "1"}).lost == ("a", "b c", "m")


def test_the_exchange_is_probed_and_the_old_table_stays_in_the_trash() -> None:
    sql = texts(made())
    [exchange] = [s for s in recipe(made()).statements if s.text.startswith("EXCHANGE")]
    assert exchange.text == "EXCHANGE TABLES shop.t AND shop._rebuild_t"
    assert exchange.unless is not None
    assert sql[-2:] == [
        "RENAME TABLE IF EXISTS shop._rebuild_t TO shop._trash_t",
        "ALTER TABLE shop.t MODIFY COMMENT 'mine'",
    ]
    assert not any(text.startswith("DROP") for text in sql)


def test_the_downgrade_leaves_nothing_behind() -> None:
    down = made().downgrade
    assert down is not None
    back, dropped = down
    assert isinstance(back, Recipe)
    assert [statement.text for statement in back.statements][-2:] == [
        "DROP TABLE IF EXISTS shop._rebuild_t",
        "ALTER TABLE shop.t MODIFY COMMENT 'mine'",
    ]
    assert dropped == Execute("DROP TABLE IF EXISTS shop._trash_t")


def test_the_two_directions_do_not_take_each_others_tables_for_their_own() -> None:
    down = made().downgrade
    assert down is not None
    assert isinstance(down[0], Recipe)
    marks = [
        next(s.text for s in call.statements if "COMMENT 'rebuild" in s.text).rpartition("'reb")[2]
        for call in (recipe(made()), down[0])
    ]
    assert marks[0] != marks[1]


def test_a_pause_is_a_constraint_on_both_tables_from_before_the_exchange_to_after_it() -> None:
    name = "inserts_pause_while_the_table_is_exchanged"
    ordered = [text for text in texts(made(pause=True)) if name in text or "EXCHANGE" in text]
    assert ordered == [
        f"ALTER TABLE shop._rebuild_t ADD CONSTRAINT IF NOT EXISTS {name} CHECK 0",
        f"ALTER TABLE shop.t ADD CONSTRAINT IF NOT EXISTS {name} CHECK 0",
        "EXCHANGE TABLES shop.t AND shop._rebuild_t",
        f"ALTER TABLE shop.t DROP CONSTRAINT IF EXISTS {name}",
        f"ALTER TABLE shop._rebuild_t DROP CONSTRAINT IF EXISTS {name}",
    ]
    assert "CONSTRAINT" not in "\n".join(texts(made()))


def test_the_call_says_what_is_not_the_default() -> None:
    found = made(by="a", chunk_rows=1000, columns={"a": "a"}, pause=True)
    text = "\n".join(source(found.upgrade))
    for said in ('columns={"a": "a"},', 'by="a",', "chunk_rows=1_000,", "pause=True,"):
        assert said in text
    assert 'kept_as="shop._trash_t"' in text
    assert "pause" not in "\n".join(source(made().upgrade))


def test_another_partitioning_may_have_as_many_partitions_as_it_wants() -> None:
    new = NEW.replace("ORDER BY", "PARTITION BY a ORDER BY")
    assert "max_partitions_per_insert_block = 0" in fill(made(new=new)).select
    assert "max_partitions" not in fill(made()).select


@pytest.mark.parametrize(
    ("engine", "refused"),
    [
        ("MergeTree", False),
        ("ReplacingMergeTree(a)", False),
        ("ReplacingMergeTree", True),
        ("ReplacingMergeTree()", True),
        ("ReplicatedReplacingMergeTree('/p/{uuid}', '{replica}')", True),
        ("ReplicatedReplacingMergeTree('/p/{uuid}', '{replica}', a)", False),
        ("SummingMergeTree", False),
        ("AggregatingMergeTree", False),
        ("CollapsingMergeTree(a)", True),
        ("VersionedCollapsingMergeTree(a, m)", False),
        ("CoalescingMergeTree", True),
        ("Log", True),
        ("Memory", True),
    ],
)
def test_engines_in_which_a_late_row_would_win_are_refused(engine: str, refused: bool) -> None:
    new = NEW.replace("ENGINE = MergeTree", f"ENGINE = {engine}")
    if refused:
        with pytest.raises(RevisionError, match="cannot be rebuilt exactly"):
            made(new=new)
        if not engine.endswith(("Log", "Memory")):
            assert_irreversible(made(old=new, new=OLD))
        else:
            with pytest.raises(RevisionError, match="only tables of the MergeTree family"):
                made(old=new, new=OLD)
    else:
        assert made(new=new).downgrade is not None


def assert_irreversible(back: Rebuild) -> None:
    assert back.downgrade is None
    assert back.irreversible.startswith("the copy back could not be exact")


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(ConfigError, match="is no CREATE TABLE"):
        made(old="CREATE VIEW v AS SELECT 1")
    nested = "CREATE TABLE shop.t (n Nested(a UInt8)) ENGINE = MergeTree ORDER BY tuple()"
    with pytest.raises(RevisionError, match="n is Nested"):
        made(old=nested, new=nested)
    with pytest.raises(RevisionError, match="n is Nested"):
        made(old=nested, new=nested.replace("Nested(a UInt8)", "UInt8"))
