"""The kinds of step, and how far one got."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StepName(StrEnum):
    """The kinds of step, in their lawful order."""

    EDIT = "edit"
    MERGE = "merge"
    SYNC = "sync"
    DIFF = "diff"
    GATE = "gate"
    APPLY = "apply"
    CHECK = "check"


class StepState(StrEnum):
    """How far a step got."""

    TODO = "todo"
    INTENDED = "intended"  #: the intent is saved, the effect may have begun
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"


@dataclass(frozen=True)
class Step:
    """One step of a rollout.

    Attributes:
        name: of its kind; ours are `StepName`s.
        environment: the place (`places`) it acts on; empty for steps that serve all.
        stage: "canary" or "default" for APPLY and CHECK, else empty.
        attempt: 1 at first; a crash keeps it, a person's retry raises it.
        intent: what was about to be done, saved before the effect; a record of the type that its kind has.
        result: what it found, likewise.
        why: why it failed, in words; empty while it has not.
    """

    name: str
    environment: str = ""
    stage: str = ""
    attempt: int = 1
    state: StepState = StepState.TODO
    intent: object | None = None
    result: object | None = None
    why: str = ""
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one step of a rollout from another."""
        return (str(self.name), self.environment, self.stage)

    @property
    def seconds(self) -> float:
        """How long it took; 0 where it has not ended."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else 0.0
