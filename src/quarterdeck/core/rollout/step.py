"""The kinds of step, and how far one got."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


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
        environment: the place (`places`) it acts on; empty for steps that serve all.
        stage: "canary" or "default" for APPLY and CHECK, else empty.
        attempt: 1 at first; a crash keeps it, a person's retry raises it.
        intent: what was about to be done, saved before the effect.
        result: what came of it.
    """

    name: StepName
    environment: str = ""
    stage: str = ""
    attempt: int = 1
    state: StepState = StepState.TODO
    intent: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] = field(default_factory=dict)
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells one step of a rollout from another."""
        return (self.name.value, self.environment, self.stage)
