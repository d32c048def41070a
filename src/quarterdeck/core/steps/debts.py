"""Keeps the books of what is merged and not applied: MERGE makes debts, CHECK pays them."""

from __future__ import annotations

from collections.abc import Iterable

from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.debts import Debts
from quarterdeck.core.rollout.owing import owed_after_merge, paid_by
from quarterdeck.core.rollout.rollout import Rollout


class DebtBook:
    """Writes debts to the store."""

    def __init__(self, store: Debts, clock: Clock) -> None:
        self.store, self.clock = store, clock

    async def owe(self, rollout: Rollout) -> None:
        """Record what the merged edit of a rollout leaves owed; twice is once."""
        settlement = owed_after_merge(rollout, self.clock.now())
        await self.store.set_debts(settlement.debts, settlement.paid)

    async def pay(self, rollout: Rollout, places: Iterable[str]) -> None:
        """Clear what proven places owed."""
        settlement = paid_by(rollout, places, await self.store.debts())
        await self.store.set_debts(settlement.debts, settlement.paid)
