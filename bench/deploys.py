"""What one `!deploy` reads, parses and computes, and how long it takes from the heard line to the saved rollout.

The charts are those of CHARTS=DIR, or the sandbox's; git, Gerrit, registry and cluster are in memory, so that the time
is the bot's own, the store's included.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.assembly import Core, assemble
from quarterdeck.cli.checkout import Checkout
from quarterdeck.core.charts.reading.files import ParsedFiles, WorkCounts
from quarterdeck.core.charts.reading.service_files import ServiceFiles, read_service
from quarterdeck.core.charts.snapshot import Component, Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.catalogue import Catalogue, ChartsRepository
from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.person import Actor, Person
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.ports.host import Position, Release
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.world import World
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.files import MemoryFiles
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.registry import FakeRegistry
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.testing.review import FakeReview
from quarterdeck.testing.runner import FakeRunner
from quarterdeck.views.chat import ChatVoice
from quarterdeck.wiring import SystemClock, find_templates

SANDBOX_CHARTS = Path(__file__).parents[1] / "sandbox/contents/charts-repository"
PROJECT, BRANCH, SERVICES_DIR = "operations/deployment-charts", "master", "helmfile.d/services"
#: newer than every tag there is, so that nothing is taken back
TAG = "2099-12-24-180000-production"
ROOM = Room("irc", "#deploy")
PERSON = Person("alice", "alice", frozenset({"deployers"}), {"irc": "alice"})
RUNS = 15
_FLAVOUR = re.compile(rb"^ *flavour: *(\S+)", re.MULTILINE)


class CountingCharts(FakeCharts):
    """Charts that count how often they are read.

    Attributes:
        reads: trees of a service that were read.
    """

    reads = 0

    async def tree(self, commit: str, service: str) -> Tree:
        """See `ports.Charts`."""
        self.reads += 1
        return await super().tree(commit, service)


class EveryImage(FakeRegistry):
    """A registry that has the one tag of every image, in every flavour."""

    def __init__(self, flavours: Sequence[str]) -> None:
        super().__init__()
        self.tags_of_all = (TAG, *(f"{TAG}-{flavour}" for flavour in flavours))

    async def digest(self, image: str, tag: str) -> str | None:
        """See `ports.Registry`."""
        return f"sha256:{'0' * 64}"

    async def tags(self, image: str) -> tuple[str, ...]:
        """See `ports.Registry`."""
        return self.tags_of_all


class QuietHost(FakeHost):
    """A deploy host whose checkout is at the branch's tip, and on which nothing differs."""

    def __init__(self, repository: FakeRepository, services: Iterable[ServiceFiles]) -> None:
        super().__init__()
        self.repository = repository
        for service in services:
            for release in service.releases:
                installed = Release(release.name, service.name, "app-1", 1, "deployed")
                self.live.setdefault((service.name, release.environment), []).append(installed)

    async def position(self) -> Position:
        """See `ports.Host`."""
        return Position(self.repository.head, self.boot, "")

    async def has_commit(self, commit: str) -> bool:
        """See `ports.Host`."""
        return self.repository.contains(self.repository.head, commit)


@dataclass(frozen=True)
class Case:
    """A deploy of one kind.

    Attributes:
        words: behind `!deploy`, without the tag.
    """

    kind: str
    words: str


