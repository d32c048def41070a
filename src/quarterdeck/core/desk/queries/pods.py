"""`!pods ID`: the pods of its environments as they are now."""

from __future__ import annotations

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.cluster.pods import pods as pods_of
from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import PodsNow
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import QuarterdeckError


async def pods(desk: Desk, said: Said) -> list[str]:
    """A line for each."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    pods_by_place: dict[str, tuple[Pod, ...]] = {}
    blind: dict[str, str] = {}
    for place in rollout.environments:
        member, _ = rollout.subject.at(place)
        try:
            objects = await desk.host.objects(*rollout.target(place))
            pods_by_place[place] = pods_of(objects, member.images, member.registry_suffixes, member.is_part)
        except QuarterdeckError as error:
            blind[place] = str(error)
    return desk.tell(PodsNow(rollout, pods_by_place, blind))
