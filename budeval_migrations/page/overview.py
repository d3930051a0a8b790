"""Everything that a report shows of one database, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from budeval_migrations.clickhouse.cluster.topology import Host
from budeval_migrations.model import HostDifference, LedgerRow, RevisionNode, Status
from budeval_migrations.model.previews import Drift


@dataclass(frozen=True)
class Overview:
    """Everything that ``report`` shows of one database.

    Attributes:
        made_at: When it was read, UTC, by this machine's clock.
        graph: Parents before children; the revisions without a file as the ledger has them.
        attempts: Every attempt that the ledger holds, oldest first.
        hosts: Of a cluster; empty for a single server.
        differences: Where the hosts are not in sync.
        drift: None where it was not asked for.

    """

    made_at: datetime
    tool_version: str
    status: Status
    graph: Mapping[str, RevisionNode]
    attempts: tuple[LedgerRow, ...]
    hosts: tuple[Host, ...] = ()
    differences: tuple[HostDifference, ...] = ()
    drift: Drift | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        return {
            "made_at": self.made_at.isoformat(),
            "tool_version": self.tool_version,
            "status": self.status.as_dict(),
            "graph": [
                {"revision": node.revision, "parents": list(node.parents), "doc": node.doc}
                for node in self.graph.values()
            ],
            "attempts": [row.as_dict() for row in self.attempts],
            "hosts": [
                {"host": str(host), "shard": host.shard, "replica": host.replica}
                for host in self.hosts
            ],
            "differences": [difference.as_dict() for difference in self.differences],
            "drift": self.drift.as_dict() if self.drift else None,
        }
