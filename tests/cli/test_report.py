"""The page of ``report --html``, as a browser draws it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import Project
from tests.support.targets import require_browser

NASTY = "<script>document.title = 'run'</script><img src=x onerror=alert(1)>"
CREATE = "CREATE TABLE t{n} (a Int64) ENGINE = MergeTree ORDER BY a"


def write(project: Project) -> None:
    """Write two branches that are merged, and one revision that fails."""
    project.write_revision("001_first", None, CREATE.format(n=1))
    project.write_revision("002_left", "001_first", CREATE.format(n=2))
    project.write_revision("002_right", "001_first", CREATE.format(n=3))
    project.write_revision("003_both", ("002_left", "002_right"), CREATE.format(n=4))
    project.write_revision(
        "004_wrong", "003_both", f"SELECT throwIf(1, '{NASTY.replace(chr(39), '')}')"
    )


@pytest.fixture
def failed(project: Project, tmp_path: Path) -> Project:
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    write(project)
    assert project.cli("up").returncode == 6
    return project


def test_the_page_is_drawn_and_runs_nothing_that_an_error_says(
    failed: Project, tmp_path: Path
) -> None:
    page = failed.path / "report.html"
    done = failed.cli("report", "--html", str(page))
    assert done.returncode == 0, done.output
    text = page.read_text("utf-8")
    assert "<script" not in text and "<img" not in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    drawn = dump(page, tmp_path)
    assert "<title>shop: migrations</title>" in drawn
    assert drawn.count("<circle") == 5
    assert re.findall(r'circle [^>]*class="(\w+)"', drawn) == ["failed", *["applied"] * 4]
    assert 'id="failures"' in drawn and "&lt;img src=x" in drawn
    assert drawn.count("<rect") == 5
    # The style was taken: its sum is the one that the policy names.
    shot = tmp_path / "page.png"
    browse(page, tmp_path, f"--screenshot={shot}", "--window-size=1000,900")
    assert shot.stat().st_size > 10_000


def test_a_control_character_of_a_docstring_is_shown_as_text(
    project: Project, tmp_path: Path
) -> None:
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    path = project.write_revision("001_first", None, CREATE.format(n=1))
    path.write_text(f'"""Red \\x1b[31m."""\n{path.read_text()}')
    page = project.path / "report.html"
    assert project.cli("report", "--html", str(page)).returncode == 0
    text = page.read_text("utf-8")
    assert "\x1b" not in text
    assert "Red \\x1b[31m" in text


@pytest.mark.parametrize("width", [1200, 700])
def test_no_table_is_wider_than_the_page(failed: Project, tmp_path: Path, width: int) -> None:
    file = failed.revision_file("001_first")
    said = "Create the first of all tables, which is there for a reason that takes words, " * 3
    file.write_text(file.read_text().replace('"""001_first', f'"""{said}', 1))
    page = failed.path / "report.html"
    assert failed.cli("report", "--html", str(page)).returncode == 0
    text = page.read_text("utf-8")
    assert said.strip(" ,") in text
    over = "[...document.querySelectorAll('.wide')].map(e => e.scrollWidth - e.clientWidth)"
    text = text.replace(f"@{socket.gethostname()}", f"@{'budeval-6c9f7d8b5d-' * 3}x2v7q")
    assert "x2v7q" in text
    text = re.sub("<meta http-equiv=.*>", "", text)
    page.write_text(text + f"<script>document.title = {over}.join()</script>", "utf-8")
    drawn = browse(page, tmp_path, "--dump-dom", f"--window-size={width},900")
    assert re.findall("<title>(.*)</title>", drawn)[0] == "0,0,0"


def test_json_has_the_same_content(failed: Project) -> None:
    done = failed.cli("report", "--json")
    assert done.returncode == 0, done.output
    answer = json.loads(done.stdout)
    assert {n["revision"]: n["parents"] for n in answer["graph"]}["003_both"] == [
        "002_left",
        "002_right",
    ]
    assert [row["success"] for row in answer["attempts"]] == [True] * 4 + [False]
    assert (answer["drift"], answer["hosts"]) == (None, [])


def test_drift_is_drawn_when_it_is_asked_for(project: Project, tmp_path: Path) -> None:
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    project.write_revision("001_first", None, CREATE.format(n=1))
    assert project.cli("up").returncode == 0
    page = project.path / "report.html"
    level = "The live schema is what the applied revisions yield."
    assert project.cli("report", "--html", "report.html", "--drift").returncode == 0
    assert level in page.read_text("utf-8")
    statement = "ALTER TABLE shop.t1 ADD COLUMN b String"
    code = f"import chdb; chdb.connect({str(tmp_path / 'data')!r}).query({statement!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert project.cli("report", "--html", "report.html", "--drift").returncode == 0
    text = page.read_text("utf-8")
    assert level not in text
    assert "<td>table t1</td><td>column b</td>" in text
    assert project.cli("report", "--html", "report.html").returncode == 0
    assert "Drift" not in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "report needs --html FILE or --json."),
        (("--html", "-", "--json"), "--html - and --json both want stdout"),
        (("--html", "no/such/directory/r.html"), "cannot be written: No such file or directory."),
    ],
)
def test_a_report_that_cannot_be_written_is_a_sentence(
    project: Project, tmp_path: Path, options: tuple[str, ...], sentence: str
) -> None:
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop")
    done = project.cli("report", *options)
    assert done.returncode == 2
    assert sentence in done.output


def dump(page: Path, tmp_path: Path) -> str:
    return browse(page, tmp_path, "--dump-dom")


def browse(page: Path, tmp_path: Path, *options: str) -> str:
    require_browser()
    return subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/browser",
            *options, page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
