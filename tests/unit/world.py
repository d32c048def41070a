"""A whole world in memory: Gerrit, charts, registry, deploy host and cluster, chat, and a clock that never waits."""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from quarterdeck.core.answers import Answers
from quarterdeck.core.deployer import Deployer
from quarterdeck.core.desk import Desk
from quarterdeck.core.model import (
    Actor,
    Catalogue,
    ChartsRepository,
    Environment,
    EnvironmentKind,
    Line,
    MergeMode,
    Person,
    Service,
)
from quarterdeck.core.ports import Build, BuildState, Position, Release, Tree
from quarterdeck.core.preview import Preview
from quarterdeck.core.reception import Reception
from quarterdeck.core.redact import Redactor
from quarterdeck.core.rollout import Kind, Rollout
from quarterdeck.core.values import effective
from quarterdeck.core.world import Limits, World
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.faults import Faults
from quarterdeck.testing.files import MemoryFiles
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.registry import FakeRegistry
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.testing.review import FakeReview
from quarterdeck.testing.runner import FakeJob, FakeRunner
from quarterdeck.testing.store import MemoryStore
from quarterdeck.views.chat import ChatVoice

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGE = "http://deck.example"
START = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
OLD, NEW, NEWER = (f"2026-08-{day}-production" for day in ("06-230932", "17-094555", "18-081200"))
CHARTS = "operations/deployment-charts"
PROJECT, IMAGE = "mediawiki/services/citoid", "wikimedia/mediawiki-services-citoid"
HOME = "helmfile.d/services/citoid"
VALUES = f"{HOME}/values.yaml"
EMPTY = Tree("", {})
ENVIRONMENTS = ("staging", "codfw", "eqiad")
LIMITS = Limits(gate=30, sync=20, diff=20, apply_extra=5, check=60, grace=5, soak=2, poll=0.5, still=40)
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
        self.standing = False

    def now(self) -> datetime:
        """Aware UTC."""
        return self._now

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


def pods(tag: str, count: int, digest: str = "", ready: bool = True, release: str = "main") -> list[Mapping[str, Any]]:
    """A Deployment of a release with its newest ReplicaSet and pods, as kubectl shows them."""
    image = f"registry.example/{IMAGE}:{tag}"
    spec = {"containers": [{"name": "main", "image": image}]}
    labels, hashed = {"pod-template-hash": tag}, f"citoid-{tag}" + ("" if release == "main" else f"-{release}")
    annotations = {"deployment.kubernetes.io/revision": "2", "meta.helm.sh/release-name": release}
    state = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff"}}
    status = {
        "name": "main",
        "ready": ready,
        "restartCount": 0,
        "state": state,
        "imageID": f"registry.example/{IMAGE}@{digest}" if digest else "",
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


def deployment(old: str, new: str, replicas: int, release: str = "main") -> str:
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
        f"-           image: registry.example/{IMAGE}:{old}",
        f"+           image: registry.example/{IMAGE}:{new}",
    ]
    return "\n".join(lines) + "\n"


def config_map(old: str = "400Mi", new: str = "600Mi") -> str:
    """Another object's part of a diff: one surprise."""
    lines = ["citoid, citoid-config, ConfigMap (v1) has changed:", "  apiVersion: v1", "  kind: ConfigMap"]
    lines += ["  metadata:", "    name: citoid-config", "  data:", f"-   memory: {old}", f"+   memory: {new}"]
    return "\n".join(lines) + "\n"


class Mortal:
    """A port that dies at a chosen call: it hangs for ever, before or after the call had its effect."""

    def __init__(self, port: Any, fate: Fate) -> None:
        self._port, self._fate = port, fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._fate.decide(name, lambda: found(*args, **kwargs))

        return call


