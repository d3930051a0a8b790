"""What servers and drivers say, as our errors."""

from __future__ import annotations

import inspect
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import clickhouse_connect.driver.exceptions
import clickhouse_driver.errors
import pytest
import requests.exceptions
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st

from budeval_migrations.clickhouse.failures import (
    connection_error,
    is_passing,
    nothing_changed,
    server_error,
    server_message,
    stranger,
)
from budeval_migrations.errors import (
    AccessDenied,
    ConfigError,
    ConnectionFailed,
    EngineError,
    MigrationError,
)
from budeval_migrations.sql.redact import Redactor

WHERE = "clickhouse+http://u:***@h:8123/d"
TRACE = (
    "Stack trace:\n\n0. clickhouse-server(StackTrace::StackTrace()+0x16) [0x6eab3f6]\n"
    "1. clickhouse-server(DB::Exception::Exception(std::string const&, int)+0x1f) [0x32b2b6f]\n"
)

# One error as each server and each transport spells it: (text, code, message)
SPELLINGS = (
    pytest.param(
        "Code: 60, e.displayText() = DB::Exception: Table default.nope doesn't exist., "
        "e.what() = DB::Exception\n",
        60,
        "Table default.nope doesn't exist.",
        id="18.16-http",
    ),
    pytest.param(
        f"Code: 60.\nDB::Exception: Table default.nope doesn't exist.. {TRACE}",
        60,
        "Table default.nope doesn't exist.",
        id="18.16-native",
    ),
    pytest.param(
        f"Code: 60. DB::Exception: Table default.nope doesn't exist.. {TRACE}",
        60,
        "Table default.nope doesn't exist.",
        id="18.16-native-as-the-driver-hands-it-over",
    ),
    pytest.param(
        "Code: 62, e.displayText() = DB::Exception: Syntax error: failed at position 1: nope, "
        "e.what() = DB::Exception",
        62,
        "Syntax error: failed at position 1: nope",
        id="18.16-http-without-a-full-stop",
    ),
    pytest.param(
        "Code: 60, e.displayText() = DB::Exception: Table default.nope doesn't exist. "
        "(version 20.3.21.2 (official build))",
        60,
        "Table default.nope doesn't exist.",
        id="20.3-http",
    ),
    pytest.param(
        "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE) "
        "(version 26.9.2.1 (official build))",
        60,
        "Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
        id="modern-http",
    ),
    pytest.param(
        "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE) "
        "(version 26.9.2.1)\n",
        60,
        "Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
        id="modern-http-of-another-build",
    ),
    pytest.param(
        "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE) "
        "(version 24.8.14.10459.altinitystable (altinity build))",
        60,
        "Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
        id="modern-http-of-altinity",
    ),
    pytest.param(
        "Code: 60. DB::Exception: Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
        60,
        "Unknown table expression identifier 'nope'. (UNKNOWN_TABLE)",
        id="chdb",
    ),
    pytest.param(
        f"Code: 60.\nDB::Exception: Unknown table expression identifier 'nope'. {TRACE}",
        60,
        "Unknown table expression identifier 'nope'",
        id="modern-native",
    ),
    pytest.param(
        "Code: 279. DB::NetException: DB::Exception: All connection tries failed. Log: \n\n"
        "Code: 210. DB::NetException: Connection refused (h2:9000). (NETWORK_ERROR) "
        "(version 26.9.2.1 (official build))",
        279,
        "All connection tries failed. Log: \n\n"
        "Code: 210. DB::NetException: Connection refused (h2:9000). (NETWORK_ERROR)",
        id="an-error-within-an-error",
    ),
    pytest.param(
        "Code: 48. DB::Exception: Method write is not supported by storage View: (version 2 of "
        "it). (NOT_IMPLEMENTED) (version 26.9.2.1 (official build))",
        48,
        "Method write is not supported by storage View: (version 2 of it). (NOT_IMPLEMENTED)",
        id="the-word-version-within-the-message",
    ),
    pytest.param("something else", 0, "something else", id="no-code"),
)


@pytest.mark.parametrize(("text", "code", "message"), SPELLINGS)
def test_what_the_server_says_is_one_clean_sentence(text: str, code: int, message: str) -> None:
    error = server_error(text, _as_it_is)

    assert (type(error), error.code, error.message) == (EngineError, code, message)


