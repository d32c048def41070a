"""Where lines wait until their network has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quarterdeck.core.model.line import Line


@dataclass(frozen=True)
class OutboxRow:
    """A line to be said.

    Attributes:
        again: it was handed to the network before, and we died before we knew: say so.
    """

    id: int
    line: Line
    created: datetime
    again: bool = False


class Outbox(Protocol):
    """Lines to be said. Each method is one transaction."""

    async def say(self, lines: Sequence[Line]) -> None:
        """Put lines into the outbox outside of any move."""
        ...

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """The oldest unsent lines of a network, urgent ones first, now marked as handed over.

        A row handed over by an earlier process (or given back by `unsent`) and never marked sent comes with `again`.
        """
        ...

    async def sent(self, row: int) -> None:
        """The network has the line."""
        ...

    async def unsent(self, row: int) -> None:
        """The network lost the line, or may have: it is due again."""
        ...
