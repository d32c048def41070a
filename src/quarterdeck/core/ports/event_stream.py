"""Gerrit's stream-events: a doorbell, not the truth."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class EventStream(Protocol):
    """Gerrit's stream-events: a doorbell, not the truth."""

    async def run(self, ring: Callable[[str, str], Awaitable[None] | None]) -> None:
        """Call `ring(event type, project)` for each event, and `ring("connected", "")` on every connect.

        Also `ring("dropped-output", "")` after a gap. Reconnects for ever until cancelled.
        """
        ...

    @property
    def up(self) -> bool:
        """Whether the stream stands just now."""
        ...
