"""`!deploy SERVICE ENV [TAG]`: edit, merge, sync, diff, gate, apply, check."""

from __future__ import annotations

from quarterdeck.core.desk.answers import AlreadyRuns
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.versions import versions_of
from quarterdeck.core.desk.refusals import SayEnvironment
from quarterdeck.core.desk.verb import Said, to_person
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.rollout.intent import Target
from quarterdeck.core.rollout.rollout import Kind


async def deploy(desk: Desk, said: Said) -> list[str]:
    """Accept a rollout that edits the tag, unless git and pods have it already."""
    only_word = said.text.split()
    if len(only_word) == 1 and (target := desk.grammar.target_of(only_word[0].lower())):
        return await _ways_to_go_on(desk, said, target)
    order = await desk.order(said, desk.grammar.intent(said.verb, said.text), Kind.DEPLOY)
    if order.served:
        environments = environments_of(order.places)
        title, suffix = order.subject.title, order.service.suffix
        return desk.tell_speaker(said, AlreadyRuns(title, environments, order.tag, suffix, order.served))
    return await desk.acceptance.accept(said, order, await desk.acceptance.taken_over(said, order))


async def _ways_to_go_on(desk: Desk, said: Said, target: Target) -> list[str]:
    """`!deploy citoid` alone never acts: the versions, and the exact commands."""
    if target.service and not target.part:
        service = desk.catalogue.services[target.service]
        which_part = await desk.orders.which_part(service, said.verb.name, "staging")
        if which_part:
            return [to_person(said.actor, desk.voice.refusal(which_part))]
    lines = await versions_of(desk, target)
    return [*lines, to_person(said.actor, desk.voice.refusal(SayEnvironment(target.title)))]
