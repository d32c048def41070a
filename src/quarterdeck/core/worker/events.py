"""How a rollout ends short of its aim, as people are told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from quarterdeck.core.rollout.events import ApplyEvent, RolloutEvent
from quarterdeck.core.situation import Situation


@dataclass(frozen=True)
class EndedShort(RolloutEvent):
    """A rollout ended short of its aim.

    Attributes:
        outcome: how, in a word.
        why: the cause, redacted.
        situation: what serves now, and what git says.
    """

    outcome: ClassVar[str]
    why: str
    situation: Situation


@dataclass(frozen=True)
class Failed(EndedShort):
    """A step failed."""

    outcome = "FAILED"


@dataclass(frozen=True)
class Lost(EndedShort):
    """The end of an effect cannot be proven."""

    outcome = "UNKNOWN"


@dataclass(frozen=True)
class Stopped(EndedShort):
    """A person stopped it while it ran."""

    outcome = "STOPPED"


@dataclass(frozen=True)
class ApplyEndedShort(ApplyEvent):
    """What an apply began was not proven.

    Attributes:
        end: how the rollout ended.
    """

    end: EndedShort
