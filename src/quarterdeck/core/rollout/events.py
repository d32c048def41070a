"""What happens to a rollout on its way, as people are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from quarterdeck.core.model.event import Event
from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.records import PlaceDiff
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step


@dataclass(frozen=True)
class RolloutEvent(Event):
    """Something that the rollout's home room hears of.

    Attributes:
        rollout: as it stands after it.
    """

    rollout: Rollout


@dataclass(frozen=True)
class Accepted(RolloutEvent):
    """A command became a rollout.

    Attributes:
        in_git: git has it already, so that nothing is to be merged.
    """

    in_git: bool


@dataclass(frozen=True)
class TakenUp(RolloutEvent):
    """The process that drove it died, and the next one goes on with it."""


@dataclass(frozen=True)
class DiffTaken(RolloutEvent):
    """What would change is known.

    Attributes:
        differences: place -> what would change there.
    """

    differences: Mapping[str, PlaceDiff]


@dataclass(frozen=True)
class QuestionOpened(RolloutEvent):
    """A person is asked.

    Attributes:
        differences: place -> what would change there; empty where nothing was diffed yet.
    """

    question: Question
    differences: Mapping[str, PlaceDiff]


@dataclass(frozen=True)
class QuestionExpired(RolloutEvent):
    """Nobody answered in time, and the rollout is over.

    Attributes:
        debts: all there are.
    """

    debts: tuple[Debt, ...] = ()


@dataclass(frozen=True)
class Closed(RolloutEvent):
    """A person ended a rollout that rested.

    Attributes:
        by: the person's name.
        was: the state it rested in.
        debts: all there are.
    """

    by: str
    was: State
    debts: tuple[Debt, ...] = ()


@dataclass(frozen=True)
class StopSaidInPrivate(RolloutEvent):
    """Somebody said in private that it is to stop, which the room is to know.

    Attributes:
        by: the person's name.
    """

    by: str


@dataclass(frozen=True)
class PodsLookBad(RolloutEvent):
    """New pods fail while they are applied.

    Attributes:
        finding: what is wrong with them, in a few words.
        gives_up: when helm gives up by itself, aware UTC; None where nobody knows, and where it is at it already.
    """

    step: Step
    finding: str
    gives_up: datetime | None


@dataclass(frozen=True)
class StillBusy(RolloutEvent):
    """A sign of life from a step that takes long.

    Attributes:
        finding: what the pods of the place show, in a few words.
    """

    place: str
    finding: str


@dataclass(frozen=True)
class Succeeded(RolloutEvent):
    """All steps are done.

    Attributes:
        debts: what its services owe still, and what others owe by its edit.
        next_verb: the command that brings the same to production; empty where none follows.
    """

    debts: tuple[Debt, ...]
    next_verb: str


@dataclass(frozen=True)
class ApplyEvent(Event):
    """Something that the server admin log records.

    Attributes:
        rollout: as it stands after it.
        step: the step at whose place and stage it happened.
    """

    rollout: Rollout
    step: Step


@dataclass(frozen=True)
class ApplyStarted(ApplyEvent):
    """An apply is about to begin."""


@dataclass(frozen=True)
class ApplyProven(ApplyEvent):
    """The pods that an apply brought run and stayed up.

    Attributes:
        pods: (ready, wanted).
    """

    pods: tuple[int, int]
