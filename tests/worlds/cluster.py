"""A deploy host, its cluster and a clock in memory: diffs follow from git, pods follow from applies."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.ports.host import Position, Release
from quarterdeck.testing.faults import Faults
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.testing.runner import FakeJob
from tests.worlds.charts_questions import effective

START = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
OLD, NEW, NEWER = (f"2026-08-{day}-production" for day in ("06-230932", "17-094555", "18-081200"))
CHARTS = "operations/deployment-charts"
PROJECT, IMAGE = "mediawiki/services/citoid", "wikimedia/mediawiki-services-citoid"
HOME = "helmfile.d/services/citoid"
VALUES = f"{HOME}/values.yaml"
EMPTY = Tree("", {})
ENVIRONMENTS = ("staging", "codfw", "eqiad")
SECRET = "hunter2-very-secret"
HELMFILE = """\
environments:
  staging:
    values:
      - values.yaml
  eqiad:
    values:
      - values.yaml
  codfw:
    values:
      - values.yaml
---
helmDefaults:
  timeout: 10
releases:
  - name: main
    values:
      - values.yaml
"""


def values(tag: str) -> bytes:
    """The shared values file."""
    return f"# citoid\nmain_app:\n  image: {IMAGE}\n  version: {tag}  # bumped by quarterdeck\n".encode()


class Clock:
    """`ports.Clock` whose time passes by itself, as soon as nobody has anything else to do."""

    def __init__(self) -> None:
        self._now = START
        self._order = itertools.count()
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._pump: asyncio.Task[None] | None = None
        self._going = asyncio.Event()
        self._going.set()

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

    @property
    def standing(self) -> bool:
        """Whether time stands still."""
        return not self._going.is_set()

    @standing.setter
    def standing(self, stands: bool) -> None:
        if stands:
            self._going.clear()
        else:
            self._going.set()

    def forward(self, seconds: float) -> None:
        """Jump, waking nobody before the pump does."""
        self._now += timedelta(seconds=seconds)

    async def sleep(self, seconds: float) -> None:
        """Until the time has come."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + timedelta(seconds=seconds), next(self._order), wake))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run(), name="clock")
        await wake

    async def _run(self) -> None:
        while self._waiting:
            for _ in range(12):
                await asyncio.sleep(0)
            if self.standing:
                await self._going.wait()
                continue
            at, _, wake = heapq.heappop(self._waiting)
            if not wake.done():
                self._now = max(self._now, at)
                wake.set_result(None)

    async def close(self) -> None:
        """End the pump."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)


class Cluster(FakeHost):
    """A deploy host whose diffs follow from git and from what runs, and whose applies change what runs.

    Attributes:
        repository: the charts.
        digests: tag -> digest of its image.
        stuck: the checkout does not follow the branch any more.
        replicas: environment -> pods.
        broken: tags whose pods crash.
        extra: environment -> lines of another object, to be in every diff.
        applied: (environment, tag) of every apply that helm began, in order.
        hang: while set, an apply waits for it to be interrupted.
        shield: the hanging apply goes on to its end when it is interrupted.
    """

    def __init__(self, repository: FakeRepository, digests: Mapping[str, str]) -> None:
        super().__init__()
        self.repository, self.digests = repository, digests
        self.commit = repository.head
        self.stuck = False
        self.replicas = {"staging": 1, "codfw": 2, "eqiad": 2}
        self.broken: set[str] = set()
        self.extra: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self.parts: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        self.applied: list[tuple[str, str]] = []
        self.hang: asyncio.Event | None = None
        self.release_hang: asyncio.Event | None = None
        self.shield = False
        self.status = 0
        self.faults = Faults()
        self.scripts: dict[str, dict[str, Any]] = {}
        for environment in ENVIRONMENTS:
            self.live["citoid", environment] = [Release("main", "citoid", "app-1", 7, "deployed")]
            self.run(environment, OLD)
        self.applying = self._helm
        self.on_applied = self._pods_follow

    async def position(self) -> Position:
        """Where the checkout stands."""
        self.faults.check("position")
        return Position(self.commit if self.stuck else self.repository.head, self.boot, self.problem)

    async def has_commit(self, commit: str) -> bool:
        """Whether the checkout has it."""
        self.faults.check("has_commit")
        return self.repository.contains(self.commit if self.stuck else self.repository.head, commit)

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """What helm reports."""
        self.faults.check("releases")
        return await super().releases(service, environment)

    async def objects(self, service: str, environment: str) -> Sequence[Mapping[str, Any]]:
        """What runs there."""
        self.faults.check("objects")
        self.faults.check(f"objects {environment}")
        return await super().objects(service, environment)

    def run(self, environment: str, tag: str, ready: bool = True, releases: Sequence[str] = ()) -> None:
        """Let pods of a tag run there, of some releases or of all."""
        live = [release.name for release in self.live["citoid", environment]]
        for name in releases or live:
            digest = self.digests.get(tag, "")
            self.parts[environment, name] = pods(tag, self.replicas[environment], digest, ready, name)
            self.tags[environment, name] = tag
        self.runs[environment] = self.tags[environment, "main"]
        self.pods["citoid", environment] = [o for name in live for o in self.parts[environment, name]]

    def add_canary(self, environment: str) -> None:
        """Give an environment a second release, as mw services have."""
        self.live["citoid", environment].append(Release("canary", "citoid", "app-1", 3, "deployed"))
        self.run(environment, self.runs[environment])

    async def play(self, job: FakeJob) -> int:
        """Diff what git says at the job's commit against what runs, then as FakeHost does."""
        order = json.loads(job.script)
        self.scripts[job.name] = order
        place = (order["service"], order["environment"])
        wanted = self._wanted(order)
        self.bodies[place] = {}
        for release in self.live[place]:
            old, body = self.tags[place[1], release.name], self.extra.get(place[1], "")
            if wanted != old:
                body = deployment(old, wanted, self.replicas[place[1]], release.name) + body
            self.bodies[place][release.name] = body
        self._tag = wanted
        return await super().play(job)

    def _wanted(self, order: Mapping[str, Any]) -> str:
        source = self.scripts[order["facts"]["export"]] if order["do"] == "apply" else order
        files = dict(self.repository.commits[source["commit"]].files)
        files |= {path: text.encode("latin-1") for path, text in source["overlay"].items()}
        tree = replace(EMPTY, files=files)
        return effective(tree, order["service"], [order["environment"]])[order["environment"]].tag

    async def _helm(self, job: FakeJob, wanted: Sequence[str]) -> int:
        order = json.loads(job.script)
        environment, tag = order["environment"], self._tag
        self.applied.append((environment, tag))
        await job.write(f"Upgrading release=main password={SECRET}\n")
        if self.hang is not None:
            self.hang.set()
            waits = {asyncio.create_task(job.interrupted.wait())}
            if self.release_hang is not None:
                waits.add(asyncio.create_task(self.release_hang.wait()))
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for waiting in waits:
                waiting.cancel()
            if job.interrupted.is_set() and not self.shield:
                await job.write("Error: release main failed, and has been rolled back due to atomic being set\n")
                return 1
        if self.status:
            await job.write("Error: UPGRADE FAILED: context deadline exceeded\n")
            return self.status
        await job.write("  main UPDATED\n")
        return 0

    def _pods_follow(self, _service: str, environment: str, wanted: Sequence[str]) -> None:
        self.extra.pop(environment, None)
        self.run(environment, self._tag, self._tag not in self.broken, wanted)