@pytest.mark.parametrize(
    "message", sorted({p.values[2] for p in SPELLINGS if "Code:" not in str(p.values[2])})
)
def test_a_clean_sentence_is_not_cleaned_further(message: str) -> None:
    assert server_message(message) == message


@pytest.mark.parametrize("word", ["while", "While"])
def test_what_the_author_of_throwif_has_said_stands_alone(word: str) -> None:
    text = (
        f"Code: 395. DB::Exception: a is empty. Nothing was done: {word} executing 'FUNCTION "
        "throwIf(equals(count(), 0_UInt8) :: 3, 'a is empty. Nothing was done'_String :: 2) -> "
        "throwIf(…) UInt8 : 1'. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO) (version 26.9.2.1)"
    )
    assert server_message(text) == "a is empty. Nothing was done"


def test_a_code_that_came_beside_the_text_counts() -> None:
    error = server_error("Syntax error: failed at position 1", _as_it_is, 62)

    assert (error.code, error.message) == (62, "Syntax error: failed at position 1")


# (code, class, words)
CLASSES = (
    (164, AccessDenied, "The user may only read."),
    (192, AccessDenied, "The server does not know this user."),
    (193, AccessDenied, "The server refuses the password."),
    (194, AccessDenied, "The server asks for a password."),
    (195, AccessDenied, "The server does not accept this user from this address."),
    (291, AccessDenied, "The user has no access to this database."),
    (497, AccessDenied, "The user lacks a privilege."),
    (516, AccessDenied, "The server refuses the user or the password."),
    (3, ConnectionFailed, "ClickHouse 3"),
    (32, ConnectionFailed, "ClickHouse 32"),
    (209, ConnectionFailed, "ClickHouse 209"),
    (210, ConnectionFailed, "ClickHouse 210"),
    (44, EngineError, "because"),
    (60, EngineError, "because"),
    (62, EngineError, "because"),
    (81, EngineError, "because"),
)
SHAPES = (
    "Code: {code}, e.displayText() = DB::Exception: because, e.what() = DB::Exception",
    "Code: {code}.\nDB::Exception: because. Stack trace:\n\n0. x",
    "Code: {code}. DB::Exception: because. (NAME) (version 26.9.2.1 (official build))",
)


@pytest.mark.parametrize("shape", SHAPES, ids=["18.16-http", "18.16-native", "modern"])
@pytest.mark.parametrize(("code", "kind", "words"), CLASSES)
def test_the_code_decides_on_the_class(
    shape: str, code: int, kind: type[EngineError], words: str
) -> None:
    error = server_error(shape.format(code=code), _as_it_is)

    assert (type(error), error.code) == (kind, code)
    assert error.message.startswith(words)
    assert "because" in error.message


@pytest.mark.parametrize("code", [code for code, kind, _ in CLASSES if kind is AccessDenied])
def test_who_is_denied_is_told_what_to_do(code: int) -> None:
    assert server_error(f"Code: {code}. DB::Exception: no", _as_it_is).hint.endswith(".")


@pytest.mark.parametrize("code", [216, 372, 373])
def test_a_request_that_came_late_or_twice_is_not_the_statements_fault(code: int) -> None:
    error = server_error(f"Code: {code}. DB::Exception: Session not found.", str)
    assert error.hint == (
        "A request reached the server twice, or after its session had closed. "
        "Look with: budeval-migrate status. Then run the command again."
    )


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (
            connection_error(ConnectionResetError("reset"), WHERE, str),
            "Nothing was changed by it. Check the server, then try again.",
        ),
        (
            connection_error(TimeoutError("timed out"), WHERE, str, 30),
            "Nothing was changed by it. Check the server, then try again. "
            "Where the server is slow, raise read_timeout.",
        ),
        (
            stranger(WHERE, 302, ""),
            "Nothing was changed by it. Is this ClickHouse's HTTP port, "
            "and not a proxy or another service?",
        ),
    ],
)
def test_what_changed_nothing_is_said_to_have_changed_nothing(
    error: ConnectionFailed, hint: str
) -> None:
    assert nothing_changed(error).hint == hint
    assert not error.details["sent"]
    assert nothing_changed(error).hint == hint


