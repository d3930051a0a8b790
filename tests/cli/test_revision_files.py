"""Mistakes in names of revisions and in their files: exit 3, and nothing ran."""

from __future__ import annotations

from functools import partial

from tests.cli.shell import TABLE, Shell, all_of, failed_in_alembic, one_object, refused
from tests.support.project import Project

FINE = f'op.execute("{TABLE.format(name="t")}")'


def test_an_unknown_revision_names_the_nearest_one(shell: Shell) -> None:
    shell.write()
    for command in ("up", "down"):
        done = shell.run("--json", command, "002_stop")
        refused(
            done, 3, "no revision 002_stop", hint="Did you mean 002_step", error="RevisionNotFound"
        )
    assert not shell.exists()
    done = shell.run("up", "zzz")
    refused(done, 3, "no revision zzz")
    assert not shell.exists()
    failed_in_alembic(shell.project.run("upgrade", "002_stop"), "002_stop", hint=None)
    assert not shell.exists()


def test_an_ambiguous_part_of_an_id_lists_what_it_could_be(shell: Shell) -> None:
    shell.write()
    for command in ("up", "down"):
        done = shell.run("--json", command, "00")
        refused(
            done,
            3,
            "ambiguous",
            "001_step",
            "002_step",
            "003_step",
            hint="more of the id",
            error="RevisionNotFound",
        )
    assert not shell.exists()


def test_the_number_of_a_revision_is_enough_of_its_id(shell: Shell) -> None:
    shell.write(3)
    shell.ok("up", "002")
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t1"]
    shell.ok("down", "001")
    assert shell.ledger()[2:] == ["002_step\tdowngrade\t1"]


def test_down_to_what_is_not_applied_says_so(shell: Shell) -> None:
    shell.write(2)
    shell.ok("up", "001_step")
    for target in ("002_step", "head"):
        done = shell.run("--json", "down", target)
        refused(done, 3, target, "not applied")
        assert "Nothing to drop" not in done.stderr, done.output
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_an_empty_or_backward_target_is_a_sentence(shell: Shell) -> None:
    shell.write(2)
    shell.ok("up", "001_step")

    def check(*args: str) -> None:
        done = shell.run(*args)
        assert done.returncode in (2, 3), done.output
        assert "Unexpected" not in done.stderr and "Traceback" not in done.stderr, done.output

    cases = (
        ("up", ""),
        ("down", ""),
        ("up", "-1"),
        ("down", "+1"),
        ("up", "--", "-1"),
    )
    all_of(partial(check, *case) for case in cases)
    assert shell.ledger() == ["001_step\tupgrade\t1"]


def test_debug_keeps_the_exit_code(shell: Shell) -> None:
    shell.write(1)
    done = shell.run("--debug", "up", "no_such")
    assert "Traceback (most recent call last)" in done.stderr
    assert done.returncode == 3, f"exit {done.returncode}"


def test_a_revision_that_exits_does_not_end_the_run_in_silence(shell: Shell) -> None:
    shell.write(2)
    path = shell.project.revision_file("002_step")
    whole = path.read_text()
    for source, reader in (
        (whole.replace("def upgrade", "import sys\nsys.exit(0)\n\ndef upgrade"), "status"),
        # status runs no upgrade(); validate does
        (whole.replace("    op.exe", "    import sys\n    sys.exit(0)\n    op.exe", 1), "validate"),
    ):
        path.write_text(source)
        for run in (
            lambda: shell.run("up"),
            lambda reader=reader: shell.run(reader),
            lambda: shell.project.run("upgrade", "head"),
        ):
            done = run()
            assert done.returncode != 0, f"{done.output} with nothing done and nothing said"
            assert "002_step" in done.stdout + done.stderr, done.output
    assert not shell.exists()


def test_more_steps_than_there_are_is_refused(shell: Shell) -> None:
    shell.write(2)
    refused(shell.run("up", "+5"), 3, "+5")
    assert not shell.exists()
    shell.ok("up")
    refused(shell.run("down", "-5"), 3, "-5")
    assert shell.tables() >= {"t1", "t2"}
    assert shell.ledger() == ["001_step\tupgrade\t1", "002_step\tupgrade\t1"]


def test_head_with_several_heads_names_them_and_says_how_to_join_them(shell: Shell) -> None:
    shell.write(1)
    for name in ("002_left", "002_right"):
        shell.project.write_revision(name, "001_step", TABLE.format(name=name[4:]))
    done = shell.run("--json", "up", "head")
    refused(
        done,
        3,
        "several heads",
        "002_left",
        "002_right",
        hint="alembic merge heads",
        error="MultipleHeads",
    )
    done = shell.project.run("upgrade", "head")
    failed_in_alembic(done, "head", hint=None)
    assert not shell.exists()
    shell.ok("up")
    assert shell.tables() >= {"t1", "left", "right"}


