"""Nobody else's running tag is taken away unasked (law 4)."""

from __future__ import annotations

from datetime import datetime

from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import ProposedOrder
from quarterdeck.core.rules.reasons import TakesTagsAway
from quarterdeck.core.rules.ruling import ALLOW, Ask, Rule, Ruling


class TakingAwayIsAsked(Rule):
    """A deploy that gives other places an older tag than they run is asked before anything is written."""

    def on_order(self, order: ProposedOrder, now: datetime) -> Ruling:
        """Judge an order."""
        if order.kind != Kind.DEPLOY or not order.taken_away:
            return ALLOW
        return Ask((TakesTagsAway(order.service.name, order.service.suffix, order.taken_away),))
