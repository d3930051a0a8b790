"""URLs: what is accepted, which database they mean, and that they show no secret."""

from __future__ import annotations

import importlib.util
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from budeval_migrations.clickhouse.url import (
    database_name,
    is_embedded,
    parse_url,
    secrets_of,
    shown_url,
)
from budeval_migrations.errors import ConfigError
from budeval_migrations.settings import Settings
from budeval_migrations.sql.redact import Redactor

SERVERS = (
    "clickhouse://h",
    "clickhouse+http://h",
    "clickhouse+native://h",
    "clickhousedb://h",
    "clickhousedb+connect://h",
)
DIRECTORIES = ("chdb:///./data", "chdb:////var/data", "chdb+dbapi:///./data", "chdb:///:memory:")

# (URL, setting, database)
DATABASES = (
    ("clickhouse+http://h", "", "budeval"),
    ("clickhouse+http://h/", "", "budeval"),
    ("clickhouse+http://h/other", "", "other"),
    ("clickhouse+http://h/named", "named", "named"),
    ("clickhouse+native://h/other", "", "other"),
    ("clickhousedb://h/other", "", "other"),
    ("clickhousedb://h", "named", "named"),
    ("chdb:///./data", "", "budeval"),
    ("chdb:///./data", "named", "named"),
)


@pytest.mark.parametrize("scheme", ["clickhouse+http", "clickhouse+native", "clickhousedb"])
def test_two_names_of_the_database_are_refused_with_both(scheme: str) -> None:
    with pytest.raises(ConfigError, match="names the database one, and the setting database two"):
        parse_url(Settings(url=f"{scheme}://h/one", database="two"))


# (URL, what is wrong with it, hint)
WRONG = (
    (
        "postgresql://h/d",
        "postgresql:// is not a ClickHouse URL.",
        "Use chdb://, clickhouse+http://, clickhouse+native:// or clickhousedb://.",
    ),
    (
        "clickhouse+https://h/d",
        "clickhouse+https:// is not a ClickHouse URL.",
        "Did you mean clickhouse+http://?",
    ),
    ("clikhouse://h/d", "clikhouse:// is not a ClickHouse URL.", "Did you mean clickhouse://?"),
    (
        "clickhouse+native:///d",
        "The clickhouse+native:// URL names no host.",
        "Write clickhouse+native://user:password@host/database.",
    ),
    (
        "clickhousedb:///d",
        "The clickhousedb:// URL names no host.",
        "Write clickhousedb://user:password@host/database.",
    ),
    (
        "chdb://",
        "The chdb:// URL names no directory.",
        "Write chdb:///./relative/dir or chdb:////absolute/dir.",
    ),
)

TORN = (
    "clickhouse+http://u:hunter@2@h:8123/d",
    "clickhouse+http://u:hun@ter/2@h:8123/d",
    "clickhouse+http://u:hun@ter?2@h:8123/d",
    "clickhousedb://u:hun=@ter2@h/d",
)

# (URL, as people see it)
SHOWN = (
    ("clickhouse+http://h:8123/d", "clickhouse+http://h:8123/d"),
    ("clickhouse+http://u@h:8123/d", "clickhouse+http://u@h:8123/d"),
    ("clickhouse+http://u:hunter2@h:8123/d", "clickhouse+http://u:***@h:8123/d"),
    ("clickhouse+http://u:hunter%402@h:8123/d", "clickhouse+http://u:***@h:8123/d"),
    ("clickhouse+native://:hunter2@h/d", "clickhouse+native://:***@h/d"),
    ("chdb:///./data?udf_path=/x", "chdb:///./data?udf_path=%2Fx"),
)

SECRET_OPTIONS = (
    "password",
    "PASSWORD",
    "access_token",
    "client_secret",
    "s3_secret_access_key",
    "api_key",
    "authorization",
)


@pytest.mark.parametrize("text", SERVERS)
def test_the_url_of_a_server_carries_the_target_database(text: str) -> None:
    url = parse_url(Settings(url=text))

    assert (url.drivername, url.host, url.database) == (text.split(":")[0], "h", "budeval")


@pytest.mark.parametrize("text", DIRECTORIES)
def test_the_url_of_a_directory_stays_as_it_is(text: str) -> None:
    assert parse_url(Settings(url=text, database="d")) == make_url(text)


@pytest.mark.parametrize("text", SERVERS)
def test_a_server_is_not_in_this_process(text: str) -> None:
    assert not is_embedded(make_url(text))


@pytest.mark.parametrize("text", DIRECTORIES)
def test_a_directory_is_served_by_this_process(text: str) -> None:
    assert is_embedded(make_url(text))


@pytest.mark.parametrize(("text", "setting", "database"), DATABASES)
def test_the_database_is_the_settings_then_the_urls_then_budeval(
    text: str, setting: str, database: str
) -> None:
    assert database_name(Settings(database=setting), make_url(text)) == database


