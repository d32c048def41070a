"""Who is new to the bot is asked, wherever it is."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import FirstRollouts
from quarterdeck.core.rules.ruling import ALLOW, Ask, Rule, Ruling


class BeginnersAreAsked(Rule):
    """A person's first rollouts are asked in staging too, where they would change anything."""

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Judge what would be applied."""
        return Ask((FirstRollouts(),)) if plan.beginner and plan.changing else ALLOW
