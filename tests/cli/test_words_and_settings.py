"""Mistakes in commands, options, settings and URLs: exit 2, and nothing is touched."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.cli.shell import all_of, no_traceback, one_object, refused
from tests.support.project import Project

PREFIX = "BUDEVAL_MIGRATIONS_"


NEAREST = [
    (("statsu",), "status"),
    (("upgrade",), "up"),
    (("up", "--lock-timout", "3"), "--lock-timeout"),
    (("--databse", "x", "status"), "--database"),
    (("status", "--exitcode"), "--exit-code"),
]


def test_an_unknown_command_or_option_names_the_nearest_one(
    embedded: Project, tmp_path: Path
) -> None:
    def check(words: tuple[str, ...], meant: str) -> None:
        done = embedded.cli(*words)
        assert done.returncode == 2, done.output
        no_traceback(done)
        assert done.stdout == "", done.output
        assert meant in done.stderr, done.output
        assert "Did you mean" in done.stderr, done.output

    all_of(partial(check, *case) for case in NEAREST)
    assert not (tmp_path / "data").exists()


def test_an_unknown_command_with_json_is_one_object_too(embedded: Project) -> None:
    done = embedded.cli("--json", "statsu")
    assert done.returncode == 2, done.output
    answer = one_object(done)
    assert "statsu" in answer["message"] and "status" in answer["message"] + answer["hint"]


def test_no_command_shows_the_help_and_help_lists_the_exit_codes(embedded: Project) -> None:
    done = embedded.cli()
    assert "Usage: budeval-migrate" in done.stdout + done.stderr
    for word in ("Exit codes:", "status", "repair", "--database"):
        assert word in done.stdout + done.stderr, done.output
    no_traceback(done)


def test_down_needs_to_be_told_how_far(embedded: Project, tmp_path: Path) -> None:
    done = embedded.cli("down")
    assert done.returncode == 2, done.output
    no_traceback(done)
    assert "REVISION" in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "data").exists()


def test_down_with_an_unknown_option_names_it(embedded: Project, tmp_path: Path) -> None:
    done = embedded.cli("down", "--all")
    assert done.returncode == 2, done.output
    no_traceback(done)
    assert "--all" in done.stderr
    assert not (tmp_path / "data").exists()


URLS = [
    ("not a url", "cannot be read", "clickhouse+http://"),
    ("://", "cannot be read", "clickhouse+http://"),
    ("clickhouse+http://u:p@h:port/db", "cannot be read", "clickhouse+http://"),
    ("clickhose+http://h/db", "clickhose+http://", "clickhouse+http://"),
    ("clikhouse://h/db", "clikhouse://", "clickhouse://"),
    ("http://localhost:8123", "http://", "clickhouse+http://"),
    ("postgresql://h/db", "postgresql://", "clickhouse+http://"),
    ("clickhouse+http:///db", "no host", "host"),
    ("clickhousedb://", "no host", "host"),
    ("chdb://", "no directory", "chdb:///./"),
    ("clickhouse+http://127.0.0.1:99999/db", "99999", "port"),
]


def test_a_url_that_cannot_be_meant_is_refused_with_the_right_form(project: Project) -> None:
    project.write_chain(1)

    def check(url: str, words: str, hint: str) -> None:
        done = project.cli("--json", "--url", url, "up")
        refused(done, 2, words, hint=hint, error="ConfigError")

    all_of(partial(check, *case) for case in URLS)


def test_an_unknown_option_of_a_chdb_url_names_the_nearest_one(
    embedded: Project, tmp_path: Path
) -> None:
    embedded.write_chain(1)

    def check(command: str) -> None:
        done = embedded.cli("--url", f"chdb:///{tmp_path}/data?readonli=1", command)
        refused(done, 2, "readonli", hint="readonly")

    all_of(partial(check, command) for command in ("up", "status"))
    assert not (tmp_path / "data").exists()


def test_a_url_with_a_password_is_not_repeated_when_it_cannot_be_read(project: Project) -> None:
    done = project.cli("--debug", "--url", "clickhouse+http://u:hunter2secret@h:port/db", "status")
    assert done.returncode != 0
    assert "hunter2secret" not in done.stdout + done.stderr, done.output
    done = project.cli("--url", "clickhuse+http://u:hunter2secret@h/db", "status")
    refused(done, 2, "clickhuse+http://", hint="clickhouse+http://")
    assert "hunter2secret" not in done.stdout + done.stderr, done.output


def test_an_unknown_option_in_alembic_ini_names_the_nearest_one(embedded: Project) -> None:
    embedded.configure(url=embedded.url, lock_timout="3")
    refused(
        embedded.cli("--json", "status"),
        2,
        "lock_timout",
        "alembic.ini",
        hint="lock_timeout",
        error="ConfigError",
    )


VALUES = [
    ("DATABSE", "x", "BUDEVAL_MIGRATIONS_DATABSE", "BUDEVAL_MIGRATIONS_DATABASE"),
    ("LOCK", "of", "lock", "off"),
    ("LOCK", "yes", "lock", "auto"),
    ("LOCK_TIMEOUT", "soon", "lock_timeout", ""),
    ("LOCK_TIMEOUT", "-1", "lock_timeout", ""),
    ("LOCK_TIMEOUT", "nan", "lock_timeout", ""),
    ("LOCK_LEASE", "0.1", "lock_lease", "at least 1"),
    ("LOCK_LEASE", "inf", "lock_lease", ""),
    ("CONFIG", "no/such.ini", "no/such.ini", "alembic.ini"),
    ("VERSIONS", "no/such/place", "no/such/place", ""),
]


def test_a_bad_value_in_the_environment_is_refused(embedded: Project, tmp_path: Path) -> None:
    embedded.write_chain(1)

    def check(name: str, value: str, words: str, hint: str) -> None:
        done = embedded.cli("--json", "up", env={PREFIX + name: value})
        refused(done, 2, words, hint=hint, error="ConfigError")

    all_of(partial(check, *case) for case in VALUES)
    assert not (tmp_path / "data").exists()


def test_a_bad_lock_timeout_on_the_command_line_is_refused(
    embedded: Project, tmp_path: Path
) -> None:
    embedded.write_chain(1)
    for value in ("soon", "-2"):
        done = embedded.cli("up", "--lock-timeout", value)
        assert done.returncode == 2, done.output
        no_traceback(done)
        assert value in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_unknown_x_option_names_the_nearest_one(embedded: Project, tmp_path: Path) -> None:
    embedded.write_chain(1)
    done = embedded.run("-x", "databse=x", "upgrade", "head")
    assert done.returncode == 255, done.output
    no_traceback(done)
    output = done.stdout + done.stderr
    assert "FAILED: Unknown -x option databse." in output, done.output
    assert "Did you mean database?" in output, done.output
    assert not (tmp_path / "data").exists()


def test_a_lone_percent_sign_in_alembic_ini_says_where_and_how(embedded: Project) -> None:
    embedded.ini.write_text(
        embedded.ini.read_text() + "\nversions = %(here)s/versions\nenvironment = 100%\n"
    )
    done = embedded.cli("--json", "status")
    refused(done, 2, "alembic.ini", "environment", "%", hint="%%", error="ConfigError")
    done = embedded.run("current")
    assert done.returncode == 255, done.output
    no_traceback(done)
    assert "FAILED: " in done.stdout + done.stderr


def test_a_lone_percent_sign_in_the_url_does_not_show_the_password(embedded: Project) -> None:
    text = embedded.ini.read_text().splitlines()
    url = "url = clickhouse+http://u:hunter2%secret@127.0.0.1:1/db"
    embedded.ini.write_text("\n".join(url if x.startswith("url") else x for x in text))
    done = embedded.cli("status")
    refused(done, 2, "url", hint="%%")
    assert "secret" not in done.stderr, done.output


def test_a_file_that_is_no_ini_file_is_refused(embedded: Project) -> None:
    embedded.ini.write_text("this is not\nan ini file\n")
    refused(embedded.cli("--json", "status"), 2, "alembic.ini", error="ConfigError")


def test_without_alembic_ini_it_is_said_what_to_do(embedded: Project, tmp_path: Path) -> None:
    embedded.ini.unlink()
    done = embedded.cli("--json", "--url", f"chdb:///{tmp_path}/data", "up")
    refused(done, 2, "revision files", hint="alembic.ini", error="ConfigError")
    assert not (tmp_path / "data").exists()


def test_a_config_that_names_nothing_is_refused(embedded: Project, tmp_path: Path) -> None:
    done = embedded.cli("--json", "--config", "nowhere.ini", "up")
    refused(done, 2, "nowhere.ini", hint="alembic.ini", error="ConfigError")
    assert not (tmp_path / "data").exists()


def test_a_versions_directory_that_is_not_there_is_refused(
    embedded: Project, tmp_path: Path
) -> None:
    embedded.versions.rmdir()
    done = embedded.cli("--json", "up")
    refused(done, 2, "versions", hint="version_locations", error="ConfigError")
    assert not (tmp_path / "data").exists()
    assert not (embedded.path / ".budeval").exists()


def test_an_empty_versions_directory_is_nothing_to_do(embedded: Project) -> None:
    done = embedded.cli("--json", "status")
    assert done.returncode == 0, done.output
    assert one_object(done)["revisions"] == []


def test_a_directory_without_revisions_is_told_each_time(embedded: Project) -> None:
    for _ in range(2):
        done = embedded.cli("up")
        assert done.returncode == 0, done.output
        assert done.stdout == "mine: nothing to do; at base\n"
        assert done.stderr == (
            "note There is no revision file: versions/ is empty, or another directory is meant.\n"
        )


def test_where_there_is_no_project_nothing_is_said_of_a_server_that_nobody_named(
    tmp_path: Path,
) -> None:
    nowhere = Project(tmp_path / "nowhere")
    nowhere.ini.unlink()
    for words in (("history",), ("unlock", "--yes"), ("status",)):
        done = nowhere.cli(*words)
        refused(done, 2, "No alembic.ini found in this directory.")


QUIET = (
    ("plan",),
    ("up",),
    ("status",),
    ("history",),
    ("validate",),
    ("drift",),
    ("verify",),
    ("lint",),
    ("repair",),
    ("unlock",),
    ("adopt",),
    ("new", "blank", "--name", "500_extra"),
    ("init", "more"),
    ("report", "--html", "page.html"),
    ("down", "base"),
    ("reset", "--yes"),
    ("up",),
)


def test_a_quiet_command_that_succeeds_prints_nothing_and_one_that_does_not_says_why(
    project: Project, tmp_path: Path
) -> None:
    project.configure(url=f"chdb:///{tmp_path}/data", database="shop", environment="development")
    create = "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a"
    project.write_revision("001_a", None, create, "DROP TABLE t")
    for words in QUIET:
        done = project.cli("--quiet", *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), words
    project.write_revision("900_no", "500_extra", "DROP TABLE nowhere")
    for words, code, said in (
        (("lint",), 3, "BM002"),
        (("status", "--exit-code"), 9, ""),
        (("up",), 6, "nowhere"),
        (("verify",), 3, "900_no"),
    ):
        done = project.cli("--quiet", *words)
        assert (done.returncode, said in done.output) == (code, True), (words, done.output)
        assert said or (done.stdout, done.stderr) == ("", ""), words
