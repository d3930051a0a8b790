"""A ClickHouse cluster on loopback: Debian's servers 18.16 around Debian's ZooKeeper."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from xml.sax.saxutils import escape

from tests.support.process import HOST, free_port
from tests.support.servers import OldServer
from tests.support.zookeeper import ZooKeeper


class Node(OldServer):
    """One server of a cluster; its ports are known before it starts."""

    def __init__(self, directory: Path, shard: int, replica: int) -> None:
        super().__init__(directory)
        self.shard, self.replica = shard, replica
        self.http_port, self.tcp_port = free_port(), free_port()
        self.interserver_port = free_port()


class Cluster:
    """Servers in shards of replicas, and the ZooKeeper that they share.

    Args:
        shards: How many replicas each shard has.

    """

    name = "crew"

    def __init__(self, directory: Path, shards: Sequence[int] = (2,)) -> None:
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

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
    <session_timeout_ms>4000</session_timeout_ms>
    <operation_timeout_ms>2000</operation_timeout_ms>
  </zookeeper>
  <remote_servers incl="none"><{self.name}>{shards}</{self.name}></remote_servers>
  <macros>
    <cluster>{self.name}</cluster><shard>{node.shard}</shard>
    <replica>{node.shard}-{node.replica}</replica>
  </macros>
  <distributed_ddl><path>/clickhouse/task_queue/ddl</path></distributed_ddl>
"""
