"""A clock that stands until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count

START = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)


class FakeClock:
    """`ports.Clock`: `sleep` waits until `advance` has brought the time there.

    Attributes:
        slept: every duration somebody asked to sleep, in seconds, in order.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._order = count()
        self._waiting: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._changed = asyncio.Condition()
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The time the test set, aware UTC."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the test has advanced the clock that far."""
        self.slept.append(seconds)
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + timedelta(seconds=seconds), next(self._order), wake))
        async with self._changed:
            self._changed.notify_all()
        await wake

    @property
    def sleepers(self) -> int:
        """How many sleep just now."""
        return sum(not wake.done() for _, _, wake in self._waiting)

    async def sleeping(self, number: int = 1) -> None:
        """Wait until that many sleep."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.sleepers >= number)

    async def advance(self, seconds: float) -> None:
        """Move the time on, waking each sleeper at its moment and letting it run before the next."""
        end = self._now + timedelta(seconds=seconds)
        while self._waiting and self._waiting[0][0] <= end:
            at, _, wake = heapq.heappop(self._waiting)
            self._now = max(self._now, at)
            if not wake.done():
                wake.set_result(None)
            for _ in range(5):  # a woken task may sleep again, within the same advance
                await asyncio.sleep(0)
        self._now = end
