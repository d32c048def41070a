"""Decide which lines of an IRC session count as said to us, live, and by whom.

Everything that must never become a command stops here: notices, our own echo, CTCP, history played back, lines
to only a part of a room, and what was said before we listened. Pure but for what it remembers of the session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from quarterdeck.chat.commands import said_to
from quarterdeck.chat.contract import Heard
from quarterdeck.chat.irc.lines import Line, fold, server_time
from quarterdeck.core.model.room import Room

OLDEST = timedelta(seconds=60)
"""A line with an older server-time is history, whatever else it says."""
QUIET = timedelta(seconds=5)
"""How long a room's lines are taken for history after our JOIN when the server does not mark history."""

_log = logging.getLogger(__name__)


class Hearing:
    """What one connection has told us that matters for listening."""

    def __init__(self, network: str, session: str, now: Callable[[], datetime]) -> None:
        self._network = network
        self._session = session
        self._now = now
        self._count = 0
        self._batches: dict[str, tuple[str, str]] = {}
        self._joined: dict[str, datetime] = {}
        self.caps: set[str] = set()
        """Capabilities the server acknowledged on this connection."""
        self.channel_types = "#&"

    def joined(self, room: str) -> None:
        """Note that we entered a room (folded) now."""
        self._joined[room] = self._now()

    def is_channel(self, target: str) -> bool:
        """Whether a target is a channel's name on this server (CHANTYPES)."""
        return target[:1] in self.channel_types and bool(target)

    def batch(self, line: Line) -> None:
        """Note a BATCH line: `BATCH +id type …` opens, `BATCH -id` closes; batches may be nested."""
        name = line.arg(0)
        if name.startswith("+"):
            self._batches[name[1:]] = (line.arg(1).lower(), line.tags.get("batch", ""))
        elif name.startswith("-"):
            self._batches.pop(name[1:], None)

    def hear(self, line: Line, own_nick: str) -> Heard | None:
        """Turn a PRIVMSG into something heard, or into nothing.

        The account comes from the server's `account` tag only, and only where account-tag was acknowledged on
        this very connection: elsewhere anybody could have written it (ircv3.net/specs/extensions/account-tag).
        """
        target, text = line.arg(0), line.arg(1)
        if line.command != "PRIVMSG" or not text or text.startswith("\x01") or not line.mask:
            return None
        if fold(line.nick) == fold(own_nick) or "inspircd.org/echo" in line.tags:
            return None
        private = fold(target) == fold(own_nick)
        if not private and not self.is_channel(target):
            return None  # $server masks, and @#room: what is said to the ops is not said to the room
        at = server_time(line.tags.get("time", "")) or self._now()
        if self._is_history(line, "" if private else fold(target), at):
            return None
        self._count += 1
        trusted = "message-tags" in self.caps
        return Heard(
            network=self._network,
            room=None if private else Room(self._network, fold(target)),
            nick=line.nick,
            account=(line.tags.get("account") or None) if "account-tag" in self.caps else None,
            mask=line.mask,
            text=text,
            msgid=(trusted and line.tags.get("msgid")) or f"{self._session}-{self._count}",
            at=at.astimezone(UTC),
            addressed=said_to(own_nick, text),
        )

    def _is_history(self, line: Line, room: str, at: datetime) -> bool:
        name = line.tags.get("batch", "")
        for _ in range(10):
            kind, parent = self._batches.get(name, ("", ""))
            if kind in {"chathistory", "draft/chathistory-context", "znc.in/playback"}:
                return True
            name = parent
        now = self._now()
        if now - at > OLDEST:
            _log.info("%s: a line of %s is %s old and counts as history", self._network, line.nick, now - at)
            return True
        if {"batch", "server-time"} <= self.caps or not room:
            return False
        return now - self._joined.get(room, now) < QUIET