class Fate:
    """Counts calls of mortal ports, and lets the one numbered *at* be the last.

    Attributes:
        calls: names of the calls so far.
        after: whether the last call still has its effect.
        reached: set when the time has come.
    """

    def __init__(self, at: int = -1, after: bool = False) -> None:
        self.at, self.after = at, after
        self.calls: list[str] = []
        self.reached = asyncio.Event()

    async def decide(self, name: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """Let a call pass, or never return."""
        if self.reached.is_set():  # the dead do not tidy up
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError
            await asyncio.get_running_loop().create_future()
        mine = len(self.calls) == self.at
        self.calls.append(name)
        if mine and not self.after:
            self.reached.set()
            await asyncio.get_running_loop().create_future()
        result = await act()
        if mine:
            self.reached.set()
            await asyncio.get_running_loop().create_future()
        return result


class _Clean:
    """The real voice, each line redacted as wiring does it."""

    def __init__(self, voice: ChatVoice, redactor: Redactor) -> None:
        self.voice, self.redactor = voice, redactor

    def lines(self, event: str, rollout: Any, /, **facts: Any) -> tuple[Line, ...]:
        """See `ports.Voice`."""
        made = self.voice.lines(event, rollout, **facts)
        return tuple(replace(line, text=self.redactor.text(line.text)) for line in made)


def person(name: str, *groups: str) -> Person:
    """Somebody of the catalogue."""
    return Person(name, name, frozenset(groups), {"irc": name}, f"{name}@example.org")


def catalogue(merge: MergeMode = MergeMode.GATE) -> Catalogue:
    """One service that shares one values.yaml, one of other people, four persons."""
    kinds = {"staging": EnvironmentKind.STAGING}
    return Catalogue(
        charts=ChartsRepository(CHARTS, merge=merge),
        environments={e: Environment(e, kinds.get(e, EnvironmentKind.PRODUCTION), e == "eqiad") for e in ENVIRONMENTS},
        people={
            p.name: p
            for p in (person("alice", "deployers"), person("bob", "deployers"), person("sre1", "sre"), person("eve"))
        },
        services={
            "citoid": Service("citoid", PROJECT, IMAGE, rooms=("irc/#deploy",)),
            "zotero": Service("zotero", "", "wikimedia/zotero", rooms=("irc/#deploy",), deployers=frozenset({"zot"})),
        },
    )


#: one voice for all worlds, because its templates are compiled once; it looks at the newest world's clock
_CLOCK = [Clock()]
_VOICE = ChatVoice(TEMPLATES, catalogue(), PAGE, "deploy1003", lambda: _CLOCK[0].now())  # noqa: PLW0108


class Deck:
    """The fakes, the core on them, and handy ways to talk to it."""

    def __init__(self, merge: MergeMode = MergeMode.GATE, limits: Limits = LIMITS, ask_first: int = 0) -> None:
        self.clock = Clock()
        self.catalogue = catalogue(merge)
        self.review = FakeReview(clock=self.clock.now)
        files = {f"{HOME}/helmfile.yaml": HELMFILE.encode(), VALUES: values(OLD)}
        self.repository = FakeRepository(files)
        self.review.repositories[CHARTS, "master"] = self.repository
        self.charts = FakeCharts(self.repository)
        self.registry = FakeRegistry()
        for tag in (OLD, NEW, NEWER):
            self.registry.push(IMAGE, tag)
        self.cluster = Cluster(self.repository, self.registry.images[IMAGE])
        self.runner = FakeRunner(self.cluster.play)
        self.files = MemoryFiles()
        self.store = MemoryStore("first", self.clock.now)
        self.redactor = Redactor([SECRET], [])
        self.limits, self.ask_first = limits, ask_first
        self.fate = Fate()
        self.build()

    def build(self, mortal: bool = False) -> None:
        """A process's objects, on the world as it is."""

        def port(found: Any) -> Any:
            return Mortal(found, self.fate) if mortal else found

        _CLOCK[0] = self.clock
        self.world = World(
            catalogue=self.catalogue,
            review=port(self.review),
            charts=port(self.charts),
            registry=port(self.registry),
            runner=port(self.runner),
            host=port(self.cluster),
            store=port(self.store),
            files=port(self.files),
            voice=_Clean(_VOICE, self.redactor),
            clock=self.clock,
            redactor=self.redactor,
            limits=self.limits,
            ask_first=self.ask_first,
            deploy_host_name="deploy1003",
        )
        self.deployer = Deployer(self.world)
        self.desk = Desk(self.world, self.deployer)
        self.answers = Answers(self.world, PAGE)
        self.reception = Reception(self.desk, self.answers, Preview(self.world, self.desk.orders))

    async def close(self) -> None:
        """Leave no task behind."""
        await self.deployer.close()
        await self.runner.close()
        await self.clock.close()

    async def crash(self) -> tuple[Rollout, ...]:
        """The process dies and the next one starts; what it takes up."""
        await self.deployer.close()
        self.store = self.store.reborn(f"after {len(self.store.tables.audit)}")
        self.build()
        return await self.deployer.recover()

    def actor(self, name: str = "alice", room: str = "#deploy", account: str | None = "") -> Actor:
        """Somebody, identified by his own name unless told otherwise."""
        account = name if account == "" else account
        return Actor("irc", room, name, account, self.catalogue.person("irc", account))

    async def say(self, text: str, who: str = "alice", room: str = "#deploy") -> str:
        """Type a command as somebody; the answer, its lines joined."""
        verb, _, rest = text.removeprefix("!").partition(" ")
        return "\n".join(await self.reception.answer(verb, self.actor(who, room), rest))

    async def settle(self, number: int = 1) -> Rollout:
        """Wait until nobody drives a rollout."""
        async with asyncio.timeout(20):
            await self.deployer.settled(number)
        return self.rollout(number)

    async def deploy(self, words: str = "citoid staging", who: str = "alice") -> Rollout:
        """`!deploy`, driven to its rest."""
        return await self.order(f"deploy {words}", who)

    async def order(self, command: str, who: str = "alice") -> Rollout:
        """A command that makes a rollout, driven to its rest."""
        said = await self.say(command, who)
        assert said == "", said
        return await self.settle(max(self.store.tables.rollouts))

    async def confirm(self, number: int, who: str = "alice") -> Rollout:
        """Say yes to an open question."""
        waiting = self.rollout(number)
        count = f" with {waiting.code_count}" if waiting.code_count else ""
        said = await self.say(f"confirm {waiting.code}{count}", who)
        assert said.startswith(f"#{number} goes on"), said
        return await self.settle(number)

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0)

    def rollout(self, number: int = 1) -> Rollout:
        """As the store has it."""
        return self.store.tables.rollouts[number]

    def announce(self, tag: str = NEW, change: int = 501) -> None:
        """Put an announced image into the ledger."""
        merged = datetime.strptime(tag[:17], "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC)
        build = Build(PROJECT, change, f"{change:040d}", "Fix DOI regex", "mvolz", merged)
        ready = replace(build, state=BuildState.READY, image=IMAGE, tag=tag, said="ready")
        self.store.tables.builds[PROJECT, change, IMAGE] = ready

    def said(self, network: str = "irc") -> list[str]:
        """All lines for a network, in the order they were written."""
        return [s.row.line.text for s in self.store.tables.outbox.values() if s.row.line.network == network]

    @property
    def last(self) -> str:
        """The last line for the channel."""
        return self.said()[-1]

    @property
    def sal(self) -> list[str]:
        """The server admin log."""
        return self.said("sal")

    @property
    def debts(self) -> dict[str, str]:
        """Environment -> tag that is merged and not applied there."""
        return {d.environment: d.tag for d in self.store.tables.debts.values()}

    @property
    def git(self) -> str:
        """The tag the shared file says now."""
        return effective(replace(EMPTY, files=self.repository.files), "citoid", ["staging"])["staging"].tag

    def apply_jobs(self) -> list[FakeJob]:
        """The host's apply jobs."""
        return [job for name, job in self.runner.jobs.items() if "-apply-" in name]


def rolled(**changes: Any) -> Rollout:
    """A rollout for the views."""
    plain = Rollout(
        id="0123456789abcdef",
        kind=Kind.DEPLOY,
        service="citoid",
        environments=("staging",),
        tag=NEW,
        before={"staging": OLD},
        actor="alice",
        shell="alice",
        account="irc:alice",
        home="irc/#deploy",
        created=START,
        number=41,
        facts={"nick": "alice"},
    )
    return replace(plain, **changes)


async def hanging(deck: Deck, words: str = "citoid staging") -> None:
    """A deploy whose helm takes until it is interrupted, or until `release_hang`."""
    deck.cluster.hang, deck.cluster.release_hang = asyncio.Event(), asyncio.Event()
    assert await deck.say(f"deploy {words}") == ""
    async with asyncio.timeout(10):
        await deck.cluster.hang.wait()
