"""A chat network in memory, its people, and our transport on it.

It differs from IRC wherever a network may: names of rooms and accounts are compared exactly, a line may be long, a
repeat under the same id is not seen, and there are no services to identify to.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from quarterdeck.chat.commands import said_to
from quarterdeck.chat.contract import Heard, Lost, QueueFull, Refused, TooOld
from quarterdeck.core.model.line import Line, Utterance
from quarterdeck.core.model.network import NetworkWords
from quarterdeck.core.model.room import Room

MOST_CHARACTERS = 4000
"""A message has no more; a longer text becomes several."""
MOST_WAITING = 500
"""Texts that may wait to be said."""


@dataclass(frozen=True)
class Message:
    """One message as people see it.

    Attributes:
        to: name of a room, or a person's nick.
        id: what makes it the same message when it is sent again.
    """

    by: str
    to: str
    text: str
    id: str


class Client(Protocol):
    """Whoever is on the network by a program."""

    nick: str

    def hears(self, heard: Heard) -> None:
        """Take what somebody said."""

    def reachable_again(self) -> None:
        """Go on after an outage."""

    def connection_lost(self) -> None:
        """Give up what was sent and not confirmed."""


@dataclass
class FakeNetwork:
    """The server.

    Attributes:
        name: our name for the network.
        people: nick -> account; None for somebody the network does not vouch for.
        messages: what is to be seen, in order.
        reachable: whether clients can reach it.
        confirms: whether it tells a client that it has a message; a frozen server does not.
        shows_accounts: whether it vouches for anybody just now.
    """

    name: str = "made-up"
    people: dict[str, str | None] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    reachable: bool = True
    confirms: bool = True
    shows_accounts: bool = True
    _clients: list[Client] = field(default_factory=list)
    _numbers: Iterable[int] = field(default_factory=itertools.count)

    def add(self, client: Client) -> None:
        """Let a client in."""
        self._clients.append(client)

    def remove(self, client: Client) -> None:
        """A client leaves."""
        self._clients.remove(client)

    def say(self, nick: str, text: str, room: str = "", *, notice: bool = False) -> None:
        """Somebody says something in a room, or to all clients alone; a notice is not for reacting to."""
        number = next(iter(self._numbers))
        self.messages.append(Message(nick, room, text, f"said-{number}"))
        if notice or not self.reachable:
            return
        for client in self._clients:
            if client.nick != nick:
                client.hears(self._heard(client, nick, text, room, number))

    def _heard(self, client: Client, nick: str, text: str, room: str, number: int) -> Heard:
        account = self.people.get(nick) if self.shows_accounts else None
        where = Room(self.name, room) if room else None
        now = datetime.now(UTC)
        return Heard(self.name, where, nick, account, "", text, f"said-{number}", now, said_to(client.nick, text))

    def take(self, message: Message) -> None:
        """A client sends a message; one that is here already is not seen twice."""
        if not message.id or all(message.id != known.id for known in self.messages):
            self.messages.append(message)

    def cut(self) -> None:
        """Nobody can reach it any more, and what it had not confirmed may or may not have arrived."""
        self.reachable = False
        for client in self._clients:
            client.connection_lost()

    def mend(self) -> None:
        """It can be reached again, and confirms what it takes."""
        self.reachable = self.confirms = True
        for client in self._clients:
            client.reachable_again()

    def seen(self, to: str) -> list[str]:
        """The texts of a room, or of what was said to one person, in order."""
        return [message.text for message in self.messages if message.to == to]


@dataclass
class _Waiting:
    """A text on its way."""

    utterance: Utterance
    done: asyncio.Future[None]
    sent: bool = False

    def fail(self, error: Exception) -> None:
        """It was not said, or nobody can tell."""
        if not self.done.done():
            self.done.set_exception(error)


class FakeTransport:
    """Our client on a `FakeNetwork`; see `chat.contract.Transport`."""

    repeats_show = False
    words = NetworkWords(
        unidentified="nobody here vouches for you",
        identify="Show your passport at the gate",
        accounts_hidden="the gate is closed",
    )

    def __init__(
        self, server: FakeNetwork, nick: str, rooms: Iterable[str], on_heard: Callable[[Heard], None] = lambda _: None
    ) -> None:
        self.network = server.name
        self.nick = nick
        self.rooms = tuple(map(self.room, rooms))
        self._server, self._on_heard = server, on_heard
        self._running = False
        self._waiting: list[_Waiting] = []

    @property
    def up(self) -> bool:
        """Whether we are connected."""
        return self._running and self._server.reachable

    @property
    def accounts_shown(self) -> bool:
        """Whether the network vouches for anybody just now."""
        return self._server.shows_accounts

    def room(self, name: str) -> Room:
        """The room of that name; every letter counts."""
        return Room(self.network, name)

    def account(self, name: str) -> str:
        """The account of that name; every letter counts."""
        return name

    async def run(self) -> None:
        """Stay; leaves when cancelled."""
        self._server.add(self)
        self._running = True
        try:
            self.reachable_again()
            await asyncio.Event().wait()
        finally:
            self._running = False
            self._server.remove(self)
            self._lose(self._waiting, "we are leaving")

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is said, at most so long; whether it is."""
        if open_futures := [waiting.done for waiting in self._waiting if not waiting.done.done()]:
            await asyncio.wait(open_futures, timeout=seconds)
        return all(waiting.done.done() for waiting in self._waiting)

    def fit(self, line: Line) -> str:
        """All of it, if it is no novel."""
        return line.within(MOST_CHARACTERS)

    def say(self, utterance: Utterance, *, max_age: float = 120.0) -> asyncio.Future[None]:
        """Queue a text; see `chat.contract.Transport.say`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(utterance, loop.create_future())
        waiting.done.add_done_callback(_look)
        if self.room(utterance.to) not in self.rooms and utterance.to not in self._server.people:
            waiting.fail(Refused(f"we are not in {utterance.to!r}, and nobody is called so"))
        elif len(self._waiting) >= MOST_WAITING:
            waiting.fail(QueueFull(f"too much waits to be said to {utterance.to}"))
        else:
            self._waiting.append(waiting)
            loop.call_later(max_age, waiting.fail, TooOld(f"could not be said within {max_age:.0f} s"))
            loop.call_soon(self._send_what_waits)
        return waiting.done

    def hears(self, heard: Heard) -> None:
        """Hand over what somebody said."""
        self._on_heard(heard)

    def reachable_again(self) -> None:
        """Send what waited."""
        self._send_what_waits()

    def connection_lost(self) -> None:
        """What was sent and not confirmed is lost; the rest waits."""
        self._lose([waiting for waiting in self._waiting if waiting.sent], "the connection ended")

    def _lose(self, lost: Iterable[_Waiting], why: str) -> None:
        for waiting in tuple(lost):
            waiting.fail(Lost(why))
        self._forget_ended()

    def _forget_ended(self) -> None:
        self._waiting = [waiting for waiting in self._waiting if not waiting.done.done()]

    def _send_what_waits(self) -> None:
        if not self.up:
            return
        self._forget_ended()
        for waiting in sorted(self._waiting, key=lambda waiting: waiting.utterance.urgency.may_wait):
            if not waiting.sent:
                self._send(waiting)
        self._forget_ended()

    def _send(self, waiting: _Waiting) -> None:
        utterance = waiting.utterance
        for number, text in enumerate(_pieces(utterance.text)):
            name = f"{utterance.id}.{number}" if utterance.id else ""
            self._server.take(Message(self.nick, utterance.to, text, name))
        waiting.sent = True
        if self._server.confirms:
            waiting.done.set_result(None)


def _pieces(text: str) -> list[str]:
    """Each line of a text as one message, or several where it is longer than a message may be."""
    lines = [line.rstrip() for line in text.splitlines()]
    pieces: list[str] = []
    for line in filter(None, lines):
        pieces += [line[start : start + MOST_CHARACTERS] for start in range(0, len(line), MOST_CHARACTERS)]
    return pieces


def _look(future: asyncio.Future[None]) -> None:
    """Look at the error, so that asyncio does not complain where nobody waits for it."""
    if not future.cancelled():
        future.exception()
