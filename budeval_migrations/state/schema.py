"""The DDL of the bookkeeping, as the server can have it. Text only, no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from budeval_migrations.clickhouse.capabilities import Features
from budeval_migrations.sql import quote
from budeval_migrations.version import __version__

LEDGER = "schema_migrations"
JOURNAL = "schema_migrations_journal"
LOCK = "schema_migrations_lock"
KEEPER_LOCK = "schema_migrations_keeper_lock"
CLAIM = "schema_migrations_claim_"  # before the number of a claim's table
VERSION_VIEW = "alembic_version"
KEPT_VERSION_TABLE = "alembic_version_before_ledger"

_OWN = frozenset({LEDGER, JOURNAL, LOCK, KEEPER_LOCK, VERSION_VIEW})

# The row that the first tool wrote for itself; it belongs to no revision.
BOOTSTRAP_VERSION = "000_migration_tracking"

# Grows when a row means something that an older package would misread.
LEDGER_FORMAT = 1
# Stands behind the event of a row of the journal, as in `intent/2`; 1 is left out.
JOURNAL_FORMAT = 1
# Stands so behind the event of a row of the lock; in Keeper, it is the value of `released`.
LOCK_FORMAT = 1
USE_THE_NEWER = "Use the newer version of budeval-migrations that wrote it."


def has_format(what: str, database: str, number: int, known: int) -> str:
    """Return the sentence about bookkeeping of a format that this package does not know."""
    return (
        f"The {what} in {database} has format {number}; this package ({__version__}) knows formats "
        f"up to {known}."
    )


# An insert into a MergeTree is not on the disk when it is answered, unless this is asked for:
# https://clickhouse.com/docs/operations/settings/merge-tree-settings#fsync_after_insert
DURABLE = "fsync_after_insert = 1, fsync_part_directory = 1"


def is_own(name: str) -> bool:
    """Tell whether a table of this name is one that this package writes to."""
    return name in _OWN or name.startswith(CLAIM)


@dataclass(frozen=True)
class StoredColumn:
    """A column of the ledger; ``default`` is the SQL that an old row reads as."""

    name: str
    type: str
    default: str = ""
    compressed: bool = False


# The first six are those of existing installations: same names, same types.
LEGACY_COLUMNS = (
    StoredColumn("version", "String"),
    StoredColumn("checksum", "String"),
    StoredColumn("executed_at", "DateTime64(3)", "now()"),
    StoredColumn("execution_time_ms", "UInt32"),
    StoredColumn("success", "Bool", "1"),
    StoredColumn("error_message", "Nullable(String)"),
)
ADDED_COLUMNS = (
    StoredColumn("operation", "String", "'upgrade'"),
    StoredColumn("direction", "String", "'up'"),
    StoredColumn("parents", "Array(String)"),
    StoredColumn("statements_applied", "UInt32"),
    StoredColumn("statements_total", "UInt32"),
    StoredColumn("error_code", "Int32"),
    StoredColumn("sequence", "UInt64"),
    StoredColumn("run_id", "String"),
    StoredColumn("lock_generation", "UInt64"),
    StoredColumn("host", "String"),
    StoredColumn("server_user", "String"),
    StoredColumn("tool_version", "String"),
    StoredColumn("server_version", "String"),
    StoredColumn("statements_checksum", "String"),
    StoredColumn("upgrade_statements", "String", compressed=True),
    StoredColumn("downgrade_statements", "String", compressed=True),
    StoredColumn("ledger_format", "UInt16"),
)
LEDGER_COLUMNS = (*LEGACY_COLUMNS, *ADDED_COLUMNS)

# `at` is the server's clock; the others are written as they are.
JOURNAL_COLUMNS = (
    StoredColumn("revision", "String"),
    StoredColumn("direction", "String"),
    StoredColumn("since", "UInt64"),
    StoredColumn("position", "UInt32"),
    StoredColumn("event", "String"),
    StoredColumn("hash", "String"),
    StoredColumn("statement", "String", compressed=True),
    StoredColumn("checksum", "String"),
    StoredColumn("query_id", "String"),
    StoredColumn("run_id", "String"),
    StoredColumn("lock_generation", "UInt64"),
    StoredColumn("before", "String", compressed=True),
    StoredColumn("note", "String"),
    StoredColumn("elapsed_ms", "UInt32"),
    StoredColumn("rows_read", "UInt64"),
    StoredColumn("rows_written", "UInt64"),
    StoredColumn("error_code", "Int32"),
    StoredColumn("error", "String"),
    StoredColumn("sequence", "UInt64"),
    StoredColumn("at", "DateTime64(3)", "now64(3)"),
)
JOURNAL_FIELDS = tuple(column.name for column in JOURNAL_COLUMNS)


def create_journal(features: Features) -> str:
    """Return the CREATE TABLE of the journal; repeatable."""
    body = ",\n    ".join(_column(c, features) for c in JOURNAL_COLUMNS)
    return (
        f"CREATE TABLE IF NOT EXISTS {JOURNAL}\n(\n    {body}\n)\n"
        f"ENGINE = MergeTree\nORDER BY (revision, sequence){_settings(features)}"
    )


def create_ledger(features: Features) -> str:
    """Return the CREATE TABLE of the ledger; repeatable."""
    columns = [_column(c, features) for c in LEDGER_COLUMNS]
    if features.skipping_indices:
        columns.append("INDEX idx_migration_version version TYPE bloom_filter GRANULARITY 1")
    body = ",\n    ".join(columns)
    return (
        f"CREATE TABLE IF NOT EXISTS {LEDGER}\n(\n    {body}\n)\n"
        "ENGINE = MergeTree\nPRIMARY KEY version\nORDER BY (version, executed_at)"
        f"{_settings(features)}"
    )


def widen_ledger(features: Features) -> str:
    """Return the ALTER that gives an old table the added columns; repeatable."""
    clauses = ",\n    ".join(
        f"ADD COLUMN IF NOT EXISTS {_column(c, features)}" for c in ADDED_COLUMNS
    )
    return f"ALTER TABLE {LEDGER}\n    {clauses}"


def create_version_view(database: str = "") -> str:
    """Return the view that Alembic and people read: exactly the current heads.

    Applied is what was last moved up; a head is applied and no parent of an
    applied revision. Nested sub-selects only, because 18.16 does not see a WITH
    alias inside a sub-query (tried). Rows without a sequence are an older
    tool's and count once they have been adopted.

    Args:
        database: Where the ledger is; without it, in the current database. 18.16 looks
            for the tables of a view ON CLUSTER in ``default`` (tried).

    """
    ledger = f"{quote.identifier(database)}.{LEDGER}" if database else LEDGER
    last = (
        "SELECT version, argMax(direction, sequence) AS moved, argMax(parents, sequence) AS above\n"
        f"        FROM {ledger} WHERE success = 1 AND sequence > 0 GROUP BY version"
    )
    return (
        f"CREATE VIEW IF NOT EXISTS {VERSION_VIEW} AS\n"
        "SELECT version AS version_num\n"
        f"FROM\n(\n        {last}\n)\n"
        "WHERE moved = 'up' AND version NOT IN\n(\n"
        f"    SELECT arrayJoin(above) FROM\n    (\n        {last}\n    )\n"
        "    WHERE moved = 'up'\n)"
    )


def create_lock(features: Features, *, replicated: bool = False) -> str:
    """Return the CREATE TABLE of the lock; repeatable.

    A window of deduplication makes an insert with a token a compare-and-set; where
    the table is not replicated it has to be asked for:
    https://clickhouse.com/docs/operations/settings/merge-tree-settings
    """
    window = "replicated" if replicated else "non_replicated"
    tokens = features.insert_deduplication_token
    settings = _settings(features, f"{window}_deduplication_window = 10000" if tokens else "")
    return (
        f"CREATE TABLE IF NOT EXISTS {LOCK}\n(\n"
        "    generation UInt64,\n"
        "    event String,\n"
        "    owner String,\n"
        "    holder String,\n"
        "    lease_ms UInt64,\n"
        "    doing String,\n"
        f"    {_column(StoredColumn('at', 'DateTime64(3)', 'now64(3)'), features)}\n"
        f")\nENGINE = MergeTree\nORDER BY (generation, at){settings}"
    )


def create_keeper_lock(database: str) -> str:
    """Return the CREATE TABLE of the lock in Keeper; repeatable.

    The path is the database's name, not its UUID, so that the servers of one
    Keeper share the lock of a database that they share.
    """
    path = f"/budeval_migrations/{place(database)}/lock"
    return (
        f"CREATE TABLE IF NOT EXISTS {KEEPER_LOCK}\n(\n"
        "    generation UInt64,\n"
        "    owner String,\n"
        "    holder String,\n"
        "    lease_ms UInt64,\n"
        "    doing String,\n"
        "    released UInt8,\n"
        "    since DateTime64(3) DEFAULT now64(3),\n"
        "    at DateTime64(3) DEFAULT now64(3)\n"
        f")\nENGINE = KeeperMap('{path}')\nPRIMARY KEY generation"
    )


def keeper_path(database: str) -> str:
    """Return where Keeper has what is ours of a database."""
    return f"/clickhouse/budeval_migrations/{place(database)}"


def place(database: str) -> str:
    """Return a database's name as a part of a path in Keeper."""
    return "".join(c if (c.isascii() and c.isalnum()) or c in "_-" else _hex(c) for c in database)


def _hex(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def modify_durability(table: str) -> str:
    """Return the ALTER that makes the inserts into an older table of ours durable; repeatable."""
    return f"ALTER TABLE {table} MODIFY SETTING {DURABLE}"


def _settings(features: Features, *others: str) -> str:
    durable = DURABLE if features.fsync_of_inserts else ""
    given = ", ".join(setting for setting in (*others, durable) if setting)
    return f"\nSETTINGS {given}" if given else ""


def _column(column: StoredColumn, features: Features) -> str:
    parts = [column.name, _type(column.type, features)]
    if column.default:
        default = column.default if features.datetime64 else column.default.replace("64(3)", "()")
        parts.append(f"DEFAULT {default}")
    if column.compressed and features.codecs:
        parts.append("CODEC(ZSTD(3))")
    return " ".join(parts)


def _type(name: str, features: Features) -> str:
    if name.startswith("DateTime64") and not features.datetime64:
        return "DateTime"
    if name == "Bool" and not features.boolean:
        return "UInt8"
    return name
