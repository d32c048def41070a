"""The running bot: hears lines, answers commands, and keeps its long-lived tasks going."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from quarterdeck.chat import Heard, Transport
from quarterdeck.core.desk.dispatcher import Dispatcher
from quarterdeck.core.desk.refusals import Failed
from quarterdeck.core.desk.verb import Turn, Vocabulary
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.ports.store import Store
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.engine import Engine, Service

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_NOTED = 400
"""Characters of a heard line that the inbox keeps."""
MOST_UNNOTED = 1000
"""Lines kept in mind that the inbox could not take."""


@dataclass(frozen=True)
class Parts:
    """What the bot is made of once its store is open; `wiring` builds it on the engine's loop.

    Attributes:
        take_up: drives on what an earlier process left unfinished; returns it.
        services: long-lived tasks beside the app's own, by name: the page, a sender for each network …
        close: lets go of every rollout, of every connection and of the store.
    """

    catalogue: Catalogue
    store: Store
    redactor: Redactor
    dispatcher: Dispatcher
    take_up: Callable[[], Awaitable[Sequence[Rollout]]]
    services: Mapping[str, Service]
    close: Callable[[], Awaitable[None]]


class App:
    """What the backend and the plugins see of Quarterdeck.

    Args:
        transports: network name -> transport; each puts what it hears into *heard_lines*.
        heard_lines: lines that may be commands, in the order they were heard.
        engine: the loop that everything long-lived runs on.
        open_parts: opens the store and builds the rest; awaited on the loop.
        vocabulary: the verbs that people may type.
    """

    def __init__(
        self,
        transports: Mapping[str, Transport],
        heard_lines: asyncio.Queue[Heard],
        engine: Engine,
        open_parts: Callable[[], Awaitable[Parts]],
        vocabulary: Vocabulary,
    ) -> None:
        self.transports = transports
        self._heard_lines = heard_lines
        self._engine = engine
        self._open_parts = open_parts
        self._vocabulary = vocabulary
        self._parts: Parts | None = None
        self._hand_over: Callable[[Heard], None] = lambda _: None
        self._unnoted: dict[str, str] = {}

    @property
    def parts(self) -> Parts:
        """What the bot is made of; there once it was started."""
        assert self._parts is not None, "start() comes first"
        return self._parts

    @property
    def never_waiting(self) -> frozenset[str]:
        """The verbs that are carried out at once, however many slow commands are under way."""
        return self._vocabulary.names_of(Turn.AT_ONCE)

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
        """The lines to say to a command; see `Dispatcher.answer`."""
        why_unnoted, command = self._unnoted.pop(heard.msgid, ""), self._vocabulary.find(verb)
        if why_unnoted and command is not None and command.changes_something:
            return [f"{heard.nick}: {self.parts.dispatcher.told(Failed(why_unnoted))}"]
        lines = await self.parts.dispatcher.answer(verb, self._actor(heard), text, heard.addressed is not None)
        return [self.parts.redactor.text(line) for line in lines]

    def _actor(self, heard: Heard) -> Actor:
        """Who speaks, as far as the network vouches for it."""
        transport = self.transports[heard.network]
        account = transport.account(heard.account) if heard.account else None
        person = self.parts.catalogue.person(heard.network, account)
        return Actor(heard.network, heard.room, heard.nick, heard.account, person, transport.accounts_shown)

    # -- long-lived tasks --------------------------------------------------------------------------------------

    async def _prepare(self) -> Mapping[str, Service]:
        """Open the store, take up rollouts, and say what is to be kept running."""
        self._parts = parts = await self._open_parts()
        for rollout in await parts.take_up():
            log.info("taking up #%s %s again", rollout.number, rollout.service)
        transports = {f"chat-{name}": transport.run for name, transport in self.transports.items()}
        return {"hearing": self._listen, **transports, **parts.services}

    async def _finish(self) -> None:
        if self._parts is not None:
            await self._parts.close()

    async def _listen(self) -> None:
        """Inbox: a command runs once for each message id, whatever is played back to us.

        What cannot be noted is answered all the same, and changes nothing: it might run twice.
        """
        parts = self.parts
        while True:
            heard = await self._heard_lines.get()
            if heard.room and heard.addressed is None and not heard.text.lstrip().startswith("!"):
                continue
            text = parts.redactor.text(heard.text)[:LONGEST_NOTED]
            try:
                room = heard.room.name if heard.room else ""
                first = await parts.store.heard(heard.network, heard.msgid, room, heard.account or "", text)
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
