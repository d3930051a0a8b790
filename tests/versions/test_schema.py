"""What the revisions leave: the facts of the schema, and the way back."""

import pytest

from .harness import REVISIONS, Database

pytestmark = pytest.mark.embedded

DT = "DateTime64(3)"
LC = "LowCardinality(String)"
NS = "Nullable(String)"

JOBS = [
    ("job_id", "String", "", ""),
    ("evaluation_id", NS, "", ""),
    ("experiment_id", NS, "", ""),
    ("model_name", LC, "", ""),
    ("engine", LC, "", ""),
    ("status", LC, "", ""),
    ("job_start_time", DT, "", ""),
    ("job_end_time", DT, "", ""),
    ("job_duration_seconds", "Float32", "", ""),
    ("overall_accuracy", "Float32", "", ""),
    ("total_datasets", "UInt16", "", ""),
    ("total_examples", "UInt32", "", ""),
    ("total_correct", "UInt32", "", ""),
    ("extracted_at", DT, "", ""),
    ("created_at", DT, "now()", ""),
    ("updated_at", DT, "now()", ""),
]
RESULTS = [
    ("job_id", "String", "", ""),
    ("evaluation_id", NS, "", ""),
    ("experiment_id", NS, "", ""),
    ("model_name", LC, "", ""),
    ("dataset_name", LC, "", ""),
    ("accuracy", "Float32", "", ""),
    ("total_examples", "UInt32", "", ""),
    ("correct_examples", "UInt32", "", ""),
    ("evaluated_at", DT, "", ""),
    ("metadata", "String", "", "CODEC(ZSTD(3))"),
    ("created_at", DT, "now()", ""),
]
PREDICTIONS = [
    ("job_id", "String", "", ""),
    ("evaluation_id", NS, "", ""),
    ("experiment_id", NS, "", ""),
    ("model_name", LC, "", ""),
    ("dataset_name", LC, "", ""),
    ("example_id", "String", "", ""),
    ("prediction_text", "String", "", "CODEC(ZSTD(3))"),
    ("origin_prompt", "String", "", "CODEC(ZSTD(3))"),
    ("model_answer", "String", "", "CODEC(ZSTD(3))"),
    ("correct_answer", "String", "", "CODEC(ZSTD(3))"),
    ("is_correct", "Bool", "", ""),
    ("evaluated_at", DT, "", ""),
    ("created_at", DT, "now()", ""),
]
TRENDS = [
    ("model_name", LC, "", ""),
    ("dataset_name", LC, "", ""),
    ("eval_date", "Date", "", ""),
    ("avg_accuracy", "AggregateFunction(avg, Float32)", "", ""),
    ("eval_count", "AggregateFunction(count)", "", ""),
    ("max_accuracy", "AggregateFunction(max, Float32)", "", ""),
    ("min_accuracy", "AggregateFunction(min, Float32)", "", ""),
]


def added_by(name: str, *, later_than: int) -> bool:
    since = {"experiment_id": 2, "status": 3, "evaluation_id": 6}
    return since.get(name, 1) > later_than


def columns(database: Database, table: str) -> list[tuple[str, ...]]:
    rows = database.query(
        "SELECT name, type, default_expression, compression_codec FROM system.columns"
        f" WHERE database = '{database.name}' AND table = '{table}' ORDER BY position"
    )
    return [tuple(row) for row in rows]


def indices(database: Database, table: str) -> list[tuple[str, ...]]:
    rows = database.query(
        "SELECT name, expr, type_full, toString(granularity) FROM system.data_skipping_indices"
        f" WHERE database = '{database.name}' AND table = '{table}' ORDER BY name"
    )
    return [tuple(row) for row in rows]


def engine(database: Database, table: str) -> tuple[str, ...]:
    [row] = database.query(
        "SELECT engine_full, sorting_key, primary_key, partition_key FROM system.tables"
        f" WHERE database = '{database.name}' AND name = '{table}'"
    )
    return (row[0].split(" ")[0], *row[1:])


