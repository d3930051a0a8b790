"""The settings without which a request of ours would not mean what it says.

A user's profile can cut results off, filter rows, take answers from a cache, or refuse
what reads without an index, for whatever is sent. What a revision sends is meant to obey
the profile; what reads and writes the bookkeeping is not. So those settings that the
profile has changed, and only those, go with each request of ours: a profile may forbid to
touch the others. A few go with a revision's statements too: with them a server says that it
did what it did not.

https://clickhouse.com/docs/operations/settings/settings
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from budeval_migrations.sql import quote

# By name, with the value that ClickHouse has by itself.
_MEANT: Mapping[str, str] = {
    "additional_result_filter": "",
    "additional_table_filters": "{}",
    "alter_update_mode": "heavy",
    "data_type_default_nullable": "0",
    "distinct_overflow_mode": "throw",
    "force_index_by_date": "0",
    "force_primary_key": "0",
    "format_display_secrets_in_show_and_select": "0",
    "group_by_overflow_mode": "throw",
    "ignore_drop_queries_probability": "0",
    "implicit_transaction": "0",
    "join_overflow_mode": "throw",
    "lightweight_delete_mode": "alter_update",
    "limit": "0",
    "max_bytes_to_read": "0",
    "max_bytes_to_read_leaf": "0",
    "max_columns_to_read": "0",
    "max_insert_block_size": "1048576",
    "max_read_buffer_size": "1048576",
    "max_result_bytes": "0",
    "max_result_rows": "0",
    "max_rows_to_read": "0",
    "max_rows_to_read_leaf": "0",
    "offset": "0",
    "parts_to_delay_insert": "0",
    "parts_to_throw_insert": "0",
    "print_pretty_type_names": "1",
    "read_overflow_mode": "throw",
    "run_query_in_background": "0",
    "result_overflow_mode": "throw",
    "send_progress_in_http_headers": "0",
    "set_overflow_mode": "throw",
    "show_create_query_identifier_quoting_rule": "when_necessary",
    "show_create_query_identifier_quoting_style": "Backticks",
    "show_table_uuid_in_table_create_query_if_not_nil": "0",
    "sort_overflow_mode": "throw",
    "timeout_overflow_mode": "throw",
    "transfer_overflow_mode": "throw",
    "use_query_cache": "0",
    "wait_for_async_insert": "1",
}
_NAMES = ", ".join(quote.string(name) for name in _MEANT)

# A DROP that is passed over in silence; an INSERT that is confirmed before it is done; an UPDATE
# or a DELETE that leaves no mutation.
_OF_STATEMENTS = (
    "alter_update_mode",
    "ignore_drop_queries_probability",
    "lightweight_delete_mode",
    "run_query_in_background",
    "wait_for_async_insert",
)

# SQL over system.settings, which 18.16 and 26.x both have.
CHANGED = f"groupArrayIf(name, changed AND name IN ({_NAMES}))"
# ClickHouse runs a sub-query in brackets with limits of its own for what it returns; those
# cannot hurt a query that returns one row.
_LIMITS = ("limit", "offset", "max_result_bytes", "max_result_rows", "result_overflow_mode")
_OF_ONE_ROW = ", ".join(quote.string(name) for name in _MEANT if name not in _LIMITS)
CHANGES = f"(SELECT toString(countIf(changed AND name IN ({_OF_ONE_ROW}))) FROM system.settings)"
# Those of others; the comment in the log is what tests tell requests apart by.
ALL_CHANGED = (
    "SELECT groupArray(name) FROM system.settings "
    "WHERE changed AND value != '' AND name != 'log_comment'"
)
# By ClickHouse's code of a refusal: what may be why.
REFUSE: Mapping[int, tuple[str, ...]] = {
    36: ("max_expanded_ast_elements",),
    48: ("implicit_transaction",),
    158: ("max_rows_to_read", "max_rows_to_read_leaf"),
    159: ("max_execution_time",),
    161: ("max_columns_to_read",),
    162: ("max_subquery_depth",),
    165: ("max_temporary_columns",),
    166: ("max_temporary_non_const_columns",),
    167: ("max_ast_depth",),
    168: ("max_ast_elements", "max_expanded_ast_elements"),
    241: (
        "max_memory_usage",
        "max_memory_usage_for_user",
        "memory_tracker_fault_probability",
    ),
    252: ("parts_to_throw_insert",),
    277: ("force_primary_key", "force_index_by_date"),
    307: ("max_bytes_to_read", "max_bytes_to_read_leaf"),
    392: ("allow_ddl",),
    396: ("max_result_rows", "max_result_bytes"),
    572: ("query_plan_max_optimizations_to_apply",),
    704: ("use_query_cache",),
    719: ("use_query_cache",),
}


def meant(changed: Iterable[str]) -> dict[str, str]:
    """Return what goes with each request of ours, of the settings with these names."""
    return {name: _MEANT[name] for name in changed if name in _MEANT}


def meant_for_statements(changed: Iterable[str]) -> dict[str, str]:
    """Return what goes with a revision's statements, of the settings with these names."""
    return meant(name for name in changed if name in _OF_STATEMENTS)


# They change what a query gives without being in its text (26.9).
_SHAPING = frozenset({*_MEANT, "select", "filter", "order", "where", "extremes", "final"})


def without_shaping(said: Mapping[str, str]) -> dict[str, str]:
    """Return a revision's SETs without what changes a probe's answer, or a chunk's rows."""
    return {name: value for name, value in said.items() if name not in _SHAPING}