@pytest.mark.parametrize(("text", "message", "hint"), WRONG)
def test_a_wrong_url_is_refused_with_the_fix(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(Settings(url=text))

    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    "text", ["u:hunter2@h", "clickhouse+http//u:hunter2@h", "clickhouse+http://u:hunter2@h:port/d"]
)
def test_a_text_that_is_no_url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_url(Settings(url=text))

    assert "hunter2" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message == (
        "The URL cannot be read; it is not shown because it may hold a password."
    )
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("text", TORN)
def test_a_password_with_a_raw_at_is_refused_before_a_part_of_it_is_shown(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_url(Settings(url=text))

    assert "hun" not in refused.value.message
    assert "ter" not in refused.value.message
    assert refused.value.hint == "Percent-encode special characters of the password: @ is %40."


def test_an_at_in_an_option_is_the_options_own() -> None:
    url = "clickhousedb://u:p@h/d?http_proxy=http://v:q@proxy:3128"

    assert parse_url(Settings(url=url)).host == "h"


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("clickhouse+http://h/system", ""),
        ("clickhouse+http://h", "INFORMATION_SCHEMA"),
        ("chdb:///./data", "system"),
    ],
)
def test_a_database_of_clickhouses_own_is_refused(url: str, database: str) -> None:
    settings = Settings(url=url, database=database)

    with pytest.raises(ConfigError, match="is ClickHouse's own"):
        database_name(settings, make_url(url))


@pytest.mark.parametrize(
    ("text", "package", "hint"),
    [
        ("chdb:///./d", "chdb_sqlalchemy", "pip install 'budeval-migrations[embedded]'."),
        ("clickhouse+native://h", "clickhouse_driver", "pip install clickhouse-driver."),
        ("clickhousedb://h", "clickhouse_connect", "pip install 'budeval-migrations[connect]'."),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, text: str, package: str, hint: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError) as caught:
        parse_url(Settings(url=text))

    assert f"needs the package {package}, which is not installed" in caught.value.message
    assert caught.value.hint == hint


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_a_url_is_shown_without_its_password(text: str, shown: str) -> None:
    assert shown_url(make_url(text)) == shown


@pytest.mark.parametrize("option", SECRET_OPTIONS)
def test_a_secret_option_of_a_url_is_not_shown(option: str) -> None:
    url = make_url(f"clickhousedb://h/d?secure=true&{option}=hunter2")

    assert "hunter2" not in shown_url(url)
    assert "secure=true" in shown_url(url)
    assert "hunter2" in secrets_of(url)


def test_a_secret_option_that_is_given_twice_is_hidden_twice() -> None:
    url = make_url("clickhousedb://h/d?token=hunter2&token=hunter3")

    assert "hunter" not in shown_url(url)
    assert {"hunter2", "hunter3"} <= set(secrets_of(url))


def test_the_password_of_a_proxy_in_an_option_is_not_shown() -> None:
    """clickhouse-connect takes ``http_proxy`` and ``https_proxy``, which may hold a user."""
    url = make_url("clickhousedb://h/d?https_proxy=http%3A%2F%2Fu%3Ahunter2%40proxy%3A3128")

    assert "hunter2" not in shown_url(url)


@pytest.mark.parametrize("text", [*SERVERS, *DIRECTORIES])
def test_a_url_without_a_password_has_no_secret(text: str) -> None:
    assert secrets_of(make_url(text)) == ()


def test_both_spellings_of_a_password_are_secret() -> None:
    url = make_url("clickhouse+http://u:hunter%402%2F@h/d")

    assert secrets_of(url) == ("hunter@2/", "hunter%402%2F")


_passwords = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
_raw_passwords = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="@%"), min_size=1, max_size=30
)


@given(_passwords, st.sampled_from(SERVERS))
@example("p@ss/w:rd?#%", "clickhouse+http://h")
@example("100%41", "clickhousedb://h")
def test_what_is_shown_does_not_depend_on_a_quoted_password(password: str, server: str) -> None:
    secret = server.replace("://", f"://u:{quote(password, safe='')}@") + "/d"
    plain = server.replace("://", "://u:x@") + "/d"

    url = make_url(secret)

    assert url.password == password
    assert shown_url(url) == shown_url(make_url(plain))


@given(_raw_passwords, st.sampled_from(SERVERS))
@example("p/w", "clickhouse+http://h")
@example("p:w", "clickhouse+http://h")
@example("p?w=1", "clickhouse+http://h")
@example("p#w", "clickhouse+http://h")
def test_what_is_shown_does_not_depend_on_a_raw_password(password: str, server: str) -> None:
    secret = server.replace("://", f"://u:{password}@") + "/d"
    plain = server.replace("://", "://u:x@") + "/d"

    assert shown_url(make_url(secret)) == shown_url(make_url(plain))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=30))
@example("pass word+1")
@example("it's a \\ secret")
@example("ключ")
@example("[HID")
def test_a_password_is_redacted_however_it_was_quoted(password: str) -> None:
    url = make_url("clickhouse+http://h/d").set(username="u", password=password)
    redact = Redactor(secrets_of(url))

    for spelling in (password, quote(password), quote(password, safe=""), quote_plus(password)):
        assert redact(f"<<{spelling}>>") == redact("<<>>").replace("<<>>", "<<[HIDDEN]>>")
        shown = redact(url.render_as_string(hide_password=False))
        assert password not in shown.replace("[HIDDEN]", "\0")  # "[HID" says nothing


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
def test_a_password_among_the_options_is_shown_nowhere(password: str) -> None:
    def shown(value: str) -> str:
        return shown_url(make_url("clickhousedb://h/d").set(query={"password": value}))

    assert shown(password) == shown("x")