def index(table: str, column: str, kind: str = "bloom_filter") -> tuple[str, ...]:
    return (f"idx_{column}_{table}", column, kind, "1")


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6])
def test_each_revision_has_exactly_the_columns_that_are_its_facts(number: int) -> None:
    database = Database()
    database.upgrade(f"00{number}")

    for table, facts in [
        ("evaluation_jobs", JOBS),
        ("dataset_results", RESULTS),
        ("predictions", PREDICTIONS),
        ("model_performance_trends", TRENDS),
    ]:
        expected = [fact for fact in facts if not added_by(fact[0], later_than=number)]
        assert expected == columns(database, table)
    database.drop()


def test_a_fresh_upgrade_has_exactly_the_relations_keys_and_indices_that_are_the_facts() -> None:
    database = Database()
    database.upgrade("006")

    names = database.query(
        f"SELECT name FROM system.tables WHERE database = '{database.name}' ORDER BY name"
    )
    assert names == [
        ["dataset_results"],
        ["evaluation_jobs"],
        ["model_performance_trends"],
        ["model_performance_trends_data"],
        ["predictions"],
    ]
    assert engine(database, "evaluation_jobs") == (
        "ReplacingMergeTree(updated_at)",
        "job_id",
        "job_id",
        "toYYYYMM(job_start_time)",
    )
    assert engine(database, "dataset_results") == (
        "MergeTree",
        "model_name, dataset_name, evaluated_at, job_id",
        "model_name, dataset_name, evaluated_at",
        "toYYYYMM(evaluated_at)",
    )
    assert engine(database, "predictions") == (
        "MergeTree",
        "model_name, dataset_name, evaluated_at, job_id, example_id",
        "model_name, dataset_name, evaluated_at",
        "toYYYYMM(evaluated_at)",
    )
    assert engine(database, "model_performance_trends_data") == (
        "AggregatingMergeTree",
        "model_name, dataset_name, eval_date",
        "model_name, dataset_name, eval_date",
        "",
    )
    assert "TTL toDateTime(evaluated_at) + toIntervalMonth(6)" in database.schema()["predictions"]
    view = database.schema()["model_performance_trends"]
    assert (
        "CREATE MATERIALIZED VIEW model_performance_trends TO model_performance_trends_data" in view
    )
    assert "WHERE" not in view

    assert [
        index("jobs", "evaluation_id"),
        index("jobs", "experiment_id"),
        index("jobs", "job_id"),
        index("jobs", "job_start_time", "minmax"),
        index("jobs", "model_name"),
        index("jobs", "status"),
    ] == indices(database, "evaluation_jobs")
    for table, suffix in [("dataset_results", "results"), ("predictions", "predictions")]:
        assert [
            index(suffix, "evaluated_at", "minmax"),
            index(suffix, "evaluation_id"),
            index(suffix, "experiment_id"),
            index(suffix, "job_id"),
        ] == indices(database, table)
    database.drop()


def test_the_first_four_revisions_have_the_old_key_of_evaluation_jobs() -> None:
    database = Database()
    database.upgrade("004")

    assert engine(database, "evaluation_jobs") == (
        "ReplacingMergeTree(updated_at)",
        "model_name, job_start_time, job_id",
        "model_name, job_start_time",
        "toYYYYMM(job_start_time)",
    )
    assert [
        index("jobs", "experiment_id"),
        index("jobs", "job_id"),
        index("jobs", "status"),
    ] == indices(database, "evaluation_jobs")
    database.drop()


def test_the_view_of_001_keeps_its_states_in_an_inner_table() -> None:
    database = Database()
    database.upgrade("003")

    view = database.schema()["model_performance_trends"]
    assert "ENGINE = AggregatingMergeTree ORDER BY (model_name, dataset_name, eval_date)" in view
    assert " TO " not in view
    assert ".inner_id.<uuid>" in database.schema()
    database.drop()


@pytest.mark.parametrize("guards", [True, False])
def test_up_and_down_and_up_leaves_the_same_schema_at_every_step(guards: bool) -> None:
    database = Database()
    before: list[dict[str, str]] = []
    for revision in REVISIONS:
        before.append(database.schema())
        database.run(revision, guards=guards)
    head = database.schema()

    for revision, schema in zip(reversed(REVISIONS), reversed(before), strict=True):
        database.run(revision, "downgrade", guards=guards)
        assert schema == database.schema(), revision
    assert database.schema() == {}

    for revision in REVISIONS:
        database.run(revision, guards=guards)
    assert head == database.schema()
    database.drop()
