"""Which steps a rollout has, and where a retry begins."""

from __future__ import annotations

from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step, StepName, StepState


def retried(rollout: Rollout) -> tuple[Step, ...]:
    """The steps as a person's retry begins them: from EDIT if nothing is merged yet, else from SYNC.

    All are new attempts, so that nothing finds an old job or change and takes it for its own. What has been done
    already shows itself: an edit that is in git is "already", an environment that has it diffs empty.
    """
    merged = rollout.step(StepName.MERGE)
    first = StepName.EDIT if merged is not None and merged.state is not StepState.DONE else StepName.SYNC
    order = [str(name) for name in StepName]
    kept: list[Step] = []
    for step in rollout.steps:
        if order.index(step.name) < order.index(first) or (step.name == StepName.GATE and step.stage):
            kept.append(step)
        elif step.name not in (StepName.APPLY, StepName.CHECK):
            kept.append(Step(step.name, step.environment, step.stage, step.attempt + 1))
    return tuple(kept)
