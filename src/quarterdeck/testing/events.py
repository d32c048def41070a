"""An event stream that a test rings by hand."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable


class FakeEvents:
    """`ports.EventStream` in memory: rings what it is told, in order."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()
        self._up = False

    @property
    def up(self) -> bool:
        """Whether the stream stands just now."""
        return self._up

    def send(self, kind: str, project: str = "") -> None:
        """Gerrit sends an event."""
        self._waiting.put_nowait((kind, project))

    def cut(self) -> None:
        """The connection is lost, and stands again at once."""
        self._waiting.put_nowait(None)

    async def run(self, ring: Callable[[str, str], Awaitable[None] | None]) -> None:
        """Ring for each event, on every connect and after every gap, until cancelled."""
        try:
            while True:
                self._up = True
                await _rung(ring("connected", ""))
                while (event := await self._waiting.get()) is not None:
                    await _rung(ring(*event))
                self._up = False
                await _rung(ring("dropped-output", ""))
        finally:
            self._up = False


async def _rung(answer: Awaitable[None] | None) -> None:
    if inspect.isawaitable(answer):
        await answer
