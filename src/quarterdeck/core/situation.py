"""What is true right now for a service: what serves users, what git says, who owes what; read, never remembered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from quarterdeck.core.charts.members import component_of
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.cluster.pods import serving as serving_pods
from quarterdeck.core.model.errors import EditRefusedError, QuarterdeckError
from quarterdeck.core.ports.debts import Debts
from quarterdeck.core.ports.host import Host
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.rollout.subject import Member, Subject, owed

#: seconds a last look may take; a failure must be told even when the world is gone
PATIENCE = 8.0
#: tag -> (ready pods, all pods)
Serving: TypeAlias = Mapping[str, tuple[int, int]]


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


class Surveyor:
    """Looks at git, the cluster and the debts, anew each time."""

    def __init__(self, charts: Snapshots, host: Host, store: Debts) -> None:
        self.charts, self.host, self.store = charts, host, store

    async def at_the_end(self, rollout: Rollout) -> Situation:
        """The situation a rollout ends in: its own places, quickly, leaving out what does not answer."""
        situation = await self.survey(rollout.subject, rollout.environments, PATIENCE)
        debts = await self.store.debts()  # also what its edit made others owe
        its_debts = tuple(debt for debt in debts if debt in situation.debts or debt.number == rollout.number)
        return replace(situation, untouched=_untouched(rollout), debts=its_debts)

    async def survey(
        self,
        subject: Subject,
        places: Sequence[str],
        seconds: float = 20.0,
        snapshot: Snapshot | None = None,
    ) -> Situation:
        """Read git and the cluster for places, side by side, each within *seconds*; never raises for a dead system.

        Args:
            snapshot: the files at the tip, of a caller that has just read them: git is not asked again.
        """
        look = _Look(self.charts, self.host, subject, seconds)
        in_pods = (look.at_pods(place) for place in places)
        await asyncio.gather(look.at_git(places, snapshot), *in_pods)
        debts: list[Debt] = []
        for member in subject.members:
            debts += await self.store.debts(member.service.name)
        return look.situation(places, owed(subject.members, debts))


def _untouched(rollout: Rollout) -> tuple[str, ...]:
    """The places of a rollout that are not done, and where no apply of it began."""
    applies = [step for step in rollout.steps if step.name == StepName.APPLY]
    begun = {step.environment for step in applies if step.state is not StepState.TODO}
    return tuple(place for place in rollout.environments if place not in rollout.served and place not in begun)


class _Look:
    """One look at a subject: what was read so far, of the whole and of each part by itself."""

    def __init__(self, charts: Snapshots, host: Host, subject: Subject, seconds: float) -> None:
        self.charts, self.host, self.subject, self.seconds = charts, host, subject, seconds
        self.commit = ""
        self.tags: Mapping[str, str] = {}
        self.serving: dict[str, Serving] = {}
        self.tags_by_part: dict[str, dict[str, str]] = {part: {} for part in subject.own.parts}
        self.serving_by_part: dict[str, dict[str, Serving]] = {part: {} for part in subject.own.parts}
        self.problems: dict[str, str] = {}

    async def at_git(self, places: Sequence[str], snapshot: Snapshot | None) -> None:
        """Read what git says, or note why it cannot be read."""
        await self._guarded("git", self._read_git(places, snapshot))

    async def at_pods(self, place: str) -> None:
        """Read what runs at a place, or note why it cannot be read."""
        await self._guarded(place, self._read_pods(place))

    def situation(self, places: Sequence[str], debts: tuple[Debt, ...]) -> Situation:
        """What was read; places in their own order, not in the order in which they answered."""
        parts: dict[str, Situation] = {}
        for member in self.subject.own.single_parts:
            serving = _in_order(self.serving_by_part[member.part], places)
            parts[member.part] = Situation(member.title, self.commit, self.tags_by_part[member.part], serving)
        return Situation(
            subject=self.subject.title,
            commit=self.commit,
            git=self.tags,
            serving=_in_order(self.serving, places),
            debts=debts,
            problems=self.problems,
            parts=parts,
        )

    async def _guarded(self, system: str, reading: Coroutine[Any, Any, None]) -> None:
        try:
            async with asyncio.timeout(self.seconds):
                await reading
        except (QuarterdeckError, TimeoutError) as error:
            self.problems[system] = str(error) or f"no answer within {self.seconds:.0f} s"

    async def _read_git(self, places: Sequence[str], snapshot: Snapshot | None) -> None:
        if snapshot is None:
            snapshot = await self.charts.at_tip(member.service.name for member in self.subject.members)
        tags: dict[str, str] = {}
        for member in self.subject.members:
            its_places = [place for place in places if self.subject.at(place)[0] is member]
            for part in member.single_parts:
                with contextlib.suppress(EditRefusedError):  # the part is in none of the places
                    of_part = await asyncio.to_thread(_tags, self.subject, part, its_places, snapshot)
                    self.tags_by_part[part.part].update(of_part)
            tags |= await asyncio.to_thread(_tags, self.subject, member, its_places, snapshot)
        self.commit, self.tags = snapshot.commit, tags

    async def _read_pods(self, place: str) -> None:
        member, environment = self.subject.at(place)
        objects = await self.host.objects(member.service.name, environment)
        for part in member.single_parts:
            of_part = serving_pods(objects, part.images, part.registry_suffixes)
            self.serving_by_part[part.part][place] = of_part
        self.serving[place] = serving_pods(objects, member.images, member.registry_suffixes)


def _in_order(serving: Mapping[str, Serving], places: Sequence[str]) -> dict[str, Serving]:
    return {place: serving[place] for place in places if place in serving}


def _tags(subject: Subject, member: Member, places: Sequence[str], snapshot: Snapshot) -> dict[str, str]:
    """Place -> the tag that git says, for a member's places; one that cannot be told is left out.

    Raises:
        EditRefusedError: none can be told; why.
    """
    tags: dict[str, str] = {}
    problem: EditRefusedError | None = None
    for place in places:
        environment = subject.at(place)[1]
        try:
            tags[place] = snapshot.tag(component_of(member), environment).tag
        except EditRefusedError as why:
            problem = problem or why
    if problem is not None and not tags:
        raise problem
    return tags
