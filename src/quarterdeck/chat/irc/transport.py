"""Be one identified client of an IRC network, for ever: connect, log in, join, listen, say, and come back."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import ssl
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from quarterdeck.chat.contract import Heard, Lost, Refused
from quarterdeck.chat.irc.connection import ClosedError, Connection, Timing
from quarterdeck.chat.irc.identity import Identity
from quarterdeck.chat.irc.lines import TEXT_BYTES, clean, fold, parse, room_for_text, split
from quarterdeck.chat.irc.queue import SendQueue
from quarterdeck.chat.irc.session import Session
from quarterdeck.core.model.line import Line, Utterance
from quarterdeck.core.model.network import NetworkWords
from quarterdeck.core.model.room import Room

_TARGET = re.compile(r"[^\s,:!@\x00-\x20][^\s,!@\x00-\x20]*")

_TIMING = Timing()

_log = logging.getLogger(__name__)


class IrcTransport:
    """One IRC network; see `quarterdeck.chat.Transport`. All methods belong to the loop that runs `run`.

    Args:
        host: of the server.
        port: of the server.
        tls: how to verify it (`tls_context`); None is for plain text on loopback.
        nick: the one we want; `nick_` while it is taken.
        account: services account for SASL PLAIN; without being identified we enter no room.
        password: of the account; the caller has read it from its file.
        rooms: home rooms, with their `#`.
        on_heard: called on the loop for each line said to us or in a room; must not block.
        on_state: called on the loop with a sentence when something changes that people should know.
        network: our own name for it.
        server_name: the name in the certificate, if it is not the host.
        realname: what WHOIS shows.
        user_modes: set before the first JOIN: B marks us as a bot, N asks InspIRCd for no history.
        burst: lines that may go out at once.
        rate: lines a second after that; InspIRCd ends connections that go above 10 and 1.
        timing: deadlines.
        now: aware wall clock.

    Raises:
        ValueError: nick, account or password is empty.
    """

    repeats_show = True
    words = NetworkWords(
        unidentified="you are not identified to services, so I cannot know you",
        identify="/msg NickServ IDENTIFY",
        accounts_hidden="the network shows no accounts just now (services split?)",
    )

    def __init__(  # noqa: PLR0913  one keyword for each setting of the network
        self,
        *,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        nick: str,
        account: str,
        password: str,
        rooms: Sequence[str],
        on_heard: Callable[[Heard], None],
        on_state: Callable[[str], None] | None = None,
        network: str = "irc",
        server_name: str | None = None,
        realname: str = "Quarterdeck, the deploy bot",
        user_modes: str = "BN",
        burst: float = 8,
        rate: float = 1,
        timing: Timing = _TIMING,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Prepare; nothing happens before `run`. The arguments are explained at the class."""
        if not (nick and account and password):
            raise ValueError(f"{network}: nick, account and password are needed to be identified")
        self.network = network
        self._wanted_nick = nick
        self._login = (account, password)
        self._realname = realname
        self._user_modes = user_modes
        self._rooms = {fold(room): room.lower() for room in rooms}
        self._on_heard = on_heard
        self._on_state = on_state
        self._timing = timing
        self._now = now
        self._state = ""
        self._up = False
        self._session: Session | None = None
        self._waiting: SendQueue | None = None
        self._open: set[asyncio.Future[None]] = set()

        async def connect() -> Connection:
            name = server_name or host
            return await Connection.open(host, port, tls=tls, server_name=name, pace=(burst, rate), timing=timing)

        self._connect = connect

    @property
    def up(self) -> bool:
        """Whether we are identified and in every room that lets us in."""
        session = self._session
        return bool(self._up and session and session.account and session.settled)

    @property
    def nick(self) -> str:
        """Our present nick, or the wanted one while there is no connection."""
        return self._session.nick if self._session else self._wanted_nick

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The home rooms, joined or not."""
        return tuple(map(self.room, self._rooms))

    def room(self, name: str) -> Room:
        """The room of that name: IRC does not tell `#Deploy` from `#deploy`."""
        return Room(self.network, fold(name))

    def account(self, name: str) -> str:
        """The account of that name: services do not tell `Alice` from `alice`."""
        return name.casefold()

    @property
    def accounts_shown(self) -> bool:
        """Whether the server shows accounts on this connection and the services are linked."""
        session = self._session
        return bool(session and "account-tag" in session.caps and session.services_linked and session.account)

    def fit(self, line: Line) -> str:
        """The line in at most 400 bytes; see `Transport.fit`."""
        return line.within(TEXT_BYTES)

    def say(self, utterance: Utterance, *, max_age: float = 120.0) -> asyncio.Future[None]:
        """Queue a text; see `Transport.say`. What waits stays queued over a reconnect. IRC has no use for the id."""
        target = self._rooms.get(fold(utterance.to), utterance.to)
        if why := self._hopeless(target):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.set_exception(Refused(why))
            future.exception()  # looked at, so asyncio does not complain if nobody waits for it
            return future
        future = self._queue.put(target, clean(utterance.text), not utterance.urgency.may_wait, max_age)
        if not future.done():
            self._open.add(future)
            future.add_done_callback(self._open.discard)
        return future

    def _hopeless(self, target: str) -> str:
        """Why nothing can be said there however long it waits; empty when it can."""
        if not _TARGET.fullmatch(target):
            return f"{target!r} is no room and no nick"
        session, room = self._session, fold(target)
        if not (self.up and session and session.hearing.is_channel(target)) or room in session.joined:
            return ""
        return f"we are not in {target}: {session.refused_rooms.get(room, 'it is no home room')}"

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is said, at most so long; whether it is."""
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=seconds)
        return not self._open

    async def run(self) -> None:
        """Connect and stay, reconnecting with a growing pause; cancel it to leave with a QUIT."""
        delay = self._timing.first_delay
        try:
            while True:
                try:
                    connection = await self._connect()
                except ClosedError as error:
                    self._tell(str(error))
                else:
                    if await self._live(connection):
                        delay = self._timing.first_delay
                await asyncio.sleep(delay)
                delay = min(delay * 2, self._timing.longest_delay)
        finally:
            for future in tuple(self._open):
                if not future.done():
                    future.set_exception(Lost("we are leaving"))

    @property
    def _queue(self) -> SendQueue:
        if self._waiting is None:
            self._waiting = SendQueue()
        return self._waiting

    def _tell(self, state: str) -> None:
        if state == self._state:
            return  # a server that stays away is told once
        self._state = state
        _log.info("%s: %s", self.network, state)
        if self._on_state:
            self._on_state(state)

    async def _live(self, connection: Connection) -> bool:
        """Live through one connection; whether it was up at any time."""
        session = self._session = Session(
            self.network,
            self._wanted_nick,
            self._rooms,
            connection.write,
            session=secrets.token_hex(8),
            now=self._now,
            on_heard=self._on_heard,
            on_state=self._tell,
        )
        parts: tuple[Coroutine[Any, Any, None], ...] = (
            connection.read(lambda raw: self._take(session, raw)),
            connection.keep_alive(),
            self._tend(connection, session),
            self._pump(connection, session),
        )
        tasks = [asyncio.create_task(part) for part in parts]
        why, farewell = "we are leaving", "QUIT :leaving"
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            why, farewell = session.closing or _why(done), ""
        finally:
            was_up, self._up = self._up, False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await connection.close(farewell)
            self._session = None
            session.drop_receipts(why)
        self._tell(f"disconnected: {why}")
        return was_up

    def _take(self, session: Session, raw: bytes) -> None:
        try:
            if line := parse(raw):
                session.handle(line)
        finally:
            self._queue.changed.set()  # we may be in another room now

    async def _tend(self, connection: Connection, session: Session) -> None:
        """Bring about what should be: identified, under our nick, in our rooms."""
        identity = Identity(connection, session, self._timing, *self._login)
        await identity.register(self._realname, self._user_modes)
        clock = asyncio.get_running_loop().time
        next_join = dict.fromkeys(self._rooms, 0.0)
        next_nick, next_look = 0.0, clock() + self._timing.services
        while True:
            if not session.account and not await identity.log_in():
                self._tell("the network offers no login just now (services away?): in no room until it does")
                await asyncio.sleep(self._timing.retry_login)
                continue
            now = clock()
            if fold(session.nick) != fold(self._wanted_nick) and now >= next_nick:
                await identity.regain_nick()
                next_nick = now + self._timing.nick
            if due := [room for room, at in next_join.items() if room not in session.joined and now >= at]:
                await self._join(connection, session, due)
                for room in due:
                    refused = room in session.refused_rooms
                    next_join[room] = now + (self._timing.rejoin_refused if refused else self._timing.rejoin)
            if now >= next_look:  # nobody tells us when the services come and go
                await connection.send("CAP LS 302")
                next_look = now + self._timing.services
            if not self._up and session.settled:
                self._up = True
                self._tell(f"up as {session.nick} in {', '.join(sorted(session.joined)) or 'no room'}")
            if session.account and session.settled:
                patience = min(self._timing.rejoin, self._timing.services)
                await session.until(lambda: not (session.account and session.settled), patience)
            else:  # a room or a login is due, though not quite yet
                await asyncio.sleep(min(0.2, self._timing.rejoin))

    async def _join(self, connection: Connection, session: Session, rooms: Sequence[str]) -> None:
        for start in range(0, len(rooms), 8):
            names = [self._rooms[room] for room in rooms[start : start + 8]]
            await connection.send(f"JOIN {','.join(names)}")
        await session.until(lambda: session.settled, self._timing.sasl)

    async def _pump(self, connection: Connection, session: Session) -> None:
        """Say what is waiting, a piece at a time: a line's room depends on our prefix at that moment."""
        queue = self._queue
        while True:
            queue.changed.clear()
            if not queue.next(session.sayable):
                await queue.changed.wait()
                continue
            await connection.paced()
            saying = queue.next(session.sayable)  # something urgent may have come meanwhile
            if not saying:
                continue
            text = saying.lines.popleft()
            piece = split(text, room_for_text(session.prefix, saying.target))[0]
            if rest := text[len(piece) :]:
                saying.lines.appendleft(rest)
            session.privmsg(saying, piece)
            await connection.drain()
            if not session.confirms:
                saying.unconfirmed = 0
                saying.settle()
            if not saying.lines:
                queue.drop(saying)
                self._expect_receipt(saying.future)

    def _expect_receipt(self, future: asyncio.Future[None]) -> None:
        if future.done():
            return
        seconds = self._timing.confirm

        def lost() -> None:
            if not future.done():
                future.set_exception(Lost(f"the server did not confirm the line within {seconds:g} s"))

        timer = asyncio.get_running_loop().call_later(seconds, lost)
        future.add_done_callback(lambda _: timer.cancel())


def _why(done: set[asyncio.Task[None]]) -> str:
    for task in done:
        error = task.exception()
        if isinstance(error, ClosedError | OSError):
            return str(error) or type(error).__name__
        if error:
            _log.error("a part of the connection broke", exc_info=error)
            return f"{type(error).__name__} in our own client"
    return "ended"
