"""Settings: what wins, what is refused, what is never shown."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from alembic.config import Config
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from budeval_migrations.errors import ConfigError
from budeval_migrations.settings import (
    DEFAULT_URL,
    ENV_PREFIX,
    NAMES,
    Settings,
    load_settings,
    read_ini,
    version_locations,
)

DEFAULTS = {
    "url": "chdb:///./.budeval/clickhouse",
    "database": "",
    "environment": "production",
    "cluster": "",
    "ddl_timeout": 180.0,
    "max_lag": 60.0,
    "allow_inactive": False,
    "lock": "auto",
    "lock_timeout": 600.0,
    "lock_lease": 30.0,
    "read_timeout": 30.0,
    "jobs": 1,
    "versions": (),
    "schema": "",
    "hooks": "",
    "server_version": "26.0",
}

# name -> a text for each source, and what the texts are read as: argument, -x, environment, ini
SOURCES = ("argument", "x", "environ", "ini")
TEXTS = {
    "url": ("clickhouse+http://a", "clickhouse+http://b", "clickhouse+http://c", "chdb:///./d"),
    "database": ("a", "b", "c", "d"),
    "environment": ("a", "b", "c", "development"),
    "cluster": ("a", "auto", "{cluster}", "crew"),
    "ddl_timeout": ("1", "2.5", "0", "4"),
    "max_lag": ("1", "2.5", "0", "4"),
    "allow_inactive": ("yes", "no", "TRUE", "0"),
    "lock": ("off", "auto", "off", "off"),
    "lock_timeout": ("1", "2.5", "0", "4"),
    "lock_lease": ("1", "2.5", "3", "4"),
    "read_timeout": ("1", "2.5", "3", "4"),
    "jobs": ("2", "64", "1", "3"),
    "versions": ("/a", "/b", "/c", "/d"),
    "schema": ("schema.sql", "app.models:metadata", "./wanted.sql", "a:b"),
    "hooks": ("app.hooks", "hooks", "a.b.c", "tell_us"),
    "server_version": ("18.16", "19.1", "22.8", "24.8"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read_as(name: str, text: str) -> object:
    if name in ("ddl_timeout", "max_lag", "lock_timeout", "lock_lease", "read_timeout"):
        return float(text)
    if name == "jobs":
        return int(text)
    if name == "allow_inactive":
        return text in ("yes", "TRUE")
    return (text,) if name == "versions" else text


def write_ini(path: Path, **options: str) -> Path:
    lines = [f"{name} = {value.replace('%', '%%')}\n" for name, value in options.items()]
    path.write_text("[budeval_migrations]\n" + "".join(lines), "utf-8")
    return path


def test_the_tables_of_this_file_name_every_setting() -> None:
    assert set(DEFAULTS) == set(TEXTS) == set(NAMES)


def test_nothing_given_means_the_defaults() -> None:
    found = load_settings(environ={})

    assert {name: getattr(found, name) for name in NAMES} == DEFAULTS
    assert found.config == ""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given_by", range(1, 16))
def test_the_first_source_that_knows_a_setting_wins(
    tmp_path: Path, name: str, given_by: int
) -> None:
    text = dict(zip(SOURCES, TEXTS[name], strict=True))
    present = [source for n, source in enumerate(SOURCES) if given_by >> n & 1]
    ini = write_ini(tmp_path / "a.ini", **({name: text["ini"]} if "ini" in present else {}))

    found = load_settings(
        config=ini,
        x={name: text["x"]} if "x" in present else {},
        environ={ENV_PREFIX + name.upper(): text["environ"]} if "environ" in present else {},
        **({name: text["argument"]} if "argument" in present else {}),
    )

    assert getattr(found, name) == read_as(name, text[present[0]])
    others = {other: getattr(found, other) for other in NAMES if other != name}
    assert others == {other: DEFAULTS[other] for other in NAMES if other != name}


@pytest.mark.parametrize("name", NAMES)
def test_an_argument_that_is_none_was_not_given(name: str) -> None:
    text = TEXTS[name][2]

    found = load_settings(environ={ENV_PREFIX + name.upper(): text}, **{name: None})

    assert getattr(found, name) == read_as(name, text)


def test_the_environment_is_that_of_the_process_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUDEVAL_MIGRATIONS_DATABASE", "from_the_process")

    assert load_settings().database == "from_the_process"
    assert load_settings(environ={}).database == ""


def test_other_variables_of_the_environment_are_left_alone() -> None:
    assert load_settings(environ={"BUDEVAL_URL": "x", "PATH": "y"}).url == DEFAULT_URL


# --- the file -----------------------------------------------------------------------------


def test_the_ini_file_of_the_working_directory_is_read(tmp_path: Path) -> None:
    write_ini(tmp_path / "alembic.ini", database="d")

    found = load_settings(environ={})

    assert (found.database, found.config) == ("d", "alembic.ini")


def test_a_named_ini_file_wins_over_that_of_the_environment_and_of_the_directory(
    tmp_path: Path,
) -> None:
    for name in ("alembic.ini", "env.ini", "argument.ini"):
        write_ini(tmp_path / name, database=name.split(".")[0])
    environ = {"BUDEVAL_MIGRATIONS_CONFIG": "env.ini"}

    assert load_settings(environ={}).database == "alembic"
    assert load_settings(environ=environ).database == "env"
    assert load_settings(environ=environ, config="argument.ini").database == "argument"


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_a_named_ini_file_has_to_exist(by: str) -> None:
    given_path = {"config": "no.ini"} if by == "argument" else {}
    environ = {} if by == "argument" else {"BUDEVAL_MIGRATIONS_CONFIG": "no.ini"}

    with pytest.raises(ConfigError) as caught:
        load_settings(environ=environ, **given_path)

    assert caught.value.message == "There is no configuration file no.ini."
    assert caught.value.hint


def test_an_ini_file_without_our_section_says_nothing(tmp_path: Path) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[alembic]\nsqlalchemy.url = x\n[loggers]\nkeys = root\n")

    assert read_ini(ini) == {}


def test_an_ini_file_can_name_its_own_directory(tmp_path: Path) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[budeval_migrations]\nurl = chdb:///%(here)s/data\n")

    assert read_ini(ini) == {"url": f"chdb:///{tmp_path}/data"}


def test_what_a_section_inherits_is_not_an_option_of_ours(tmp_path: Path) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[DEFAULT]\nhome = /x\n[budeval_migrations]\ndatabase = d\n")

    assert read_ini(ini) == {"database": "d"}


@pytest.mark.parametrize(
    "text",
    ["database = d\n", "[budeval_migrations]\ndatabase\n", "[a]\n[a]\n", "[budeval_migrations"],
)
def test_a_file_that_is_no_ini_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text(text)

    with pytest.raises(ConfigError, match=r"a\.ini cannot be read: "):
        read_ini(ini)


def test_a_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    ini = tmp_path / "a.ini"
    ini.write_bytes(b"[budeval_migrations]\ndatabase = \xff\n")

    with pytest.raises(ConfigError) as caught:
        read_ini(ini)
    said = "cannot be read: it is not UTF-8 (invalid start byte at byte 32)."
    assert caught.value.message == f"{ini} {said}"


def test_a_percent_sign_that_stands_alone_is_refused_without_showing_the_url(
    tmp_path: Path,
) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[budeval_migrations]\nurl = clickhouse+http://u:hunter%402@h\n")

    with pytest.raises(ConfigError) as caught:
        read_ini(ini)

    assert "hunter" not in f"{caught.value.message}{caught.value.hint}"
    assert caught.value.hint == "Write %% for a percent sign in an ini file."
    assert caught.value.__suppress_context__


# --- refused ------------------------------------------------------------------------------

UNKNOWN = (
    ({"databse": "d"}, {}, {}, "Unknown setting databse.", "Did you mean database?"),
    ({}, {"lock_timout": "1"}, {}, "Unknown -x option lock_timout.", "Did you mean lock_timeout?"),
    (
        {},
        {},
        {"BUDEVAL_MIGRATIONS_URI": "x"},
        "Unknown environment variable BUDEVAL_MIGRATIONS_URI.",
        "Did you mean BUDEVAL_MIGRATIONS_URL?",
    ),
    (
        {},
        {"zzz": "1"},
        {},
        "Unknown -x option zzz.",
        "Known: url, database, environment, cluster, ddl_timeout, max_lag, allow_inactive, lock, "
        "lock_timeout, lock_lease, read_timeout, jobs, versions, schema, hooks, server_version.",
    ),
)


@pytest.mark.parametrize(("arguments", "x", "environ", "message", "hint"), UNKNOWN)
def test_an_unknown_name_is_refused_with_the_nearest(
    arguments: dict[str, str], x: dict[str, str], environ: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(x=x, environ=environ, **arguments)

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_an_unknown_option_of_the_file_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write_ini(tmp_path / "alembic.ini", lock_leese="3")

    with pytest.raises(ConfigError) as caught:
        load_settings(environ={})

    assert caught.value.message == (
        "Unknown option in [budeval_migrations] of alembic.ini: lock_leese."
    )
    assert caught.value.hint == "Did you mean lock_lease?"


@pytest.mark.parametrize("name", ["lock_timeout", "lock_lease"])
@pytest.mark.parametrize("value", ["soon", "", "-1", "inf", "nan", "1e999", "1m", [], -1, -0.5])
def test_what_is_no_number_of_seconds_is_refused(name: str, value: object) -> None:
    if value == "":
        assert getattr(load_settings(environ={}, **{name: value}), name) == DEFAULTS[name]
        return
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, **{name: value})

    assert caught.value.message == f"{name} must be a number of seconds, not {value!r}."


@pytest.mark.parametrize("value", [0, 0.5, "0.999"])
def test_a_lease_of_less_than_a_second_is_refused(value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, lock_lease=value)

    assert caught.value.hint == "lock_lease must be at least 1."


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("of", "Did you mean off?"),
        ("OFF", "Choose auto or off."),
        ("none", "Choose auto or off."),
        ("true", "Choose auto or off."),
    ],
)
def test_an_unknown_lock_is_refused_with_the_choices(value: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={}, lock=value)

    assert (caught.value.message, caught.value.hint) == (f"lock cannot be {value!r}.", hint)


@pytest.mark.parametrize("value", ["latest", "twenty", "-"])
def test_a_server_version_without_a_number_is_refused(value: str) -> None:
    """It would be taken for the oldest server, and the script would be written for that."""
    with pytest.raises(ConfigError):
        load_settings(environ={}, server_version=value)


@given(st.floats(1, 1e9, allow_nan=False))
def test_seconds_are_read_as_they_are_written(seconds: float) -> None:
    assert load_settings(environ={}, lock_lease=str(seconds)).lock_lease == seconds
    assert load_settings(environ={}, lock_timeout=seconds).lock_timeout == seconds


# --- versions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("/a", ("/a",)),
        (f"/a{os.pathsep}/b", ("/a", "/b")),
        (f"/a{os.pathsep}{os.pathsep}/b{os.pathsep}", ("/a", "/b")),
        (Path("/a"), ("/a",)),
        (["/a", Path("/b")], ("/a", "/b")),
        (("/a", "/b"), ("/a", "/b")),
        ("/with space", ("/with space",)),
    ],
)
def test_versions_are_one_or_several_directories(value: object, expected: tuple[str, ...]) -> None:
    assert load_settings(environ={}, versions=value).versions == expected


def test_a_relative_directory_counts_from_the_working_directory(tmp_path: Path) -> None:
    assert load_settings(environ={}, versions="v").versions == (str(tmp_path / "v"),)


def test_versions_come_from_alembics_section_where_ours_has_none(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s\n")

    assert load_settings(environ={}).versions == (str(tmp_path / "versions"),)
    assert load_settings(environ={}, versions="/a").versions == ("/a",)


# What [alembic] says, apart from script_location
LOCATIONS = (
    "",
    "version_locations = %(here)s/one\n",
    "version_locations = one\n",
    "path_separator = os\nversion_locations = %(here)s/one:%(here)s/two\n",
    "path_separator = os\nversion_locations = %(here)s/with space:two\n",
    "path_separator = space\nversion_locations = one two\n",
    "path_separator = ;\nversion_locations = one;two\n",
    "path_separator = :\nversion_locations = one:two:\n",
    "path_separator = newline\nversion_locations =\n    one\n    two\n",
    "version_path_separator = os\nversion_locations = one:two\n",
    "version_path_separator = ;\nversion_locations = one;two\n",
    "version_locations = one two\n",
    "version_locations = one, two,three\n",
)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("options", LOCATIONS)
def test_alembics_locations_are_read_as_alembic_reads_them(tmp_path: Path, options: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = %(here)s\n{options}")
    listed = Config(str(ini)).get_version_locations_list()

    expected = [str(tmp_path / "versions")] if listed is None else [x for x in listed if x]

    assert version_locations(ini) == tuple(os.path.abspath(each) for each in expected)


def test_a_file_without_alembics_section_names_no_directory(tmp_path: Path) -> None:
    assert version_locations(write_ini(tmp_path / "a.ini", database="d")) == ()


# --- shown --------------------------------------------------------------------------------


def test_settings_are_shown_with_their_values_and_without_the_password() -> None:
    shown = repr(Settings(url="clickhouse+http://u:hunter2@h:8123/d?password=hunter2", lock="off"))

    assert shown == (
        "Settings(url='clickhouse+http://u:***@h:8123/d', database='', environment='production', "
        "cluster='', ddl_timeout=180.0, max_lag=60.0, allow_inactive=False, lock='off', lock_timeout=600.0, lock_lease=30.0, read_timeout=30.0, jobs=1, versions=(), schema='', hooks='', server_version='26.0', "
        "config='')"
    )


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
@example("p@ss/w:rd?#%")
def test_a_quoted_password_is_not_in_what_is_shown(password: str) -> None:
    url = "clickhouse+http://u:{}@h/d"

    assert repr(Settings(url.format(quote(password, safe="")))) == repr(Settings(url.format("x")))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="@"), min_size=1))
@example("p/w")
@example("p?w")
@example("p:w")
@example("p//w:x")
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_raw_password_is_not_in_what_is_shown(password: str) -> None:
    """SQLAlchemy takes all up to the @ for the password, also / and ?."""
    url = "clickhouse+http://u:{}@h/d"

    assert repr(Settings(url.format(password))) == repr(Settings(url.format("x")))


@pytest.mark.parametrize(
    "url",
    [
        "u:hunter2@h",
        "clickhouse+http:/u:hunter2@h",
        "clickhouse+http://u:hun@ter2@h",
        "clickhousedb://h/d?token=hunter2",
    ],
)
def test_the_password_of_a_url_that_is_wrong_is_not_shown_either(url: str) -> None:
    shown = repr(Settings(url=url))

    assert "hunter2" not in shown
    assert "ter2" not in shown


def test_a_project_may_say_what_its_environment_variables_begin_with(tmp_path: Path) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text("[budeval_migrations]\nenv_prefix = SHOP_\ndatabase = d\n")
    environ = {"SHOP_JOBS": "3", "BUDEVAL_MIGRATIONS_DATABASE": "not ours"}
    found = load_settings(config=ini, environ=environ)
    assert (found.database, found.jobs) == ("d", 3)


@pytest.mark.parametrize("prefix", ["", "shop_", "SHOP", "1_", "SHOP MIGRATIONS_"])
def test_a_prefix_that_others_may_begin_with_is_refused(tmp_path: Path, prefix: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[budeval_migrations]\nenv_prefix = {prefix}\n")
    with pytest.raises(ConfigError, match="env_prefix cannot be") as refused:
        load_settings(config=ini, environ={})
    assert refused.value.hint == (
        "Capital letters, digits and _, with _ at the end: SHOP_MIGRATIONS_."
    )


@pytest.mark.parametrize("name", ["url", "database"])
def test_an_empty_place_is_refused_wherever_it_comes_from(tmp_path: Path, name: str) -> None:
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[budeval_migrations]\n{name} =\n")
    for load in (
        lambda: load_settings(environ={}, **{name: ""}),
        lambda: load_settings(environ={}, x={name: ""}),
        lambda: load_settings(environ={f"BUDEVAL_MIGRATIONS_{name.upper()}": ""}),
        lambda: load_settings(environ={}, config=ini),
    ):
        with pytest.raises(ConfigError, match=f"{name} is given, and is empty"):
            load()
