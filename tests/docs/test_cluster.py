"""The page about clusters, typed on three hosts from its first line to its last."""

from __future__ import annotations

import shlex
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.cluster.aim import BOOKKEEPING
from tests.docs.reading import read
from tests.docs.terminal import Terminal
from tests.support import targets
from tests.support.cluster import Cluster

pytestmark = pytest.mark.old

CLIENT = "--port 9003 --user user --password password"
URL = "clickhouse+http://user:password@any-host-or-balancer:8123"

HANG = """
import os, signal

def after_revision(event):
    os.kill(int(os.environ["HANGING"]), signal.SIGSTOP)
"""


class Operators:
    """Those who run the hosts; and the project on the page, whose settings they say."""

    def __init__(self, cluster: Cluster, terminal: Terminal) -> None:
        self.cluster = cluster
        self.terminal = terminal
        self._lost = False

    def configure(self, block: str) -> None:
        """Put settings of the page into alembic.ini."""
        said = ConfigParser(interpolation=None)
        said.read_string(block)
        url = self.cluster.nodes[0].url().removesuffix("/")
        self._write({k: v.replace(URL, url) for k, v in said["budeval_migrations"].items()})

    def hang_in_the_middle(self, place: Path) -> None:
        """Freeze a host as soon as the next revision is done."""
        (place / "hang.py").write_text(HANG)
        self.terminal.run(f"export SHOP_MIGRATIONS_HOOKS=hang HANGING={self.cluster.nodes[2].pid}")

    def come_back(self, _: Path) -> None:
        self.terminal.run("unset SHOP_MIGRATIONS_HOOKS")
        self.cluster.nodes[2].resume()

    def lose_a_table(self, _: Path) -> None:
        """Drop on one host what all of them had."""
        if not self._lost:
            self.cluster.nodes[2].query("DROP TABLE more", database="shop")
        self._lost = True

    def go_back_to_one_server(self, place: Path) -> None:
        """Leave a ledger as it was made before there was a cluster, beside replicated tables."""
        for node in self.cluster.nodes:
            for table in BOOKKEEPING:
                node.query(f"DROP TABLE IF EXISTS {table}", database="shop")
        self._write({"cluster": "", "lock": "off"})
        code, printed = self.terminal.run("alembic stamp 003_more")
        assert code == 0, printed
        self._write({"cluster": "auto", "lock": "auto"})

    def put_aside(self, block: str) -> None:
        for statement in block.split(";\n"):
            if statement:
                self.cluster.nodes[0].query(statement, database="shop")

    def _write(self, settings: dict[str, str]) -> None:
        path = self.terminal.place / "alembic.ini"
        ini = ConfigParser(interpolation=None)
        ini.read(path)
        for name, value in settings.items():
            ini["budeval_migrations"][name] = value.replace("%", "%%")
        with path.open("w") as file:
            ini.write(file)


def test_a_cluster_is_migrated_and_brought_level(tmp_path: Path) -> None:
    targets.require_old_server()
    targets.require_zookeeper()
    targets.require_packages("chdb")
    # A session with Keeper outlasts what hangs on the page.
    hosts = Cluster(tmp_path / "hosts", shards=(3,), session_timeout=60)
    ports = sorted(node.tcp_port for node in hosts.nodes)
    for node, port in zip(hosts.nodes, ports, strict=True):
        node.tcp_port = port  # hosts are named in the order of their addresses
    with hosts as cluster, Terminal(tmp_path) as terminal:
        operators = Operators(cluster, terminal)
        third = cluster.nodes[2]
        password = shlex.quote(third.users[third.user])
        read(
            "docs/cluster.md",
            terminal,
            stand_ins={
                f"127.0.0.1:{9000 + n}": f"127.0.0.1:{node.tcp_port}"
                for n, node in enumerate(cluster.nodes, start=1)
            }
            | {CLIENT: f"--port {third.tcp_port} --user {third.user} --password {password}"},
            before={
                "budeval-migrate validate": operators.lose_a_table,
                "budeval-migrate up 003_more": operators.hang_in_the_middle,
                "budeval-migrate up 003": operators.come_back,
                "budeval-migrate up 004": operators.go_back_to_one_server,
            },
            readers={
                "[budeval_migrations]": operators.configure,
                "DROP TABLE alembic_version;": operators.put_aside,
            },
        )
