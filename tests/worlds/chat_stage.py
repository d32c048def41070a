"""Networks for the contract of all transports: our transport is on each, and people who speak by other means.

A network that passes `tests/contract/test_transport.py` offers a `ChatStage`. What is peculiar to a network has tests of
its own (`test_irc.py`).
"""

from __future__ import annotations

import asyncio
import re
import signal
from typing import Protocol

from quarterdeck.chat import Heard, IrcTransport, Timing, Transport, tls_context
from quarterdeck.testing.network import FakeNetwork, FakeTransport
from tests.servers.irc_server import ACCOUNTS, IrcServer, Person, until

NICK, ROOM, OTHER_ROOM, FOREIGN_ROOM = "quarterdeck", "#deploy", "#ops", "#elsewhere"
EARLY = "said before the bot came"
"""The last line in `ROOM` when we enter it."""
QUICK = Timing(retry_login=0.2, rejoin=0.5, nick=0.5, services=0.3, sasl=2)


class Speaker(Protocol):
    """Somebody with a client of his own."""

    nick: str

    async def say(self, text: str, room: str = "") -> None:
        """Say something in a room, or to us alone."""

    async def notice(self, text: str, room: str) -> None:
        """Say something that is not for reacting to."""

    def seen(self) -> list[str]:
        """What we said where he can see it, in order."""

    async def sees(self, text: str) -> None:
        """Wait until he sees that we said this."""


class ChatStage(Protocol):
    """One network with our transport on it, in `ROOM` and `OTHER_ROOM`."""

    transport: Transport
    heard: list[Heard]

    async def arrive(self, nick: str, account: str = "") -> Speaker:
        """Somebody comes and enters both rooms; with an account if the network vouches for him."""

    async def cut(self) -> None:
        """The network goes away, and we know."""

    async def mend(self, nick: str) -> Speaker:
        """The network comes back; somebody enters the rooms first, then we do."""

    def freeze(self) -> None:
        """The network takes what we write and confirms nothing more, until it is cut."""

    async def leave(self) -> None:
        """Our transport is told to end, and has."""

    async def close(self) -> None:
        """Everybody leaves."""


class _Running:
    """Our transport as a task."""

    def __init__(self, transport: Transport, heard: list[Heard]) -> None:
        self.transport, self.heard = transport, heard
        self._task = asyncio.create_task(transport.run())

    async def leave(self) -> None:
        """See `ChatStage`."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class FakeSpeaker:
    """Somebody on a `FakeNetwork`."""

    def __init__(self, server: FakeNetwork, nick: str) -> None:
        self._server, self.nick = server, nick
        self._before = len(server.messages)

    async def say(self, text: str, room: str = "") -> None:
        """See `Speaker`."""
        self._server.say(self.nick, text, room)

    async def notice(self, text: str, room: str) -> None:
        """See `Speaker`."""
        self._server.say(self.nick, text, room, notice=True)

    def seen(self) -> list[str]:
        """See `Speaker`."""
        visible = (ROOM, OTHER_ROOM, self.nick)
        since = self._server.messages[self._before :]
        return [message.text for message in since if message.by == NICK and message.to in visible]

    async def sees(self, text: str) -> None:
        """See `Speaker`."""
        await until(lambda: text in self.seen(), what=f"{text!r} seen; {self.seen()}")


class FakeStage(_Running):
    """A network in memory."""

    def __init__(self, server: FakeNetwork) -> None:
        heard: list[Heard] = []
        super().__init__(FakeTransport(server, NICK, (ROOM, OTHER_ROOM), heard.append), heard)
        self._server = server

    @classmethod
    async def begin(cls) -> FakeStage:
        """We come last."""
        server = FakeNetwork("made-up")
        server.say("early", EARLY, ROOM)
        stage = cls(server)
        await until(lambda: stage.transport.up, what="up")
        return stage

    async def arrive(self, nick: str, account: str = "") -> FakeSpeaker:
        """See `ChatStage`."""
        self._server.people[nick] = account or None
        return FakeSpeaker(self._server, nick)

    async def cut(self) -> None:
        """See `ChatStage`."""
        self._server.cut()

    async def mend(self, nick: str) -> FakeSpeaker:
        """See `ChatStage`."""
        speaker = await self.arrive(nick)
        self._server.mend()
        return speaker

    def freeze(self) -> None:
        """See `ChatStage`."""
        self._server.confirms = False

    async def close(self) -> None:
        """See `ChatStage`."""
        await self.leave()


class IrcSpeaker:
    """Somebody on a real IRC server."""

    def __init__(self, person: Person) -> None:
        self.person, self.nick = person, person.nick

    async def say(self, text: str, room: str = "") -> None:
        """See `Speaker`."""
        self.person.say(room or NICK, text)

    async def notice(self, text: str, room: str) -> None:
        """See `Speaker`."""
        self.person.send(f"NOTICE {room} :{text}")

    def seen(self) -> list[str]:
        """See `Speaker`; what the server plays back in a batch was said before."""
        live = re.compile(rf"(?:@(?!\S*batch=)\S+ )?:{NICK}!\S+ PRIVMSG \S+ :(.*)")
        return [match[1] for match in map(live.match, self.person.lines) if match]

    async def sees(self, text: str) -> None:
        """See `Speaker`."""
        await until(lambda: text in self.seen(), what=f"{text!r} seen; {self.seen()}")


class IrcStage(_Running):
    """A real InspIRCd with Atheme."""

    def __init__(self, server: IrcServer) -> None:
        heard: list[Heard] = []
        transport = IrcTransport(
            host=server.endpoint.host,
            port=server.endpoint.tls_port,
            tls=tls_context(server.endpoint.ca),
            nick=NICK,
            account=NICK,
            password=ACCOUNTS[NICK],
            rooms=(ROOM, OTHER_ROOM),
            on_heard=heard.append,
            burst=100,
            rate=100,
            timing=QUICK,
        )
        super().__init__(transport, heard)
        self._server = server
        self._people: list[Person] = []

    @classmethod
    async def begin(cls, server: IrcServer) -> IrcStage:
        """We come last."""
        early = await Person.arrive(server, "early", ROOM)
        early.say(ROOM, EARLY)
        await early.leave()
        stage = cls(server)
        await until(lambda: stage.transport.up, what="up")
        return stage

    async def arrive(self, nick: str, account: str = "") -> IrcSpeaker:
        """See `ChatStage`."""
        person = await Person.arrive(self._server, nick, ROOM, OTHER_ROOM, account=account)
        self._people.append(person)
        return IrcSpeaker(person)

    async def cut(self) -> None:
        """See `ChatStage`."""
        self._server.kill("atheme")
        self._server.kill("inspircd")
        await until(lambda: not self.transport.up, what="the outage noticed")

    async def mend(self, nick: str) -> IrcSpeaker:
        """See `ChatStage`; without services we wait outside of every room."""
        self._server.start_ircd()
        person = await Person.arrive_when_open(self._server, nick, ROOM, OTHER_ROOM)
        self._people.append(person)
        self._server.start_services()
        return IrcSpeaker(person)

    def freeze(self) -> None:
        """See `ChatStage`."""
        self._server.child("inspircd").process.send_signal(signal.SIGSTOP)

    async def close(self) -> None:
        """See `ChatStage`."""
        await asyncio.gather(self.leave(), *(person.leave() for person in self._people))
