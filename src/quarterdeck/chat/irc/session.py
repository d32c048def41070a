"""Follow one IRC connection: what the server has said so far, told line by line; and what to write when.

It knows capabilities, nick, account and rooms, and keeps the receipts of what we wrote. It does no I/O of its
own: lines go out through the function it was given.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime

from quarterdeck.chat.contract import Heard, Lost, Refused
from quarterdeck.chat.irc.hearing import Hearing
from quarterdeck.chat.irc.lines import Line, fold
from quarterdeck.chat.irc.queue import Saying

# "You cannot say that there"; the second argument names the target (modern.ircdocs.horse; 531 is InspIRCd).
_REFUSALS = frozenset({"401", "403", "404", "407", "411", "412", "413", "415", "477", "531", "573"})
_JOIN_REFUSALS = frozenset(
    {"403", "405", "437", "470", "471", "473", "474", "475", "476", "477", "479", "480", "489", "520"}
)
_SASL_FAILURES = frozenset({"902", "904", "905", "906", "908"})

_log = logging.getLogger(__name__)


class Session:
    """The state of one connection."""

    def __init__(
        self,
        network: str,
        nick: str,
        rooms: Mapping[str, str],
        write: Callable[[str], None],
        *,
        session: str,
        now: Callable[[], datetime],
        on_heard: Callable[[Heard], None],
        on_state: Callable[[str], None],
    ) -> None:
        """Start unregistered; `rooms` are the home rooms, by folded name."""
        self.network = network
        self.hearing = Hearing(network, session, now)
        self.wanted_nick = nick
        self.nick = nick
        self.prefix = f"{nick}!{'u' * 20}@{'h' * 63}"  # until our first JOIN shows the real one
        self.rooms = dict(rooms)
        self.joined: set[str] = set()
        self.refused_rooms: dict[str, str] = {}
        self.offered: set[str] | None = None
        self.naked: set[str] = set()
        self.registered = False
        self.account = ""
        self.sasl_prompt = False
        self.sasl_failure = ""
        self.services_linked = False
        self.ghosted = False
        self.closing = ""
        self._write = write
        self._on_heard = on_heard
        self._on_state = on_state
        self._listing: set[str] = set()
        self._label = 0
        self._labelled: dict[str, Saying] = {}
        self._label_batches: dict[str, str] = {}
        self._plain: dict[str, deque[Saying]] = {}
        self._pulse = asyncio.Event()

    @property
    def caps(self) -> set[str]:
        """Capabilities acknowledged on this connection."""
        return self.hearing.caps

    @property
    def settled(self) -> bool:
        """Whether each home room has let us in or has said no."""
        return all(room in self.joined or room in self.refused_rooms for room in self.rooms)

    def sayable(self, target: str) -> bool:
        """Whether something may be said there now: identified, and in the room if it is one."""
        if not (self.registered and self.account):
            return False
        return fold(target) in self.joined if self.hearing.is_channel(target) else True

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds after one of the server's lines; whether it does in time."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    await self._pulse.wait()
        except TimeoutError:
            return holds()
        return True

    # Writing

    def privmsg(self, saying: Saying, text: str) -> None:
        """Write one piece of a text; its receipt settles the saying."""
        saying.begun = True
        saying.unconfirmed += 1
        label = ""
        if "labeled-response" in self.caps:
            self._label += 1
            label = f"q{self._label}"
            self._labelled[label] = saying
        elif "echo-message" in self.caps:
            self._plain.setdefault(fold(saying.target), deque()).append(saying)
        self._write(f"{f'@label={label} ' if label else ''}PRIVMSG {saying.target} :{text}")

    @property
    def confirms(self) -> bool:
        """Whether the server says for each line that it has it."""
        return bool({"labeled-response", "echo-message"} & self.caps)

    def drop_receipts(self, why: str) -> None:
        """Fail everything that is written and not confirmed: nobody can tell any more."""
        for saying in [*self._labelled.values(), *(s for line in self._plain.values() for s in line)]:
            saying.lines.clear()
            saying.fail(Lost(why))
        self._labelled.clear()
        self._plain.clear()

    def _receipt(self, line: Line, target: str) -> Saying | None:
        label = line.tags.get("label") or self._label_batches.get(line.tags.get("batch", ""))
        if label:
            return self._labelled.pop(label, None)
        waiting = self._plain.get(fold(target))
        return waiting.popleft() if waiting else None

    def _confirm(self, line: Line, target: str) -> None:
        if saying := self._receipt(line, target):
            saying.unconfirmed -= 1
            saying.settle()

    # Reading

    def handle(self, line: Line) -> None:
        """Take one line from the server."""
        handler = _HANDLERS.get(line.command)
        if line.command in _REFUSALS:
            self._refused(line)
        if line.command in _JOIN_REFUSALS:
            self._join_refused(line)
        if line.command in _SASL_FAILURES:
            self.sasl_failure = line.arg(-1) or line.command
        elif handler:
            handler(self, line)
        self._pulse.set()
        self._pulse.clear()  # wakes exactly those who wait now

    def _is_me(self, nick: str) -> bool:
        return fold(nick) == fold(self.nick)

    def _ping(self, line: Line) -> None:
        self._write(f"PONG :{line.arg(-1)}")

    def _error(self, line: Line) -> None:
        self.closing = line.arg(-1)

    def _cap(self, line: Line) -> None:
        kind = line.arg(1).upper()
        names = {name.partition("=")[0] for name in line.arg(-1).split()}
        if kind == "LS":
            self._listing |= names
            if line.arg(2) != "*":  # a star announces that more follows
                self.offered, self._listing = self._listing, set()
                self.services_linked = "sasl" in self.offered
        elif kind == "ACK":
            self.hearing.caps |= {name for name in names if not name.startswith("-")}
            self.hearing.caps -= {name[1:] for name in names if name.startswith("-")}
        elif kind == "NAK":
            self.naked |= names
        elif kind == "NEW":
            self.offered = (self.offered or set()) | names
            self.services_linked |= "sasl" in names
        elif kind == "DEL":
            self.offered = (self.offered or set()) - names
            self.hearing.caps -= names
            self.services_linked &= "sasl" not in names

    def _welcome(self, line: Line) -> None:
        self.nick = line.arg(0) or self.nick
        self.registered = True

    def _features(self, line: Line) -> None:
        for word in line.args[1:]:
            name, _, value = word.partition("=")
            if name == "CHANTYPES":
                self.hearing.channel_types = value

    def _nick_in_use(self, _: Line) -> None:
        if not self.registered:
            self.nick = f"{self.nick}_"
            self._write(f"NICK {self.nick}")

    def _nick(self, line: Line) -> None:
        if self._is_me(line.nick):
            self.nick = line.arg(0)
            self.prefix = f"{self.nick}!{self.prefix.partition('!')[2]}"

    def _authenticate(self, line: Line) -> None:
        self.sasl_prompt = line.arg(0) == "+"

    def _logged_in(self, line: Line) -> None:
        self.account = line.arg(2) or self.wanted_nick
        self.services_linked = True

    def _logged_out(self, _: Line) -> None:
        self._lose_account("the services logged us out")

    def _account(self, line: Line) -> None:
        if self._is_me(line.nick):
            if line.arg(0) in {"*", "0", ""}:
                self._lose_account("the services logged us out")
            else:
                self.account = line.arg(0)

    def _lose_account(self, why: str) -> None:
        if self.account:
            self.account = ""
            self._on_state(f"{why}; leaving the rooms until we are identified again")
            if self.joined:
                names = ",".join(sorted(self.rooms.get(room, room) for room in self.joined))
                self._write(f"PART {names} :not identified to services")

    def _join(self, line: Line) -> None:
        if self._is_me(line.nick):
            room = fold(line.arg(0))
            self.prefix = line.prefix
            self.joined.add(room)
            self.refused_rooms.pop(room, None)
            self.hearing.joined(room)

    def _part(self, line: Line) -> None:
        if self._is_me(line.nick):
            for name in line.arg(0).split(","):
                self.joined.discard(fold(name))

    def _kick(self, line: Line) -> None:
        if self._is_me(line.arg(1)):
            self.joined.discard(fold(line.arg(0)))
            self._on_state(f"kicked from {line.arg(0).lower()} by {line.nick}: {line.arg(2)}")

    def _join_refused(self, line: Line) -> None:
        room = fold(line.arg(1))
        if room in self.rooms and room not in self.joined and room not in self.refused_rooms:
            self.refused_rooms[room] = line.arg(-1)
            self._on_state(f"cannot join {self.rooms[room]}: {line.arg(-1)}")

    def _refused(self, line: Line) -> None:
        target, reason = line.arg(1), line.arg(-1)
        saying = self._receipt(line, target)
        if saying or line.command == "404":
            self._on_state(f"cannot speak to {target.lower()}: {reason}")
        if saying:
            saying.lines.clear()
            saying.fail(Refused(f"{target}: {reason}"))

    def _privmsg(self, line: Line) -> None:
        if self._is_me(line.nick):
            self._confirm(line, line.arg(0))
            if fold(line.arg(0)) != fold(self.nick):
                return
        if self.account and (heard := self.hearing.hear(line, self.nick)):
            self._on_heard(heard)

    def _notice(self, line: Line) -> None:
        if fold(line.nick) == "nickserv" and "ghosted" in line.arg(1):
            self.ghosted = True

    def _batch(self, line: Line) -> None:
        self.hearing.batch(line)
        name, label = line.arg(0), line.tags.get("label", "")
        if name.startswith("+") and label:  # more than one line answers: "he is away" and the echo
            self._label_batches[name[1:]] = label
        elif name.startswith("-") and (label := self._label_batches.pop(name[1:], "")):
            self._confirm(Line({"label": label}, "", "ACK", ()), "")

    def _ack(self, line: Line) -> None:
        self._confirm(line, "")


_HANDLERS: Mapping[str, Callable[[Session, Line], None]] = {
    "PING": Session._ping,
    "ERROR": Session._error,
    "CAP": Session._cap,
    "001": Session._welcome,
    "005": Session._features,
    "432": Session._nick_in_use,
    "433": Session._nick_in_use,
    "436": Session._nick_in_use,
    "437": Session._nick_in_use,
    "NICK": Session._nick,
    "AUTHENTICATE": Session._authenticate,
    "900": Session._logged_in,
    "901": Session._logged_out,
    "ACCOUNT": Session._account,
    "JOIN": Session._join,
    "PART": Session._part,
    "KICK": Session._kick,
    "PRIVMSG": Session._privmsg,
    "NOTICE": Session._notice,
    "BATCH": Session._batch,
    "ACK": Session._ack,
}
