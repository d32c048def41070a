"""Where a service has several parts, one is named."""

from __future__ import annotations

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.orders.checks.check import Check
from quarterdeck.core.orders.order import Targeted
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.which_part import which_part


class ThePartIsNamed(Check):
    """A service without an image of its own is deployed part by part, or all of them by name."""

    def __init__(self, tagging: Tagging) -> None:
        self.tagging = tagging

    async def of_target(self, targeted: Targeted) -> Refusal | None:
        """Which part is meant, with the commands; or that the service is not deployed from git."""
        intent, service = targeted.intent, targeted.subject.service
        if intent.target.part or intent.target.group or service.image:
            return None
        return await which_part(self.tagging, targeted.snapshot, service, intent.verb, intent.environment)
