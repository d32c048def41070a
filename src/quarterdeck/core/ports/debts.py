"""Where it is kept what is merged and not applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from quarterdeck.core.rollout.debts import Debt


class Debts(Protocol):
    """What is merged and not applied. Each method is one transaction."""

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """What is merged and not applied, as far as our own edits made it so."""
        ...

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """Record and clear debts, the *paid* (service, environment, part) first."""
        ...
