"""Nobody's tag moves with another's unless that was said."""

from __future__ import annotations

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.order import Reaching
from quarterdeck.core.orders.refusals import AloneIsForOne, TagIsShared


class EverybodyTouchedAgrees(Check):
    """An edit that moves other services is for their group, or says `--alone`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue

    async def of_reach(self, reaching: Reaching) -> Refusal | None:
        """Who shares the tag, and the two ways to go on."""
        intent, others = reaching.targeted.intent, reaching.others
        if not others or intent.target.group or intent.alone:
            return None
        service, file = reaching.targeted.subject.service, reaching.files[0]
        sharing = (service.name, *others)
        group = service.group or self._holder(file) or service.name
        declared = {member.name for member in self.catalogue.group(group)}
        members = declared or {name for name in sharing if name in self.catalogue.services}
        return TagIsShared(
            service=service.name,
            verb=intent.verb,
            environment=intent.environment,
            file=file,
            services=len(sharing),
            group=group,
            declared=bool(declared),
            members=len(members),
            strangers=tuple(name for name in others if name not in members),
        )

    def _holder(self, file: str) -> str:
        """The service whose folder a file is in; empty if the catalogue does not know it."""
        folder = file.split("/")[-2] if "/" in file else ""
        return folder if folder in self.catalogue.services else ""


class AloneIsForOneService(Check):
    """`--alone` leaves a service's sharers behind: a group has none."""

    async def of_reach(self, reaching: Reaching) -> Refusal | None:
        """That the two exclude each other."""
        intent = reaching.targeted.intent
        return AloneIsForOne(intent.title) if intent.alone and intent.target.group else None