def test_an_empty_answer_is_called_empty() -> None:
    assert stranger(WHERE, 302, "").message == (
        f"{WHERE} answered HTTP 302, and not as ClickHouse does; the answer is empty"
    )
    assert stranger(WHERE, 200, "<html>").message == (
        f"{WHERE} answered HTTP 200, and not as ClickHouse does: <html>"
    )


def test_what_the_server_says_is_shown_without_secrets() -> None:
    text = "Code: 62. DB::Exception: failed at position 1: IDENTIFIED BY 'hunter2'. (SYNTAX_ERROR)"

    assert "hunter2" not in server_error(text, Redactor(())).message


@given(
    st.integers(1, 999),
    st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1).map(str.strip).filter(bool),
)
def test_every_spelling_of_one_error_gives_the_same_sentence(code: int, words: str) -> None:
    spellings = (
        f"Code: {code}, e.displayText() = DB::Exception: {words}, e.what() = DB::Exception",
        f"Code: {code}. DB::Exception: {words} (version 26.9.2.1 (official build))",
        f"Code: {code}. DB::Exception: {words} (version 26.9.2.1)",
        f"Code: {code}.\nDB::Exception: {words}. Stack trace:\n\n0. x\n1. y",
    )

    assert {server_message(text).rstrip(".") for text in spellings} == {words}


def _raised(make: Callable[[], BaseException], *, context: BaseException | None = None) -> Any:
    try:
        try:
            if context is not None:
                raise context
        except BaseException:  # what follows shall have it as its context
            raise make()  # noqa: B904
        raise make()
    except BaseException as error:
        return error


_POOL = urllib3.HTTPConnectionPool("h", 8123)
_CONNECTION = urllib3.connection.HTTPConnection("h", 8123)
_REFUSED = urllib3.exceptions.NewConnectionError(
    _CONNECTION, "Failed to establish a new connection: [Errno 111] Connection refused"
)
_UNKNOWN_HOST = urllib3.exceptions.NameResolutionError(
    "h", _CONNECTION, socket.gaierror(-2, "Name or service not known")
)

# Arguments for the driver exceptions that need some.
_ARGUMENTS: dict[type[BaseException], tuple[Any, ...]] = {
    urllib3.exceptions.PoolError: (_POOL, "it broke"),
    urllib3.exceptions.RequestError: (_POOL, "/", "it broke"),
    urllib3.exceptions.ProxyError: ("it broke", OSError("it broke")),
    urllib3.exceptions.MaxRetryError: (_POOL, "/", OSError("it broke")),
    urllib3.exceptions.HostChangedError: (_POOL, "/"),
    urllib3.exceptions.ReadTimeoutError: (_POOL, "/", "it broke"),
    urllib3.exceptions.NewConnectionError: (_CONNECTION, "it broke"),
    urllib3.exceptions.NameResolutionError: ("h", _CONNECTION, socket.gaierror(-2, "it broke")),
    urllib3.exceptions.EmptyPoolError: (_POOL, "it broke"),
    urllib3.exceptions.FullPoolError: (_POOL, "it broke"),
    urllib3.exceptions.ClosedPoolError: (_POOL, "it broke"),
    urllib3.exceptions.LocationParseError: ("it broke",),
    urllib3.exceptions.URLSchemeUnknown: ("it broke",),
    urllib3.exceptions.IncompleteRead: (1, 2),
    urllib3.exceptions.ProxySchemeUnknown: ("it broke",),
    urllib3.exceptions.HeaderParsingError: ([], b"it broke"),
    requests.exceptions.JSONDecodeError: ("it broke", "doc", 0),
    clickhouse_connect.driver.exceptions.StreamClosedError: (),
}
# Needs a response that was read half.
_UNMAKEABLE = {urllib3.exceptions.InvalidChunkLength}


def _driver_exceptions(module: ModuleType) -> Iterator[type[Exception]]:
    for kind in vars(module).values():
        if (
            inspect.isclass(kind)
            and issubclass(kind, Exception)
            and kind.__module__ == module.__name__
            and not issubclass(kind, Warning)
            and kind not in _UNMAKEABLE
        ):
            yield kind


_DRIVERS = [
    pytest.param(kind, id=f"{module.__name__.split('.')[0]}-{kind.__name__}")
    for module in (
        requests.exceptions,
        urllib3.exceptions,
        clickhouse_driver.errors,
        clickhouse_connect.driver.exceptions,
    )
    for kind in _driver_exceptions(module)
]


