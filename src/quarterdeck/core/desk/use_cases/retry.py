"""`!retry ID`: goes on from where a FAILED or UNKNOWN rollout stands; looks again first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.answers import LooksAgain
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import NothingToRetry, SomebodyWasFaster
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import StaleError, WrongStateError
from quarterdeck.core.rollout.records import Edited
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState


async def retry(desk: Desk, said: Said) -> list[str]:
    """Let a rollout that failed or was lost go on."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    desk.authority.permit_on(said.actor, said.verb, rollout)
    if rollout.state not in (State.FAILED, State.UNKNOWN):
        raise WrongStateError(NothingToRetry(rollout.number, rollout.state))
    steps = await _steps_to_go_on_with(desk, rollout)
    if rollout.stop:
        await desk.store.raise_stop(rollout.number, "")
        rollout = replace(rollout, stop="")
    retried_by = said.actor.name
    again = advance(
        rollout,
        Move.RETRY,
        desk.clock.now(),
        steps=steps,
        note=f"retried by {retried_by}",
        moved_by=retried_by,
    )
    write_set = _write_set(steps) if rollout.state is State.FAILED else None  # UNKNOWN holds it still
    try:
        saved = await desk.store.save(rollout, again, (), write_set=write_set)
    except StaleError:
        raise WrongStateError(SomebodyWasFaster(rollout.number)) from None
    desk.deployer.take_up(saved)
    return desk.tell(LooksAgain(saved))


async def _steps_to_go_on_with(desk: Desk, rollout: Rollout) -> tuple[Step, ...]:
    """A job that still runs is followed again; what has ended is done anew."""
    if not await desk.apply_jobs.runs(rollout):
        return desk.pipelines.retried(rollout)
    return tuple(_followed(step) for step in rollout.steps)


def _followed(step: Step) -> Step:
    return replace(step, state=StepState.INTENDED, ended=None) if step.state is StepState.LOST else step


def _write_set(steps: Sequence[Step]) -> tuple[tuple[str, str], ...]:
    """The scalars a retry holds again: those its EDIT wrote, unless it begins with EDIT anew."""
    for step in steps:
        if step.name == StepName.EDIT and step.state is StepState.DONE:
            return step.result.write_set if isinstance(step.result, Edited) else ()
    return ()
