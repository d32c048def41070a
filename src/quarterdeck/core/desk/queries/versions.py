"""`!versions SERVICE…`: tags only, each service on a line."""

from __future__ import annotations

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.survey import MOST_MEMBERS, folded, git_unread, newest, survey
from quarterdeck.core.desk.refusals import WhichService
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import RequestError
from quarterdeck.core.rollout.intent import Target
from quarterdeck.core.rollout.subject import Member

_MOST_TARGETS = 5


async def versions(desk: Desk, said: Said) -> list[str]:
    """The tags of the services that were named."""
    targets = desk.grammar.names(said.verb, said.text)
    if not targets:
        raise RequestError(WhichService(said.verb.usage()))
    members: list[tuple[Member, Snapshot | None]] = []
    for target in targets[:_MOST_TARGETS]:
        members += await desk.targets.members_of(target)
    return [await _line(desk, member, snapshot) for member, snapshot in members[:MOST_MEMBERS]]


async def versions_of(desk: Desk, target: Target) -> list[str]:
    """A line for the service, or for each of its parts."""
    members = await desk.targets.members_of(target)
    return [await _line(desk, member, snapshot) for member, snapshot in members]


async def _line(desk: Desk, member: Member, snapshot: Snapshot | None) -> str:
    """`citoid: git … | staging … | codfw, eqiad … | newest …`."""
    situation = await survey(desk, member, snapshot)
    tags = folded(situation, member.service.suffix, with_pods=False)
    entries = [*tags, *git_unread(situation, snapshot), *await newest(desk, member)]
    first, *others = entries or ["?"]
    return " | ".join([f"{member.title}: {first}", *others])
