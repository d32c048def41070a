"""What every transport hands over and promises, whatever the network.

A transport knows all that is peculiar to its network: how long a line may be, which names mean the same room, whether
a repeated line can be made invisible, and what people there call being identified. Nobody else needs to know it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.model.line import Line, Utterance
from quarterdeck.core.model.network import NetworkWords
from quarterdeck.core.model.room import Room


class ChatError(TemporaryError):
    """The network has not taken the line, or nobody can tell."""


class Lost(ChatError):
    """The connection ended before the network said that it has the line; it may have it."""


class TooOld(ChatError):
    """The line could not be said while it was still worth saying."""


class Refused(ChatError):
    """The network would not take the line: no voice, no such nick."""


class QueueFull(ChatError):
    """Too much is waiting to be said."""


@dataclass(frozen=True)
class Heard:
    """One line that somebody said, live, to us or in a room we are in."""

    network: str
    """The transport's name, for example `irc`."""
    room: Room | None
    """Where it was said; None when it was said to us alone."""
    nick: str
    """As shown now; proves nothing."""
    account: str | None
    """The account the network vouched for with this very line, as it writes it; None when it did not."""
    mask: str
    """From where, for example user@host; empty where the network does not say."""
    text: str
    """One line without its end; may hold anything."""
    msgid: str
    """The network's id of the line, else one made up that never comes twice."""
    at: datetime
    """When, by the server's clock if it tells; aware, UTC."""
    addressed: str | None = None
    """What was said to us by name, without the name; None where the line did not begin with it."""


@runtime_checkable
class Transport(Protocol):
    """One network."""

    network: str
    repeats_show: bool
    """Whether people see a text twice that was said twice under one id."""
    words: NetworkWords
    """What the network calls its own things."""

    @property
    def up(self) -> bool:
        """Whether we are identified and in every room that lets us in."""

    @property
    def nick(self) -> str:
        """Our present nick there."""

    @property
    def rooms(self) -> Sequence[Room]:
        """The home rooms, joined or not."""

    def room(self, name: str) -> Room:
        """The room of that name, whatever its spelling: two names of one room give equal rooms.

        Needs no connection, for settings and the catalogue are read before there is one.
        """

    def account(self, name: str) -> str:
        """The account of that name, whatever its spelling, as `room` does it for rooms."""

    @property
    def accounts_shown(self) -> bool:
        """Whether the network shows just now who is identified; if not, nobody can be known."""

    async def run(self) -> None:
        """Connect and stay, reconnecting for ever; leaves politely when cancelled."""

    async def flush(self, seconds: float) -> bool:
        """Wait until everything queued is said, at most so long; whether it is."""

    def fit(self, line: Line) -> str:
        """The line as long as the network takes it whole; its link is never cut."""

    def say(self, utterance: Utterance, *, max_age: float = 120.0) -> Awaitable[None]:
        """Queue a text; what may not wait goes first.

        The returned future is done when the network has all of it, and need not be awaited.

        Args:
            utterance: what to say, where and how urgently.
            max_age: seconds until it is not worth saying any more.

        Raises:
            ChatError: from the future; nothing or only a part of it was said, or nobody can tell.
        """
