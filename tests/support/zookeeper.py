"""Debian's ZooKeeper, standalone, and the server configuration that gives chDB a Keeper."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.support.process import HOST, Process, ServerStartError, free_port
from tests.support.waiting import PATIENCE

_JAR = Path("/usr/share/java/zookeeper.jar")
_MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"


class ZooKeeper(Process):
    """A ZooKeeper process with a data directory of its own, on a port of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = 0

    @staticmethod
    def is_installed() -> bool:
        """Whether the jar and a Java to run it are there."""
        return _JAR.exists() and shutil.which("java") is not None

    def start(self) -> None:
        """Start, on the port of the last time if there was one; try others when it was taken."""
        attempts_left = 1 if self.port else 3
        while True:
            attempts_left -= 1
            self.port = self.port or free_port()
            try:
                self._start_once()
            except ServerStartError:
                if not attempts_left:
                    raise
                self.port = 0
            else:
                return

    def delete(self, path: str) -> None:
        """Delete a node and all below it, as an operator would."""
        classes = ":".join(str(jar) for jar in sorted(_JAR.parent.glob("*.jar")))
        client = ["java", "-cp", classes, "org.apache.zookeeper.ZooKeeperMain"]
        place = ["-server", f"{HOST}:{self.port}"]
        subprocess.run([*client, *place, "deleteall", path], check=True, capture_output=True)

    def clickhouse_config(self, prefix: str | None = "/keeper_map", *, keeper: bool = True) -> Path:
        """Write a configuration for ``ChdbFront(config_file=…)``.

        ``prefix=None`` leaves KeeperMap unconfigured, ``keeper=False`` the Keeper.
        """
        servers = (
            f"<zookeeper><node><host>{HOST}</host><port>{self.port}</port></node>"
            "<session_timeout_ms>4000</session_timeout_ms>"
            "<operation_timeout_ms>2000</operation_timeout_ms></zookeeper>"
        )
        path = self.directory / f"clickhouse-{prefix is not None:d}{keeper:d}.xml"
        path.write_text(
            "<clickhouse>"
            + (servers if keeper else "")
            + (f"<keeper_map_path_prefix>{prefix}</keeper_map_path_prefix>" if prefix else "")
            + "</clickhouse>\n"
        )
        return path

    def _start_once(self) -> None:
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        config = self.directory / "zoo.cfg"
        config.write_text(
            f"tickTime=500\nmaxSessionTimeout=60000\ndataDir={data}\nclientPort={self.port}\nclientPortAddress={HOST}\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n"
        )
        java = ["java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        output = self.directory / "stdout.txt"
        with output.open("a") as file:
            self._process = subprocess.Popen(
                [*java, "-cp", str(_JAR), _MAIN, str(config)],
                cwd=self.directory,
                env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._is_ok():
                return
            time.sleep(0.05)
        self.kill()
        raise ServerStartError(f"ZooKeeper did not start: {output.read_text()[-2000:]}")

    def _is_ok(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1) as wire:
            wire.sendall(b"srvr")  # ruok is answered before it serves
            return b"Mode: standalone" in b"".join(iter(lambda: wire.recv(4096), b""))
        return False
