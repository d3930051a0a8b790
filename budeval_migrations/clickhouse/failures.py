"""The one place where what a driver raises becomes one of our errors.

Error codes: https://github.com/ClickHouse/ClickHouse/blob/master/src/Common/ErrorCodes.cpp
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from budeval_migrations.errors import (
    AccessDenied,
    ConnectionFailed,
    EngineError,
    MigrationError,
    Unsupported,
)

SYNTAX_ERROR = 62
UNKNOWN_FUNCTION = 46
UNKNOWN_IDENTIFIER = 47
UNKNOWN_TABLE = 60
UNKNOWN_DATABASE = 81
NO_SUCH_COLUMN = 16
BAD_ARGUMENTS = 36
UNKNOWN_STORAGE = 56
NO_ELEMENTS_IN_CONFIG = 139
READONLY = 164
NO_ZOOKEEPER = 225
ABORTED = 236
VALUE_IS_NON_ZERO = 395
# A query with this id runs already: one of ours runs, since nobody else has its id.
QUERY_ID_IN_USE = 216
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
# A request came twice, or late: no fault of what it says.
SESSIONS = frozenset({QUERY_ID_IN_USE, SESSION_NOT_FOUND, SESSION_IS_LOCKED})
# How a server says that a table of ours is not there, or is not ours yet.
NOT_AS_OURS = frozenset({UNKNOWN_DATABASE, UNKNOWN_TABLE, UNKNOWN_IDENTIFIER, NO_SUCH_COLUMN})
# This replica lacks rows that a majority has: REPLICA_IS_NOT_IN_QUORUM.
BEHIND = frozenset({289})
# An insert into a replicated table is refused for now, or may not be on a majority yet:
# NO_ZOOKEEPER, TABLE_IS_READ_ONLY, TOO_LESS_LIVE_REPLICAS,
# UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, UNKNOWN_STATUS_OF_INSERT, KEEPER_EXCEPTION.
NO_QUORUM = frozenset({NO_ZOOKEEPER, 242, 285, 286, 319, 999})
ACCESS_DENIED = 497
KEEPER_EXCEPTION = 999
CANNOT_ASSIGN_ALTER = 517

# The server did nothing, and may do it in a moment: TOO_MANY_SIMULTANEOUS_QUERIES,
# TABLE_IS_READ_ONLY, TOO_MANY_PARTS, CANNOT_SCHEDULE_TASK, DEADLOCK_AVOIDED.
PASSING = frozenset({202, 242, 252, 439, 473, CANNOT_ASSIGN_ALTER})
# The server refuses these before it does anything: unknown names and functions, wrong
# numbers and types of arguments, syntax, a missing privilege; what it says of a statement as
# a whole (its size, aliases, aggregates, joins, settings, parameters) when it analyses it, or what
# it cannot do to a view (INCORRECT_QUERY).
BEFORE_RUNNING = frozenset(
    {NO_SUCH_COLUMN, 42, 43, UNKNOWN_FUNCTION, UNKNOWN_IDENTIFIER, UNKNOWN_TABLE, SYNTAX_ERROR}
    | {63, 80, UNKNOWN_DATABASE, 115, READONLY, ACCESS_DENIED}
    | {34, 35, 51, 52, 167, 168, 174, 179, 184, 206, 207, 215, 229, 258, 318, 352, 403, 418, 440}
    | {452, 456, 457, 471, 472, 557, 558}
)
# What a server adds to its words when a part of the work was under way already.
_UNDER_WAY = re.compile(r"(?i)\bwhile (?:executing|pushing|processing|reading|writing)\b")
TOO_MANY_PARTS = 252


def is_from_analysis(error: EngineError) -> bool:
    """Return whether a server refused a single change when it analysed it, as far as its words say.

    A statement of several changes may have made some of them before.
    """
    return error.code in BEFORE_RUNNING and not _UNDER_WAY.search(error.message)


def is_away(error: EngineError) -> bool:
    """Return whether the server did not answer: nobody did, or something in between."""
    return isinstance(error, ConnectionFailed) or not (error.code or isinstance(error, Unsupported))


def is_without_node(error: EngineError) -> bool:
    """Return whether an error says that Keeper has no such path."""
    return error.code == KEEPER_EXCEPTION and "No node" in error.message


def is_passing(error: EngineError) -> bool:
    """Return whether the server did nothing, and may do it in a moment."""
    # Too many partitions in one block is the same code, and never passes.
    if error.code == TOO_MANY_PARTS and "partitions" in error.message:
        return False
    return error.code in PASSING


# Something stopped the statement on its way: TIMEOUT_EXCEEDED, UNFINISHED,
# QUERY_WAS_CANCELLED. Trying again would end in the same way.
STOPPED = frozenset({159, 341, 394})
# The server does not know itself how it ended, or the work goes on: those, and
# QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING and those of sessions (something in between may
# have repeated the request, and the answer is the second one's),
# NO_ZOOKEEPER, UNKNOWN_STATUS_OF_INSERT, KEEPER_EXCEPTION.
AMBIGUOUS = STOPPED | SESSIONS | {NO_ZOOKEEPER, 319, KEEPER_EXCEPTION}
# A host of a cluster has answered, and the work goes on without it: those, and what 18.16
# says where another replica of the shard does it (NO_AVAILABLE_REPLICA as NOT_IMPLEMENTED).
UNFINISHED = AMBIGUOUS | {48}
INVALID_STATE = 668
# How a server says that it has no Keeper, or that Keeper has no such path.
KEEPER_IS_GONE = frozenset({NO_ZOOKEEPER, INVALID_STATE, KEEPER_EXCEPTION})

_DENIED = {
    READONLY: "The user may only read.",
    192: "The server does not know this user.",
    193: "The server refuses the password.",
    194: "The server asks for a password.",
    195: "The server does not accept this user from this address.",
    291: "The user has no access to this database.",
    ACCESS_DENIED: "The user lacks a privilege.",
    516: "The server refuses the user or the password.",
}
_HINTS = {
    READONLY: "Run upgrades with a user that may write; readers need no more than readonly = 1.",
    291: "Grant the user access to the database.",
    ACCESS_DENIED: "Grant the privilege that the server names.",
    **dict.fromkeys(
        SESSIONS,
        "A request reached the server twice, or after its session had closed. "
        "Look with: budeval-migrate status. Then run the command again.",
    ),
}
_FIXED = (
    "A setting of the user's profile would falsify the answer, and readonly = 1 does not let us "
    "set it back. Take it out of the profile, or give the user readonly = 2."
)
_BROKEN = {
    3: "UNEXPECTED_END_OF_FILE",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
}
_SLOW = "Where the server is slow, raise read_timeout."
_LOOK = "The statement may have run on the server. Look with: budeval-migrate status."
# How clickhouse-connect (1.12) says so while it connects.
_ANSWERED = re.compile(r"HTTP status (\d+), server response: (.*?)(?: \(for url [^)]*\))?$", re.S)
_CODE = re.compile(r"\bCode:\s*(\d+)")
_PREFIX = re.compile(r"^.*?\bCode:\s*\d+[.,]?\s*(?:e\.displayText\(\)\s*=\s*)?", re.S)
_REPEATED = re.compile(r"^(?:DB::(?:Net)?Exception:\s*)+")
_SUFFIX = re.compile(
    r"(?:[.,]?\s*Stack trace:.*|,\s*e\.what\(\) = .*"
    r"|\s*\(version [^()]*(?:\([^()]*\)[^()]*)*\)(?:\s*\(for url \S+\))?\s*"
    # The author of throwIf has said it all.
    r"|: [Ww]hile executing 'FUNCTION throwIf\(.*)$",
    re.S,
)


def server_error(text: str, redact: Callable[[str], str], code: int = 0) -> EngineError:
    """Return our error for the text of a server's exception.

    Args:
        text: The server's words, in any of the spellings of 18.16 to 26.x.
        redact: Takes the secrets out.
        code: The error code, when it came beside the text.

    """
    code = code or error_code(text)
    message = redact(server_message(text)) or "the server gave no reason"
    if code in _DENIED:
        hint = _HINTS.get(code, "Check the user and the password of the URL.")
        if code == READONLY and "setting" in message:
            hint = _FIXED
        said = f"{_DENIED[code]} ClickHouse {code}: {message}"
        return AccessDenied(said, code=code, hint=hint, reason=message)
    if code in _BROKEN:
        said = f"ClickHouse {code}: {message}"
        return ConnectionFailed(said, code=code, hint=_LOOK, sent=True, reason=message)
    return EngineError(message, code=code, hint=_HINTS.get(code, ""))


def error_code(text: str) -> int:
    """Return the code in a server's words; 0 when there is none."""
    found = _CODE.search(text)
    return int(found[1]) if found else 0