def pods(
    tag: str, count: int, digest: str = "", ready: bool = True, release: str = "main", repository: str = IMAGE
) -> list[Mapping[str, Any]]:
    """A Deployment of a release with its newest ReplicaSet and pods, as kubectl shows them."""
    image = f"registry.example/{repository}:{tag}"
    spec = {"containers": [{"name": "main", "image": image}]}
    labels, hashed = {"pod-template-hash": tag}, f"citoid-{tag}" + ("" if release == "main" else f"-{release}")
    annotations = {"deployment.kubernetes.io/revision": "2", "meta.helm.sh/release-name": release}
    state = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {
        "name": "main",
        "ready": ready,
        "restartCount": 0,
        "state": state,
        "imageID": f"registry.example/{repository}@{digest}" if digest else "",
        **({} if ready else {"lastState": {"terminated": {"exitCode": 1}}}),
    }
    return [
        {
            "kind": "Deployment",
            "metadata": {"name": f"citoid-{release}", "uid": release, "generation": 1, "annotations": annotations},
            "spec": {"replicas": count, "template": {"spec": spec}},
            "status": {"observedGeneration": 1, "replicas": count},
        },
        {
            "kind": "ReplicaSet",
            "metadata": {
                "name": hashed, "uid": hashed, "labels": labels, "annotations": annotations,
                "ownerReferences": [{"kind": "Deployment", "name": f"citoid-{release}", "uid": release}],
            },
        },
        *(
            {
                "kind": "Pod",
                "metadata": {
                    "name": f"{hashed}-{i}", "labels": labels,
                    "ownerReferences": [{"kind": "ReplicaSet", "name": hashed, "uid": hashed}],
                },
                "spec": spec,
                "status": {
                    "phase": "Running",
                    "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
                    "containerStatuses": [status],
                },
            }
            for i in range(count)
        ),
    ]  # fmt: skip


def deployment(old: str, new: str, replicas: int, release: str = "main", repository: str = IMAGE) -> str:
    """The part of a diff in which the Deployment's image changes."""
    lines = [f"citoid, citoid-{release}, Deployment (apps) has changed:"]
    lines += ["  apiVersion: apps/v1", "  kind: Deployment", "  metadata:", f"    name: citoid-{release}", "  spec:"]
    lines += [
        f"    replicas: {replicas}",
        "    template:",
        "      spec:",
        "        containers:",
        "          - name: main",
    ]
    lines += [
        f"-           image: registry.example/{repository}:{old}",
        f"+           image: registry.example/{repository}:{new}",
    ]
    return "\n".join(lines) + "\n"


def config_map(old: str = "400Mi", new: str = "600Mi") -> str:
    """Another object's part of a diff: one surprise."""
    lines = ["citoid, citoid-config, ConfigMap (v1) has changed:", "  apiVersion: v1", "  kind: ConfigMap"]
    lines += ["  metadata:", "    name: citoid-config", "  data:", f"-   memory: {old}", f"+   memory: {new}"]
    return "\n".join(lines) + "\n"
