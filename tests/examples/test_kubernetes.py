"""examples/kubernetes: what its containers run, run as processes against a server."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from budeval_migrations.errors import ConfigError, LedgerError, RevisionError
from budeval_migrations.settings import NAMES
from tests.examples.test_fastapi import EXAMPLE as SERVICE
from tests.examples.test_fastapi import ask
from tests.support.project import clean_environment
from tests.support.servers import ChdbFront, free_port
from tests.support.waiting import PATIENCE, wait_until

HERE = SERVICE.parent / "kubernetes"
README = (HERE / "README.md").read_text("utf-8")
FILES = {
    name: list(yaml.safe_load_all((HERE / name).read_text("utf-8")))
    for name in ("job.yaml", "init-container.yaml")
}
JOB, WAITING = FILES["job.yaml"]
[MIGRATING] = FILES["init-container.yaml"]
WAIT = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", README, re.M | re.S)[0])

RUN_JOB = JOB["spec"]["template"]["spec"]["containers"][0]
INIT = MIGRATING["spec"]["template"]["spec"]["initContainers"][0]
SERVE_WHEN_DONE = WAITING["spec"]["template"]["spec"]["containers"][0]
SERVE_WHEN_CHECKED = MIGRATING["spec"]["template"]["spec"]["containers"][0]

BOTH = ["001_create_events\tupgrade\ttrue", "002_add_amount\tupgrade\ttrue"]
SLOW = (
    "INSERT INTO events (id, name) SELECT generateUUIDv4() AS id, 'slow' AS name "
    "FROM numbers(40) WHERE NOT ignore(sleepEachRow(0.1)) SETTINGS max_block_size = 1"
)
FEW = "INSERT INTO events (id, name) SELECT generateUUIDv4() AS id, 'few' AS name FROM numbers(20)"
MUTATION = "ALTER TABLE events UPDATE amount = amount + 1 WHERE NOT ignore(sleepEachRow(0.1))"


class Cluster:
    """What stands behind the files here: an image, a secret and a server."""

    def __init__(self, image: Path, server: ChdbFront) -> None:
        self.image = image
        self.server = server

    def started(
        self, container: Mapping[str, Any], *, image: Path | None = None, port: int = 0, **env: str
    ) -> subprocess.Popen[str]:
        """Start what a container runs; its port 8000 is another one here, on loopback alone.

        Args:
            image: Of another release.
            env: What the test needs to be otherwise.

        """
        assert container["workingDir"] == "/app"
        command = [*container["command"], *container.get("args", ())]
        words = {"--port=8000": f"--port={port}", "--host=0.0.0.0": "--host=127.0.0.1"}
        return subprocess.Popen(
            [words.get(word, word) for word in command],
            cwd=image or self.image,
            env=self._environment(container) | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ends(self, container: Mapping[str, Any], **how: Any) -> tuple[int, str]:
        """Return the exit code and the log of a container that ends by itself."""
        with running(self.started(container, **how)) as pod:
            log, _ = pod.communicate(timeout=PATIENCE)
        return pod.returncode, log

    @contextmanager
    def serving(self, container: Mapping[str, Any], **how: Any) -> Iterator[Service]:
        """Start a container that serves; it is ended when the block ends."""
        port = free_port()
        with running(self.started(container, port=port, **how)) as pod:
            yield Service(pod, f"http://127.0.0.1:{port}", container["startupProbe"]["httpGet"])

    def ledger(self) -> list[str]:
        """Every attempt, in the order written."""
        sql = "SELECT version, operation, success FROM shop.schema_migrations ORDER BY sequence"
        return self.server.query(sql).splitlines()

    def is_at(self, start: str) -> bool:
        """Whether the server works on a statement that begins so."""
        return any(each["query"].startswith(start) for each in self.server.running())

    def mutates(self) -> bool:
        """Whether the server works on a mutation."""
        sql = "SELECT count() FROM system.mutations WHERE database = 'shop' AND NOT is_done"
        return self.server.query(sql) != "0\n"

    def add_revision(self, *statements: str) -> None:
        """Put 003_fill into the image."""
        lines = "".join(f'    op.execute("""{statement}""")\n' for statement in statements)
        (self.image / "versions" / "003_fill.py").write_text(
            'from alembic import op\n\nrevision = "003_fill"\ndown_revision = "002_add_amount"\n\n\n'
            f"def upgrade() -> None:\n{lines}"
        )

    def _environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for each in container["env"]:
            if "value" in each:
                found[each["name"]] = each["value"]
            else:
                reference = each["valueFrom"]["secretKeyRef"]
                assert reference["name"] == "shop-clickhouse"
                assert reference["key"] in ("migrate-url", "url")
                found[each["name"]] = self.server.url("clickhouse+http", "default")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return clean_environment(found | {"PATH": path})


class Service:
    """A container that serves."""

    def __init__(self, pod: subprocess.Popen[str], url: str, probe: Mapping[str, str]) -> None:
        self._pod = pod
        self.url = url
        self.probe = f"{url}{probe['path']}"

    def is_ready(self) -> bool:
        assert self._pod.poll() is None, self._pod.communicate()[0]
        try:
            ask(self.probe)
        except (urllib.error.URLError, ConnectionError):
            return False
        return True


@contextmanager
def running(pod: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End a process, with what it started, when the block ends."""
    try:
        yield pod
    finally:
        if pod.poll() is None:
            os.killpg(pod.pid, signal.SIGKILL)
        pod.communicate()


