"""A ClickHouse cluster on loopback: Debian's servers 18.16 around Debian's ZooKeeper."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tests.support.process import HOST, free_port
from tests.support.server import QueryError
from tests.support.servers import OldServer, hostile_password
from tests.support.zookeeper import ZooKeeper

# What 18.16's DDL worker says before it ends for good; the server runs on without it.
_WORKER_ENDS = (
    "DDLWorker: Unexpected ZooKeeper error",
    "DDLWorker: Unexpected error, will terminate",
    "DDLWorker: Terminating. Cannot initialize DDL queue",
)


class Node(OldServer):
    """One server of a cluster; its ports are known before it starts.

    Replicas of 18.16 send some work on to their leader as ``default`` without a password.
    """

    def __init__(self, directory: Path, shard: int, replica: int) -> None:
        super().__init__(directory)
        self.shard, self.replica = shard, replica
        self.user = "admin"
        self.users = {"admin": hostile_password(), "reader": hostile_password()}
        self.more_users = (
            f"<default><password/><networks><ip>{HOST}</ip></networks>"
            "<profile>default</profile><quota>default</quota></default>"
        )
        self.http_port, self.tcp_port = free_port(), free_port()
        self.interserver_port = free_port()
        self._begin = 0  # of this run in the error log, in characters

    def query(self, sql: str, user: str | None = None, **params: str) -> str:
        """Run one statement; again, where the host has just lost its session with ZooKeeper."""
        for _ in range(20):
            try:
                return super().query(sql, user, **params)
            except QueryError as error:
                if error.code != 999 or "Session expired" not in str(error):
                    raise
                time.sleep(1)
        return super().query(sql, user, **params)

    def start(self) -> None:
        """Start; what the error log says of earlier runs is not this one's."""
        self._begin = len(self._error_log())
        super().start()

    def has_lost_its_worker(self) -> bool:
        """Whether the server that runs has given up on the cluster's queue."""
        return any(reason in self._error_log()[self._begin :] for reason in _WORKER_ENDS)

    def _error_log(self) -> str:
        log = self.directory / "error.log"
        return log.read_text(errors="replace") if log.exists() else ""


class Cluster:
    """Servers in shards of replicas, and the ZooKeeper that they share.

    Args:
        shards: How many replicas each shard has.
        session_timeout: Seconds after which Keeper forgets a host that is silent.

    """

    name = "crew"

    def __init__(
        self, directory: Path, shards: Sequence[int] = (2,), session_timeout: float = 20
    ) -> None:
        self._session_timeout = session_timeout
        self.zookeeper = ZooKeeper(directory / "zookeeper")
        self.nodes = [
            Node(directory / f"node-{shard}-{replica}", shard, replica)
            for shard, replicas in enumerate(shards, start=1)
            for replica in range(1, replicas + 1)
        ]
        users = self.nodes[0].users  # one set of users for all, as in a real one
        for node in self.nodes:
            node.users = users
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.zookeeper)
            for node in self.nodes:
                node.more_config = self._config(node)
                stack.enter_context(node)
            self._stack = stack.pop_all()
        return self

    def add(self, shard: int = 1) -> Node:
        """Start one more host, empty, and tell the others of it; they read it by themselves."""
        replica = 1 + max(node.replica for node in self.nodes if node.shard == shard)
        added = Node(self.nodes[0].directory.parent / f"node-{shard}-{replica}", shard, replica)
        added.users = self.nodes[0].users
        self.nodes.append(added)
        for node in self.nodes:
            node.more_config = self._config(node)
            if node is not added:
                node.write_config()
        self._stack.enter_context(added)
        return added

    def revive(self) -> list[Node]:
        """Restart the hosts that no longer work on the queue, and return them.

        18.16's DDL worker ends when two replicas come to the same ALTER at the same moment
        ("Node exists … Terminating", seen); its host does nothing until it is restarted.
        """
        dead = [node for node in self.nodes if node.is_running and node.has_lost_its_worker()]
        for node in dead:
            node.restart()
        return dead

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _config(self, node: Node) -> str:
        shards = ""
        for shard in sorted({n.shard for n in self.nodes}):
            replicas = "".join(
                f"<replica><host>{HOST}</host><port>{n.tcp_port}</port><user>{n.user}</user>"
                f"<password>{escape(n.users[n.user])}</password></replica>"
                for n in self.nodes
                if n.shard == shard
            )
            shards += f"<shard><internal_replication>true</internal_replication>{replicas}</shard>"
        return f"""
  <zookeeper>
    <node><host>{HOST}</host><port>{self.zookeeper.port}</port></node>
    <session_timeout_ms>{int(self._session_timeout * 1000)}</session_timeout_ms>
    <operation_timeout_ms>{int(self._session_timeout * 500)}</operation_timeout_ms>
  </zookeeper>
  <merge_tree>
    <!-- A host that was killed while it took its only row would refuse to start again. -->
    <replicated_max_ratio_of_wrong_parts>1</replicated_max_ratio_of_wrong_parts>
  </merge_tree>
  <remote_servers incl="none"><{self.name}>{shards}</{self.name}></remote_servers>
  <macros>
    <cluster>{self.name}</cluster><shard>{node.shard}</shard>
    <replica>{node.shard}-{node.replica}</replica>
  </macros>
  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
"""
