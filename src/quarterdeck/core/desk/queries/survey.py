"""What several answers about a service share: a look at its git and its places."""

from __future__ import annotations

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.desk.answers import ServiceVersions
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.rollout.subject import Member, Subject
from quarterdeck.core.rules.serving_order import in_serving_order
from quarterdeck.core.situation import Situation

#: seconds that git and the cluster have to answer
_SURVEY_WITHIN = 8.0
#: parts or services of a group that are told one by one
MOST_MEMBERS = 8


async def survey(desk: Desk, member: Member, snapshot: Snapshot | None) -> Situation:
    """Look at all places of a member; git is not asked again where its files were just read."""
    catalogue = desk.catalogue.environments.values()
    its_own = in_serving_order(environment for environment in catalogue if environment.name in member.environments)
    places = tuple(environment.name for environment in its_own)
    return await desk.surveyor.survey(Subject((member,)), places, _SURVEY_WITHIN, snapshot)


async def versions_now(desk: Desk, member: Member, snapshot: Snapshot | None) -> ServiceVersions:
    """The tags of a member in git and in its places, and the newest announced one."""
    situation = await survey(desk, member, snapshot)
    git_problem = situation.problems.get("git", "") if snapshot is not None else ""
    return ServiceVersions(member, situation, git_problem, await desk.tagging.newest(member))
