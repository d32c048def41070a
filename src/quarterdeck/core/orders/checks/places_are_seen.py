"""What cannot be seen is not touched."""

from __future__ import annotations

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.order import Surveyed
from quarterdeck.core.orders.refusals import PlacesUnseen


class ThePlacesCanBeSeen(Check):
    """The cluster shows what runs in every target."""

    async def of_survey(self, surveyed: Surveyed) -> Refusal | None:
        """Which cannot be seen, and why."""
        subject, problems = surveyed.targeted.subject, surveyed.situation.problems
        unseen = tuple(place for place in surveyed.targeted.places if place in problems)
        if not unseen:
            return None
        return PlacesUnseen(subject.title, subject.service.name, unseen, problems[unseen[0]])
