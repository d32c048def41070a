"""The files that a rollout's log is in."""

from __future__ import annotations

from quarterdeck.core.model.place import slug
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import StepName, StepState


def log_names(rollout: Rollout) -> tuple[str, ...]:
    """The files that hold a rollout's helmfile logs, in the order they were written."""
    diffs = [f"{slug(place)}.diff.log" for place in rollout.environments]
    applies = [
        f"{slug(step.environment)}.{step.stage}.apply.log"
        for step in rollout.steps
        if step.name == StepName.APPLY and step.state is not StepState.TODO
    ]
    return (*diffs, *applies)
