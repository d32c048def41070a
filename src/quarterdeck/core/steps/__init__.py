"""The steps of a rollout, one function each: look first, save the intent, act, tell what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..rollout import Step, StepName
from .apply import apply
from .check import check
from .diff import diff
from .edit import edit
from .gate import gate
from .merge import merge
from .run import Run
from .sync import sync

__all__ = ["PERFORM", "Run"]

PERFORM: Mapping[StepName, Callable[[Run, Step], Awaitable[Mapping[str, Any]]]] = {
    StepName.EDIT: edit,
    StepName.MERGE: merge,
    StepName.SYNC: sync,
    StepName.DIFF: diff,
    StepName.GATE: gate,
    StepName.APPLY: apply,
    StepName.CHECK: check,
}