@pytest.mark.parametrize("kind", _DRIVERS)
def test_every_exception_of_a_driver_becomes_one_of_ours(kind: type[Exception]) -> None:
    error = connection_error(kind(*_ARGUMENTS.get(kind, ("it broke",))), WHERE, Redactor(()))

    assert isinstance(error, EngineError)
    assert error.message.strip()
    assert "object at 0x" not in error.message


# Those of _ARGUMENTS always have words.
_SILENT = [param for param in _DRIVERS if param.values[0] not in _ARGUMENTS]


@pytest.mark.parametrize("kind", [*_SILENT, OSError, EOFError, ConnectionResetError, TimeoutError])
def test_an_exception_without_words_is_still_named(kind: type[Exception]) -> None:
    silent = kind(None) if kind is clickhouse_driver.errors.ServerException else kind()
    error = connection_error(silent, WHERE, Redactor(()))

    assert isinstance(error, EngineError)
    assert re.search(r"[A-Za-z]{3}", error.message)
    assert not error.message.rstrip(" .").endswith(":")


# What is raised while nothing has been sent yet: (exception, reason)
NOTHING_SENT = {
    "requests, refused": (
        lambda: _raised(
            lambda: requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(_POOL, "/", _REFUSED)
            ),
            context=urllib3.exceptions.MaxRetryError(_POOL, "/", _REFUSED),
        )
    ),
    "requests, unknown host": (
        lambda: _raised(
            lambda: requests.ConnectionError(
                urllib3.exceptions.MaxRetryError(_POOL, "/", _UNKNOWN_HOST)
            ),
            context=urllib3.exceptions.MaxRetryError(_POOL, "/", _UNKNOWN_HOST),
        )
    ),
    "requests, no answer to the first packet": (
        lambda: requests.ConnectTimeout(
            urllib3.exceptions.MaxRetryError(
                _POOL,
                "/",
                urllib3.exceptions.ConnectTimeoutError(
                    _CONNECTION, "Connection to h timed out. (connect timeout=10)"
                ),
            )
        )
    ),
    "urllib3, refused": lambda: _REFUSED,
    "urllib3, unknown host": lambda: _UNKNOWN_HOST,
    "native, refused": lambda: clickhouse_driver.errors.NetworkError("Connection refused (h:9000)"),
    "native, unknown host": (
        lambda: clickhouse_driver.errors.NetworkError("Name or service not known (h:9000)")
    ),
    "socket, refused": lambda: ConnectionRefusedError(111, "Connection refused"),
    "socket, no route": lambda: OSError(113, "No route to host"),
    "socket, no network": lambda: OSError(101, "Network is unreachable"),
}
# What is raised when the statement may have reached the server.
PERHAPS_SENT = {
    "requests, reset": lambda: requests.ConnectionError(
        urllib3.exceptions.ProtocolError(
            "Connection aborted.", ConnectionResetError(104, "Connection reset by peer")
        )
    ),
    "requests, closed": lambda: requests.ConnectionError(
        urllib3.exceptions.ProtocolError("Connection aborted.", EOFError())
    ),
    "requests, no answer": lambda: requests.ReadTimeout(
        urllib3.exceptions.ReadTimeoutError(_POOL, "/", "Read timed out. (read timeout=300)")
    ),
    "requests, cut off": lambda: requests.exceptions.ChunkedEncodingError("Response ended"),
    "urllib3, cut off": lambda: urllib3.exceptions.IncompleteRead(3, 100),
    "socket, reset": lambda: ConnectionResetError(104, "Connection reset by peer"),
    "socket, closed": lambda: EOFError("Unexpected EOF while reading bytes"),
    "socket, no answer": lambda: TimeoutError("timed out"),
}


@pytest.mark.parametrize("make", NOTHING_SENT.values(), ids=NOTHING_SENT)
def test_a_server_that_was_not_reached_was_sent_nothing(
    make: Callable[[], BaseException],
) -> None:
    error = connection_error(make(), WHERE, _as_it_is)

    assert type(error) is ConnectionFailed
    assert error.details["sent"] is False
    assert error.message.startswith(f"No ClickHouse server answers at {WHERE}: ")
    assert error.hint == "Check host, port and protocol, and that the server runs."


