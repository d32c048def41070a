"""The steps of a rollout, one class each: look first, save the intent, act, tell what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run

#: performs a step: looks first, saves the intent, acts, returns what was found
Perform: TypeAlias = Callable[[Run, Step], Awaitable[object]]