@pytest.fixture
def cluster(tmp_path: Path, modern: ChdbFront) -> Iterator[Cluster]:
    image = Path(
        shutil.copytree(
            SERVICE, tmp_path / "app", ignore=shutil.ignore_patterns(".clickhouse", "__py*")
        )
    )
    modern.query("DROP DATABASE IF EXISTS shop")
    yield Cluster(image, modern)
    modern.query("DROP DATABASE IF EXISTS shop")


@pytest.fixture
def older_image(tmp_path: Path, cluster: Cluster) -> Path:
    """The release before: it does not have the second revision yet."""
    older = Path(shutil.copytree(cluster.image, tmp_path / "older"))
    (older / "versions" / "002_add_amount.py").unlink()
    return older


def _pods() -> list[dict[str, Any]]:
    return [each["spec"]["template"]["spec"] for each in (JOB, WAITING, MIGRATING)]


def _containers() -> list[dict[str, Any]]:
    of_pods = [[*pod.get("initContainers", ()), *pod["containers"]] for pod in _pods()]
    return [WAIT, *(container for pod in of_pods for container in pod)]


def test_the_files_are_what_they_are_called() -> None:
    kinds = {n: [(d["apiVersion"], d["kind"]) for d in found] for n, found in FILES.items()}
    assert kinds == {
        "job.yaml": [("batch/v1", "Job"), ("apps/v1", "Deployment")],
        "init-container.yaml": [("apps/v1", "Deployment")],
    }
    for deployment in (WAITING, MIGRATING):
        spec = deployment["spec"]
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    job_labels = JOB["spec"]["template"]["metadata"]["labels"]
    assert job_labels != WAITING["spec"]["selector"]["matchLabels"]


def test_a_job_is_not_tried_again_for_what_only_a_person_can_mend() -> None:
    disrupted, hopeless = JOB["spec"]["podFailurePolicy"]["rules"]
    assert (disrupted["action"], hopeless["action"]) == ("Ignore", "FailJob")
    codes = [error.exit_code for error in (ConfigError, RevisionError, LedgerError)]
    assert hopeless["onExitCodes"] == {
        "containerName": RUN_JOB["name"],
        "operator": "In",
        "values": codes,
    }
    # Kubernetes takes a podFailurePolicy with this restartPolicy only.
    assert JOB["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_every_variable_is_a_setting_or_the_services_own() -> None:
    own = {f"SHOP_MIGRATIONS_{name.upper()}" for name in NAMES} | {"SHOP_START"}
    for container in _containers():
        assert {each["name"] for each in container["env"]} <= own
        assert "SHOP_MIGRATIONS_URL" in {each["name"] for each in container["env"]}


def test_every_key_of_the_secret_is_one_that_the_readme_makes() -> None:
    made = set(re.findall(r"--from-literal=([a-z-]+)=", README))
    asked = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for container in _containers()
        for each in container["env"]
        if "valueFrom" in each
    }
    assert asked == made == {"migrate-url", "url"}
    # What may change tables is not in the container that is open to the world.
    for serving in (SERVE_WHEN_DONE, SERVE_WHEN_CHECKED, WAIT):
        assert "migrate-url" not in str(serving)


