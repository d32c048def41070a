"""`!status [SERVICE|@GROUP|ID|mine]`: what runs, what waits, what is stuck."""

from __future__ import annotations

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import Overview, RolloutStatus, ServiceStatus
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.survey import MOST_MEMBERS, versions_now
from quarterdeck.core.desk.refusals import StatusOfWhat
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import HOLDING, State
from quarterdeck.core.rollout.subject import Member
from quarterdeck.core.rules.serving_order import in_serving_order


async def status(desk: Desk, said: Said) -> list[str]:
    """The overview, one's own business, one rollout, or a service."""
    words = grammar.words(said.text)
    if len(words) > 1:
        raise RequestError(StatusOfWhat())
    if not words:
        return desk.tell(await _overview(desk))
    word = words[0].lower()
    if word == "mine":
        return desk.tell(await _overview(desk, said.actor.name))
    if word.lstrip("#r").isdigit() and word not in desk.catalogue.services:
        return desk.tell(RolloutStatus(await desk.rollout(grammar.number(said.verb, said.text))))
    (target,) = desk.grammar.names(said.verb, said.text)
    lines: list[str] = []
    members = await desk.targets.members_of(target)
    for member, snapshot in members[:MOST_MEMBERS]:
        lines += desk.tell(await _of_service(desk, member, snapshot))
    return lines


async def _open(desk: Desk) -> tuple[Rollout, ...]:
    return await desk.store.find(HOLDING | {State.FAILED, State.PLANNED}, limit=50)


async def _overview(desk: Desk, owner: str = "") -> Overview:
    """Everybody's, or those of one *owner*."""
    return Overview(
        rollouts=tuple(rollout for rollout in await _open(desk) if owner in ("", rollout.actor)),
        debts=tuple(debt for debt in await desk.store.debts() if owner in ("", debt.owner)),
        unreadable=await desk.store.unreadable(),
        serving_order=_serving_order(desk),
    )


async def _of_service(desk: Desk, member: Member, snapshot: Snapshot | None) -> ServiceStatus:
    versions = await versions_now(desk, member, snapshot)
    service, parts = member.service.name, ("", ALL, member.part)
    its_own = [rollout for rollout in await _open(desk) if service in rollout.services and rollout.part in parts]
    return ServiceStatus(versions, tuple(its_own), _serving_order(desk))


def _serving_order(desk: Desk) -> tuple[str, ...]:
    return tuple(environment.name for environment in in_serving_order(desk.catalogue.environments.values()))
