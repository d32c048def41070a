"""The running bot: hears lines, answers commands, keeps its long-lived tasks going and its house in order."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from quarterdeck.chat import Heard, Transport
from quarterdeck.core.builds.announcements import Announcements
from quarterdeck.core.desk.dispatcher import Reception
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.desk.permissions import PERMISSIONS
from quarterdeck.core.model.errors import QuarterdeckError, TemporaryError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.rollout.state import OVER, State
from quarterdeck.core.worker.deployer import Deployer
from quarterdeck.core.worker.questions import tend_questions
from quarterdeck.core.worker.recovery import recover
from quarterdeck.core.world import World
from quarterdeck.engine import Engine, Service

log = logging.getLogger(__name__)
T = TypeVar("T")

OPEN = frozenset(State) - OVER
SECONDS_A_DAY = 86400.0
KEEP_JOBS_DAYS = 7
"""Days that finished jobs stay on the deploy host."""
KEEP_FILES_DAYS = 90
"""Days that a rollout's logs and diffs stay here once it is over."""
LONGEST_NOTED = 400
"""Characters of a heard line that the inbox keeps."""
MOST_UNNOTED = 1000
"""Lines kept in mind that the inbox could not take."""


class ExpiringFiles(Protocol):
    """The rollouts' files, as far as keeping house needs them."""

    async def expire(self, older_than: float, keep: Collection[int] = ()) -> tuple[int, ...]:
        """Remove what was last written before a time (seconds since the epoch), except of the rollouts to keep."""
        ...


class ReapableJobs(Protocol):
    """The deploy host's jobs, as far as keeping house needs them."""

    async def reap(self, days: int) -> tuple[str, ...]:
        """Remove the jobs that ended more than that many days ago."""
        ...


@dataclass(frozen=True)
class Parts:
    """What the bot is made of once its store is open; `wiring` builds it on the engine's loop.

    Attributes:
        services: long-lived tasks beside the app's own, by name: the page, and a sender for each network.
        close: lets go of every connection and of the store.
    """

    world: World
    dispatcher: Reception
    deployer: Deployer
    announcements: Announcements
    files: ExpiringFiles
    jobs: ReapableJobs
    services: Mapping[str, Service]
    close: Callable[[], Awaitable[None]]


class App:
    """What the backend and the plugins see of Quarterdeck.

    Args:
        transports: network name -> transport; each puts what it hears into *heard_lines*.
        heard_lines: lines that may be commands, in the order they were heard.
        engine: the loop that everything long-lived runs on.
        open_parts: opens the store and builds the rest; awaited on the loop.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        heard_lines: asyncio.Queue[Heard],
        engine: Engine,
        open_parts: Callable[[], Awaitable[Parts]],
    ) -> None:
        self.transports = transports
        self._heard_lines = heard_lines
        self._engine = engine
        self._open_parts = open_parts
        self._parts: Parts | None = None
        self._hand_over: Callable[[Heard], None] = lambda _: None
        self._unnoted: dict[str, str] = {}

    @property
    def parts(self) -> Parts:
        """What the bot is made of; there once it was started."""
        assert self._parts is not None, "start() comes first"
        return self._parts

    # -- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the engine's thread; returns when the store is open and rollouts are taken up again.

        Raises:
            PermanentError: the store is held by another process, or a key or known_hosts file is missing.
        """
        self._engine.start(self._prepare, self._finish)

    def stop(self) -> None:
        """Let go of everything as it is; a later start takes it up."""
        self._engine.stop()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the engine's loop."""
        return self._engine.submit(work)

    def on_heard(self, callback: Callable[[Heard], None]) -> None:
        """Have each line that may be a command handed over, each exactly once; called on the loop."""
        self._hand_over = callback

    # -- commands ----------------------------------------------------------------------------------------------

    async def answer(self, verb: str, heard: Heard, text: str) -> list[str]:
        """The lines to say to a command; see `Reception.answer`."""
        if (why := self._unnoted.pop(heard.msgid, "")) and verb in PERMISSIONS:
            return [f"{heard.nick}: {why}. {NOTHING}"]
        lines = await self.parts.dispatcher.answer(verb, self._actor(heard), text, heard.addressed is not None)
        return [self.parts.world.redactor.text(line) for line in lines]

    def _actor(self, heard: Heard) -> Actor:
        """Who speaks, as far as the network vouches for it."""
        transport = self.transports[heard.network]
        account = transport.account(heard.account) if heard.account else None
        person = self.parts.world.catalogue.person(heard.network, account)
        return Actor(heard.network, heard.room, heard.nick, heard.account, person, transport.accounts_shown)

    # -- long-lived tasks --------------------------------------------------------------------------------------

    async def _prepare(self) -> Mapping[str, Service]:
        """Open the store, take up rollouts, and say what is to be kept running."""
        self._parts = parts = await self._open_parts()
        for rollout in await recover(parts.world.store, parts.world.voice, parts.deployer):
            log.info("taking up #%s %s again", rollout.number, rollout.service)
        transports = {f"chat-{name}": transport.run for name, transport in self.transports.items()}
        return {
            "hearing": self._listen,
            "housekeeping": self._keep_house,
            "tending": partial(tend_questions, parts.world.store, parts.world.voice, parts.world.clock),
            "announcements": parts.announcements.run,
            "warming": self._warm,
            **transports,
            **parts.services,
        }

    async def _finish(self) -> None:
        if self._parts is not None:
            await self._parts.deployer.close()
            await self._parts.close()

    async def _listen(self) -> None:
        """Inbox: a command runs once for each message id, whatever is played back to us.

        What cannot be noted is answered all the same, and changes nothing: it might run twice.
        """
        world = self.parts.world
        while True:
            heard = await self._heard_lines.get()
            if heard.room and heard.addressed is None and not heard.text.lstrip().startswith("!"):
                continue
            text = world.redactor.text(heard.text)[:LONGEST_NOTED]
            try:
                room = heard.room.name if heard.room else ""
                first = await world.store.heard(heard.network, heard.msgid, room, heard.account or "", text)
            except TemporaryError as error:
                log.warning("a line cannot be noted: %s", error)
                self._keep_unnoted(heard.msgid, str(error))
                first = True
            if first:
                self._hand_over(heard)

    def _keep_unnoted(self, msgid: str, why: str) -> None:
        """Keep in mind that a line was not noted; lines for others, which nobody asks an answer for, go first."""
        if len(self._unnoted) >= MOST_UNNOTED:
            del self._unnoted[next(iter(self._unnoted))]
        self._unnoted[msgid] = why

    async def _warm(self) -> None:
        """Connect to the deploy host and fetch the charts once, so that the first command finds both at hand."""
        world = self.parts.world
        for system, look in (("deploy host", world.host.position), ("charts", world.charts.tip)):
            try:
                await look()
            except QuarterdeckError as error:
                log.warning("%s: %s", system, error)

    async def _keep_house(self) -> None:
        """Daily: old jobs on the host and old files here go; what is not over stays."""
        parts, clock = self.parts, self.parts.world.clock
        while True:
            open_rollouts = await parts.world.store.find(OPEN, limit=10_000)
            oldest = clock.now().timestamp() - KEEP_FILES_DAYS * SECONDS_A_DAY
            await parts.files.expire(oldest, {rollout.number for rollout in open_rollouts})
            try:
                await parts.jobs.reap(KEEP_JOBS_DAYS)
            except QuarterdeckError as error:
                log.warning("old jobs on the deploy host were not removed: %s", error)
            await clock.sleep(SECONDS_A_DAY)
