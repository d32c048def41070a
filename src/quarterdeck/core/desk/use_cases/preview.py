"""`!preview [deploy|apply] SERVICE ENV [TAG]`: the same up to the diff. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.core.desk.answers import Previewed
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import PreviewFailed, PreviewTooLong
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import PermanentError, Refusal, TemporaryError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.orders.order import Order
from quarterdeck.core.rollout.records import ShownDiff
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.rules.ruling import permitted

_KINDS = {"deploy": Kind.DEPLOY, "apply": Kind.APPLY}


async def preview(desk: Desk, said: Said) -> list[str]:
    """Tell what would change, and whether it would be asked."""
    first, _, rest = said.text.strip().partition(" ")
    kind = _KINDS.get(first.lower())
    verb, text = said.verb, said.text
    if kind is not None:
        text = rest
    if kind == Kind.APPLY:  # what is offered instead of a mistyped one is to be a preview of the same
        verb = replace(verb, name=f"{verb.name} apply")
    kind = kind or Kind.DEPLOY
    order = await desk.orders.check(desk.grammar.intent(verb, text), kind, said.actor.name)
    failed: Refusal
    try:
        diffs = await desk.trial.of(order)
    except TimeoutError:
        failed = PreviewTooLong(order.subject.title, desk.trial.limits.diff)
    except (PermanentError, TemporaryError) as error:
        failed = PreviewFailed(order.subject.title, str(error))
    else:
        return desk.tell_speaker(said, _previewed(desk, said.actor.name, order, kind, diffs))
    return [said.to_speaker(desk.voice.refusal(failed, begun=True))]


def _previewed(desk: Desk, requester: str, order: Order, kind: Kind, diffs: Mapping[str, ShownDiff]) -> Previewed:
    return Previewed(
        title=order.subject.title,
        service=order.service.name,
        environments=environments_of(order.places),
        running=frozenset(order.runs),
        tag=order.tag,
        suffix=order.service.suffix,
        files=len(order.plan.files),
        lines=len(order.plan.write_set),
        differences=diffs,
        asking=_asking(desk, requester, order, kind, diffs),
        pending=order.pending,
    )


def _asking(desk: Desk, requester: str, order: Order, kind: Kind, diffs: Mapping[str, ShownDiff]) -> Grounds | None:
    """What a person would be asked for; None where nobody would be."""
    environments = desk.catalogue.environments
    plan = ShownPlan(
        requester=requester,
        kind=kind,
        own=order.service.name,
        places={place: environments[order.subject.at(place)[1]] for place in order.places},
        differences=diffs,
    )
    reasons = permitted(plan, desk.clock.now(), desk.rules)
    return Grounds(reasons, plan) if reasons else None
