"""``from budeval_migrations import op`` is Alembic's ``op``, and knows the directives' types."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from alembic.operations import Operations

from budeval_migrations import op
from docs.site.reference.api import directives as documented
from tests.unit.alembic_ext.workshop import compile_file, write
from tests.unit.test_public_types import checked

BODY = """
def upgrade() -> None:
    op.execute("SELECT 1; SELECT 2")
    op.execute_file("rows.sql")
    op.execute_unless("SELECT 1 FROM t", "EXCHANGE TABLES t AND u")
    op.execute_here("SELECT 4")
    with op.parallel():
        op.execute_unreplicated("CREATE TABLE a (a Int8) ENGINE = Log")
    op.backfill("t", "SELECT * FROM u WHERE {chunk}", source="u", chunk_rows=3)


def downgrade() -> None:
    op.get_bind()
"""
OURS = "from budeval_migrations import op"
WRONG = {
    "op.execute_file(3)": 'Argument 1 has incompatible type "int"; expected "str"',
    'op.backfil("t", "SELECT 1", source="u")': 'Module has no attribute "backfil"',
    'op.backfill("t", "SELECT {chunk}")': 'Missing named argument "source"',
    'op.execute_unless("SELECT 1")': "Too few arguments",
}


def test_a_revision_compiles_to_the_same_with_either(tmp_path: Path) -> None:
    found = []
    for name in ("alembics", "ours"):
        path = write(tmp_path / name, BODY)
        (path.parent / "rows.sql").write_text("SELECT 3")
        if name == "ours":
            path.write_text(path.read_text().replace("from alembic import op", OURS))
        compiled = compile_file(path)
        found.append([(s.text, s.line, s.unless, s.reach) for s in compiled.statements])
    assert found[0] == found[1]
    assert len(found[0]) == 7


def test_it_has_every_directive_with_its_words_and_its_signature() -> None:
    names = {name for name, _ in documented()}
    assert len(names) == 9
    for name in names:
        assert vars(op)[name].__doc__ == getattr(Operations, name).__doc__


def test_what_alembic_does_not_have_it_has_not() -> None:
    with pytest.raises(AttributeError):
        op.nonsense  # noqa: B018
    assert inspect.isfunction(op.add_column)


def test_a_type_checker_accepts_a_revision(tmp_path: Path) -> None:
    assert checked(f"{OURS}\n\nrevision = '001'\n{BODY}", tmp_path).startswith("Success")


@pytest.mark.parametrize("line", WRONG)
def test_a_type_checker_finds_a_mistake_in_a_directive(line: str, tmp_path: Path) -> None:
    assert WRONG[line] in checked(f"{OURS}\n\n{line}\n", tmp_path)
