"""What is said: one line for one room."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """One line for one room, to be written to the outbox.

    Attributes:
        urgent: verdicts and questions go before chatter.
    """

    network: str
    room: str
    text: str
    urgent: bool = False
