"""The revisions give the statements that databases have applied already, to the byte.

A database that has applied a revision, or a part of it, is at home with the statements that it
was sent. A change of a recipe must not change them.
"""

from __future__ import annotations

import pytest
from alembic.script import ScriptDirectory
from clickhouse_sqlalchemy.drivers.http.base import ClickHouseDialect_http

from budeval_migrations.alembic_ext.compile import Compiler
from budeval_migrations.model import Direction
from budeval_migrations.sql.checksum import statements_checksum
from tests.support.project import REPOSITORY

# Of the files as they were before 004 and 005 were written with recipes.
SUMS = {
    ("001_initial_schema", "down"): (
        4,
        "4a2a979259e34a05d40dbc22b102fd4c3251a6f6726f168ec2ad84e9dcb33fff",
    ),
    ("001_initial_schema", "up"): (
        4,
        "b95de5525404bfb4586dabf7b303d2293ed03ef043b3eedb01d5a1bc58ee6023",
    ),
    ("002_add_experiment_id", "down"): (
        3,
        "0237051e588fc06c0f795b5d3104ab417da91770dce3c7e70526001549e95f9c",
    ),
    ("002_add_experiment_id", "up"): (
        3,
        "350b40722fffe0c17d23317d35d20416bf428d694ab9aa205e3d28decf669641",
    ),
    ("003_add_status", "down"): (
        1,
        "ddc4ba01a9d230d3d48e6ed0e60da04dc198a6ac912c235d239790264e542545",
    ),
    ("003_add_status", "up"): (
        1,
        "c68cbac779d2547d12715bb686180fd9d8473d30244c6a2599a9a40377eeb740",
    ),
    ("004_optimize_materialized_view", "down"): (
        29,
        "c363f5c5548eeeb312660bdb938119af7ba054163a7764d1a18e2e062bf5eccd",
    ),
    ("004_optimize_materialized_view", "up"): (
        29,
        "3cc2a5c2f8a0815fc039cdb2a7e6131b2945bcfc186728edaead5fbe838dda9c",
    ),
    ("005_fix_evaluation_jobs_deduplication", "down"): (
        12,
        "5f766da029a4d02256d1560710c4932fe47455353db62c4ced68ef19685b4fc2",
    ),
    ("005_fix_evaluation_jobs_deduplication", "up"): (
        12,
        "81c7695a01095e21d257f404238a8c913147fdd670d68351997afe23638f9970",
    ),
    ("006_add_evaluation_id", "down"): (
        3,
        "91578930d0a55cb09f5ef8970324e92eda7c1f683453fea1469df985d459a7a3",
    ),
    ("006_add_evaluation_id", "up"): (
        3,
        "eb1512ee86ecfdc7a09c9e6891de6270b0480991505d4e4ec61cf6046a99f6a3",
    ),
}


@pytest.mark.parametrize(("revision", "direction"), SUMS)
def test_a_revision_gives_the_statements_that_it_gave(revision: str, direction: str) -> None:
    scripts = ScriptDirectory(str(REPOSITORY), version_locations=[str(REPOSITORY / "versions")])
    compiled = Compiler(ClickHouseDialect_http()).compile(
        scripts.get_revision(revision), Direction(direction)
    )
    parts = [part for statement in compiled.statements for part in statement.parts()]
    assert (len(compiled.statements), statements_checksum(parts)) == SUMS[revision, direction]