def _break(shell: Shell, source: str, name: str = "002_step") -> None:
    shell.write(3)
    shell.project.revision_file(name).write_text(source)


HEAD = 'from alembic import op\nrevision = "002_step"\ndown_revision = "001_step"\n'

BROKEN = {
    "a syntax error": (
        HEAD + "\ndef upgrade() -> None:\n    op.execute(\n",
        ("versions/002_step.py:6", "SyntaxError"),
    ),
    "an import that is not there": (
        "import no_such_module_at_all\n" + HEAD + f"\ndef upgrade():\n    {FINE}\n",
        ("versions/002_step.py:1", "no_such_module_at_all"),
    ),
    "an exception when imported": (
        HEAD + "\n1 / 0\n\ndef upgrade():\n    pass\n",
        ("versions/002_step.py:5", "ZeroDivisionError"),
    ),
    "an exit when imported": (
        HEAD + "\nimport sys\nsys.exit(0)\n\ndef upgrade():\n    pass\n",
        ("versions/002_step.py",),
    ),
    "no upgrade": (
        HEAD + "\ndef downgrade():\n    pass\n",
        ("versions/002_step.py", "no upgrade()"),
    ),
    "an upgrade that is no function": (
        HEAD + "\nupgrade = 'CREATE TABLE'\n",
        ("versions/002_step.py", "upgrade"),
    ),
    "another name than its id": (
        HEAD.replace("002_step", "002_stepp") + f"\ndef upgrade():\n    {FINE}\n",
        ("versions/002_step.py", "002_stepp"),
    ),
    "no revision variable": (
        HEAD.replace("revision =", "rev =", 1) + f"\ndef upgrade():\n    {FINE}\n",
        ("versions/002_step.py", "declares no revision"),
    ),
    "no down_revision variable": (
        'from alembic import op\nrevision = "002_step"\n' + f"\ndef upgrade():\n    {FINE}\n",
        ("versions/002_step.py", "down_revision"),
    ),
    "a parent without a file": (
        HEAD.replace("001_step", "001_gone") + f"\ndef upgrade():\n    {FINE}\n",
        ("001_gone", "002_step"),
    ),
    "a cycle": (
        HEAD.replace("001_step", "003_step") + f"\ndef upgrade():\n    {FINE}\n",
        ("002_step", "003_step"),
    ),
    "itself as its parent": (
        HEAD.replace("001_step", "002_step") + f"\ndef upgrade():\n    {FINE}\n",
        ("002_step",),
    ),
    "an exception inside upgrade": (
        HEAD + f"\ndef upgrade():\n    {FINE}\n    raise ValueError('no such luck')\n",
        ("versions/002_step.py:7", "upgrade()", "ValueError", "no such luck"),
    ),
    "an upgrade that wants an argument": (
        HEAD + f"\ndef upgrade(connection):\n    {FINE}\n",
        ("versions/002_step.py", "upgrade()", "connection"),
    ),
    "execute_file with a missing file": (
        HEAD + "\ndef upgrade():\n    op.execute_file('gone.sql')\n",
        ("gone.sql", "002_step"),
    ),
    "execute_file with a name that is no literal": (
        HEAD + "\nNAME = '003_step.py'\n\ndef upgrade():\n    op.execute_file(NAME)\n",
        ("versions/002_step.py:8", "literal"),
    ),
    "an execute of something that is no SQL": (
        HEAD + "\ndef upgrade():\n    op.execute(42)\n",
        ("versions/002_step.py:6", "upgrade()"),
    ),
}


def test_a_broken_revision_file_is_named_with_its_line_and_nothing_runs(shell: Shell) -> None:
    """Each case is a project of its own on the same database."""

    def check(number: int, what: str) -> None:
        source, words = BROKEN[what]
        project = Project(shell.project.path.parent / f"broken{number}")
        each = Shell(project, shell.server, shell.database)
        _break(each, source)
        done = each.run("--json", "up")
        try:
            refused(done, 3, *words)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from None

    all_of(partial(check, *each) for each in enumerate(BROKEN))
    assert not shell.exists()


def test_alembics_command_says_the_same_of_a_broken_file(shell: Shell) -> None:
    def check(number: int, what: str) -> None:
        source, words = BROKEN[what]
        project = Project(shell.project.path.parent / f"alembic{number}")
        each = Shell(project, shell.server, shell.database)
        _break(each, source)
        try:
            failed_in_alembic(project.run("upgrade", "head"), *words, hint=None)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from None

    inside_env_py = (
        "no upgrade",
        "an exception inside upgrade",
        "execute_file with a missing file",
        "execute_file with a name that is no literal",
        "another name than its id",
        "no revision variable",
    )
    all_of(partial(check, *each) for each in enumerate(inside_env_py))
    assert not shell.exists()


