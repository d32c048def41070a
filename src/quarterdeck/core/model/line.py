"""What is said: one line for one room."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.model.room import Room


@dataclass(frozen=True)
class Line:
    """One line for one room, to be written to the outbox.

    Attributes:
        urgent: verdicts and questions go before chatter.
    """

    room: Room
    text: str
    urgent: bool = False
