"""What is true right now for a service: what serves users, what git says, who owes what; read, never remembered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from quarterdeck.core.charts import facade
from quarterdeck.core.charts.members import known
from quarterdeck.core.cluster.pods import serving as serving_pods
from quarterdeck.core.model.errors import EditRefusedError, QuarterdeckError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.rollout.subject import Member, Subject, owed
from quarterdeck.core.world import World

T = TypeVar("T")
#: seconds a last look may take; a failure must be told even when the world is gone
PATIENCE = 8.0
#: tag -> (ready pods, all pods)
Serving = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Situation:
    """One look at a service.

    Attributes:
        subject: what it is about, as people say it.
        git: place -> tag that git's tip says; empty if it could not be read.
        serving: place -> tag -> (ready pods, all pods); an unreadable one is missing.
        problems: system -> what it said, for what could not be read.
        parts: part -> what there is of it alone, where there are several and none was named.
    """

    subject: str
    commit: str = ""
    git: Mapping[str, str] = field(default_factory=dict)
    serving: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)
    debts: tuple[Debt, ...] = ()
    untouched: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Situation] = field(default_factory=dict)

    def running(self, place: str) -> str:
        """The tag most ready pods of a place run; empty if none or unreadable."""
        tags = self.serving.get(place, {})
        ready = [(counts[0], counts[1], tag) for tag, counts in tags.items() if counts[1]]
        return max(ready)[2] if ready else ""

    def is_empty(self, place: str) -> bool:
        """Whether a place was seen, and nothing of it runs there."""
        return place in self.serving and not self.serving[place]

    def meant(self, subject: Subject) -> tuple[Situation, ...]:
        """What there is of all that a subject stands for: of every part by itself where all are meant."""
        return tuple(self.parts.values()) if subject.part == ALL and self.parts else (self,)


async def look(world: World, rollout: Rollout) -> Situation:
    """The situation a rollout ends in: its own places, quickly, leaving out what does not answer."""
    untouched = tuple(
        place
        for place in rollout.environments
        if place not in rollout.served
        and all(s.state is StepState.TODO for s in rollout.steps if s.environment == place and s.name == StepName.APPLY)
    )
    found = await survey(world, rollout.subject, rollout.environments, PATIENCE)
    debts = await world.store.debts()  # also what its edit made others owe
    mine = tuple(d for d in debts if d in found.debts or d.number == rollout.number)
    return replace(found, untouched=untouched, debts=mine)


async def survey(
    world: World,
    subject: Subject,
    places: tuple[str, ...],
    seconds: float = 20.0,
    trees: Mapping[str, Tree] | None = None,
) -> Situation:
    """Read git and the cluster for places, side by side, each within *seconds*; never raises for a dead system.

    Whoever has just read the tip's *trees* (service -> tree) gives them, and git is not asked again.
    """
    problems: dict[str, str] = {}

    of_part: dict[str, tuple[dict[str, str], dict[str, Serving]]] = {name: ({}, {}) for name in subject.own.parts}

    async def git() -> tuple[str, dict[str, str]]:
        commit = "" if trees else await world.charts.tip()
        tags: dict[str, str] = {}
        for member in subject.members:
            mine = [place for place in places if subject.at(place)[0] is member]
            at_tip = (trees or {}).get(member.service.name) or await world.charts.tree(commit, member.service.name)
            commit = at_tip.commit
            for each in member.single_parts:
                with contextlib.suppress(EditRefusedError):  # the part is in none of the places
                    of_part[each.part][0].update(await asyncio.to_thread(_tags, subject, each, mine, at_tip))
            tags |= await asyncio.to_thread(_tags, subject, member, mine, at_tip)
        return commit, tags

    async def pods(place: str) -> Serving:
        member, environment = subject.at(place)
        objects = await world.host.objects(member.service.name, environment)
        for each in member.single_parts:
            of_part[each.part][1][place] = serving_pods(objects, each.images, each.registry_suffixes)
        return serving_pods(objects, member.images, member.registry_suffixes)

    async def guarded(name: str, read: Callable[[], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(seconds):
                return await read()
        except (QuarterdeckError, TimeoutError) as error:
            problems[name] = str(error) or f"no answer within {seconds:.0f} s"
            return None

    of_places = (guarded(place, partial(pods, place)) for place in places)
    in_git, in_pods = await asyncio.gather(guarded("git", git), asyncio.gather(*of_places))
    commit, tags = in_git or ("", {})
    serving = {place: pods_of for place, pods_of in zip(places, in_pods, strict=True) if pods_of is not None}
    debts = [debt for member in subject.members for debt in await world.store.debts(member.service.name)]
    alone = {each.part: Situation(each.title, commit, *of_part[each.part]) for each in subject.own.single_parts}
    return Situation(subject.title, commit, tags, serving, owed(subject.members, debts), (), problems, alone)


def _tags(subject: Subject, member: Member, places: Sequence[str], tree: Tree) -> dict[str, str]:
    """Place -> the tag that git says, for a member's places; one that cannot be told is left out.

    Raises:
        EditRefusedError: none can be told; why.
    """
    tags: dict[str, str] = {}
    problem: EditRefusedError | None = None
    for place in places:
        environment = subject.at(place)[1]
        try:
            found = facade.effective(tree, member.service.name, (environment,), known(member.service), member.part)
            tags[place] = found[environment].tag
        except EditRefusedError as why:
            problem = problem or why
    if problem is not None and not tags:
        raise problem
    return tags
