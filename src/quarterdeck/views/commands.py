"""The exact commands that people are offered, ready to paste."""

from __future__ import annotations

from quarterdeck.core.model.question import confirm_command
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State


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
