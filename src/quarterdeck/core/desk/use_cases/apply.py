"""`!apply SERVICE ENV`: what is merged and not applied."""

from __future__ import annotations

from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import ApplyTakesNoTag
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.rollout.rollout import Kind


async def apply(desk: Desk, said: Said) -> list[str]:
    """Accept a rollout that edits nothing."""
    intent = desk.grammar.intent(said.verb, said.text)
    if intent.tag:
        raise RequestError(ApplyTakesNoTag(intent.title, intent.environment))
    order = await desk.order(said, intent, Kind.APPLY)
    return await desk.acceptance.accept(said, order, await desk.acceptance.taken_over(said, order))
