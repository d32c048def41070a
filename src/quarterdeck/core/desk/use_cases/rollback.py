"""`!rollback SERVICE [ENV] [TAG]`: back to the tag that ran before; without ENV production."""

from __future__ import annotations

from quarterdeck.core.desk.answers import AlreadyBack
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.orders.order import Order
from quarterdeck.core.rollout.rollout import Kind


async def rollback(desk: Desk, said: Said) -> list[str]:
    """Accept a rollout that goes back, and take over whatever rests in its way."""
    order = await desk.order(said, desk.grammar.intent(said.verb, said.text), Kind.ROLLBACK)
    taken_over = await desk.acceptance.taken_over(said, order)
    for rollout in taken_over:
        await desk.apply_jobs.refuse_while_at_work(rollout)
    if _is_back(order):
        environments = environments_of(order.places)
        return desk.tell_speaker(said, AlreadyBack(order.subject.title, environments, order.tag, order.service.suffix))
    return await desk.acceptance.accept(said, order, taken_over)


def _is_back(order: Order) -> bool:
    return order.plan.already and all(order.runs_alone(place) for place in order.places)