def server_message(text: str) -> str:
    """Return a server's words without code, class names, version and stack trace."""
    message = _PREFIX.sub("", text, count=1) if _CODE.search(text) else text
    message = _REPEATED.sub("", message)
    for _ in range(3):
        message = _SUFFIX.sub("", message)
    return message.strip().rstrip(",")


def nothing_changed(error: ConnectionFailed) -> ConnectionFailed:
    """Return an error whose statement is a question, or is proved to have had no effect."""
    if error.details.get("sent"):
        advice = error.hint.replace(_LOOK, "Check the server, then try again.")
        error.hint = f"Nothing was changed by it. {advice}"
        error.details["sent"] = False
    return error


def connection_error(
    error: BaseException, where: str, redact: Callable[[str], str], timeout: float | None = None
) -> MigrationError:
    """Return our error for a connection that was not made, or broke.

    Args:
        error: What the driver raised.
        where: The URL as shown to people.
        timeout: Seconds that the answer had; None for no limit.

    """
    if isinstance(error, MigrationError):
        return error
    text = str(error) or type(error).__name__
    if "EmbeddedServer" in text:
        return _embedded_error(text, where, redact)
    reason = redact(_innermost(error))
    refused = _refused_before_sending(text)
    if _CODE.search(text) and not refused:
        return server_error(text, redact)
    if refused:
        return ConnectionFailed(
            f"No ClickHouse server answers at {where}: {reason}",
            hint="Check host, port and protocol, and that the server runs.",
            sent=False,
        )
    answered = _ANSWERED.search(text)
    if answered:
        return stranger(where, int(answered[1]), redact(answered[2]))
    if timeout is not None and _is_timeout(error):
        return ConnectionFailed(
            f"{where} has not answered for {timeout:.0f} s.",
            hint=f"{_LOOK} {_SLOW}",
            sent=True,
            timeout=timeout,
        )
    return ConnectionFailed(
        f"The connection to {where} broke: {reason}",
        hint=_LOOK,
        sent=True,
    )


