"""Text from outside, and outputs that take nothing: a terminal interprets none of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_terminal import on_a_terminal
from tests.support.project import Project

# Escape sequences (title, clipboard, colours), a bell, C1, the direction of writing, markup, emoji.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b1m\u202e\u2028\ufeff\u200b\ufe0f\u3164\U000e0100\x08\r[red]red[/red] :warning: :m:"
NAME = "t\x1b[2Jx:bomb:[b]"
SQL = f"SELECT formatDateTimeInJodaSyntax(now(), 'H:m:s') AS `{NAME}`, '{HOSTILE}'"
_STYLES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COMMANDS = (
    ("status",),
    ("history",),
    ("validate",),
    ("plan",),
    ("plan", "--sql"),
    ("plan", "--json"),
    ("lint",),
    ("lint", "--json"),
    ("drift",),
    ("verify",),
    ("report", "--json"),
    ("up", "--verbose"),
)


@pytest.fixture
def hostile(tmp_path: Path) -> Project:
    """A project with control characters wherever there is text."""
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    create = f"CREATE TABLE `{NAME}` (a Int8 COMMENT '{HOSTILE}') ENGINE = MergeTree ORDER BY a"
    project.write_revision("001_a", None, create)
    assert project.cli("up").returncode == 0
    project.write_revision("002_b", "001_a", [SQL, f"SELECT throwIf(1, '{HOSTILE}')"])
    file = project.revision_file("002_b")
    doc = '"""about ' + ascii(HOSTILE)[1:-1] + '"""'
    file.write_bytes(file.read_bytes().replace(b'"""002_b"""', doc.encode(), 1))
    return project


def controls(text: str) -> str:
    return "".join(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u2028-\u202e\ufeff]", text))


def test_no_command_writes_a_control_character_or_an_emoji(hostile: Project) -> None:
    for words in COMMANDS:
        done = hostile.cli(*words)
        assert controls(done.stdout + done.stderr) == "", (words, done.output)
        assert "Traceback" not in done.stderr, words
        assert not {"\u26a0", "\u24c2", "\U0001f4a3"} & set(done.stdout + done.stderr), words
    done = hostile.run("upgrade", "head")
    assert controls(done.stdout + done.stderr) == ""


def test_github_s_runner_finds_no_command_of_others(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    project.write_revision("001_a", None, "SELECT 1")
    assert project.cli("up").returncode == 0
    obeyed = "\n  ::add-mask::e\n::debug::[b]\n##[warning]x"
    project.write_revision(
        "002_b", "001_a", [f"SELECT '{obeyed}'", f"SELECT throwIf(1, '{obeyed}')"]
    )
    file = project.revision_file("002_b")
    file.write_text(file.read_text().replace('"""002_b"""', f'"""about\n\n{obeyed}"""'))
    runner = {"GITHUB_ACTIONS": "true"}
    for words in (("status",), ("plan",), ("plan", "--json"), ("lint",), ("up", "--verbose")):
        done = project.cli(*words, env=runner)
        assert runner_commands(done.stdout + done.stderr) == [], (words, done.output)
    done = project.run("upgrade", "head", env=runner)
    assert done.returncode != 0
    assert runner_commands(done.stdout + done.stderr) == []
    assert "\\x3a:debug::[b]" in project.cli("plan", env=runner).stdout
    assert "\n    ::debug::[b]" in project.cli("plan").stdout


def runner_commands(text: str) -> list[str]:
    lines = text.splitlines()
    return [each for each in lines if each.lstrip().startswith(("::add", "::deb")) or "##[" in each]


def test_what_is_shown_is_what_is_sent(hostile: Project) -> None:
    done = hostile.cli("plan")
    assert "formatDateTimeInJodaSyntax(now(), 'H:m:s') AS `t\\x1b[2Jx:bomb:[b]`" in done.stdout
    done = hostile.cli("up", "--verbose")
    assert "formatDateTimeInJodaSyntax(now(), 'H:m:s') AS `t\\x1b[2Jx:bomb:[b]`" in done.stderr


@pytest.mark.parametrize("words", [("plan",), ("up", "--verbose"), ("status",)])
def test_a_terminal_gets_our_own_styles_alone(hostile: Project, words: tuple[str, ...]) -> None:
    _, shown = on_a_terminal(hostile, *words, width=100)
    found = set(_STYLES.findall(shown))
    assert all(
        re.fullmatch(r"\x1b\[(?:[0-9;]*m|\?25[hl]|[0-9]*[AK]|2K|1A)", each) for each in found
    )
    assert "\x1b[31m" not in shown
    left = _STYLES.sub("", shown).replace("\r", "")
    assert controls(left) == ""


def test_an_encoding_without_a_letter_shows_its_number_and_sql_is_never_changed(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    project.write_revision("001_a", None, "SELECT 'é' AS `\u4e2d`")
    plan = in_ascii(project, "plan")
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "SELECT '\\xe9' AS `\\u4e2d`" in plan.stdout
    script = in_ascii(project, "plan", "--sql")
    assert "not all of the answer could be written: its encoding is ascii" in script.stderr.lower()
    assert "SELECT" not in script.stdout
    answer = json.loads(in_ascii(project, "plan", "--json").stdout)
    assert "SELECT 'é' AS `\u4e2d`" in json.dumps(answer, ensure_ascii=False)


FULL = "Not all of the answer could be written: No space left on device."


@pytest.mark.parametrize("words", [("up",), ("up", "--json"), ("status",), ("history", "--json")])
def test_an_answer_that_cannot_be_written_does_not_change_the_exit_code(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    project.write_revision("001_a", None, "SELECT 1")
    with open("/dev/full", "w") as full:
        done = write_to(project, words, full)
    assert done.returncode == 0, done.stderr
    assert FULL in done.stderr
    project.write_revision("002_b", "001_a", "SELECT throwIf(1, 'no')")
    with open("/dev/full", "w") as full:
        done = write_to(project, ("up", *words[1:]), full)
    assert done.returncode == 6, done.stderr
    assert "Traceback" not in done.stderr


def test_a_reader_that_has_gone_is_passed_over(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.configure(url="chdb:///./data", database="d")
    project.write_chain(30)
    started = project.start("budeval_migrations", "up", "--json")
    assert started.stdout is not None and started.stderr is not None
    started.stdout.close()
    assert started.wait(60) == 0
    assert "Traceback" not in started.stderr.read()
    assert "30 applied" not in project.cli("status").stderr
    assert project.cli("validate").returncode == 0


def write_to(
    project: Project, words: tuple[str, ...], file: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "budeval_migrations", *words],
        cwd=project.path,
        env=project.environment(),
        stdout=file,  # type: ignore[call-overload]
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


def in_ascii(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "budeval_migrations", *words],
        cwd=project.path,
        env=project.environment({"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}),
        capture_output=True,
        text=True,
        timeout=120,
    )
