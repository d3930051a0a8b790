"""The package in examples/transport, installed: a scheme of its own migrates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples import installed
from tests.support.project import Project
from tests.support.servers import ChdbFront

EXAMPLE = installed.EXAMPLES / "transport"
README = (EXAMPLE / "README.md").read_text("utf-8")
CREATE = "CREATE TABLE t (a UInt64)\nENGINE = MergeTree ORDER BY a"
ADD = "ALTER TABLE t ADD COLUMN b String"


@pytest.fixture
def project(
    tmp_path: Path, modern: ChdbFront, database: str, monkeypatch: pytest.MonkeyPatch
) -> Project:
    monkeypatch.setenv("SHOP_AUDIT", str(tmp_path / "audit.log"))
    project = Project(tmp_path / "project")
    project.configure(url=modern.url("clickhouse+audit", database), database=database)
    project.write_revision("001_one", None, [CREATE, ADD], "DROP TABLE t")
    return project


def test_what_was_sent_is_in_the_file_and_in_the_database(
    project: Project, site: Path, tmp_path: Path, modern: ChdbFront, database: str
) -> None:
    assert "pip install examples/transport" in README

    applied = installed.run(project, site, "up")
    assert applied.returncode == 0, applied.stderr
    again = installed.run(project, site, "up")
    reverted = installed.run(project, site, "down", "base")

    assert (again.returncode, reverted.returncode) == (0, 0), again.stderr + reverted.stderr
    lines = [line.split("\t") for line in (tmp_path / "audit.log").read_text().splitlines()]
    texts = [text for _, text in lines if " t" in text and "schema_migrations" not in text]
    assert texts == [" ".join(CREATE.split()), ADD, "DROP TABLE t"]
    assert len({query_id for query_id, _ in lines}) == len(lines)
    rows = modern.query("SELECT count() FROM schema_migrations WHERE success", database=database)
    assert rows.strip() == "2"


def test_a_scheme_that_is_misspelt_is_named(project: Project, site: Path) -> None:
    done = installed.run(
        project, site, "status", "--url", "clickhouse+audits://default@localhost/x"
    )

    assert done.returncode == 2
    assert "clickhouse+audits:// is not a ClickHouse URL." in done.stderr
    assert "hint: Did you mean clickhouse+audit://?" in done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "shop_transports:AUDIT",
            "shop_transports:missing",
            "The transport shop_transports:missing cannot be loaded: AttributeError: ",
        ),
        (
            "shop_transports:AUDIT",
            "shop_transports:AuditTransport",
            "The transport clickhouse+audit (shop_transports:AuditTransport) is not a Driver.",
        ),
    ],
)
def test_a_transport_that_cannot_be_used_is_named(
    project: Project, site: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    changed = installed.edited(site, tmp_path / "site", "entry_points.txt", old, new)

    done = installed.run(project, changed, "up")

    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_two_packages_with_one_scheme_are_named(
    project: Project, site: Path, tmp_path: Path
) -> None:
    changed = installed.double(site, tmp_path / "site", "shop", "other")

    done = installed.run(project, changed, "up")

    assert done.returncode == 2
    names = "other_transports:AUDIT and shop_transports:AUDIT"
    assert f"Two packages have a transport clickhouse+audit: {names}." in done.stderr
