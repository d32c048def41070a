"""What a person is asked, in half a line: what would happen, and why that needs a yes."""

from __future__ import annotations

from functools import singledispatch

from quarterdeck.core.model import place as places
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import (
    ChangesMoreThanAsked,
    ChangesProduction,
    FirstRollouts,
    Grounds,
    TakesTagsAway,
)


@singledispatch
def reason_sentence(reason: Reason) -> str:
    """What is said for a reason to ask; empty where the diffs speak for themselves. A reason registers its sentence here."""
    raise NotImplementedError(f"no sentence for {reason!r}")


@reason_sentence.register(ChangesProduction)
@reason_sentence.register(ChangesMoreThanAsked)
@reason_sentence.register(FirstRollouts)
def _(reason: Reason) -> str:
    return ""


@reason_sentence.register
def _(reason: Grounds) -> str:
    shown = [diffs_text(reason.about)] if isinstance(reason.about, ShownPlan) else []
    return "; ".join(filter(None, [*shown, *map(reason_sentence, reason.reasons)]))


@reason_sentence.register
def _(reason: TakesTagsAway) -> str:
    tags = ", ".join(sorted({short_tag(tag, reason.suffix) for tag in reason.tags.values()}))
    run = "runs" if len(reason.tags) == 1 else "run"
    return f"this takes {tags} away from {places.listed(reason.tags, reason.service)}, which {run} it"


def diffs_text(plan: ShownPlan) -> str:
    """What the diffs say; said once where they say the same."""
    summaries = {place: plan.difference(place).summary for place in plan.changing}
    pods = sum(plan.difference(place).pods for place in plan.changing)
    restart = ""
    if pods:
        restart = f"; {pods} pods restart" if pods > 1 else "; 1 pod restarts"
    if len(set(summaries.values())) > 1:
        return places.told(summaries, plan.own, " · ") + restart
    return f"{next(iter(summaries.values()))}{_where(plan)}{restart}"


def _where(plan: ShownPlan) -> str:
    """Which places an equal summary is for; the services are enough where the line begins with the environments."""
    changing = plan.changing
    services = tuple(dict.fromkeys(places.split(place, plan.own)[0] for place in changing))
    where = f" of {places.named_services(services)}" if len(services) > 1 else ""
    if len(changing) < len(plan.places):
        where = f": {places.listed(changing, plan.own)}"
    return f", in each{where}" if len(changing) > 1 else ""
