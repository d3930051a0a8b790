"""What a server of a given version can do."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """The abilities that this package asks about.

    The versions are the ones the ClickHouse changelog names
    (https://clickhouse.com/docs/whats-new/changelog); only 18.16 and 26.x are
    tested.
    """

    version: tuple[int, ...]

    @property
    def current_user(self) -> bool:
        """``currentUser()`` (20.1)."""
        return self.version >= (20, 1)

    @property
    def datetime64(self) -> bool:
        """``DateTime64`` (20.1)."""
        return self.version >= (20, 1)

    @property
    def boolean(self) -> bool:
        """``Bool`` as a type of its own (21.12)."""
        return self.version >= (21, 12)

    @property
    def codecs(self) -> bool:
        """``CODEC`` of a column (19.1)."""
        return self.version >= (19, 1)

    @property
    def skipping_indices(self) -> bool:
        """``INDEX … TYPE bloom_filter`` without an experimental setting (20.1)."""
        return self.version >= (20, 1)

    @property
    def alias_tables(self) -> bool:
        """Tables ``ENGINE = Alias`` may be there (25.10; in all of 25 to be sure)."""
        return self.version >= (25, 1)

    @property
    def lazy_tables(self) -> bool:
        """Databases may load their tables when they are read (26.x; 25.1 to be sure)."""
        return self.version >= (25, 1)

    @property
    def drop_replica(self) -> bool:
        """``SYSTEM DROP REPLICA … FROM ZKPATH`` (20.5)."""
        return self.version >= (20, 5)

    @property
    def insert_deduplication_token(self) -> bool:
        """An insert as a compare-and-set; 22.8 is where it is known to be right."""
        return self.version >= (22, 8)

    @property
    def format_row(self) -> bool:
        """``formatRow`` (20.5)."""
        return self.version >= (20, 5)

    @property
    def format_function(self) -> bool:
        """The table function ``format`` with a structure (22.4)."""
        return self.version >= (22, 4)

    @property
    def fsync_of_inserts(self) -> bool:
        """``fsync_after_insert`` and ``fsync_part_directory`` of a MergeTree table (20.10)."""
        return self.version >= (20, 10)

    @property
    def insert_quorum_parallel(self) -> bool:
        """The setting ``insert_quorum_parallel``; before it, never parallel (20.10)."""
        return self.version >= (20, 10)

    @property
    def atomic_by_default(self) -> bool:
        """``CREATE DATABASE`` makes an Atomic one (20.10)."""
        return self.version >= (20, 10)

    @property
    def atomic_databases(self) -> bool:
        """``system.tables.uuid`` and ``system.databases.uuid`` (20.7)."""
        return self.version >= (20, 7)

    @property
    def part_hashes(self) -> bool:
        """``system.parts.hash_of_all_files`` (19.1)."""
        return self.version >= (19, 1)

    @property
    def detached_parts(self) -> bool:
        """``system.detached_parts`` (19.15)."""
        return self.version >= (19, 15)

    @property
    def mutations(self) -> bool:
        """``system.mutations`` with ``latest_fail_reason`` (19.3)."""
        return self.version >= (19, 3)

    @property
    def move_partition(self) -> bool:
        """``MOVE PARTITION … TO TABLE`` (20.1)."""
        return self.version >= (20, 1)

    @property
    def query_log_details(self) -> bool:
        """``exception_code`` and ``written_rows`` in ``system.query_log`` (20.4)."""
        return self.version >= (20, 4)

    @property
    def killed_mutations(self) -> bool:
        """``system.mutations.is_killed`` (22.4)."""
        return self.version >= (22, 4)

    @property
    def functions(self) -> bool:
        """User-defined functions (21.10)."""
        return self.version >= (21, 10)

    @property
    def distributed_ddl_queue(self) -> bool:
        """``system.distributed_ddl_queue`` (21.1)."""
        return self.version >= (21, 1)

    @property
    def mutations_sync(self) -> bool:
        """The setting ``mutations_sync`` (19.11)."""
        return self.version >= (19, 11)

    @property
    def lightweight_deletes_sync(self) -> bool:
        """The setting ``lightweight_deletes_sync`` (24.4)."""
        return self.version >= (24, 4)


def parse_version(text: str) -> tuple[int, ...]:
    """Return ``26.9.2.1`` as ``(26, 9, 2, 1)``."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:4])
