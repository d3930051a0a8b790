"""What a shell completes, asked as its own script asks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two revisions, and a chDB directory that is not there."""
    made = Project(tmp_path / "project")
    made.configure(url=f"chdb:///{tmp_path}/data", database="mine")
    made.write_revision("001_create", None, "SELECT 1")
    made.write_revision("002_change", "001_create", "SELECT 2")
    return made


def completed(project: Project, *words: str) -> list[str]:
    """What comes for the last of the words."""
    asked = {
        "_BUDEVAL_MIGRATE_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["budeval-migrate", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = project.cli(env=asked)
    assert done.stderr == "", done.output
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    "words",
    [
        ("up", "00"),
        ("down", "00"),
        ("plan", "00"),
        ("repair", "--revision", "00"),
        ("repair", "--forget", "00"),
        ("new", "blank", "--head", "00"),
        ("diff", "--head", "00"),
    ],
)
def test_the_ids_of_revisions_are_completed_without_a_server(
    project: Project, tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert completed(project, *words) == ["001_create", "002_change"]
    assert not (tmp_path / "data").exists()


def test_commands_and_options_are_completed(project: Project) -> None:
    assert completed(project, "st") == ["status"]
    assert completed(project, "up", "--lo") == ["--lock-timeout"]


def test_nothing_is_completed_and_nothing_said_where_the_files_cannot_be_found(
    project: Project,
) -> None:
    project.ini.write_text("[budeval_migrations\n")
    assert completed(project, "up", "00") == []


def test_the_files_of_another_project_are_completed_where_one_is_named(
    project: Project, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other")
    other.write_revision("777_other", None, "SELECT 1")
    assert completed(project, "--config", str(other.ini), "up", "7") == ["777_other"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_of_its_own(project: Project, shell: str) -> None:
    done = project.cli("completion", shell)
    assert done.returncode == 0, done.output
    assert f"_BUDEVAL_MIGRATE_COMPLETE={shell}_complete" in done.stdout
    assert "budeval-migrate" in done.stdout


def test_bash_takes_the_script_and_completes_with_it(project: Project) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = project.cli("completion", "bash").stdout
    program = project.path / "budeval-migrate"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m budeval_migrations "$@"\n')
    program.chmod(0o755)
    asked = (
        f"{script}\nCOMP_WORDS=({program} up 00)\nCOMP_CWORD=2\n"
        f'_budeval_migrate_completion {program}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    )
    done = subprocess.run(
        [bash, "-c", asked],
        cwd=project.path,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["001_create", "002_change"], done.stderr