def test_two_files_with_one_id_are_both_named(shell: Shell) -> None:
    shell.write(2)
    copy = shell.project.revision_file("002_copy")
    copy.write_text(shell.project.revision_file("002_step").read_text())
    refused(shell.run("--json", "up"), 3, "002_copy.py", "002_step.py", hint="rename")
    assert not shell.exists()


def test_a_file_that_is_not_utf8_is_named(shell: Shell) -> None:
    shell.write(2)
    path = shell.project.revision_file("002_step")
    path.write_bytes(path.read_bytes().replace(b'"""002_step"""', b'"""na\xefve"""'))
    refused(shell.run("--json", "up"), 3, "versions/002_step.py", hint="UTF-8")
    shell.write(2)
    (shell.project.versions / "data.sql").write_bytes(b"SELECT '\xff'")
    shell.project.write_revision(
        "002_step", "001_step", body="def upgrade() -> None:\n    op.execute_file('data.sql')\n"
    )
    refused(shell.run("--json", "up"), 3, "versions/data.sql", hint="UTF-8")
    assert not shell.exists()


def test_a_versions_entry_that_is_a_directory_named_py_is_no_crash(shell: Shell) -> None:
    shell.write(1)
    (shell.project.versions / "002_dir.py").mkdir()
    done = shell.run("--json", "up")
    if done.returncode != 0:
        refused(done, 3, "002_dir.py")
        assert not shell.exists()


def test_status_and_validate_say_what_is_wrong_with_a_file_too(shell: Shell) -> None:
    _break(shell, BROKEN["a syntax error"][0])
    refused(shell.run("--json", "status"), 3, "versions/002_step.py:6", "SyntaxError")
    done = shell.run("--json", "validate")
    assert done.returncode == 3, done.output
    assert '"ok": false' in done.stdout and "versions/002_step.py:6" in done.stdout
    _break(shell, BROKEN["an exception inside upgrade"][0])
    done = shell.run("validate")
    assert done.returncode == 3, done.output
    assert "no such luck" in done.stdout and "hint:" in done.stdout, done.output
    assert not shell.exists()


def test_a_downgrade_that_is_not_there_is_refused_before_anything_is_taken_back(
    shell: Shell,
) -> None:
    shell.write(3)
    shell.project.write_revision("002_step", "001_step", TABLE.format(name="t2"), None)
    shell.ok("up")
    done = shell.run("--json", "down", "base")
    refused(done, 3, "002_step", "no downgrade", hint="def downgrade()")
    assert shell.tables() >= {"t1", "t2", "t3"}
    assert len(shell.ledger()) == 3


def test_a_revision_that_came_below_an_applied_one_is_told_with_the_ways_out(
    embedded: Project,
) -> None:
    table = "CREATE TABLE {} (n Int64) ENGINE = MergeTree ORDER BY n"

    def write(name: str, below: str | None) -> None:
        embedded.write_revision(f"{name}_x", below, table.format(f"t{name}"), f"DROP TABLE t{name}")

    write("001", None)
    write("003", "001_x")
    assert embedded.cli("up").returncode == 0
    write("002", "001_x")
    write("003", "002_x")  # as a rebase leaves it
    said = "002_x is not applied, and 003_x is, which builds on it as its file is now."
    for words in (("up",), ("plan",)):
        done = embedded.cli(*words)
        assert (done.returncode, done.stderr.splitlines()[0]) == (4, f"FAILED {said}")
        assert "budeval-migrate down 001_x, then up." in done.stderr
    assert embedded.run("upgrade", "head").returncode == 255
    assert f"note {said}" in embedded.cli("status").stdout
    assert embedded.cli("validate").returncode == 4

    # Recorded anew, it is refused still.
    assert embedded.cli("repair", "--yes").returncode == 0
    assert embedded.cli("up").returncode == 4
    # One way out: what is above it is reverted.
    assert embedded.cli("down", "001_x").returncode == 0
    assert one_object(embedded.cli("up", "--json"))["applied"] == ["002_x", "003_x"]
    # The other: it comes last.
    write("004", "001_x")
    write("002", "004_x")
    assert embedded.cli("up").returncode == 4
    write("002", "001_x")
    write("004", "003_x")
    assert one_object(embedded.cli("up", "--json"))["applied"] == ["004_x"]
    assert one_object(embedded.cli("status", "--json"))["at_head"] is True


def test_where_an_applied_revision_was_moved_onto_another_the_database_is_at_head(
    embedded: Project,
) -> None:
    for name, below in (("001_x", None), ("002_a", "001_x"), ("002_b", "001_x")):
        embedded.write_revision(name, below, "SELECT 1")
    assert embedded.cli("up").returncode == 0
    embedded.write_revision("002_b", "002_a", "SELECT 1")
    assert one_object(embedded.cli("status", "--json"))["at_head"] is True
