"""A rollout and its steps as texts that a store keeps, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.codec import UnreadableError
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines, StepKind
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step, StepState


@dataclass(frozen=True)
class PackedStep:
    """A step as a store keeps it: what it intends and finds as JSON, all else plain."""

    name: str
    environment: str
    stage: str
    attempt: int
    state: str
    intent: str
    result: str
    why: str
    started: datetime | None
    ended: datetime | None


def pack(rollout: Rollout) -> str:
    """JSON of a rollout without its steps and its stop flag, which are kept apart."""
    return codec.dumps(replace(rollout, steps=(), stop=""))


def pack_step(step: Step) -> PackedStep:
    """A step as a store keeps it."""
    return PackedStep(
        name=str(step.name),
        environment=step.environment,
        stage=step.stage,
        attempt=step.attempt,
        state=step.state.value,
        intent=codec.dumps(step.intent),
        result=codec.dumps(step.result),
        why=step.why,
        started=step.started,
        ended=step.ended,
    )


def unpack(body: str, steps: Sequence[PackedStep], stop: str, pipelines: Pipelines = PIPELINES) -> Rollout:
    """The rollout that was packed.

    Raises:
        UnreadableError: it has a field, a step or a kind that this version does not know; the message names it.
    """
    rollout = codec.loads(Rollout, body)
    if rollout.kind not in pipelines.kinds:
        raise UnreadableError(f"kind {rollout.kind}: unknown")
    unpacked = (_unpacked_step(step, pipelines.steps, f"Rollout.steps[{at}]") for at, step in enumerate(steps))
    return replace(rollout, steps=tuple(unpacked), stop=stop)


def _unpacked_step(packed: PackedStep, kinds: Mapping[str, StepKind], path: str) -> Step:
    kind = kinds.get(packed.name)
    if kind is None:
        raise UnreadableError(f"{path}: unknown step {packed.name}")
    try:
        state = StepState(packed.state)
    except ValueError as error:
        raise UnreadableError(f"{path}.state: {packed.state!r} is no StepState") from error
    return Step(
        name=packed.name,
        environment=packed.environment,
        stage=packed.stage,
        attempt=packed.attempt,
        state=state,
        intent=_record(kind.intent, packed.intent, f"{path}.intent"),
        result=_record(kind.result, packed.result, f"{path}.result"),
        why=packed.why,
        started=packed.started,
        ended=packed.ended,
    )


def _record(kind: type | None, text: str, path: str) -> object | None:
    """The record of that type; None where none was saved."""
    if text == "null":
        return None
    if kind is None:
        raise UnreadableError(f"{path}: this kind of step has none")
    return codec.loads(kind, text, path)
