"""Outbox lines reach their network in order, are marked when they may be a repetition, and are folded after an outage."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from quarterdeck.chat.contract import Refused
from quarterdeck.chat.speaker import Speaker, fold
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.ports.store import OutboxRow
from quarterdeck.testing.store import MemoryStore
from tests.worlds.world import START, Deck


class Mouth:
    """A network that remembers, and refuses what it is told to."""

    network = "irc"

    def __init__(self) -> None:
        self.up = True
        self.said: list[tuple[str, str, bool]] = []
        self.errors: list[Exception] = []

    async def say(self, room_or_nick: str, text: str, *, urgent: bool = False) -> None:
        """Say it, or raise what is due."""
        if self.errors:
            raise self.errors.pop(0)
        self.said.append((room_or_nick, text, urgent))


async def speaking(store: MemoryStore, mouth: Mouth, bell: asyncio.Event, lines: int) -> None:
    """Run a speaker until so many lines were said."""
    task = asyncio.create_task(Speaker(store, mouth, bell, idle=0.01).run())
    await Deck().until(lambda: len(mouth.said) >= lines)
    await Deck().until(lambda: all(s.sent for s in store.tables.outbox.values() if s.row.line.room.network == "irc"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def store() -> MemoryStore:
    """An empty store whose lines are new."""
    from datetime import UTC, datetime

    return MemoryStore("a", lambda: datetime.now(UTC))


async def test_lines_are_said_in_order_and_marked_sent() -> None:
    """Urgent ones first; lines of other networks are not touched."""
    kept, mouth = store(), Mouth()
    await kept.say(
        [Line(Room("irc", "#a"), "one"), Line(Room("sal", ""), "log"), Line(Room("irc", "#a"), "two", urgent=True)]
    )
    await speaking(kept, mouth, asyncio.Event(), 2)
    assert mouth.said == [("#a", "two", True), ("#a", "one", False)]
    assert not kept.tables.outbox[2].sent


async def test_a_bell_wakes_it() -> None:
    """A line that comes later is said at once."""
    kept, mouth, bell = store(), Mouth(), asyncio.Event()
    task = asyncio.create_task(Speaker(kept, mouth, bell, idle=60).run())
    await asyncio.sleep(0)
    await kept.say([Line(Room("irc", "#a"), "late")])
    bell.set()
    await Deck().until(lambda: mouth.said)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_may_have_been_said_is_said_again_and_marked() -> None:
    """The network broke in the middle."""
    kept, mouth = store(), Mouth()
    mouth.errors = [TemporaryError("broken pipe")]
    await kept.say([Line(Room("irc", "#a"), "one")])
    await speaking(kept, mouth, asyncio.Event(), 1)
    assert mouth.said == [("#a", "one (again)", False)]


async def test_after_a_crash_between_send_and_mark_it_is_marked() -> None:
    """A new process cannot know."""
    kept, mouth = store(), Mouth()
    await kept.say([Line(Room("irc", "#a"), "one")])
    await kept.claim_lines("irc")
    await speaking(kept.reborn("b"), mouth, asyncio.Event(), 1)
    assert mouth.said == [("#a", "one (again)", False)]


async def test_a_line_that_is_refused_is_noted_and_not_tried_for_ever() -> None:
    """No voice in a room: the audit has the line."""
    kept, mouth = store(), Mouth()
    mouth.errors = [Refused("404 cannot send")]
    await kept.say([Line(Room("irc", "#a"), "one"), Line(Room("irc", "#a"), "two")])
    await speaking(kept, mouth, asyncio.Event(), 1)
    assert [text for _, text, _ in mouth.said] == ["two"]
    assert (await kept.audit())[0].verb == "unsaid"


class Full(MemoryStore):
    """A store whose disk is full when the first line is to be marked."""

    full = True

    async def sent(self, row: int) -> None:
        """Refuse once."""
        if self.full:
            self.full = False
            raise TemporaryError("the store's disk is full", 0.01)
        await super().sent(row)


async def test_a_store_that_cannot_mark_a_line_loses_none_of_those_claimed_with_it() -> None:
    """They are claimed by this process, so nobody would say them before the next one."""
    from datetime import UTC, datetime

    kept, mouth = Full("a", lambda: datetime.now(UTC)), Mouth()
    await kept.say([Line(Room("irc", "#a"), "one"), Line(Room("irc", "#a"), "two")])
    await speaking(kept, mouth, asyncio.Event(), 2)
    assert [text for _, text, _ in mouth.said] == ["one", "two"]


def row(number: int, age: float, room: str = "#a", again: bool = False) -> OutboxRow:
    """A row of some age in seconds, at START."""
    return OutboxRow(number, Line(Room("irc", room), f"line {number}"), START - timedelta(seconds=age), again)


def test_a_backlog_becomes_one_line_a_room() -> None:
    """Four or more stale lines are folded; fresh ones are said as they are."""
    rows = (*(row(n, 300) for n in range(5)), row(5, 1), row(6, 300, "#b"), row(7, 1, again=True))
    said = fold(rows, START)
    assert [text for text, _ in said] == [
        "(held up since 13:55: 5 lines, the last:) line 4",
        "line 5",
        "line 6",
        "line 7 (again)",
    ]
    assert sorted(r.id for _, group in said for r in group) == list(range(8))
