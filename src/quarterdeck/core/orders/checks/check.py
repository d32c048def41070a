"""What a check is."""

from __future__ import annotations

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.orders.order import Order, Reaching, Surveyed, Targeted


class Check:
    """One thing that must hold. It overrides the first stage at which it can be told, and passes the others.

    A check only reads, so it can be run again when the order's turn comes.
    """

    async def of_target(self, targeted: Targeted) -> Refusal | None:
        """Why not, once the target was found."""
        return None

    async def of_reach(self, reaching: Reaching) -> Refusal | None:
        """Why not, once it is known whom an edit would touch."""
        return None

    async def of_survey(self, surveyed: Surveyed) -> Refusal | None:
        """Why not, once git and cluster were looked at."""
        return None

    async def of_order(self, order: Order) -> Refusal | None:
        """Why not, once tag and edit are known."""
        return None
