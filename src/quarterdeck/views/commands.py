"""The exact commands that people are offered, ready to paste."""

from __future__ import annotations

from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State


def confirm_command(code: str, count: int) -> str:
    """What to type to say yes: `!confirm prod-k7p with 2`."""
    return f"!confirm {code}" + (f" with {count}" if count else "")


def same_elsewhere(rollout: Rollout, verb: str, environment: str) -> str:
    """What to type for the same in an environment; an edit that was for one of several sharers says so again."""
    alone = " --alone" if rollout.intent.alone and verb != "apply" else ""
    return f"!{verb} {rollout.title} {environment}{alone}"


def next_commands(rollout: Rollout) -> tuple[str, ...]:
    """What a person can type from here, ready to paste."""
    stop, retry = f"!stop {rollout.number}", f"!retry {rollout.number}"
    match rollout.state:
        case State.WAITING:
            return (confirm_command(rollout.code, rollout.code_count), stop)
        case State.PLANNED | State.RUNNING:
            return (stop,)
        case State.FAILED:
            return (retry, same_elsewhere(rollout, "rollback", rollout.targets[0][1]), stop)
        case State.UNKNOWN:
            return (retry, stop)
        case State.SUCCEEDED if rollout.pending and rollout.kind == Kind.DEPLOY:
            return (same_elsewhere(rollout, "deploy", "production"), f"!status {rollout.title}")
        case _:
            return (f"!status {rollout.title}",)
