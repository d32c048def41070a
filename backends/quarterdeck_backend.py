"""Let Errbot speak on all of Quarterdeck's networks: messages in, answers out, and a clean end.

Thin on purpose. The app and its engine own every connection; a lost network, a crashing command or a reloaded
plugin touches none of them. Errbot's dispatcher runs in the main thread and takes from one inbox.
"""

import asyncio
import logging
import queue
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from errbot import CommandError, core
from errbot.backends import base as errbot
from errbot.backends.base import ONLINE, Identifier, Message, RoomError, RoomOccupant

from quarterdeck.chat import ChatError, Heard, Transport
from quarterdeck.chat.commands import command_text
from quarterdeck.core.model.line import Utterance
from quarterdeck.core.model.room import Room

log = logging.getLogger(__name__)

LAST_ANSWERS_SECONDS = 5.0
"""How long commands that run when we are told to stop may take to answer."""


class App(Protocol):
    """What the backend needs of the app that wiring builds."""

    @property
    def transports(self) -> Mapping[str, Transport]:
        """Every network by its name."""

    @property
    def never_waiting(self) -> frozenset[str]:
        """Commands with threads of their own: slow looks, which anybody may ask for, can have all the others in use."""

    def start(self) -> None:
        """Start the engine's thread with all transports."""

    def stop(self) -> None:
        """Leave the networks and end the engine."""

    def submit(self, coro: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run a coroutine on the engine's loop."""

    def on_heard(self, callback: Callable[[Heard], None]) -> None:
        """Have each heard line handed over; the callback is called on the loop."""


class RoomIdentifier(errbot.Room):
    """A room on a network, as Errbot sees it."""

    def __init__(self, room: Room) -> None:
        self.of = room

    @property
    def aclattr(self) -> str:
        """What `allowrooms` and `denyrooms` are matched with: `irc/#deploy`."""
        return str(self.of)

    def __str__(self) -> str:
        return self.aclattr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RoomIdentifier) and self.of == other.of

    def __hash__(self) -> int:
        return hash(self.of)

    def _configured(self, *_: Any, **__: Any) -> None:
        raise RoomError("rooms are set in the configuration and joined on every connect")

    join = leave = create = destroy = invite = _configured
    exists = joined = property(lambda _: True)
    occupants = property(lambda _: [])
    topic = property(lambda _: "", _configured)


class PersonIdentifier(errbot.Person):
    """A person on a network: an account if the network vouches for it, else nobody in particular."""

    def __init__(self, network: str, nick: str, account: str | None = None, mask: str = "") -> None:
        self.network = network
        self._nick = nick
        self.account = account
        self.mask = mask

    @property
    def person(self) -> str:
        """Who it is for good; never the nick, which anybody can take."""
        return f"{self.network}:{self.account}" if self.account else f"{self.network}:?{self.mask}"

    @property
    def aclattr(self) -> str:
        """What `allowusers` is matched with."""
        return f"{self.network}:{self.account}" if self.account else f"anon:{self.network}:{self.mask}"

    @property
    def nick(self) -> str:
        """As shown in the room."""
        return self._nick

    @property
    def client(self) -> str:
        """From where."""
        return self.mask

    @property
    def fullname(self) -> str:
        """The networks show none that could be trusted."""
        return self._nick

    def __str__(self) -> str:
        return f"{self.network}/{self._nick}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PersonIdentifier) and (self.person, self._nick) == (other.person, other._nick)

    def __hash__(self) -> int:
        return hash((self.person, self._nick))


class OccupantIdentifier(RoomOccupant, PersonIdentifier):
    """A person who spoke in a room; the same person as in private."""

    def __init__(self, room: RoomIdentifier, nick: str, account: str | None, mask: str) -> None:
        super().__init__(room.of.network, nick, account, mask)
        self._room = room

    @property
    def room(self) -> RoomIdentifier:
        """Where."""
        return self._room

    __eq__ = PersonIdentifier.__eq__
    __hash__ = PersonIdentifier.__hash__


