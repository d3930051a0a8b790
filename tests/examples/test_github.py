"""examples/github: the steps of the workflow, run in a repository with a pull request."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from budeval_migrations.scaffold.project import write_project
from tests.support.project import clean_environment
from tests.support.targets import require_packages

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "github" / "migrations.yml"
WORKFLOW: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text("utf-8"))
JOB = WORKFLOW["jobs"]["migrations"]
STEPS = [step for step in JOB["steps"] if not step.get("run", "pip").startswith("pip")]
ALL = ["lint", "verify", "pytest", "up", "plan"]
GOOD = dict.fromkeys(ALL, 0)

HEAD = '''"""Change events."""

from alembic import op

revision = "002_change"
down_revision = "001_create_events"


'''


def revision(up: str, down: str, more: str = "") -> str:
    return (
        HEAD.replace("\n\n\n", f"\n{more}\n\n\n")
        + f'def upgrade() -> None:\n    op.execute("{up}")\n\n\n'
        + f'def downgrade() -> None:\n    op.execute("{down}")\n'
    )


MEANT = 'destructive = "it is new"'
ADD = "ALTER TABLE events ADD COLUMN IF NOT EXISTS note String"
DROP = "ALTER TABLE events DROP COLUMN IF EXISTS note"


@dataclass
class PullRequest:
    """A repository whose project is in `directory`, and what a runner has of it."""

    root: Path
    directory: str

    @property
    def project(self) -> Path:
        return self.root / self.directory

    def change(self, name: str, text: str) -> None:
        (self.project / "versions" / name).write_text(text)

    def checked(self) -> tuple[dict[str, int], list[str]]:
        """Run the steps as GitHub does: the exit codes, and the annotations of them all."""
        codes, said = {}, []
        for name, step in zip(ALL, STEPS, strict=True):
            script = self.root.parent / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                ["bash", "-e", script],
                cwd=self.root / self._workdir(),
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=240,
            )
            assert "Traceback" not in done.stderr, done.stderr
            assert name in step["run"]
            codes[name] = done.returncode
            said += [line for line in done.stdout.splitlines() if line.startswith("::")]
            if done.returncode and name != "pytest":
                assert any(line.startswith("::error ") for line in done.stdout.splitlines()), (
                    name,
                    done.stdout,
                    done.stderr,
                )
        return codes, said

    def _workdir(self) -> str:
        assert JOB["defaults"]["run"]["working-directory"] == "."
        return self.directory

    def _environment(self) -> dict[str, str]:
        runner = self.root.parent / "runner"
        runner.mkdir(exist_ok=True)
        return clean_environment(
            {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_BASE_REF": "main",
                "GITHUB_WORKSPACE": str(self.root),
                "RUNNER_TEMP": str(runner),
                "PYTHONDONTWRITEBYTECODE": "1",
            }
        )


@pytest.fixture(params=[".", "services/shop"], ids=["at the root", "below"])
def pull_request(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PullRequest]:
    """A branch that came from main, where the project is as `init` writes it."""
    require_packages("chdb", "chdb_sqlalchemy")
    yield opened(tmp_path, request.param)


@pytest.fixture
def at_the_root(tmp_path: Path) -> PullRequest:
    require_packages("chdb", "chdb_sqlalchemy")
    return opened(tmp_path, ".")


def opened(place: Path, directory: str, *, new: bool = False) -> PullRequest:
    """Open a pull request; a `new` project is not on the target branch yet."""
    root, origin = place / "repository", place / "origin.git"
    root.mkdir()

    def git(*words: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)

    git("init", "--bare", "--initial-branch=main", str(origin))
    git("init", "--initial-branch=main")
    git("remote", "add", "origin", str(origin))
    if not new:
        write_project(root / directory, "shop")
    (root / "README.md").write_text("A shop.\n")
    git("add", ".")
    git("commit", "-m", "Begin")
    git("push", "origin", "main")
    git("checkout", "-b", "change")
    write_project(root / directory, "shop")
    return PullRequest(root, directory)


def test_it_is_what_init_writes(tmp_path: Path) -> None:
    write_project(tmp_path / "shop")
    written = (tmp_path / "shop" / ".github" / "workflows" / "migrations.yml").read_text("utf-8")
    assert written == EXAMPLE.read_text("utf-8")


def test_a_step_that_fails_does_not_keep_the_others_from_telling_more() -> None:
    assert [step.get("if") for step in STEPS] == [
        None,
        *["${{ !cancelled() }}"] * 2,
        *["${{ !cancelled() && github.event_name == 'pull_request' }}"] * 2,
    ]
    assert WORKFLOW["permissions"] == {"contents": "read"}
    # YAML 1.1 reads the key `on` as true.
    assert set(WORKFLOW[True]) == {"pull_request", "push"}
    [checkout] = [s for s in JOB["steps"] if s.get("uses", "").startswith("actions/checkout@")]
    assert checkout["with"]["fetch-depth"] == 0


def test_a_pull_request_without_a_revision_passes(pull_request: PullRequest) -> None:
    assert pull_request.checked() == (GOOD, [])


def test_a_good_revision_passes(at_the_root: PullRequest) -> None:
    at_the_root.change("002_change.py", revision(ADD, DROP, MEANT))
    assert at_the_root.checked() == (GOOD, [])


def test_a_project_that_the_target_branch_does_not_have_passes(tmp_path: Path) -> None:
    require_packages("chdb", "chdb_sqlalchemy")
    assert opened(tmp_path, "services/shop", new=True).checked() == (GOOD, [])


def test_what_the_server_refuses_is_told_at_its_line(pull_request: PullRequest) -> None:
    twice = "ALTER TABLE events ADD COLUMN name String"
    pull_request.change("002_change.py", revision(twice, "SELECT 1", MEANT))
    codes, said = pull_request.checked()
    assert codes == {**GOOD, "verify": 3, "pytest": 1, "plan": 6}
    file = "versions/002_change.py"
    if pull_request.directory != ".":
        file = f"{pull_request.directory}/{file}"
    at = f"::error file={file},line=11,title="
    ours = [line for line in said if line.startswith("::error ")]
    assert [line.removeprefix(at).partition("::")[0] for line in ours] == [
        "the upgrade fails",
        "the upgrade would fail",
    ]
    for line in ours:
        assert "::ClickHouse 15: Cannot add column `name`: column with this name" in line
        assert "%0AThe column is there already: was it added by hand?" in line


def test_what_loses_data_without_a_word_is_told_by_lint(at_the_root: PullRequest) -> None:
    at_the_root.change("002_change.py", revision("DROP TABLE events", "SELECT 1"))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "lint": 3, "verify": 3, "pytest": 1, "plan": 7}
    errors = [re.split("(?<=.)::", line)[0] for line in said if line.startswith("::error ")]
    place = "::error file=versions/002_change.py"
    lost = f"{place},line=11,title=BM002 destructive"
    assert errors == [
        lost,
        f"{place},line=11,title=the upgrade fails",  # the second time
        f"{place},title=not in order",
        lost,
        f"{place},title=the downgrade does not bring the schema back",
    ]


def test_a_way_back_that_is_none_is_told(at_the_root: PullRequest) -> None:
    at_the_root.change("002_change.py", revision(ADD, "SELECT 1", MEANT))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "verify": 3, "pytest": 1, "plan": 7}
    errors = [line for line in said if line.startswith("::error ")]
    place, leaves = "::error file=versions/002_change.py", "+ table events column note  String"
    told = "the downgrade does not bring the schema back"
    assert errors == [
        f"{place},title=not in order::{told}%0A{leaves}",
        f"{place},title={told}::{leaves}",
    ]


def test_a_way_back_that_fails_is_told_at_its_line(at_the_root: PullRequest) -> None:
    away = "ALTER TABLE missing DROP COLUMN note"
    at_the_root.change("002_change.py", revision(ADD, away, MEANT))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "verify": 3, "pytest": 1, "plan": 6}
    at = "::error file=versions/002_change.py,line=15,title="
    ours = [line for line in said if line.startswith("::error ")]
    assert [line.removeprefix(at).partition("::")[0] for line in ours] == [
        "the downgrade fails",
        "the downgrade would fail",
    ]


def test_a_revision_of_the_target_branch_that_was_edited_is_told(at_the_root: PullRequest) -> None:
    first = at_the_root.project / "versions" / "001_create_events.py"
    first.write_text(first.read_text().replace("id UInt64", "id UInt32"))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "plan": 4}
    [told] = said
    assert told.startswith(
        "::error file=versions/001_create_events.py,title=ChecksumMismatch::001_create_events"
    )


def test_a_second_head_is_told(at_the_root: PullRequest) -> None:
    for name in ("002_change", "002_other"):
        text = revision(ADD.replace("note", name), DROP.replace("note", name), MEANT)
        at_the_root.change(f"{name}.py", text.replace("002_change", name, 1))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "verify": 3, "pytest": 1}
    heads = "Several heads: 002_change, 002_other"
    assert said == [f"::error title=several heads::{heads}"]


def test_a_file_that_is_no_python_is_told_by_all(at_the_root: PullRequest) -> None:
    at_the_root.change("002_change.py", revision(ADD, DROP).replace("def upgrade()", "def"))
    codes, said = at_the_root.checked()
    assert codes == {**GOOD, "lint": 3, "verify": 3, "pytest": 1, "plan": 3}
    assert len(said) == 3
    for line in said:
        assert line.startswith("::error file=versions/002_change.py,line=10,title=Revision"), line
