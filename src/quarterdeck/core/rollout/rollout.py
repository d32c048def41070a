"""A rollout: one run of ours, and the only way it moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from quarterdeck.core.model import place as places
from quarterdeck.core.model.errors import WrongStateError
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.intent import NOTHING_ASKED, Intent
from quarterdeck.core.rollout.records import (
    Applied,
    Briefing,
    Checked,
    Diffed,
    Edited,
    EditIntent,
    GateIntent,
    Merged,
    Synced,
)
from quarterdeck.core.rollout.refusals import NoSuchMove
from quarterdeck.core.rollout.state import MOVES, OVER, Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rollout.subject import Subject

Record = TypeVar("Record")


class Kind(StrEnum):
    """What a rollout is for."""

    DEPLOY = "deploy"  #: edit, merge, then bring the cluster there
    APPLY = "apply"  #: bring the cluster to what git says
    ROLLBACK = "rollback"  #: a deploy of the tag that ran before


@dataclass(frozen=True)
class Rollout:
    """One run of ours.

    Attributes:
        id: 16 random hex digits; names things in other systems.
        kind: what it is for; ours are `Kind`s, each with a pipeline of its own.
        number: for people; 0 until the store gave one.
        subject: what it is about: services, parts, images, environments; as it was when it was asked for.
        environments: its places (`places`), in the order they are served.
        tag: the tag to bring, as it stands in git; empty for an apply, which takes what git says.
        before: place -> tag it ran when we began ("" if none was found).
        actor: person's name; shell, account and email say who that was when he asked.
        home: where it was asked and where the verdict goes.
        intent: what was asked for, with its reason as it may be shown.
        note: one sentence why it stands where it stands.
        code: open question's code, empty when there is none.
        code_count: the N of `with N`; 0 when none is asked.
        deadline: when the open question closes by itself, aware UTC.
        stop: who raised the stop flag; empty when nobody did.
        pending: places outside the targets whose git tag this rollout changed.
        version: raised with each move; a writer with an old one is refused.
        briefing: what the order knew beforehand.
        moved_by: the person who made the last move of a resting rollout; empty where it was the worker.
    """

    id: str
    kind: str
    subject: Subject
    environments: tuple[str, ...]
    tag: str
    before: Mapping[str, str]
    actor: str
    shell: str
    account: str
    home: Room
    created: datetime
    email: str = ""
    number: int = 0
    state: State = State.PLANNED
    steps: tuple[Step, ...] = ()
    intent: Intent = NOTHING_ASKED
    note: str = ""
    digest: str = ""
    code: str = ""
    code_count: int = 0
    deadline: datetime | None = None
    stop: str = ""
    pending: tuple[str, ...] = ()
    updated: datetime | None = None
    ended: datetime | None = None
    version: int = 0
    briefing: Briefing = field(default_factory=Briefing)
    moved_by: str = ""

    @property
    def title(self) -> str:
        """As people say it: `citoid`, `wikifunctions/orchestrator`, `@shellbox`."""
        return self.subject.title

    @property
    def reason(self) -> str:
        """Free words after `--`."""
        return self.intent.reason

    @property
    def service(self) -> str:
        """The name of the service whose rooms and deployers it has; the first of a group."""
        return self.subject.service.name

    @property
    def part(self) -> str:
        """Which part of the service, "all" for all of them; empty for a service with one image."""
        return self.subject.part

    @property
    def group(self) -> str:
        """Name of the group it serves; empty for one service."""
        return self.subject.group

    @property
    def targets(self) -> tuple[tuple[str, str], ...]:
        """(service, environment) of each of its places."""
        return tuple(self.target(place) for place in self.environments)

    @property
    def services(self) -> tuple[str, ...]:
        """The services it serves, its own first."""
        return tuple(dict.fromkeys((self.service, *(service for service, _ in self.targets))))

    def target(self, place: str) -> tuple[str, str]:
        """(service, environment) of a place."""
        return places.split(place, self.service)

    def place(self, service: str, environment: str) -> str:
        """The place of a service's environment."""
        return places.named(service, environment, self.service)

    def ran(self, place: str, part: str) -> frozenset[str]:
        """The tags that ran at a place when we began, of one part or of all: several where the parts differed."""
        by_part = self.briefing.running_by_part
        if part in by_part:
            tags_before = [by_part[part]]
        else:
            tags_before = [*by_part.values()] or [self.before]
        return frozenset(tags.get(place, "") for tags in tags_before) - {""}

    def spoken(self, place: str) -> str:
        """One of its places for people: `codfw`, or `shellbox-media codfw`; in a group the service is always named."""
        service, environment = self.target(place)
        return f"{service} {environment}" if environment and (self.group or "/" in place) else environment

    def listed(self, where: Iterable[str]) -> str:
        """Places for people, as `places.listed`; in a group the services are always named."""
        return places.listed(where, self.service, named=bool(self.group))

    @property
    def served(self) -> tuple[str, ...]:
        """Its places where all is done: applied where it had to be, and the pods seen to stay up."""
        states: dict[str, set[StepState]] = {}
        for step in self.steps:
            states.setdefault(step.environment, set()).add(step.state)
        return tuple(place for place in self.environments if states.get(place) == {StepState.DONE})

    def step(self, name: str, environment: str = "", stage: str = "") -> Step | None:
        """The step with that key, or None."""
        for step in self.steps:
            if step.key == (str(name), environment, stage):
                return step
        return None

    @property
    def records(self) -> Records:
        """What its steps intended and found, by their types."""
        return Records(self)

    @property
    def current(self) -> Step | None:
        """The first step that is not done."""
        return next((s for s in self.steps if s.state is not StepState.DONE), None)

    def with_step(self, changed: Step) -> Rollout:
        """The rollout with one of its steps replaced."""
        return replace(self, steps=tuple(changed if s.key == changed.key else s for s in self.steps))


