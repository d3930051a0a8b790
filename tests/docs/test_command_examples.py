"""Each example of the commands' ``--help``, typed where it makes sense.

They are read from the page that is made of them, so that a command that is new has to find its
place here.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import blocks
from tests.docs.terminal import Terminal
from tests.support.project import Project
from tests.support.proxy import RecordingProxy
from tests.support.servers import ChdbFront
from tests.support.targets import require_packages

TYPED = [
    line
    for block in blocks("docs/reference/commands.md")
    if block.language == "sh"
    for line in block.text.splitlines()
]
IN_DOUBT = "budeval-migrate repair --revision 007_fill --statement 2 --applied"


@dataclass(frozen=True)
class At:
    """Where an example is typed: in a copy of the project below, at its last revision.

    ``before`` and ``after`` are typed too, and have to go well; ``code`` is how the example ends.
    """

    before: str = ""
    code: int = 0
    after: str = ""


BY_HAND = "python -c 'import chdb, sys; chdb.connect(\".clickhouse\").query(sys.argv[1])'"
STATUS_IS_TO_COME = "budeval-migrate down 002 --quiet"
STATUS_IS_NOT_WRITTEN = f"{STATUS_IS_TO_COME}; rm versions/003_add_status.py"
NOTHING_IS_THERE = "rm -r .clickhouse versions/*.py"
IT_CAN_BE_APPLIED = "budeval-migrate up --quiet"
NEW = "budeval-migrate new"

EXAMPLES = {
    "budeval-migrate adopt": At(
        f"""rm -r .clickhouse
{BY_HAND} "CREATE DATABASE shop;
CREATE TABLE shop.alembic_version (version_num String) ENGINE = MergeTree ORDER BY version_num;
INSERT INTO shop.alembic_version VALUES ('003_add_status')\"""",
        after="budeval-migrate status --exit-code",
    ),
    'eval "$(budeval-migrate completion bash)"': At(after="complete -p budeval-migrate"),
    'budeval-migrate diff --to schema.sql --message "add status"': At(
        f"""{STATUS_IS_NOT_WRITTEN}
echo 'CREATE TABLE events (id UInt64, site String, visits UInt32, at DateTime,
created_at DateTime DEFAULT now(), experiment_id UInt64, status String)
ENGINE = MergeTree ORDER BY at' >schema.sql""",
        after=IT_CAN_BE_APPLIED,
    ),
    "budeval-migrate down 002_add_experiment_id": At(),
    "budeval-migrate drift --json": At(
        f"{BY_HAND} 'ALTER TABLE shop.events ADD COLUMN extra String'", code=7
    ),
    "budeval-migrate history": At(),
    "budeval-migrate init shop && cd shop && alembic upgrade head": At("mkdir new; cd new"),
    "budeval-migrate lint versions/003_add_status.py --ignore BM012": At(),
    f"{NEW} add-column events status 'LowCardinality(String)' --after site": At(
        STATUS_IS_NOT_WRITTEN
    ),
    f"{NEW} add-index events idx_status status --type 'set(100)'": At(),
    f"{NEW} backfill events_by_site --source events --columns 'site, at'": At(
        f"{NEW} create-table events_by_site --columns 'site String, at DateTime' --order-by site",
        after=IT_CAN_BE_APPLIED,
    ),
    f"{NEW} blank --message 'what it does'": At(),
    f"{NEW} change-order-by events --order-by '(site, at)'": At(),
    f"{NEW} create-table events --columns 'id UInt64, at DateTime DEFAULT now()' --order-by id": At(
        NOTHING_IS_THERE
    ),
    f"{NEW} drop-column events status": At(),
    f"{NEW} drop-table events": At(),
    f"{NEW} materialized-view daily --select 'SELECT toDate(at) AS day, count() AS visits"
    " FROM events GROUP BY day' --engine SummingMergeTree --order-by day"
    " --time-column created_at": At(after=IT_CAN_BE_APPLIED),
    f"{NEW} modify-column events visits UInt64": At(),
    f"{NEW} rename-column events status state": At(),
    f"{NEW} swap events events_new": At(
        f"{NEW} create-table events_new --columns 'id UInt64' --order-by id",
    ),
    "budeval-migrate plan --rehearse --sample 1000": At(STATUS_IS_TO_COME),
    "budeval-migrate repair --revision 003_add_status": At(
        "sed -i 's/ADD COLUMN/& IF NOT EXISTS/' versions/003_add_status.py\n"
        "! budeval-migrate validate",
        after="budeval-migrate validate",
    ),
    IN_DOUBT: At(after=IT_CAN_BE_APPLIED),
    "budeval-migrate report --html report.html --drift": At(after="test -s report.html"),
    "budeval-migrate reset --yes": At("export SHOP_MIGRATIONS_ENVIRONMENT=development"),
    "budeval-migrate schema status": At(),
    "budeval-migrate status --exit-code": At(STATUS_IS_TO_COME, code=9),
    "budeval-migrate unlock": At(),
    "budeval-migrate up 003_add_status": At(STATUS_IS_TO_COME),
    "budeval-migrate validate --json": At(),
    "budeval-migrate verify": At(),
}


