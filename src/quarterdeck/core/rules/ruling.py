"""What a rule is, what it may answer, and how the answers of many become one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from quarterdeck.core.model.errors import NotAllowedError, Refusal
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.rules.moments import ProposedOrder, SaidCommand, ShownPlan


@dataclass(frozen=True)
class Allow:
    """Nothing speaks against it."""


@dataclass(frozen=True)
class Ask:
    """A person is to say yes first."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Refuse:
    """It is not to be done."""

    refusal: Refusal


Ruling: TypeAlias = Allow | Ask | Refuse
ALLOW = Allow()
Moment: TypeAlias = SaidCommand | ProposedOrder | ShownPlan


class Rule:
    """One rule. It overrides the moments at which it has something to say, and allows everything at the others.

    A rule is pure: what it needs to know is in the moment that it judges.
    """

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """Judge somebody's command before anything is read or done for it."""
        return ALLOW

    def on_order(self, order: ProposedOrder, now: datetime) -> Ruling:
        """Judge an order that fits the world, before a rollout of it is accepted."""
        return ALLOW

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Judge what would be applied, once the diffs were shown."""
        return ALLOW


def judge(moment: Moment, now: datetime, rules: Sequence[Rule]) -> Ruling:
    """What all rules together say: the first refusal; else a question for all reasons to ask; else yes.

    Args:
        now: aware UTC.
    """
    reasons: list[Reason] = []
    for rule in rules:
        match _answer(rule, moment, now):
            case Refuse() as refused:
                return refused
            case Ask(more):
                reasons.extend(more)
    return Ask(tuple(reasons)) if reasons else ALLOW


def permitted(moment: Moment, now: datetime, rules: Sequence[Rule]) -> tuple[Reason, ...]:
    """The reasons to ask a person first, none for a plain yes.

    Raises:
        NotAllowedError: a rule refuses.
    """
    match judge(moment, now, rules):
        case Refuse(refusal):
            raise NotAllowedError(refusal)
        case Ask(reasons):
            return reasons
    return ()


def _answer(rule: Rule, moment: Moment, now: datetime) -> Ruling:
    """What one rule says."""
    match moment:
        case SaidCommand():
            return rule.on_command(moment, now)
        case ProposedOrder():
            return rule.on_order(moment, now)
        case ShownPlan():
            return rule.on_plan(moment, now)
