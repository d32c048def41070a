"""Hands outbox lines to one network in order, and tells the store what the network has and has not got."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from quarterdeck.chat.contract import Refused
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.line import Line, Urgency, Utterance
from quarterdeck.core.model.room import Room
from quarterdeck.core.ports.outbox import OutboxRow
from quarterdeck.core.ports.store import Store

log = logging.getLogger(__name__)
STALE = timedelta(seconds=120)
"""A line older than this was held up by an outage."""
FOLD_FROM = 4
"""So many stale lines for one room are folded into one."""
PAUSE_SECONDS = 0.5
"""Between a line that the network has not taken and the next attempt."""


class Outlet(Protocol):
    """Where lines can be said: a chat network, or the relay of the server admin log."""

    network: str

    @property
    def up(self) -> bool:
        """Whether lines can be said just now."""
        ...

    @property
    def repeats_show(self) -> bool:
        """Whether people see a text twice that was said twice under one id."""
        ...

    def fit(self, line: Line) -> str:
        """The line as long as the network takes it whole."""
        ...

    def say(self, utterance: Utterance) -> Awaitable[None]:
        """Resolves when the network has it; raises TemporaryError when it has not, or may not have."""
        ...


@dataclass(frozen=True)
class Message:
    """What is said at once, and the rows of the outbox it stands for, all of one room."""

    rows: tuple[OutboxRow, ...]
    text: str

    @property
    def room(self) -> Room:
        """Where."""
        return self.rows[0].line.room

    @property
    def utterance(self) -> Utterance:
        """For the network; the id stays the same however often these rows are said."""
        first, last = self.rows[0], self.rows[-1]
        number = f"{first.id}" if first is last else f"{first.id}-{last.id}"
        return Utterance(self.room.name, self.text, number, _most_urgent(self.rows))


class OutboxSender:
    """Says the lines of one network; a task of its own for each."""

    def __init__(self, store: Store, outlet: Outlet, bell: asyncio.Event, idle: float = 1.0) -> None:
        self._store, self._outlet, self._bell, self._idle = store, outlet, bell, idle

    async def run(self) -> None:
        """For ever: say what is due."""
        while True:
            if not self._outlet.up:
                await asyncio.sleep(0.1)
                continue
            self._bell.clear()
            rows = await self._store.claim_lines(self._outlet.network)
            if not rows:
                await self._wait()
                continue
            for message in messages(rows, datetime.now(UTC), self._outlet):
                await self._say(message)

    async def _wait(self) -> None:
        """Until there may be a new line; after a while all the same, for a bell that was missed."""
        try:
            async with asyncio.timeout(self._idle):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def _say(self, message: Message) -> None:
        network, room = self._outlet.network, message.room
        try:
            await self._outlet.say(message.utterance)
        except Refused as error:
            log.warning("%s refuses a line for %s: %s", network, room.name, error)
            with suppress(TemporaryError):
                await self._store.note("worker", "unsaid", f"{room}: {error}: {message.text}")
        except TemporaryError as error:
            log.warning("%s has not taken a line for %s: %s", network, room.name, error)
            for row in message.rows:
                await self._mark(self._store.unsent, row)
            await asyncio.sleep(PAUSE_SECONDS)
            return
        for row in message.rows:
            await self._mark(self._store.sent, row)

    async def _mark(self, mark: Callable[[int], Awaitable[None]], row: OutboxRow) -> None:
        """Until the store takes it: rows claimed together are ours alone, and a crash here would leave them unsaid."""
        while True:
            try:
                return await mark(row.id)
            except TemporaryError as error:
                log.warning("a line of %s cannot be marked: %s", self._outlet.network, error)
                await asyncio.sleep(min(error.retry_after, self._idle))


def messages(rows: Sequence[OutboxRow], now: datetime, outlet: Outlet) -> list[Message]:
    """What to say for these rows: a room's many stale lines become one message, said before all others."""
    backlogs = _backlogs(rows, now)
    folded = {row.id for backlog in backlogs for row in backlog}
    held_up = [Message(backlog, _held_up(backlog, outlet)) for backlog in backlogs]
    return [*held_up, *(Message((row,), _single(row, outlet)) for row in rows if row.id not in folded)]


def _backlogs(rows: Sequence[OutboxRow], now: datetime) -> list[tuple[OutboxRow, ...]]:
    """The stale rows of each room that has too many to say them one by one."""
    stale: dict[Room, list[OutboxRow]] = {}
    for row in rows:
        if now - row.created > STALE:
            stale.setdefault(row.line.room, []).append(row)
    return [tuple(of_room) for of_room in stale.values() if len(of_room) >= FOLD_FROM]


def _held_up(backlog: Sequence[OutboxRow], outlet: Outlet) -> str:
    last = outlet.fit(backlog[-1].line)
    return f"(held up since {backlog[0].created:%H:%M}: {len(backlog)} lines, the last:) {last}"


def _single(row: OutboxRow, outlet: Outlet) -> str:
    text = outlet.fit(row.line)
    return f"{text} (again)" if row.again and outlet.repeats_show else text


def _most_urgent(rows: Sequence[OutboxRow]) -> Urgency:
    return min((row.line.urgency for row in rows), key=list(Urgency).index)
