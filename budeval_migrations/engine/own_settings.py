"""The settings without which a request of ours would not mean what it says.

A user's profile can cut results off, filter rows, or take answers from a cache, for
whatever is sent. What a revision sends is meant to obey the profile; what reads and
writes the bookkeeping is not. So those settings that the profile has changed, and only
those, go with each request of ours: a profile may forbid to touch the others.

https://clickhouse.com/docs/operations/settings/settings
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from budeval_migrations.sql import quote

# By name, with the value that ClickHouse has by itself.
_MEANT: Mapping[str, str] = {
    "additional_result_filter": "",
    "additional_table_filters": "{}",
    "limit": "0",
    "max_bytes_to_read": "0",
    "max_result_bytes": "0",
    "max_result_rows": "0",
    "max_rows_to_read": "0",
    "offset": "0",
    "read_overflow_mode": "throw",
    "result_overflow_mode": "throw",
    "set_overflow_mode": "throw",
    "use_query_cache": "0",
}
_NAMES = ", ".join(quote.string(name) for name in _MEANT)

# SQL over system.settings, which 18.16 and 26.x both have.
CHANGED = f"groupArrayIf(name, changed AND name IN ({_NAMES}))"
# ClickHouse runs a sub-query in brackets with limits of its own for what it returns; those
# cannot hurt a query that returns one row.
_OF_ONE_ROW = ", ".join(
    quote.string(name)
    for name in _MEANT
    if "result" not in name and name not in ("limit", "offset")
)
CHANGES = f"(SELECT toString(countIf(changed AND name IN ({_OF_ONE_ROW}))) FROM system.settings)"


def meant(changed: Iterable[str]) -> dict[str, str]:
    """Return what goes with each request of ours.

    Args:
        changed: The names that :data:`CHANGED` gave.

    """
    return {name: _MEANT[name] for name in changed}