def test_probes_ask_a_port_that_the_container_names_and_opens() -> None:
    for container in (SERVE_WHEN_DONE, SERVE_WHEN_CHECKED):
        [port] = container["ports"]
        assert f"--port={port['containerPort']}" in container["args"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/health", "port": port["name"]}
    probe = SERVE_WHEN_DONE["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] == 600  # lifespan's wait_timeout


def test_a_services_address_in_the_environment_would_be_refused_so_there_are_none(
    cluster: Cluster,
) -> None:
    assert [pod["enableServiceLinks"] for pod in _pods()] == [False] * 3
    code, log = cluster.ends(RUN_JOB, SHOP_MIGRATIONS_PORT="tcp://10.0.0.1:80")
    assert code == ConfigError.exit_code
    assert "Unknown environment variable SHOP_MIGRATIONS_PORT." in log


def test_the_services_pods_wait_for_the_job_and_serve_then(cluster: Cluster) -> None:
    with ExitStack() as stack:
        pods = [stack.enter_context(cluster.serving(SERVE_WHEN_DONE)) for _ in range(2)]
        asked = len(cluster.server.queries())
        waiting = stack.enter_context(running(cluster.started(WAIT)))
        wait_until(lambda: len(cluster.server.queries()) > asked + 12)
        assert waiting.poll() is None
        assert not any(pod.is_ready() for pod in pods)

        assert cluster.ends(RUN_JOB)[0] == 0

        for pod in pods:
            wait_until(pod.is_ready)
            assert ask(pod.probe) == {"current": ["002_add_amount"]}
        assert waiting.wait(timeout=PATIENCE) == 0
        ask(f"{pods[0].url}/events/order", "POST")
        assert ask(f"{pods[1].url}/events") == {"order": 1}
    assert cluster.ledger() == BOTH
    assert cluster.ends(RUN_JOB)[0] == 0
    assert cluster.ledger() == BOTH


def test_waiting_ends_with_the_code_of_what_no_waiting_mends(cluster: Cluster) -> None:
    code, log = cluster.ends(WAIT, SHOP_MIGRATIONS_URL="nonsense")
    assert code == ConfigError.exit_code, log
    with running(cluster.started(WAIT)) as waiting:
        seen = len(cluster.server.queries())
        wait_until(lambda: len(cluster.server.queries()) > seen)
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(timeout=PATIENCE) == 143


def test_pods_that_start_together_apply_each_revision_once(cluster: Cluster) -> None:
    with ExitStack() as stack:
        pods = [stack.enter_context(running(cluster.started(INIT))) for _ in range(3)]
        logs = [pod.communicate(timeout=PATIENCE)[0] for pod in pods]
    assert [pod.returncode for pod in pods] == [0, 0, 0], logs
    assert cluster.ledger() == BOTH
    with cluster.serving(SERVE_WHEN_CHECKED) as service:
        wait_until(service.is_ready)
        assert ask(service.probe) == {"current": ["002_add_amount"]}


def test_a_pod_that_starts_while_another_migrates_waits_for_it(cluster: Cluster) -> None:
    cluster.add_revision(SLOW)
    with (
        running(cluster.started(INIT)) as first,
        running(cluster.started(INIT)) as second,
    ):
        wait_until(lambda: cluster.is_at(SLOW))
        assert first.poll() is None
        assert second.poll() is None
        with running(cluster.started(INIT)) as third:
            logs = [pod.communicate(timeout=PATIENCE)[0] for pod in (first, second, third)]
        assert [pod.returncode for pod in (first, second, third)] == [0, 0, 0], logs
    assert cluster.ledger() == [*BOTH, "003_fill\tupgrade\ttrue"]
    assert cluster.server.query("SELECT count() FROM shop.events") == "40\n"


@pytest.mark.parametrize("container", [RUN_JOB, INIT], ids=["job", "init"])
def test_an_evicted_pod_stops_its_statement_and_the_next_pod_goes_on(
    cluster: Cluster, container: dict[str, Any]
) -> None:
    cluster.add_revision(SLOW)
    with running(cluster.started(container)) as pod:
        wait_until(lambda: cluster.is_at(SLOW))
        pod.send_signal(signal.SIGTERM)
        log, _ = pod.communicate(timeout=PATIENCE)
    assert pod.returncode == 143, log
    assert not cluster.is_at(SLOW)
    assert cluster.ledger() == [*BOTH, "003_fill\tupgrade\tfalse"]
    # The long lease is no hindrance: it was given back.
    assert cluster.ends(container, SHOP_MIGRATIONS_LOCK_TIMEOUT="5")[0] == 0
    assert cluster.ledger()[2:] == ["003_fill\tupgrade\tfalse", "003_fill\tupgrade\ttrue"]
    assert cluster.server.query("SELECT count() FROM shop.events") == "40\n"


@pytest.mark.parametrize("container", [RUN_JOB, INIT], ids=["job", "init"])
def test_a_killed_pod_leaves_its_statement_to_the_next_which_waits_for_it(
    cluster: Cluster, container: dict[str, Any]
) -> None:
    cluster.add_revision(FEW, MUTATION)
    lease = {"SHOP_MIGRATIONS_LOCK_LEASE": "3"}  # the default is as good, and takes 30 seconds
    with running(cluster.started(container, **lease)) as pod:
        wait_until(cluster.mutates)
        pod.kill()
        pod.communicate(timeout=PATIENCE)
    code, log = cluster.ends(container, **lease)
    assert code == 0, log
    assert cluster.ledger() == [*BOTH, "003_fill\tupgrade\tfalse", "003_fill\tupgrade\ttrue"]
    # Each statement had its effect once.
    assert cluster.server.query("SELECT count(), sum(amount) FROM shop.events") == "20\t20\n"
    with cluster.serving(SERVE_WHEN_CHECKED) as service:
        wait_until(service.is_ready)
        assert ask(f"{service.url}/events") == {"few": 20}


def test_where_nobody_can_know_what_a_killed_pod_did_the_job_fails_and_asks(
    cluster: Cluster,
) -> None:
    # An INSERT ... SELECT, on a server without a query log to look it up in.
    cluster.add_revision(SLOW)
    lease = {"SHOP_MIGRATIONS_LOCK_LEASE": "3"}
    with running(cluster.started(RUN_JOB, **lease)) as pod:
        wait_until(lambda: cluster.is_at(SLOW))
        pod.kill()
        pod.communicate(timeout=PATIENCE)
    code, log = cluster.ends(RUN_JOB, **lease)
    assert code == LedgerError.exit_code, log  # which is FailJob
    asked = re.findall(r"budeval-migrate (repair .* --applied)", log)
    assert asked == ["repair --revision 003_fill --statement 1 --applied"], log
    repair = {**RUN_JOB, "command": ["budeval-migrate", *asked[0].split()]}
    assert cluster.ends(repair)[0] == 0
    assert cluster.ends(RUN_JOB)[0] == 0
    assert cluster.server.query("SELECT count() FROM shop.events") == "40\n"


def test_a_pod_of_the_release_before_starts_again_beside_the_new_schema(
    cluster: Cluster, older_image: Path
) -> None:
    assert cluster.ends(INIT)[0] == 0
    code, log = cluster.ends(INIT, image=older_image)
    assert code == 0, log
    assert "002_add_amount is applied and has no file" in log
    code, log = cluster.ends(RUN_JOB, image=older_image)
    assert code == LedgerError.exit_code, log  # a Job of an older release is a mistake
    assert cluster.ends(WAIT, image=older_image)[0] == 0
    for container in (SERVE_WHEN_CHECKED, SERVE_WHEN_DONE):
        with cluster.serving(container, image=older_image) as service:
            wait_until(service.is_ready)
    assert cluster.ledger() == BOTH


def test_a_service_whose_database_is_behind_refuses_to_start(
    cluster: Cluster, older_image: Path
) -> None:
    assert cluster.ends(RUN_JOB, image=older_image)[0] == 0
    code, log = cluster.ends(SERVE_WHEN_CHECKED, port=free_port())
    assert code == 3  # uvicorn's, when a lifespan fails
    assert "The database is behind: 002_add_amount is not applied." in log
    assert cluster.ledger() == BOTH[:1]
