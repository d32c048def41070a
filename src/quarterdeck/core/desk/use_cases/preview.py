"""`!preview [deploy|apply] SERVICE ENV [TAG]`: the same up to the diff. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import PreviewFailed, PreviewTooLong
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import PermanentError, Refusal, TemporaryError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import listed, told
from quarterdeck.core.model.tag import short_tag
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
        return [said.to_speaker(_told(desk, said.actor.name, order, kind, diffs))]
    return [said.to_speaker(desk.voice.refusal(failed, begun=True))]


def _told(desk: Desk, requester: str, order: Order, kind: Kind, diffs: Mapping[str, ShownDiff]) -> str:
    own = order.service.name
    changing = {place: diff.summary for place, diff in diffs.items() if diff.changes}
    would_change = told(changing, own) or "nothing would change"
    late = f" {listed(order.pending, own)} would become pending." if order.pending else ""
    where = " then ".join(environments_of(order.places))
    return (
        f"preview {order.subject.title} {where} {_move(order)}: {_edits(order)}; {would_change}; "
        f"{_question(desk, requester, order, kind, diffs)}.{late} Nothing was changed"
    )


def _move(order: Order) -> str:
    """From which tags to which."""
    if not order.tag:
        return "as git says"
    suffix = order.service.suffix
    others = {short_tag(tag, suffix) for tag in order.runs if tag != order.tag or len(order.runs) == 1}
    return f"{' or '.join(sorted(others))} → {short_tag(order.tag, suffix)}"


def _edits(order: Order) -> str:
    files, lines = len(order.plan.files), len(order.plan.write_set)
    if not files:
        return "git has it already"
    return f"{files} file{'s' if files != 1 else ''}, {lines} line{'s' if lines != 1 else ''}"


def _question(desk: Desk, requester: str, order: Order, kind: Kind, diffs: Mapping[str, ShownDiff]) -> str:
    environments = desk.catalogue.environments
    plan = ShownPlan(
        requester=requester,
        kind=kind,
        own=order.service.name,
        places={place: environments[order.subject.at(place)[1]] for place in order.places},
        differences=diffs,
    )
    reasons = permitted(plan, desk.clock.now(), desk.rules)
    asked = desk.voice.question(Grounds(reasons, plan)) if reasons else ""
    return f"would ask ({asked})" if asked else "would not ask"
