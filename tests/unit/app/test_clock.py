"""The fake clock stands until it is moved, and wakes sleepers in order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from quarterdeck.testing.clock import START, FakeClock


async def test_sleepers_wake_in_order_at_their_moment() -> None:
    """Advancing wakes each sleeper at its own time, also one that sleeps again on the way."""
    clock = FakeClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, (clock.now() - START).total_seconds()))

    tasks = [asyncio.create_task(sleeper("a", 5, 1)), asyncio.create_task(sleeper("b", 2, 100))]
    await clock.sleeping(2)
    await clock.advance(10)
    assert woken == [("b", 2), ("a", 5), ("a", 6)]
    assert clock.now() == START + timedelta(seconds=10)
    assert clock.slept == [5, 2, 100, 1]
    await clock.sleeping(1)
    assert clock.sleepers == 1
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await clock.advance(1000)
    assert clock.sleepers == 0


async def test_no_time_is_no_wait() -> None:
    """Sleeping for nothing returns without being woken."""
    await asyncio.wait_for(FakeClock().sleep(0), 1)
