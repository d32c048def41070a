"""Holds the sandbox's cluster to its word: an image's tag decides how pods fare, and two users may what they may."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox.servers import registry
from tests.running import RunningSandbox

pytestmark = pytest.mark.sandbox

_IMAGE = "wikimedia/test-fates"


class Cluster:
    """The cluster as its administrator."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self._found = sandbox.found
        self.namespace = f"fates-{os.getpid()}"
        self.registry = sandbox.found["registry"]["http"]

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and give what it prints."""
        cluster = self._found["cluster"]
        command = [cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"], *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def deploy(self, name: str, tag: str) -> None:
        """Create a Deployment of one pod."""
        host = self.registry.removeprefix("http://")
        container = {"name": "main", "image": f"{host}/{_IMAGE}:{tag}"}
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {"automountServiceAccountToken": False, "containers": [container]},
        }
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template},
        }
        self.kubectl("create", "-f", "-", stdin=json.dumps(deployment))

    def status(self, name: str) -> dict[str, Any]:
        """The status of the Deployment's only container; empty while there is none."""
        listed = self.kubectl("-n", self.namespace, "get", "pods", "-l", f"app={name}", "-o", "json")
        statuses = [s for pod in json.loads(listed)["items"] for s in pod["status"].get("containerStatuses", ())]
        return statuses[0] if statuses else {}

    def wait_status(self, name: str, wanted: Callable[[dict[str, Any]], Any], seconds: float = 20) -> Any:
        """The container's status once it is as wanted."""
        deadline = time.monotonic() + seconds
        while not wanted(status := self.status(name)):
            assert time.monotonic() < deadline, status
            time.sleep(0.1)
        return status


@pytest.fixture(scope="module")
def cluster(sandbox: RunningSandbox) -> Iterator[Cluster]:
    """The cluster with a namespace for this module."""
    made = Cluster(sandbox)
    made.kubectl("create", "namespace", made.namespace)
    yield made
    made.kubectl("delete", "namespace", made.namespace, "--wait=false")


def push(cluster: Cluster, tag: str) -> str:
    """Push an image; gives its digest."""
    return registry.push_image(cluster.registry, _IMAGE, tag, {"org.opencontainers.image.revision": "abc"})


def reason(status: dict[str, Any]) -> str:
    """Why the container waits."""
    return str(status.get("state", {}).get("waiting", {}).get("reason", ""))


def test_a_good_image_gets_ready_with_the_digest_of_the_registry(cluster: Cluster) -> None:
    """A pod of a good image is ready at once and names the image by the registry's digest."""
    digest = push(cluster, "2026-01-01-000001-production")
    cluster.deploy("good", "2026-01-01-000001-production")
    status = cluster.wait_status("good", lambda s: s.get("ready"))
    assert status["imageID"] == f"{cluster.registry.removeprefix('http://')}/{_IMAGE}@{digest}"
    assert status["restartCount"] == 0


def test_an_image_that_is_not_in_the_registry_cannot_be_pulled_until_it_is(cluster: Cluster) -> None:
    """A missing image ends in ImagePullBackOff; once it is pushed the pod starts."""
    cluster.deploy("missing", "2026-01-01-000002-production")
    cluster.wait_status("missing", lambda s: reason(s) == "ImagePullBackOff")
    push(cluster, "2026-01-01-000002-production")
    assert cluster.wait_status("missing", lambda s: s.get("ready"))["imageID"]


def test_badpull_cannot_be_pulled(cluster: Cluster) -> None:
    """An image with -badpull- in its tag ends in ImagePullBackOff."""
    push(cluster, "2026-01-01-000003-badpull-production")
    cluster.deploy("badpull", "2026-01-01-000003-badpull-production")
    cluster.wait_status("badpull", lambda s: reason(s) == "ImagePullBackOff")


def test_crash_crashes_again_and_again(cluster: Cluster) -> None:
    """An image with -crash- exits with 1, is restarted, and exits again."""
    push(cluster, "2026-01-01-000004-crash-production")
    cluster.deploy("crash", "2026-01-01-000004-crash-production")
    status = cluster.wait_status("crash", lambda s: reason(s) == "CrashLoopBackOff")
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["restartCount"] == 1
    assert status["imageID"]
    cluster.wait_status("crash", lambda s: s["restartCount"] == 2, 30)


def test_neverready_runs_and_is_not_ready_and_slow_gets_ready_later(cluster: Cluster) -> None:
    """-neverready- runs without getting ready; -slow- is ready after 8 s."""
    for fate in ("neverready", "slow"):
        push(cluster, f"2026-01-01-000005-{fate}-production")
        cluster.deploy(fate, f"2026-01-01-000005-{fate}-production")
    begun = time.monotonic()
    assert not cluster.wait_status("slow", lambda s: "running" in s.get("state", {}))["ready"]
    cluster.wait_status("slow", lambda s: s["ready"])
    assert 5 < time.monotonic() - begun < 24
    status = cluster.status("neverready")
    assert "running" in status["state"]
    assert not status["ready"]


@pytest.mark.parametrize(
    ("user", "verb", "kind", "answer"),
    [
        ("citoid-staging", "list", "pods", "yes"),
        ("citoid-staging", "list", "replicasets.apps", "yes"),
        ("citoid-staging", "list", "deployments.apps", "yes"),
        ("citoid-staging", "list", "events", "yes"),
        ("citoid-staging", "get", "secrets", "no"),
        ("citoid-staging", "delete", "pods", "no"),
        ("citoid-staging", "patch", "deployments.apps", "no"),
        ("citoid-deploy-staging", "create", "secrets", "yes"),
        ("citoid-deploy-staging", "patch", "deployments.apps", "yes"),
        ("citoid-deploy-staging", "create", "rolebindings.rbac.authorization.k8s.io", "no"),
        ("citoid-deploy-codfw", "list", "pods", "no"),
    ],
)
def test_a_reader_reads_and_a_deployer_writes(
    sandbox: RunningSandbox, user: str, verb: str, kind: str, answer: str
) -> None:
    """The view user of a namespace reads all but Secrets; the deploy user writes there and nowhere else."""
    kubeconfig = sandbox.root / "host" / "etc" / "kubernetes" / f"{user}.config"
    command = [sandbox.found["cluster"]["kubectl"], "--kubeconfig", str(kubeconfig)]
    command += ["-n", "citoid-staging", "auth", "can-i", verb, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.strip() == answer, done.stderr