@dataclass(frozen=True)
class Measured:
    """What one deploy took.

    Attributes:
        reads: trees of a service that were read from git.
        works: what was parsed and computed, commit by commit.
        seconds: from the heard line to the saved rollout, of several runs.
    """

    reads: int
    works: tuple[WorkCounts, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Charts:
    """The charts that are deployed from, and what is to be deployed."""

    checkout: Checkout
    catalogue: Catalogue
    cases: tuple[Case, ...]

    @property
    def flavours(self) -> tuple[str, ...]:
        """What the registry's tags may end with."""
        names: set[str] = set()
        for content in self.checkout.files.values():
            names.update(flavour.decode() for flavour in _FLAVOUR.findall(content))
        return tuple(sorted(names))

    def services(self) -> Iterator[ServiceFiles]:
        """The catalogue's services in their files."""
        files = ParsedFiles(self.checkout)
        for name in self.catalogue.services:
            service = read_service(files, SERVICES_DIR, name)
            if service is not None:
                yield service

    def repository(self) -> FakeRepository:
        """A repository that has them."""
        return FakeRepository(dict(self.checkout.files), self.checkout.links)


def read_charts(root: Path) -> Charts:
    """Citoid, which has an image of its own; wikifunctions, which has parts; and the group that shares shellbox's file."""
    checkout = Checkout(root, SERVICES_DIR)
    snapshot = Snapshot(checkout)
    part = snapshot.parts(Component("wikifunctions"))[0]
    boxes = checkout.sharers[f"{SERVICES_DIR}/shellbox/global.yaml"]
    images = {"wikifunctions": "", **{name: _image(snapshot, name) for name in ("citoid", *boxes)}}
    services = [Service(name, "", image, rooms=(ROOM,)) for name, image in images.items()]
    kinds = {"staging": EnvironmentKind.STAGING}
    names = ("staging", "codfw", "eqiad")
    catalogue = Catalogue(
        charts=ChartsRepository(PROJECT),
        environments={
            name: Environment(name, kinds.get(name, EnvironmentKind.PRODUCTION), name == "eqiad") for name in names
        },
        people={PERSON.name: PERSON},
        services={service.name: service for service in services},
    )
    cases = (
        Case("service", "citoid staging"),
        Case("part", f"wikifunctions/{part.name} staging"),
        Case(f"group of {len(boxes)}", "@shellbox staging"),
    )
    return Charts(checkout, catalogue, cases)


def _image(snapshot: Snapshot, service: str) -> str:
    """The image that a service's values name; where only its chart knows, one of the usual form."""
    images = snapshot.parts(Component(service))[0].images
    return images[0] if images else f"wikimedia/mediawiki-services-{service.partition('-')[0]}"


@dataclass
class Bot:
    """The core on these charts, from nothing; its store is a real one."""

    charts: CountingCharts
    world: World
    core: Core
    store: SqliteStore

    @classmethod
    def made(cls, charts: Charts, folder: Path) -> Bot:
        """One that has read nothing yet."""
        repository, clock = charts.repository(), SystemClock()
        counting, host, review = CountingCharts(repository), QuietHost(repository, charts.services()), FakeReview()
        review.repositories[PROJECT, BRANCH] = repository
        store = SqliteStore(folder / f"{secrets.token_hex(4)}.sqlite", "bench", clock.now)
        world = World(
            catalogue=charts.catalogue,
            review=review,
            charts=Snapshots(counting),
            registry=EveryImage(charts.flavours),
            runner=FakeRunner(host.play),
            host=host,
            store=store,
            files=MemoryFiles(),
            voice=ChatVoice(find_templates(), charts.catalogue, "http://bench", "deploy1003", clock.now),
            clock=clock,
            redactor=Redactor([], []),
            limits=Limits(poll=0.01),
            ask_first=0,
        )
        return cls(counting, world, assemble(world), store)

    async def say(self, words: str) -> float:
        """Say a deploy; seconds until its rollout is saved."""
        actor = Actor("irc", ROOM, PERSON.name, PERSON.name, PERSON)
        begun = time.perf_counter()
        answer = await self.core.dispatcher.answer("deploy", actor, f"{words} {TAG}")
        seconds = time.perf_counter() - begun
        if answer:
            raise SystemExit(f"!deploy {words}: {answer[0]}")
        return seconds

    async def until_diffed(self) -> Rollout:
        """Wait until the rollout has read all that it reads of the charts."""
        while True:
            (rollout,) = await self.store.find(limit=1)
            if rollout.records.diffed is not None:
                return rollout
            if rollout.state is State.FAILED:
                raise SystemExit(f"the deploy failed: {rollout.note}")
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Leave nothing behind."""
        await self.core.deployer.close()
        self.store.close()


async def measured(charts: Charts, case: Case, folder: Path) -> Measured:
    """One deploy through to its diff, and several up to the saved rollout."""
    bot = Bot.made(charts, folder)
    await bot.say(case.words)
    await bot.until_diffed()
    works = tuple(snapshot.work for snapshot in bot.world.charts.kept)
    reads = bot.charts.reads
    await bot.close()
    seconds = []
    for _ in range(RUNS):
        bot = Bot.made(charts, folder)
        seconds.append(await bot.say(case.words))
        await bot.close()
    return Measured(reads, works, tuple(seconds))


def figures(place: str = os.environ.get("CHARTS", "")) -> list[tuple[str, str, str]]:
    """For each kind of deploy what it took; for the table of `python -m bench`.

    Args:
        place: a charts checkout; empty for the sandbox's.
    """
    logging.getLogger("quarterdeck").setLevel(logging.ERROR)
    charts = read_charts(Path(place) if place else SANDBOX_CHARTS)
    rows: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in charts.cases:
            took = asyncio.run(measured(charts, case, Path(folder)))
            rows.append((f"!deploy of a {case.kind}", _time(took.seconds), _work(took)))
    return rows


def _time(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.0f} ms (least {min(seconds) * 1e3:.0f}) to be saved"


def _work(took: Measured) -> str:
    """What was read, parsed and computed at all commits, and how often one file was parsed at one of them."""
    helmfiles = sum(work.helmfiles.total() for work in took.works)
    values = sum(work.values.total() for work in took.works)
    edited = sum(work.edited.total() for work in took.works)
    edits = sum(work.edits for work in took.works)
    parses: list[int] = []
    for work in took.works:
        parses += (*work.helmfiles.values(), *work.values.values())
    return (
        f"{len(took.works)} commits, {took.reads} trees read; {helmfiles} helmfiles and {values} values files parsed, "
        f"each at most {max(parses)} x a commit; {edits} edits, {edited} edited files parsed"
    )


def main() -> int:
    """Print the figures."""
    for what, shown, beside in figures():
        print(f"{what:32} {shown:32} {beside}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
