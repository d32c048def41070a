"""A rollout as a store keeps it: whatever does not fit is one kind of error, which names where it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quarterdeck.core.rollout import packing
from quarterdeck.core.rollout.codec import UnreadableError
from quarterdeck.core.rollout.records import SyncIntent
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step, StepName
from tests.worlds.world import rolled

STEPS = (Step(StepName.CHECK, "staging", "default"), Step(StepName.SYNC, intent=SyncIntent("c0ffee")))


def packed() -> list[packing.PackedStep]:
    """The steps as a store keeps them."""
    return [packing.pack_step(step) for step in STEPS]


def unpacked(steps: list[packing.PackedStep], body: str = "") -> Rollout:
    """The rollout out of what a store kept."""
    return packing.unpack(body or packing.pack(rolled()), steps, "")


def test_it_comes_back_as_it_was() -> None:
    """Body, steps and their records."""
    assert unpacked(packed()) == rolled(steps=STEPS)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "paint"}, r"Rollout\.steps\[1\]: unknown step paint"),
        ({"state": "resting"}, r"Rollout\.steps\[1\]\.state: 'resting' is no StepState"),
        ({"intent": '{"commit":"c","newer":1}'}, r"Rollout\.steps\[1\]\.intent\.newer: unknown field"),
        ({"intent": "{}"}, r"Rollout\.steps\[1\]\.intent\.commit: missing"),
        ({"intent": "{"}, r"Rollout\.steps\[1\]\.intent: no JSON"),
        ({"result": '{"commit":1}'}, r"Rollout\.steps\[1\]\.result\.merged: missing"),
    ],
)
def test_a_step_that_this_version_does_not_know_is_named_by_its_place(changes: dict[str, str], told: str) -> None:
    """So that somebody finds it in the store."""
    first, second = packed()
    with pytest.raises(UnreadableError, match=told):
        unpacked([first, replace(second, **changes)])  # type: ignore[arg-type]


def test_a_step_has_no_intent_of_a_kind_that_saves_none() -> None:
    """It is not lost silently."""
    first, second = packed()
    with pytest.raises(UnreadableError, match=r"Rollout\.steps\[0\]\.intent: this kind of step has none"):
        unpacked([replace(first, intent='{"newer":1}'), second])


def test_a_kind_that_this_version_does_not_know_is_named() -> None:
    """A bot that lacks the pipeline drives nothing of it."""
    with pytest.raises(UnreadableError, match="kind painting: unknown"):
        unpacked([], packing.pack(rolled(kind="painting")))
