"""What the app does with a line before and after the backend has it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from quarterdeck.app import App, Parts
from quarterdeck.chat import Heard
from quarterdeck.core.desk.commands import VOCABULARY
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.engine import Engine
from quarterdeck.testing.store import MemoryStore
from tests.bot.doubles import MemoryTransport, heard
from tests.worlds.world import Deck


class Full(MemoryStore):
    """A store that cannot note what was heard."""

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """Refuse."""
        raise TemporaryError("the store's disk is full")


async def test_where_a_line_cannot_be_noted_people_are_answered_and_nothing_is_done() -> None:
    """A full disk: a command that was not noted could run twice, so it is refused; looking goes on."""
    deck = Deck()
    store = Full("a", lambda: datetime.now(UTC))
    heard_lines: asyncio.Queue[Heard] = asyncio.Queue()
    transports = {"irc": MemoryTransport("irc", "qd", ["#deploy"])}
    unused: Any = None

    async def nothing_to_take_up() -> tuple[Rollout, ...]:
        return ()

    parts = Parts(deck.catalogue, store, deck.redactor, deck.dispatcher, nothing_to_take_up, {}, unused)

    async def open_parts() -> Parts:
        return parts

    app = App(transports, heard_lines, Engine(), open_parts, VOCABULARY)
    await app._prepare()
    taken: list[Heard] = []
    app.on_heard(taken.append)
    for words in ("!deploy citoid staging", "!whoami"):
        heard_lines.put_nowait(heard(words))
    listening = asyncio.create_task(app._listen())
    await deck.until(lambda: len(taken) == 2 or listening.done())
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert await app.answer("deploy", taken[0], "citoid staging") == [
        "ali: the store's disk is full. Nothing done",
    ]
    assert "account alice" in " ".join(await app.answer("whoami", taken[1], ""))
    assert deck.store.tables.rollouts == {}
    await deck.close()
