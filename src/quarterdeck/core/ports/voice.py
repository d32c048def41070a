"""Turns what happened into lines for people."""

from __future__ import annotations

from typing import Protocol

from quarterdeck.core.model.answer import Answer
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.event import Event
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.reason import Reason


class Voice(Protocol):
    """Turns what happened into lines for people."""

    def lines(self, event: Event) -> tuple[Line, ...]:
        """The lines that tell of an event, each for the room where it belongs."""
        ...

    def refusal(self, refusal: Refusal, begun: bool = False) -> str:
        """What is said to somebody who is refused; ends with "Nothing done" unless something was *begun* already."""
        ...

    def answer(self, answer: Answer) -> tuple[str, ...]:
        """The lines for a person who asked, or whose command made no rollout."""
        ...

    def question(self, reason: Reason) -> str:
        """What a person is asked, in half a line."""
        ...
