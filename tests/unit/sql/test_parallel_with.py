"""PARALLEL WITH: several statements in one, and each of them is read."""

from __future__ import annotations

import pytest

from budeval_migrations.errors import RevisionError
from budeval_migrations.sql.access_set import access_set
from budeval_migrations.sql.changes import Kind, Name
from budeval_migrations.sql.classify import classify
from budeval_migrations.sql.effects import effect
from budeval_migrations.sql.on_cluster import is_on_cluster, put_on_cluster
from budeval_migrations.sql.parallel_with import Part, parts
from budeval_migrations.sql.stand_in import stand_in

CREATE = "CREATE TABLE IF NOT EXISTS a (x UInt8) ENGINE = Memory"
FILL = "INSERT INTO b SELECT number FROM numbers(3)"


def test_each_part_is_found_with_the_place_of_its_first_token() -> None:
    text = f"-- both\n{CREATE}\nparallel /* and */ WITH\n{FILL} PARALLEL WITH DROP TABLE c"
    assert parts(text) == (
        Part(CREATE, 8),
        Part(FILL, text.index("INSERT")),
        Part("DROP TABLE c", text.index("DROP")),
    )
    assert classify(text).kind is Kind.PARALLEL


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("SELECT count() FROM t GROUP BY parallel WITH TOTALS", Kind.SELECT),
        ("SELECT a FROM t ORDER BY parallel WITH FILL", Kind.SELECT),
        ("SELECT 'DROP TABLE a PARALLEL WITH DROP TABLE b'", Kind.SELECT),
        ("DROP TABLE a -- PARALLEL WITH DROP TABLE b", Kind.DROP),
        ("CREATE VIEW v AS (SELECT 1 AS parallel WITH TOTALS)", Kind.CREATE_VIEW),
        ("INSERT INTO t VALUES ('a PARALLEL WITH DROP TABLE b')", Kind.INSERT),
        ("INSERT INTO t FORMAT CSV\nPARALLEL WITH DROP TABLE b", Kind.INSERT),
    ],
)
def test_the_two_words_elsewhere_join_nothing(text: str, kind: Kind) -> None:
    assert classify(text).kind is kind


@pytest.mark.parametrize(
    ("text", "repeatable"),
    [
        (f"{CREATE} PARALLEL WITH {FILL}", False),
        (f"{FILL} PARALLEL WITH {CREATE}", False),
        (f"{CREATE} PARALLEL WITH DROP TABLE IF EXISTS b", True),
        (f"{CREATE} PARALLEL WITH DROP TABLE IF EXISTS a", False),
        ("DROP TABLE IF EXISTS a PARALLEL WITH DROP TABLE b", False),
    ],
)
def test_it_is_repeatable_only_if_every_part_is_and_no_two_change_one_table(
    text: str, repeatable: bool
) -> None:
    assert effect(text).repeatable is repeatable


def test_half_of_it_may_have_run_and_no_fact_tells_which() -> None:
    said = effect("TRUNCATE TABLE a PARALLEL WITH DROP TABLE d.b")
    assert said.targets == (Name("a"), Name("b", "d"))
    assert (said.watches, said.atomic) == ((), False)


def test_nothing_runs_beside_it() -> None:
    assert access_set(f"{CREATE} PARALLEL WITH {FILL}").unclear


def test_on_a_cluster_it_is_refused() -> None:
    with pytest.raises(RevisionError, match="followed in part only"):
        put_on_cluster(f"{CREATE} PARALLEL WITH {FILL}", "crew")
    half = "DROP TABLE a PARALLEL WITH DROP TABLE b ON CLUSTER crew"
    assert is_on_cluster(half)
    with pytest.raises(RevisionError, match="followed in part only"):
        put_on_cluster(half, "crew")


def test_the_embedded_engine_is_given_what_it_can_run_of_it() -> None:
    replicated = "CREATE TABLE r (a Int8) ENGINE = ReplicatedMergeTree ORDER BY a"
    users = "GRANT SELECT ON *.* TO u"
    found = stand_in(f"{replicated} PARALLEL WITH {users} PARALLEL WITH DROP TABLE c")
    assert found.text == (
        "CREATE TABLE r (a Int8) ENGINE = MergeTree ORDER BY a PARALLEL WITH DROP TABLE c"
    )
    assert found.note == "not run: it is about users"


HIDDEN = (
    "INSERT INTO t WITH input (a) AS (SELECT 1) SELECT a FROM input FORMAT Null PARALLEL WITH {}",
    "INSERT INTO FUNCTION file('x.csv', 'CSV', 'values String') PARTITION BY values "
    "SELECT 'a' AS values PARALLEL WITH {}",
    "INSERT INTO t SELECT input(1) FORMAT Null /* a */ parallel\nWITH {}",
)


@pytest.mark.parametrize("text", HIDDEN)
def test_no_word_of_an_insert_hides_what_is_joined_to_it(text: str) -> None:
    """The server reads no rows there, and runs what follows."""
    whole = text.format("TRUNCATE TABLE u")
    assert classify(whole).kind is Kind.PARALLEL
    assert [part.text for part in parts(whole)][1:] == ["TRUNCATE TABLE u"]
    assert not effect(whole).repeatable


def test_a_mutation_among_the_joined_is_waited_for() -> None:
    assert effect("ALTER TABLE t UPDATE a = 1 WHERE 1 PARALLEL WITH DROP TABLE b").mutation
    assert not effect(f"{CREATE} PARALLEL WITH DROP TABLE b").mutation
