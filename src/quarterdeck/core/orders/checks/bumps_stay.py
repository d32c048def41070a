"""Somebody's newer bump, made by hand, is not undone silently (law 4)."""

from __future__ import annotations

from collections.abc import Collection

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.place import split
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.editing import moves
from quarterdeck.core.orders.order import Order
from quarterdeck.core.orders.refusals import UndoesNewerBump
from quarterdeck.core.ports.rollouts import Rollouts

#: so many rollouts of a service are looked through
_MOST_ROLLOUTS = 50


class NobodysNewerBumpIsUndone(Check):
    """A tag of git that runs nowhere, that none of our rollouts brought, and that is newer than the one asked for."""

    def __init__(self, store: Rollouts) -> None:
        self.store = store

    async def of_order(self, order: Order) -> Refusal | None:
        """Whose it is, and the two ways to go on."""
        own = order.subject.service.name
        moved_services = dict.fromkeys(split(place, own)[0] for place in order.plan.effect)
        our_tags: set[str] = set()
        for service in moved_services:
            rollouts = await self.store.find(service=service, limit=_MOST_ROLLOUTS)
            our_tags |= {rollout.tag for rollout in rollouts if order.subject.covers(rollout.part)}
        return undone_bump(order, our_tags)


def undone_bump(order: Order, our_tags: Collection[str]) -> UndoesNewerBump | None:
    """The first bump that the order would undo; None if there is none.

    Args:
        our_tags: those that rollouts of the services it moves brought.
    """
    subject = order.subject
    own = subject.service.name
    for situation, effect in moves(order.plan, order.situation):
        running = {situation.running(place) for place in situation.serving}
        for place, (old, new) in effect.items():
            made_by_hand = old != new and old not in running and old not in our_tags
            if not made_by_hand or not builds.newer(old, order.tag):
                continue
            service, environment = split(place, own)
            title = situation.subject if order.plan.parts else subject.title
            return UndoesNewerBump(
                title=title,
                whose=title if service == own and not subject.group else service,
                environment=environment,
                bump=old,
                tag=order.tag,
                suffix=subject.service.suffix,
                alone=order.intent.alone,
            )
    return None
