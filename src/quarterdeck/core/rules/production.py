"""Production is changed after a question."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.model.environment import EnvironmentKind
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import ChangesProduction
from quarterdeck.core.rules.ruling import ALLOW, Ask, Rule, Ruling


class ProductionIsAsked(Rule):
    """One question for all places of production that change, whatever the diff says."""

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Judge what would be applied."""
        kinds = {plan.places[place].kind for place in plan.changing}
        return Ask((ChangesProduction(),)) if EnvironmentKind.PRODUCTION in kinds else ALLOW