class Records:
    """What the steps of a rollout intended and found; None where a step is missing or not that far."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout

    def _result(self, kind: type[Record], name: str, place: str = "", stage: str = "") -> Record | None:
        step = self._rollout.step(name, place, stage)
        return step.result if step is not None and isinstance(step.result, kind) else None

    @property
    def editing(self) -> EditIntent | None:
        """What EDIT was about to propose."""
        step = self._rollout.step(StepName.EDIT)
        return step.intent if step is not None and isinstance(step.intent, EditIntent) else None

    @property
    def edited(self) -> Edited | None:
        """What EDIT left."""
        return self._result(Edited, StepName.EDIT)

    @property
    def merged(self) -> Merged | None:
        """Where MERGE saw the edit on the branch."""
        return self._result(Merged, StepName.MERGE)

    @property
    def synced(self) -> Synced | None:
        """What SYNC pinned."""
        return self._result(Synced, StepName.SYNC)

    @property
    def diffed(self) -> Diffed | None:
        """What DIFF found."""
        return self._result(Diffed, StepName.DIFF)

    @property
    def question(self) -> GateIntent | None:
        """The question of GATE, answered or open."""
        step = self._rollout.step(StepName.GATE)
        return step.intent if step is not None and isinstance(step.intent, GateIntent) else None

    def applied(self, place: str, stage: str) -> Applied | None:
        """What APPLY did at a place and stage."""
        return self._result(Applied, StepName.APPLY, place, stage)

    def checked(self, place: str, stage: str) -> Checked | None:
        """What CHECK saw at a place and stage."""
        return self._result(Checked, StepName.CHECK, place, stage)


def advance(rollout: Rollout, move: Move, at: datetime, **changes: Any) -> Rollout:
    """Return the rollout after *move*.

    Args:
        rollout: the rollout as last read.
        move: what happens.
        at: when, aware UTC.
        changes: other fields that change with it.

    Raises:
        WrongStateError: the table has no such move from this state.
    """
    target = MOVES[rollout.state].get(move)
    if target is None:
        raise WrongStateError(NoSuchMove(rollout.number, rollout.state, move, tuple(MOVES[rollout.state])))
    ended = at if target in OVER or target is State.FAILED else None
    if target is not State.WAITING:
        changes = {"code": "", "code_count": 0, "deadline": None, **changes}
    changes = {"moved_by": "", **changes}
    return replace(rollout, state=target, updated=at, ended=ended, version=rollout.version + 1, **changes)
