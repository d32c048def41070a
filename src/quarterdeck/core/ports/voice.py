"""Turns what happened into lines for people."""

from __future__ import annotations

from typing import Any, Protocol

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.rollout.rollout import Rollout


class Voice(Protocol):
    """Turns what happened into lines for people."""

    def lines(self, event: str, rollout: Rollout | None, /, **facts: Any) -> tuple[Line, ...]:
        """The lines for an event, for the rollout's home room unless the event belongs elsewhere."""
        ...

    def refusal(self, refusal: Refusal, begun: bool = False) -> str:
        """What is said to somebody who is refused; ends with "Nothing done" unless something was *begun* already."""
        ...

    def question(self, reason: Reason) -> str:
        """What a person is asked, in half a line."""
        ...
