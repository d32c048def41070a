"""The steps of a rollout, one function each: look first, save the intent, act, tell what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.apply import apply
from quarterdeck.core.steps.check import check
from quarterdeck.core.steps.diff import diff
from quarterdeck.core.steps.edit import edit
from quarterdeck.core.steps.gate import gate
from quarterdeck.core.steps.merge import merge
from quarterdeck.core.steps.run import Run
from quarterdeck.core.steps.sync import sync

__all__ = ["PERFORM", "Perform", "Run"]

#: performs a step: look first, save the intent, act, return what was found
Perform = Callable[[Run, Step], Awaitable[object]]

PERFORM: Mapping[str, Perform] = {
    StepName.EDIT: edit,
    StepName.MERGE: merge,
    StepName.SYNC: sync,
    StepName.DIFF: diff,
    StepName.GATE: gate,
    StepName.APPLY: apply,
    StepName.CHECK: check,
}
