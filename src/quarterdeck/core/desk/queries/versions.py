"""`!versions SERVICE…`: tags only, each service on a line."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.queries.survey import MOST_MEMBERS, versions_now
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
    return await _told(desk, members[:MOST_MEMBERS])


async def versions_of(desk: Desk, target: Target) -> list[str]:
    """A line for the service, or for each of its parts."""
    return await _told(desk, await desk.targets.members_of(target))


async def _told(desk: Desk, members: Sequence[tuple[Member, Snapshot | None]]) -> list[str]:
    lines: list[str] = []
    for member, snapshot in members:
        lines += desk.tell(await versions_now(desk, member, snapshot))
    return lines
