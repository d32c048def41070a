"""What the edit makes anybody run is in the registry."""

from __future__ import annotations

import asyncio

from quarterdeck.core.model.errors import Refusal, TemporaryError
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.editing import references
from quarterdeck.core.orders.order import Order
from quarterdeck.core.orders.refusals import ImagesMissing, RegistrySilent
from quarterdeck.core.ports.registry import Registry


class TheImagesAreInTheRegistry(Check):
    """Every image of the targets and of everybody whom the edit moves, each in its flavour."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    async def of_order(self, order: Order) -> Refusal | None:
        """Which are missing, or that the registry does not answer."""
        places = (*order.places, *order.plan.effect)
        wanted = await asyncio.to_thread(references, order.around, order.snapshot, order.plan, places, order.tag)
        try:
            digests = await asyncio.gather(*(self.registry.digest(name, tag) for name, tag in wanted))
        except TemporaryError as error:
            return RegistrySilent(str(error))
        by_reference = zip(wanted, digests, strict=True)
        missing = tuple(f"{name}:{tag}" for (name, tag), digest in by_reference if digest is None)
        return ImagesMissing(missing) if missing else None


class TheSaidImagesAreInTheRegistry(TheImagesAreInTheRegistry):
    """A rollback looks where its tag was said; what ran before is pulled already, and going back is never blocked."""

    async def of_order(self, order: Order) -> Refusal | None:
        """As for a deploy, where a tag was said."""
        return await super().of_order(order) if order.intent.tag else None
