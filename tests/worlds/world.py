"""A whole world in memory: Gerrit, charts, registry, deploy host and cluster, chat, and a clock that never waits."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from quarterdeck.assembly import assemble
from quarterdeck.chat.irc.lines import TEXT_BYTES
from quarterdeck.chat.irc.transport import IrcTransport
from quarterdeck.core.builds.announcements import Announcements, Pace
from quarterdeck.core.builds.news import BuildNews
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.desk.commands import COMMANDS, Command
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.catalogue import Catalogue, ChartsRepository, MergeMode
from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.person import Actor, Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.event_stream import EventStream
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines
from quarterdeck.core.rollout.records import Briefing
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rules.rulebook import RULES
from quarterdeck.core.rules.ruling import Rule
from quarterdeck.core.steps import Perform
from quarterdeck.core.worker.recovery import recover
from quarterdeck.core.world import World
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.files import MemoryFiles
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.registry import FakeRegistry
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.testing.review import FakeReview
from quarterdeck.testing.runner import FakeJob, FakeRunner
from quarterdeck.testing.store import MemoryStore
from quarterdeck.views.chat import ChatVoice, RedactedVoice
from tests.worlds.charts_questions import effective
from tests.worlds.cluster import (
    CHARTS,
    EMPTY,
    ENVIRONMENTS,
    HELMFILE,
    HOME,
    IMAGE,
    NEW,
    NEWER,
    OLD,
    PROJECT,
    SECRET,
    START,
    VALUES,
    Clock,
    Cluster,
    config_map,
    pods,
    values,
)
from tests.worlds.subjects import subject

__all__ = [
    "CHARTS",
    "EMPTY",
    "ENVIRONMENTS",
    "HELMFILE",
    "HOME",
    "IMAGE",
    "LIMITS",
    "NEW",
    "NEWER",
    "OLD",
    "PAGE",
    "PROJECT",
    "SECRET",
    "START",
    "TEMPLATES",
    "VALUES",
    "Clock",
    "Cluster",
    "Deck",
    "Fate",
    "catalogue",
    "config_map",
    "hanging",
    "pods",
    "rolled",
    "values",
]

TEMPLATES = Path(__file__).parents[2] / "templates"
PAGE = "http://deck.example"
LIMITS = Limits(gate=30, sync=20, diff=20, apply_extra=5, check=60, grace=5, soak=2, poll=0.5, still=40)


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
            "citoid": Service("citoid", PROJECT, IMAGE, rooms=(Room("irc", "#deploy"),)),
            "zotero": Service(
                "zotero", "", "wikimedia/zotero", rooms=(Room("irc", "#deploy"),), deployers=frozenset({"zot"})
            ),
        },
    )


#: one voice for all worlds, because its templates are compiled once; it looks at the newest world's clock
_CLOCK = [Clock()]
NETWORKS = {"irc": IrcTransport.words}
_VOICE = ChatVoice(TEMPLATES, catalogue(), PAGE, "deploy1003", lambda: _CLOCK[0].now(), NETWORKS)  # noqa: PLW0108


class Deck:
    """The fakes, the core on them, and handy ways to talk to it."""

    voice = _VOICE
    rules: Sequence[Rule] = RULES
    pipelines: Pipelines = PIPELINES
    more_steps: Mapping[str, Perform] = MappingProxyType({})
    commands: Sequence[Command] = COMMANDS

    def __init__(self, merge: MergeMode = MergeMode.GATE, limits: Limits = LIMITS, ask_first: int = 0) -> None:
        self.registry = FakeRegistry()
        for tag in (OLD, NEW, NEWER):
            self.registry.push(IMAGE, tag)
        self.repository = FakeRepository({f"{HOME}/helmfile.yaml": HELMFILE.encode(), VALUES: values(OLD)})
        self.cluster = Cluster(self.repository, self.registry.images[IMAGE])
        self.furnish(catalogue(merge), self.cluster, limits, ask_first)

    def furnish(self, known: Catalogue, host: FakeHost, limits: Limits = LIMITS, ask_first: int = 0) -> None:
        """All that is alike for every catalogue and host."""
        self.clock, self.catalogue, self.host = Clock(), known, host
        self.review = FakeReview(clock=self.clock.now)
        self.review.repositories[CHARTS, "master"] = self.repository
        self.charts = FakeCharts(self.repository)
        self.runner = FakeRunner(host.play)
        self.files = MemoryFiles()
        self.store = MemoryStore("first", self.clock.now, self.pipelines)
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
            charts=Snapshots(port(self.charts)),
            registry=port(self.registry),
            runner=port(self.runner),
            host=port(self.host),
            store=port(self.store),
            files=port(self.files),
            voice=RedactedVoice(self.voice, self.redactor),
            clock=self.clock,
            redactor=self.redactor,
            limits=self.limits,
            rules=self.rules,
            pipelines=self.pipelines,
            ask_first=self.ask_first,
            deploy_host_name="deploy1003",
        )
        core = assemble(self.world, self.more_steps, self.commands)
        self.dossiers, self.surveyor, self.deployer = core.dossiers, core.surveyor, core.deployer
        self.desk, self.dispatcher = core.desk, core.dispatcher

    def announcing(self, events: EventStream, pace: Pace | None = None) -> Announcements:
        """What announces builds of this world."""
        world = self.world
        news = BuildNews(world.catalogue, world.store, self.surveyor, world.voice)
        return Announcements(
            world.catalogue, world.review, world.registry, world.store, world.clock, news, events, pace
        )

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
        return await recover(self.world.store, self.world.voice, self.deployer)

    def actor(self, name: str = "alice", room: str = "#deploy", account: str | None = "") -> Actor:
        """Somebody, identified by his own name unless told otherwise."""
        account = name if account == "" else account
        return Actor("irc", Room("irc", room) if room else None, name, account, self.catalogue.person("irc", account))

    async def say(self, text: str, who: str = "alice", room: str = "#deploy") -> str:
        """Type a command as somebody; the answer, its lines joined."""
        verb, _, rest = text.removeprefix("!").partition(" ")
        return "\n".join(await self.dispatcher.answer(verb, self.actor(who, room), rest))

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

    async def die(self, command: str, at: int, after: bool) -> bool:
        """Let the process die at its call number *at* while it does a command, and the next one take it up; if it did."""
        self.fate = Fate(at, after)
        self.build(mortal=True)
        driving, dying = asyncio.create_task(self._driven(command)), asyncio.create_task(self.fate.reached.wait())
        async with asyncio.timeout(10):
            await asyncio.wait({dying, driving}, return_when=asyncio.FIRST_COMPLETED)
        died = dying.done()
        for task in (driving, dying):
            task.cancel()
        await asyncio.gather(driving, dying, return_exceptions=True)
        await self.crash()
        if self.store.tables.rollouts:
            await self.settle()
        return died

    async def _driven(self, command: str) -> None:
        """A command, until nobody drives the rollout it made."""
        await self.say(command)
        if self.store.tables.rollouts:
            await self.deployer.settled(max(self.store.tables.rollouts))

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
        """All lines for a network, in the order they were written, as IRC says them."""
        rows = [said.row for said in self.store.tables.outbox.values()]
        return [row.line.within(TEXT_BYTES) for row in rows if row.line.room.network == network]

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


def rolled(
    service: str = "citoid",
    part: str = "",
    group: str = "",
    environments: tuple[str, ...] = ("staging",),
    **changes: Any,
) -> Rollout:
    """A rollout for the views."""
    plain = Rollout(
        id="0123456789abcdef",
        kind=Kind.DEPLOY,
        subject=subject(service, part, group, environments),
        environments=environments,
        tag=NEW,
        before={"staging": OLD},
        actor="alice",
        shell="alice",
        account="irc:alice",
        home=Room("irc", "#deploy"),
        created=START,
        number=41,
        briefing=Briefing(nick="alice"),
    )
    return replace(plain, **changes)


async def hanging(deck: Deck, words: str = "citoid staging") -> None:
    """A deploy whose helm takes until it is interrupted, or until `release_hang`."""
    deck.cluster.hang, deck.cluster.release_hang = asyncio.Event(), asyncio.Event()
    assert await deck.say(f"deploy {words}") == ""
    async with asyncio.timeout(10):
        await deck.cluster.hang.wait()
