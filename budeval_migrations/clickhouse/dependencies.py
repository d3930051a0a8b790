"""Ask the server's catalogue which tables hang together.

https://clickhouse.com/docs/operations/system-tables/tables
https://clickhouse.com/docs/operations/system-tables/functions
"""

from __future__ import annotations

from budeval_migrations.clickhouse.connection import Session
from budeval_migrations.sql.access_set import Dependencies, dependencies_of


def read_dependencies(session: Session) -> Dependencies:
    """Return how the tables of the server hang together; read-only.

    Raises:
        EngineError: The catalogue cannot be read.

    """
    # A function may read tables, and so ties them to those who call it.
    functions = (
        " UNION ALL SELECT name, 'Function', create_query FROM system.functions "
        "WHERE create_query != ''"
    )
    # MergeTree tables feed nobody by themselves, and read where a column asks a dictionary or
    # looks into a Set.
    rows = session.query(
        "SELECT name, engine, if(engine NOT LIKE '%MergeTree' "
        "OR match(create_table_query, '(?i)dict|join|globalin|\\\\bin\\\\b'), "
        "create_table_query, '') "
        "FROM system.tables "
        "WHERE database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')"
        + (functions if session.features.functions else "")
    )
    return dependencies_of((str(name), str(engine), str(text)) for name, engine, text in rows)
