"""`!pods ID`: the pods of its environments as they are now."""

from __future__ import annotations

from quarterdeck.core.cluster.pods import pods as pods_of
from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.rollouts import at_most
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.rollout import Rollout


async def pods(desk: Desk, said: Said) -> list[str]:
    """A line for each."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    lines: list[str] = []
    for place in rollout.environments:
        shown = await _pods_in(desk, rollout, place)
        lines += [f"#{rollout.number} {rollout.spoken(place)}: {words}" for words in shown]
    return at_most([desk.redactor.text(line) for line in lines], rollout, desk.page)


async def _pods_in(desk: Desk, rollout: Rollout, place: str) -> list[str]:
    member, _ = rollout.subject.at(place)
    try:
        objects = await desk.host.objects(*rollout.target(place))
        found = pods_of(objects, member.images, member.registry_suffixes, member.is_part)
    except QuarterdeckError as error:
        return [f"cannot be seen: {error}"]
    suffix = rollout.subject.service.suffix
    return [f"{pod.name} {short_tag(pod.tag, suffix)} {pod.words}" for pod in found] or ["no pods"]
