"""Hands outbox lines to one network in order, and tells the store what the network has and has not got."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from quarterdeck.chat.contract import Refused
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.room import Room
from quarterdeck.core.ports.store import OutboxRow, Store

log = logging.getLogger(__name__)
#: a line older than this was held up by an outage
STALE = timedelta(seconds=120)
#: so many stale lines for one room are folded into one
FOLD_FROM = 4


class Mouth(Protocol):
    """What the speaker needs of a transport."""

    network: str

    @property
    def up(self) -> bool:
        """Whether lines can be said just now."""
        ...

    def say(self, room_or_nick: str, text: str, *, urgent: bool = False) -> Awaitable[None]:
        """Resolves when the network has the line; raises TemporaryError when it has not, or may not have."""
        ...


class Speaker:
    """One task per network."""

    def __init__(self, store: Store, mouth: Mouth, bell: asyncio.Event, idle: float = 1.0) -> None:
        self._store, self._mouth, self._bell, self._idle = store, mouth, bell, idle

    async def run(self) -> None:
        """For ever: say what is due."""
        while True:
            if not self._mouth.up:
                await asyncio.sleep(0.1)
                continue
            self._bell.clear()
            rows = await self._store.claim_lines(self._mouth.network)
            if not rows:
                try:
                    async with asyncio.timeout(self._idle):
                        await self._bell.wait()
                except TimeoutError:
                    pass
                continue
            for text, group in fold(rows, datetime.now(UTC)):
                await self._say(text, group)

    async def _say(self, text: str, group: list[OutboxRow]) -> None:
        room = group[0].line.room
        try:
            await self._mouth.say(room.name, text, urgent=any(row.line.urgent for row in group))
        except Refused as error:
            log.warning("%s refuses a line for %s: %s", self._mouth.network, room.name, error)
            note = f"{room}: {error}: {text}"
            with suppress(TemporaryError):
                await self._store.note("worker", "unsaid", note)
        except TemporaryError as error:
            log.warning("%s has not taken a line for %s: %s", self._mouth.network, room.name, error)
            for row in group:
                await self._mark(self._store.unsent, row)
            await asyncio.sleep(0.5)
            return
        for row in group:
            await self._mark(self._store.sent, row)

    async def _mark(self, mark: Callable[[int], Awaitable[None]], row: OutboxRow) -> None:
        """Until the store takes it: rows claimed together are ours alone, and a crash here would leave them unsaid."""
        while True:
            try:
                return await mark(row.id)
            except TemporaryError as error:
                log.warning("a line of %s cannot be marked: %s", self._mouth.network, error)
                await asyncio.sleep(min(error.retry_after, self._idle))


def fold(rows: tuple[OutboxRow, ...], now: datetime) -> list[tuple[str, list[OutboxRow]]]:
    """Texts to say with the rows they stand for: many stale lines of one room become one."""
    stale: dict[Room, list[OutboxRow]] = {}
    for row in rows:
        if now - row.created > STALE:
            stale.setdefault(row.line.room, []).append(row)
    folded = {room for room, kept in stale.items() if len(kept) >= FOLD_FROM}
    said: list[tuple[str, list[OutboxRow]]] = []
    for room in folded:
        last = stale[room][-1]
        since = f"{stale[room][0].created:%H:%M}"
        said.append((f"(held up since {since}: {len(stale[room])} lines, the last:) {last.line.text}", stale[room]))
    for row in rows:
        if row.line.room in folded and now - row.created > STALE:
            continue
        said.append((f"{row.line.text} (again)" if row.again else row.line.text, [row]))
    return said
