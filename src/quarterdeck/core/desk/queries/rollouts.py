"""What several answers about rollouts share: where one stands, its logs, what can be typed next, long answers cut."""

from __future__ import annotations

from collections.abc import Sequence

from quarterdeck.core.model.place import slug
from quarterdeck.core.model.question import confirm_command
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName, StepState

#: lines a `!log` or `!diff` prints at most; the page has all
MOST_LINES = 40


def at_most(lines: Sequence[str], rollout: Rollout, page: str) -> list[str]:
    """The first lines, and where the others are."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    hidden = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f"#{rollout.number}: {hidden} more lines: {page}/{rollout.number}"]


def step_words(rollout: Rollout) -> str:
    """Where a rollout stands, in two words."""
    step = rollout.current
    if rollout.state is State.WAITING:
        return f", till {rollout.deadline:%H:%M}" if rollout.deadline else ""
    if step is None:
        return ""
    where = f" {rollout.spoken(step.environment)}" if step.environment else ""
    return f", {step.name}{where}"


def log_names(rollout: Rollout) -> tuple[str, ...]:
    """The files that hold a rollout's helmfile logs, in the order they were written."""
    diffs = [f"{slug(place)}.diff.log" for place in rollout.environments]
    applies = [
        f"{slug(step.environment)}.{step.stage}.apply.log"
        for step in rollout.steps
        if step.name == StepName.APPLY and step.state is not StepState.TODO
    ]
    return (*diffs, *applies)


def next_commands(rollout: Rollout) -> tuple[str, ...]:
    """What a person can type from here, ready to paste."""
    stop, retry = f"!stop {rollout.number}", f"!retry {rollout.number}"
    match rollout.state:
        case State.WAITING:
            return (confirm_command(rollout.code, rollout.code_count), stop)
        case State.PLANNED | State.RUNNING:
            return (stop,)
        case State.FAILED:
            return (retry, rollout.command("rollback", rollout.targets[0][1]), stop)
        case State.UNKNOWN:
            return (retry, stop)
        case State.SUCCEEDED if rollout.pending and rollout.kind == Kind.DEPLOY:
            return (rollout.command("deploy", "production"), f"!status {rollout.title}")
        case _:
            return (f"!status {rollout.title}",)