def author_of(place: Path) -> Project:
    """What writes revisions into a project that is there."""
    project = Project(place.parent / "author")
    project.versions = place / "versions"
    return project


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ``init`` wrote, with three revisions that were applied, and rows."""
    require_packages("chdb", "chdb_sqlalchemy")
    place = tmp_path_factory.mktemp("examples")
    with Terminal(place) as terminal:
        typed(terminal, "budeval-migrate init shop; cd shop; rm versions/*.py")
        project = author_of(place / "shop")
        project.write_revision(
            "001_create_events",
            None,
            "CREATE TABLE events (id UInt64, site String, visits UInt32, at DateTime,"
            " created_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY at",
            "DROP TABLE events",
        )
        for below, name, column in [
            ("001_create_events", "002_add_experiment_id", "experiment_id UInt64"),
            ("002_add_experiment_id", "003_add_status", "status LowCardinality(String)"),
        ]:
            project.write_revision(
                name,
                below,
                f"ALTER TABLE events ADD COLUMN {column}",
                f"ALTER TABLE events DROP COLUMN {column.split()[0]}",
            )
        typed(terminal, IT_CAN_BE_APPLIED)
        rows = "INSERT INTO shop.events (id, site, at) SELECT number, 'a', number FROM numbers(9)"
        typed(terminal, f'{BY_HAND} "{rows}"')
    return place / "shop"


@pytest.fixture
def terminal(shop: Path, tmp_path: Path) -> Iterator[Terminal]:
    """A terminal in a copy of that project."""
    place = tmp_path / "shop"
    shutil.copytree(shop, place, symlinks=True)
    with Terminal(place) as found:
        yield found


def typed(terminal: Terminal, lines: str, code: int = 0) -> None:
    found, printed = terminal.run(f"{lines}\n")
    assert found == code, f"{lines}\n{printed}[exit {found}]"


def test_every_example_has_its_place() -> None:
    assert sorted(TYPED) == sorted(EXAMPLES)


@pytest.mark.parametrize("command", [each for each in EXAMPLES if each != IN_DOUBT])
def test_an_example_ends_as_it_should(terminal: Terminal, command: str) -> None:
    at = EXAMPLES[command]
    typed(terminal, at.before)
    typed(terminal, command, at.code)
    typed(terminal, at.after)


@pytest.mark.modern
def test_the_example_of_a_statement_in_doubt_settles_it(
    terminal: Terminal, modern: ChdbFront, database: str
) -> None:
    mark = "/* 'it' */"  # not to the letter wherever the statement is only spoken about
    fill = f"INSERT INTO events (id) SELECT number FROM numbers(3) {mark}"
    author_of(terminal.place).write_revision("007_fill", "003_add_status", ["SELECT 1", fill])
    url = modern.url("clickhouse+http", database)
    typed(terminal, f"export SHOP_MIGRATIONS_DATABASE={database}")
    with RecordingProxy(modern.http_port) as proxy:
        proxy.cut_answers(1, mark)
        there = url.replace(f":{modern.http_port}/", f":{proxy.port}/")
        typed(terminal, f"SHOP_MIGRATIONS_URL='{there}' budeval-migrate up", 4)
    typed(terminal, f"export SHOP_MIGRATIONS_URL='{url}'")
    typed(terminal, IN_DOUBT, EXAMPLES[IN_DOUBT].code)
    typed(terminal, EXAMPLES[IN_DOUBT].after)
    assert modern.query("SELECT count() FROM events", database=database) == "3\n"
