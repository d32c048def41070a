"""What is said in a room, how a network with short lines may shorten it, and what a network is told to say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from quarterdeck.core.model.room import Room


class Urgency(StrEnum):
    """Why a line is said."""

    QUESTION = "question"  #: a person must answer before anything goes on
    VERDICT = "verdict"  #: how something ended
    PROGRESS = "progress"  #: what somebody who gave a command waits for
    NEWS = "news"  #: what nobody waits for

    @property
    def may_wait(self) -> bool:
        """Whether all other lines go before it."""
        return self is Urgency.NEWS


@dataclass(frozen=True)
class Line:
    """One line for one room, to be written to the outbox.

    How much of it fits is for its network to say: see `Line.within` for networks that count bytes.

    Attributes:
        text: everything there is to say, on one line, without the link.
        shorter: the same with less and less of what only explains, for a network whose lines are too short for it.
        link: address of the page; it follows the text and is never cut.
    """

    room: Room
    text: str
    urgency: Urgency = Urgency.NEWS
    shorter: tuple[str, ...] = ()
    link: str = ""

    @property
    def whole(self) -> str:
        """Everything there is to say, and the link."""
        return _linked(self.text, self.link)

    def with_texts(self, changed: Callable[[str], str]) -> Line:
        """The line with a change made to each of its texts, the link too."""
        shorter = tuple(map(changed, self.shorter))
        return replace(self, text=changed(self.text), shorter=shorter, link=changed(self.link))

    def within(self, most_bytes: int) -> str:
        """The longest form that fits into that many bytes of UTF-8, else the shortest one, cut before the link."""
        for text in (self.text, *self.shorter):
            whole = _linked(text, self.link)
            if len(whole.encode()) <= most_bytes:
                return whole
        shortest = self.shorter[-1] if self.shorter else self.text
        end = _linked("…", self.link)
        room_for_text = max(most_bytes - len(end.encode()) - 1, 0)
        return _cut(shortest, room_for_text) + end


@dataclass(frozen=True)
class Utterance:
    """One text for one room or one person, as it is handed to a network.

    Attributes:
        to: name of a room, or of a person as the network calls him.
        text: any text; each of its lines is one message, longer ones are split, and characters that the network would
            misread are taken out.
        id: the same whenever the same text is said again, for networks that can recognise a repeat; empty for an
            answer, which is said once or not at all.
    """

    to: str
    text: str
    id: str = ""
    urgency: Urgency = Urgency.NEWS


def _linked(text: str, link: str) -> str:
    return f"{text} {link}" if link else text


def _cut(text: str, most_bytes: int) -> str:
    """As many whole characters as fit, without a blank at the end."""
    return text.encode()[:most_bytes].decode("utf-8", "ignore").rstrip()