def stranger(where: str, status: int, said: str) -> EngineError:
    """Return our error for an HTTP answer that is not ClickHouse's.

    Args:
        where: The URL as shown to people.
        said: The beginning of its body.

    """
    message = f"{where} answered HTTP {status}, and not as ClickHouse does"
    message = f"{message}: {said}" if said else f"{message}; the answer is empty"
    hint = "Is this ClickHouse's HTTP port, and not a proxy or another service?"
    if status == 429:
        hint = "Something in front of the server limits requests. Try again later."
    if status < 400 or status >= 500:  # the server behind it may be at work
        return ConnectionFailed(message, hint=hint, sent=True)
    return EngineError(message, hint=hint)


def _embedded_error(text: str, where: str, redact: Callable[[str], str]) -> MigrationError:
    if "already initialized with path" in text:
        return ConnectionFailed(
            f"{where}: this process has opened another chDB directory already; "
            "chDB serves one directory a process.",
            hint="Use one directory a process, or a server.",
        )
    # chDB 26.9 says no more than this when the directory is locked.
    silent = "Error initializing EmbeddedServer: ." in text
    reason = "" if silent else f" {redact(server_message(text))}"
    return ConnectionFailed(
        f"{where}: the chDB directory cannot be opened; most likely another process "
        f"holds it.{reason}",
        hint="Stop the other process (chDB serves one process a directory), "
        "or check that the directory may be written.",
    )


def _refused_before_sending(text: str) -> bool:
    signs = (
        "Connection refused",
        "Name or service not known",
        "nodename nor servname",
        "Temporary failure in name resolution",
        "Failed to establish a new connection",
        "No route to host",
        "Network is unreachable",
        "ConnectTimeout",
        "connect timeout",
        "NameResolutionError",
        "certificate verify failed",
        "CERTIFICATE_VERIFY_FAILED",
    )
    return any(sign in text for sign in signs)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came of."""
    seen: set[int] = set()
    inner: object = error
    while isinstance(inner, BaseException) and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = getattr(inner, "reason", None) or inner.__cause__ or inner.__context__


def _is_timeout(error: BaseException) -> bool:
    return any(isinstance(each, TimeoutError) or "timed out" in str(each) for each in _chain(error))


def _innermost(error: BaseException) -> str:
    *_, error = _chain(error)
    text = re.sub(r"<[^>]*object at 0x[0-9a-f]+>:?\s*", "", str(error))
    return text.strip() or type(error).__name__
