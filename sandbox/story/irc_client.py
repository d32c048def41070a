"""Be a person on IRC, for the demo and the tests: log in over TLS with SASL, say lines, keep the lines of others."""

import base64
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_LINE = re.compile(r"(?:@(?P<tags>\S+) +)?(?::(?P<prefix>\S+) +)?(?P<command>\S+)(?P<rest>.*)")
# One by one: the server answers each REQ by itself, and one it does not know spoils no other.
_CAPS = ("message-tags", "server-time", "account-tag", "echo-message", "batch")
_TIMEOUT = 15.0


class IrcError(Exception):
    """The server cannot be reached, refuses us, or what was waited for did not come."""


@dataclass(frozen=True)
class Message:
    """One line of the server, taken apart."""

    command: str
    parameters: tuple[str, ...]
    nick: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Said:
    """A line that somebody said where we are, or to us."""

    number: int
    """Counts the lines of this client from 0."""
    at: float
    """When it came in, in seconds of time.time()."""
    room: str
    """The channel; in private the nick of the other side."""
    nick: str
    account: str
    """Empty when the network vouches for none."""
    text: str
    notice: bool = False


def parse(line: str) -> Message | None:
    """A line without its end, as RFC 1459 and IRCv3 message tags have it; None if it is none."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    pairs = (tag.partition("=") for tag in (found["tags"] or "").split(";") if tag)
    head, colon, tail = found["rest"].partition(" :")
    parameters = (*head.split(), *([tail] if colon else []))
    nick = (found["prefix"] or "").partition("!")[0]
    return Message(found["command"].upper(), parameters, nick, {name: value for name, _, value in pairs})


class IrcClient:
    """One connection, with a thread of its own that reads; any thread may use it."""

    def __init__(
        self,
        host: str,
        port: int,
        nick: str,
        *,
        password: str = "",
        account: str = "",
        ca: str | Path | None = None,
        rooms: Iterable[str] = (),
        hear: Callable[[Said], None] = lambda _: None,
    ) -> None:
        """Connect, log in and join; returns when all of it is done.

        Args:
            host: server.
            port: port; TLS if `ca` is given.
            nick: nick name.
            password: of the account; empty stays without one.
            account: to log in to; the one of that nick if empty.
            ca: file of the authority that signs the server's certificate.
            rooms: channels to join.
            hear: called in the reading thread with each line said, own ones too.

        Raises:
            IrcError: refused, or no answer within 15 s.
        """
        self.nick = nick
        self._account, self._password, self._hear = account or nick, password, hear
        self._said: list[Said] = []
        self._names: dict[str, set[str]] = {}
        self._replay: set[str] = set()
        self._news = threading.Condition()
        self._sending = threading.Lock()
        self._registered = False
        self._listed: set[str] = set()
        self._error = ""
        try:
            self._socket = self._connected(host, port, ca)
        except OSError as error:
            raise IrcError(f"{host}:{port}: {error}") from error
        self._reader = threading.Thread(target=self._read, name=f"irc-{nick}", daemon=True)
        self._reader.start()
        self._register()
        for room in rooms:
            self.join(room)

    @classmethod
    def of(cls, endpoints: Mapping[str, Any], account: str, nick: str = "", **more: Any) -> "IrcClient":
        """One of the sandbox's people, by its endpoints, in all channels and over TLS."""
        irc = endpoints["irc"]
        options = {"password": irc["accounts"][account], "ca": irc["ca"], "rooms": irc["channels"]} | more
        return cls(irc["host"], irc["tls_port"], nick or account, account=account, **options)

    @staticmethod
    def _connected(host: str, port: int, ca: str | Path | None) -> socket.socket:
        plain = socket.create_connection((host, port), timeout=_TIMEOUT)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wrapped: socket.socket = plain
        if ca is not None:
            wrapped = ssl.create_default_context(cafile=str(ca)).wrap_socket(plain, server_hostname=host)
        wrapped.settimeout(None)
        return wrapped

    def __enter__(self) -> "IrcClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What a person does.

    def say(self, target: str, text: str, notice: bool = False) -> float:
        """Say a line to a channel or a nick; gives the time, in seconds of time.time()."""
        now = time.time()
        self._send(f"{'NOTICE' if notice else 'PRIVMSG'} {target} :{text}")
        return now

    def join(self, room: str) -> None:
        """Join a channel and wait until its list of names is there."""
        self._send(f"JOIN {room}")
        self._await(lambda: room.lower() in self._listed, _TIMEOUT, f"{self.nick} could not join {room}")

    def names(self, room: str) -> frozenset[str]:
        """Who is in a channel; asks the server, membership is not needed."""
        room = room.lower()
        with self._news:
            self._listed.discard(room)
            self._names[room] = set()
        self._send(f"NAMES {room}")
        self._await(lambda: room in self._listed, _TIMEOUT, f"no list of names of {room}")
        with self._news:
            return frozenset(self._names[room])

    def close(self) -> None:
        """Quit."""
        try:
            self._send("QUIT :bye")
            self._socket.shutdown(socket.SHUT_RDWR)
        except (OSError, IrcError):
            pass
        self._reader.join(2)
        self._socket.close()

    # What a person sees.

    @property
    def lines(self) -> tuple[Said, ...]:
        """All lines so far."""
        with self._news:
            return tuple(self._said)

    def wait_for(self, pattern: str, seconds: float, *, nick: str = "", room: str = "", after: int = -1) -> Said:
        """The first line that the regular expression is found in.

        Args:
            pattern: searched for in the text.
            seconds: how long to wait.
            nick: only lines of this nick.
            room: only lines in this room.
            after: only lines with a higher number.

        Raises:
            IrcError: it did not come; with the last lines that did.
        """
        wanted = re.compile(pattern)

        def look() -> Said | None:
            for said in self._said[max(after + 1, 0) :]:
                if nick in ("", said.nick) and room.lower() in ("", said.room) and wanted.search(said.text):
                    return said
            return None

        found: Said = self._await(look, seconds, f"Waited {seconds:.0f} s in vain for a line with {pattern!r}")
        return found

    def _await(self, look: Callable[[], Any], seconds: float, or_else: str) -> Any:
        with self._news:
            found = self._news.wait_for(lambda: look() or self._error, seconds) and look()
            if found:
                return found
            last = "".join(f"\n  <{said.nick}> {said.text}" for said in self._said[-6:])
        raise IrcError(f"{or_else}{f' ({self._error})' if self._error else ''}{last}")

    # The protocol.

    def _send(self, line: str) -> None:
        data = re.sub(r"[\r\n\0]+", " ", line).encode(errors="surrogateescape")
        try:
            with self._sending:
                self._socket.sendall(data + b"\r\n")
        except OSError as error:
            raise IrcError(f"{self.nick}: {error}") from error

    def _register(self) -> None:
        caps = (*_CAPS, *(("sasl",) if self._password else ()))
        for line in ("CAP LS 302", f"NICK {self.nick}", f"USER {self.nick} 0 * :{self.nick}"):
            self._send(line)
        for cap in caps:
            self._send(f"CAP REQ :{cap}")
        if not self._password:
            self._send("CAP END")
        self._await(lambda: self._registered, _TIMEOUT, f"{self.nick} could not log in")

    def _read(self) -> None:
        try:
            for raw in self._socket.makefile("rb"):
                message = parse(raw.rstrip(b"\r\n").decode(errors="replace"))
                if message is not None:
                    self._take(message)
            problem = "the server closed the connection"
        except (OSError, ValueError, IrcError) as error:
            problem = str(error)
        self._fail(problem)

    def _fail(self, problem: str) -> None:
        with self._news:
            self._error = self._error or problem
            self._news.notify_all()

    def _take(self, message: Message) -> None:
        last = message.parameters[-1] if message.parameters else ""
        match message.command:
            case "PING":
                self._send(f"PONG :{last}")
            case "PRIVMSG" | "NOTICE":
                self._keep(message)
            case "CAP" if message.parameters[1:2] == ("ACK",) and last.strip() == "sasl":
                self._send("AUTHENTICATE PLAIN")
            case "CAP" if message.parameters[1:2] == ("NAK",) and last.strip() == "sasl":
                self._fail("services are away: no SASL")
            case "AUTHENTICATE":
                pair = f"{self._account}\0{self._account}\0{self._password}".encode()
                self._send(f"AUTHENTICATE {base64.b64encode(pair).decode()}")
            case "903":
                self._send("CAP END")
            case "904" | "905" | "433" | "432" | "ERROR":
                self._fail(last)
            case _:
                self._note(message, last)

    def _note(self, message: Message, last: str) -> None:
        with self._news:
            match message.command:
                case "001":
                    self._registered = True
                case "353":
                    nicks = {name.lstrip("~&@%+").partition("!")[0] for name in last.split()}
                    self._names.setdefault(message.parameters[2].lower(), set()).update(nicks)
                case "366":
                    self._listed.add(message.parameters[1].lower())
                case "BATCH" if message.parameters[1:2] == ("chathistory",):
                    self._replay.add(message.parameters[0].lstrip("+"))
            self._news.notify_all()

    def _keep(self, message: Message) -> None:
        if len(message.parameters) < 2 or message.tags.get("batch") in self._replay or not self._registered:
            return
        target, text = message.parameters[0], message.parameters[1]
        room = target if target.startswith("#") or message.nick == self.nick else message.nick
        with self._news:
            said = Said(
                number=len(self._said),
                at=time.time(),
                room=room.lower(),
                nick=message.nick,
                account=message.tags.get("account", ""),
                text=text,
                notice=message.command == "NOTICE",
            )
            self._said.append(said)
            self._news.notify_all()
        self._hear(said)