@pytest.mark.parametrize("make", PERHAPS_SENT.values(), ids=PERHAPS_SENT)
def test_a_connection_that_broke_may_have_sent_the_statement(
    make: Callable[[], BaseException],
) -> None:
    error = connection_error(make(), WHERE, _as_it_is)

    assert type(error) is ConnectionFailed
    assert error.details["sent"] is True
    assert error.message.startswith(f"The connection to {WHERE} broke: ")
    assert "may have run" in error.hint


def test_a_certificate_that_is_not_trusted_is_found_out_before_anything_is_sent() -> None:
    refused = ssl.SSLCertVerificationError(
        1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
    )
    inner = urllib3.exceptions.MaxRetryError(_POOL, "/", urllib3.exceptions.SSLError(refused))

    error = connection_error(requests.exceptions.SSLError(inner), WHERE, _as_it_is)

    assert type(error) is ConnectionFailed
    assert "certificate verify failed" in error.message
    assert error.details["sent"] is False


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (NOTHING_SENT["requests, refused"], "[Errno 111] Connection refused"),
        (NOTHING_SENT["urllib3, refused"], "[Errno 111] Connection refused"),
        (NOTHING_SENT["socket, refused"], "[Errno 111] Connection refused"),
        (PERHAPS_SENT["socket, reset"], "[Errno 104] Connection reset by peer"),
    ],
)
def test_the_innermost_reason_is_what_is_told(
    make: Callable[[], BaseException], reason: str
) -> None:
    assert connection_error(make(), WHERE, _as_it_is).message.endswith(reason)


def test_the_native_drivers_time_out_is_a_broken_connection() -> None:
    error = connection_error(
        clickhouse_driver.errors.SocketTimeoutError("(h:9000)"), WHERE, _as_it_is
    )

    assert type(error) is ConnectionFailed


@pytest.mark.parametrize(
    ("code", "kind"), [(193, AccessDenied), (516, AccessDenied), (81, EngineError)]
)
def test_what_a_driver_quotes_from_the_server_keeps_its_code(
    code: int, kind: type[EngineError]
) -> None:
    quoted = clickhouse_connect.driver.exceptions.DatabaseError(
        f"Received ClickHouse exception, code: {code}, server response: Code: {code}. "
        "DB::Exception: no. (NAME) (for url http://h:8123)"
    )

    error = connection_error(quoted, WHERE, _as_it_is)

    assert isinstance(error, EngineError)
    assert (type(error), error.code) == (kind, code)


def test_our_own_error_passes_through() -> None:
    ours = ConfigError("x")

    assert connection_error(ours, WHERE, _as_it_is) is ours


def test_errors_that_are_each_others_cause_are_read_once() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    error = connection_error(one, WHERE, _as_it_is)

    assert isinstance(error, ConnectionFailed)


def test_a_broken_connection_is_shown_without_secrets() -> None:
    error = connection_error(
        OSError("cannot reach http://u:hunter2@h:8123/"), WHERE, Redactor(("hunter2",))
    )

    assert "hunter2" not in error.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Code: 36. DB::Exception: EmbeddedServer already initialized with path '/a', cannot "
            "initialize with different path '/b'",
            "one directory a process",
        ),
        (
            "Code: 76. DB::Exception: Cannot lock file /a/status. EmbeddedServer is running",
            "another process",
        ),
    ],
)
def test_a_directory_that_chdb_cannot_open_is_explained(text: str, words: str) -> None:
    error = connection_error(RuntimeError(text), "chdb:///./b", _as_it_is)

    assert type(error) is ConnectionFailed
    assert words in error.message
    assert error.hint


@given(st.text())
def test_no_text_of_a_driver_makes_the_translation_fail(text: str) -> None:
    error = connection_error(Exception(text), WHERE, Redactor(()))

    assert isinstance(error, MigrationError)
    assert isinstance(server_error(text, Redactor(())), EngineError)


def _as_it_is(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("code", "text", "passes"),
    [
        (252, "Too many parts (300). Merges are processing significantly slower", True),
        (252, "Too many partitions for single INSERT block (more than 100).", False),
        (202, "Too many simultaneous queries. Maximum: 100", True),
        (517, "Metadata on replica is not up to date with common metadata", True),
        (60, "Table d.t does not exist", False),
    ],
)
def test_what_never_passes_is_not_waited_for(code: int, text: str, passes: bool) -> None:
    assert is_passing(EngineError(text, code=code)) is passes