class QuarterdeckBackend(core.ErrBot):
    """The one backend: every identifier carries its network, and answers go where the question came from."""

    mode = "quarterdeck"

    def __init__(self, config: Any) -> None:
        super().__init__(config)  # type: ignore[no-untyped-call]
        self.bot_identifier = PersonIdentifier("bot", "quarterdeck")
        self._inbox: queue.SimpleQueue[Heard | None] = queue.SimpleQueue()
        self._stopping = False
        self._stops = ThreadPool(2)
        build = getattr(config, "QUARTERDECK_APP", None)  # tests bring an app of their own
        if build is None:
            from quarterdeck import wiring

            base = Path(getattr(config, "__file__", "config.py")).resolve().parent
            build = partial(wiring.build, base=base)
        self.app: App = build(config.QUARTERDECK)

    # Hearing

    def take(self, heard: Heard) -> None:
        """Give one heard line to Errbot if it is a command for us; nothing in it can end the bot."""
        try:
            home_rooms = self.app.transports[heard.network].rooms
            body = command_text(heard, home_rooms, str(self.prefix), self.commands)
            if body is not None:
                self.callback_message(self._message(heard, body))
        except Exception:
            log.exception("a line could not be dispatched")

    def _message(self, heard: Heard, body: str) -> Message:
        extras = {"heard": heard}
        if heard.room:
            room = RoomIdentifier(heard.room)
            occupant = OccupantIdentifier(room, heard.nick, heard.account, heard.mask)
            return Message(body, frm=occupant, to=room, extras=extras)
        person = PersonIdentifier(heard.network, heard.nick, heard.account, heard.mask)
        me = PersonIdentifier(heard.network, self.app.transports[heard.network].nick)
        return Message(body, frm=person, to=me, extras=extras)

    def is_from_self(self, msg: Message) -> bool:
        """Never: the transports drop our own lines."""
        del msg
        return False

    # Running commands

    def _process_command(self, msg: Message, cmd: str, args: Any, match: Any) -> None:
        """Hand a command to a thread; only the dispatcher's calls this, so the pools can change places meanwhile."""
        if cmd not in self.app.never_waiting:
            super()._process_command(msg, cmd, args, match)  # type: ignore[no-untyped-call]
            return
        usual, self.thread_pool = self.thread_pool, self._stops
        try:
            super()._process_command(msg, cmd, args, match)  # type: ignore[no-untyped-call]
        finally:
            self.thread_pool = usual

    def _execute_and_send(
        self, cmd: str, args: Any, match: Any, msg: Message, template_name: str | None = None
    ) -> None:
        """Run a command in its thread; what goes wrong in it is logged under an id and never shown.

        In place of Errbot's own, which posts the text of any exception to the room.
        """
        private = bool({"ALL_COMMANDS", cmd} & set(self.bot_config.DIVERT_TO_PRIVATE))
        try:
            with self._gbl:
                method = (self.re_commands if match else self.commands)[cmd]
            plugin = getattr(getattr(method, "__self__", None), "name", "")
            for reply in _replies(method(msg, match or args)):
                text = self.process_template(template_name, reply, plugin_name=plugin)
                self.send_simple_reply(msg, text, private)
        except CommandError as error:
            self.send_simple_reply(msg, str(error.reason), private)
        except BaseException as error:  # SystemExit and a cancelled future come here too
            number = secrets.token_hex(3)
            log.exception("internal error %s in command %s", number, cmd)
            if not (self._stopping and isinstance(error, asyncio.CancelledError | CancelledError)):
                self.send_simple_reply(msg, f"internal error {number}; nothing more was done by this command", private)

    def send_simple_reply(self, msg: Message, text: str, private: bool = False, threaded: bool = False) -> None:
        """Answer; Errbot's line about arguments would end in the text of an exception."""
        if text.startswith("Sorry, I couldn't parse your arguments."):
            text = "I cannot read these arguments. Nothing done"
        super().send_simple_reply(msg, text, private, threaded)

    # Saying

    def send_message(self, msg: Message) -> None:
        """Queue an answer on its network; the transport makes lines of it."""
        super().send_message(msg)
        to = msg.to
        if isinstance(to, RoomIdentifier):
            network, name = to.of.network, to.of.name
        elif isinstance(to, PersonIdentifier):
            network, name = to.network, to.nick
        else:
            raise ValueError(f"no network of ours leads to {to}")  # noqa: TRY004 - Errbot expects this one
        if network not in self.app.transports:
            raise ValueError(f"no network of ours leads to {to}")
        self.app.submit(self._say(self.app.transports[network], name, msg.body))

    @staticmethod
    async def _say(transport: Transport, target: str, text: str) -> None:
        try:
            await transport.say(Utterance(target, text))
        except ChatError as error:
            log.warning("an answer to %s/%s was not said: %s", transport.network, target, error)

    def build_reply(
        self, msg: Message, text: str | None = None, private: bool = False, threaded: bool = False
    ) -> Message:
        """Address an answer: to the room it was said in, else to the person."""
        del threaded  # no network of ours has threads
        reply = self.build_message(text or "")
        reply.frm = self.bot_identifier
        reply.parent = msg
        frm: Any = msg.frm
        if msg.is_group and not private:
            reply.to = msg.to
        else:
            reply.to = PersonIdentifier(frm.network, frm.nick, frm.account, frm.mask)
        return reply

    def prefix_groupchat_reply(self, message: Message, identifier: Any) -> None:
        """Begin an answer with the nick of whom it is for."""
        message.body = f"{identifier.nick}: {message.body}"

    def build_identifier(self, text_representation: str) -> Identifier:
        """Make an identifier of `network/#room` or `network/nick`.

        Raises:
            ValueError: there is no such network, or it is no address.
        """
        address = Room.parse(text_representation)
        if address.network not in self.app.transports:
            raise ValueError(f"{text_representation!r} is not NETWORK/#room or NETWORK/nick")
        if address.name[0] in "#&+!":
            return RoomIdentifier(self.app.transports[address.network].room(address.name))
        return PersonIdentifier(address.network, address.name)

    def query_room(self, room: str) -> errbot.Room:
        """Make a room of `network/#room`.

        Raises:
            ValueError: it is no room.
        """
        identifier = self.build_identifier(room)
        if not isinstance(identifier, RoomIdentifier):
            raise ValueError(f"{room!r} is not NETWORK/#room")  # noqa: TRY004 - the text is wrong, not its type
        return identifier

    @property
    def rooms(self) -> Sequence[errbot.Room]:
        """The home rooms of all networks."""
        return [RoomIdentifier(room) for transport in self.app.transports.values() for room in transport.rooms]

    def change_presence(self, status: str = ONLINE, message: str = "") -> None:
        """Nothing: what we do is on the page."""

    # Beginning and end

    def serve_forever(self) -> None:
        """Run until SIGTERM or SIGINT, then end in order. Without a network the bot stays, and waits for it."""
        for name in ("errbot.core", "errbot.plugins.ACLs", "asyncssh"):
            logging.getLogger(name).setLevel(logging.WARNING)  # they log what people type, in clear; it, every channel
        if threading.current_thread() is threading.main_thread():
            self._listen_to_signals()
        self.connect_callback()
        self.app.on_heard(self._inbox.put)
        self.app.start()
        try:
            while (heard := self._inbox.get()) is not None:
                self.take(heard)
        finally:
            self._end()

    def stop(self) -> None:
        """Ask `serve_forever` to end; from any thread."""
        self._inbox.put(None)

    def _listen_to_signals(self) -> None:
        """End on SIGTERM and SIGINT, whichever thread the kernel gives the signal to.

        A handler of Python's runs in the main thread alone, which sleeps in the inbox and may not be woken; the
        byte that the wakeup descriptor gets at once comes through.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)

        def watch() -> None:
            with reader, writer:  # the writer must not be collected while signals may come
                while number := reader.recv(1):
                    if number[0] in {signal.SIGTERM, signal.SIGINT}:
                        self.stop()

        signal.signal(signal.SIGTERM, _nothing)
        signal.signal(signal.SIGINT, _nothing)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # Errbot would open a Python console
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=watch, name="signals", daemon=True).start()

    def _end(self) -> None:
        """Answers first, then plugins, then the networks; a network that is away holds nothing up."""
        self._stopping = True
        pools = (self.thread_pool, self._stops)
        for pool in pools:
            pool.close()
        waiter = threading.Thread(target=lambda: [pool.join() for pool in pools], daemon=True)
        waiter.start()
        waiter.join(LAST_ANSWERS_SECONDS)
        self.disconnect_callback()
        up = [transport for transport in self.app.transports.values() if transport.up]
        flushed = [self.app.submit(transport.flush(2)) for transport in up]
        for future in flushed:
            try:
                future.result(3)
            except Exception:
                log.exception("the last answers may not have been said")
        self.app.stop()
        self.shutdown()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """Only be there: the wakeup descriptor is written for signals with a handler alone."""


def _replies(answer: Any) -> Iterator[Any]:
    """What a command answers, one by one: it may return a text, or yield several."""
    if isinstance(answer, Iterator):
        yield from (reply for reply in answer if reply)
    elif answer:
        yield answer
