"""Outbox lines reach their network in order, are marked when they may be a repetition, and are folded after an outage."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from quarterdeck.chat.contract import Refused
from quarterdeck.chat.sender import OutboxSender, messages
from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.line import Line, Urgency, Utterance
from quarterdeck.core.model.room import Room
from quarterdeck.core.ports.outbox import OutboxRow
from quarterdeck.testing.store import MemoryStore
from tests.worlds.world import START, Deck


class Outlet:
    """A network that remembers, and refuses what it is told to."""

    network = "irc"
    repeats_show = True

    def __init__(self) -> None:
        self.up = True
        self.heard: list[Utterance] = []
        self.errors: list[Exception] = []

    @property
    def said(self) -> list[tuple[str, str]]:
        """Room and text of all that was said."""
        return [(utterance.to, utterance.text) for utterance in self.heard]

    def fit(self, line: Line) -> str:
        """All of it."""
        return line.whole

    async def say(self, utterance: Utterance) -> None:
        """Say it, or raise what is due."""
        if self.errors:
            raise self.errors.pop(0)
        self.heard.append(utterance)


class Unrepeating(Outlet):
    """A network that shows a text once, however often it is said under one id."""

    repeats_show = False


async def speaking(store: MemoryStore, outlet: Outlet, bell: asyncio.Event, lines: int) -> None:
    """Run a sender until so many lines were said."""
    task = asyncio.create_task(OutboxSender(store, outlet, bell, idle=0.01).run())
    await Deck().until(lambda: len(outlet.said) >= lines)
    await Deck().until(lambda: all(s.sent for s in store.tables.outbox.values() if s.row.line.room.network == "irc"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def store() -> MemoryStore:
    """An empty store whose lines are new."""
    from datetime import UTC, datetime

    return MemoryStore("a", lambda: datetime.now(UTC))


async def test_lines_are_said_in_order_and_marked_sent() -> None:
    """Urgent ones first; lines of other networks are not touched."""
    kept, outlet = store(), Outlet()
    await kept.say(
        [Line(Room("irc", "#a"), "one"), Line(Room("sal", ""), "log"), Line(Room("irc", "#a"), "two", Urgency.VERDICT)]
    )
    await speaking(kept, outlet, asyncio.Event(), 2)
    assert outlet.said == [("#a", "two"), ("#a", "one")]
    assert [utterance.urgency for utterance in outlet.heard] == [Urgency.VERDICT, Urgency.NEWS]
    assert not kept.tables.outbox[2].sent


async def test_a_bell_wakes_it() -> None:
    """A line that comes later is said at once."""
    kept, outlet, bell = store(), Outlet(), asyncio.Event()
    task = asyncio.create_task(OutboxSender(kept, outlet, bell, idle=60).run())
    await asyncio.sleep(0)
    await kept.say([Line(Room("irc", "#a"), "late")])
    bell.set()
    await Deck().until(lambda: outlet.said)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_may_have_been_said_is_said_again_and_marked() -> None:
    """The network broke in the middle."""
    kept, outlet = store(), Outlet()
    outlet.errors = [TemporaryError("broken pipe")]
    await kept.say([Line(Room("irc", "#a"), "one")])
    await speaking(kept, outlet, asyncio.Event(), 1)
    assert outlet.said == [("#a", "one (again)")]


async def test_after_a_crash_between_send_and_mark_it_is_marked() -> None:
    """A new process cannot know."""
    kept, outlet = store(), Outlet()
    await kept.say([Line(Room("irc", "#a"), "one")])
    await kept.claim_lines("irc")
    await speaking(kept.reborn("b"), outlet, asyncio.Event(), 1)
    assert outlet.said == [("#a", "one (again)")]


async def test_a_line_that_is_refused_is_noted_and_not_tried_for_ever() -> None:
    """No voice in a room: the audit has the line."""
    kept, outlet = store(), Outlet()
    outlet.errors = [Refused("404 cannot send")]
    await kept.say([Line(Room("irc", "#a"), "one"), Line(Room("irc", "#a"), "two")])
    await speaking(kept, outlet, asyncio.Event(), 1)
    assert [text for _, text in outlet.said] == ["two"]
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

    kept, outlet = Full("a", lambda: datetime.now(UTC)), Outlet()
    await kept.say([Line(Room("irc", "#a"), "one"), Line(Room("irc", "#a"), "two")])
    await speaking(kept, outlet, asyncio.Event(), 2)
    assert [text for _, text in outlet.said] == ["one", "two"]


def row(number: int, age: float, room: str = "#a", again: bool = False) -> OutboxRow:
    """A row of some age in seconds, at START."""
    return OutboxRow(number, Line(Room("irc", room), f"line {number}"), START - timedelta(seconds=age), again)


def test_a_backlog_becomes_one_line_a_room() -> None:
    """Four or more stale lines are folded; fresh ones are said as they are."""
    rows = (*(row(n, 300) for n in range(5)), row(5, 1), row(6, 300, "#b"), row(7, 1, again=True))
    said = messages(rows, START, Outlet())
    assert [message.text for message in said] == [
        "(held up since 13:55: 5 lines, the last:) line 4",
        "line 5",
        "line 6",
        "line 7 (again)",
    ]
    assert sorted(row.id for message in said for row in message.rows) == list(range(8))
    assert [message.utterance.id for message in said] == ["0-4", "5", "6", "7"]


async def test_where_the_id_makes_a_repeat_invisible_nothing_is_said_of_it() -> None:
    """The same text goes out under the same id, before and after a crash."""
    kept, outlet = store(), Unrepeating()
    await kept.say([Line(Room("irc", "#a"), "one")])
    (claimed,) = messages(await kept.claim_lines("irc"), START, outlet)
    await speaking(kept.reborn("b"), outlet, asyncio.Event(), 1)
    assert outlet.heard == [claimed.utterance]


async def test_each_network_fits_lines_to_its_own_limits() -> None:
    """What is said, folded or not, is what the network makes of it."""

    class Short(Outlet):
        def fit(self, line: Line) -> str:
            return line.within(12)

    line = Line(Room("irc", "#a"), "a long text", shorter=("text",), link="http://x")
    rows = [OutboxRow(number, line, START - timedelta(seconds=300)) for number in range(4)]
    assert [message.text for message in messages(rows[:1], START, Short())] == ["… http://x"]
    assert messages(rows, START, Short())[0].text.endswith("the last:) … http://x")
    assert messages(rows, START, Outlet())[0].text.endswith("the last:) a long text http://x")
