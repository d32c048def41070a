"""Proves that the names of the points a crash test can choose are those of what was just saved."""

from dataclasses import replace
from datetime import UTC, datetime

from quarterdeck.adapters.store.mortal import points
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from tests.worlds.subjects import subject

NOW = datetime(2026, 8, 17, tzinfo=UTC)


def test_only_what_changed_has_a_name() -> None:
    """A step's new state, with and without its environment, and the rollout's; nothing that stayed as it was."""
    apply, check = Step(StepName.APPLY, "codfw", "default"), Step(StepName.CHECK, "codfw", "default")
    old = Rollout(
        "0" * 16, Kind.APPLY, subject(places=("codfw",)), ("codfw",), "", {}, "a", "a", "irc:a", "irc/#d", NOW
    )
    old = replace(old, state=State.RUNNING, steps=(apply, check))
    new = old.with_step(replace(apply, state=StepState.INTENDED))
    assert points(old, new) == {"apply:intended", "apply/codfw:intended"}
    assert points(old, replace(old, state=State.WAITING)) == {"WAITING"}
    assert points(new, new) == frozenset()
