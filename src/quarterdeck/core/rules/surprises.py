"""What nobody asked for is shown and counted before it is applied."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import ChangesMoreThanAsked
from quarterdeck.core.rules.ruling import ALLOW, Ask, Rule, Ruling


class SurprisesAreAsked(Rule):
    """Surprises are asked everywhere; a rollback names them and asks nothing for them: going back is urgent."""

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Judge what would be applied."""
        if plan.kind == Kind.ROLLBACK or not plan.surprises:
            return ALLOW
        return Ask((ChangesMoreThanAsked(plan.surprises),))
