"""Keeps the books of what is merged and not applied: MERGE makes debts, CHECK pays them."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.rollout.owing import owed_after_merge, paid_by
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.world import World


async def owe(world: World, rollout: Rollout) -> None:
    """Record what the merged edit of a rollout leaves owed; twice is once."""
    settlement = owed_after_merge(rollout, world.clock.now())
    await world.store.set_debts(settlement.debts, settlement.paid)


async def pay(world: World, rollout: Rollout, places: Iterable[str]) -> None:
    """Clear what proven places owed."""
    settlement = paid_by(rollout, places, await world.store.debts())
    await world.store.set_debts(settlement.debts, settlement.paid)
