"""`!stop ID`: declines a question, ends the apply and lets helm go back, or closes what rests."""

from __future__ import annotations

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.acceptance import RESTING
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import IsOver
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import StaleError, WrongStateError
from quarterdeck.core.model.line import Line
from quarterdeck.core.rollout.events import Closed
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State


async def stop(desk: Desk, said: Said) -> list[str]:
    """Raise the stop flag of what is driven; close what rests."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    desk.authority.permit_on(said.actor, said.verb, rollout)
    if not said.actor.room:  # what is said in private is seen by all
        await desk.store.say([Line(rollout.home, f"#{rollout.number}: {said.actor.name} says !stop, in private")])
    if rollout.state in (State.RUNNING, State.PLANNED):
        await desk.store.raise_stop(rollout.number, said.actor.name)
        desk.deployer.interrupt(rollout.number, said.actor.name)
        return [f"#{rollout.number}: stopping{_at_which_step(desk, rollout)}"]
    if rollout.state not in RESTING:
        raise WrongStateError(IsOver(rollout.number, rollout.state))
    await desk.apply_jobs.refuse_while_at_work(rollout)
    return await _close(desk, said, rollout)


async def _close(desk: Desk, said: Said, resting: Rollout) -> list[str]:
    closed_by = said.actor.name
    closed = advance(resting, Move.ABORT, desk.clock.now(), note=f"stopped by {closed_by}", moved_by=closed_by)
    lines = desk.voice.lines(Closed(closed, closed_by, resting.state, await desk.store.debts()))
    try:
        await desk.store.save(resting, closed, lines, write_set=())
    except StaleError:  # answered, expired or taken over in this very moment
        return await stop(desk, said)
    left = await desk.acceptance.left_open(resting, f"Closed by {closed_by}, rollout #{resting.number}")
    return [left] if left else []


def _at_which_step(desk: Desk, rollout: Rollout) -> str:
    step = rollout.current
    if step is None:
        return ""
    if desk.pipelines.outlives_us(step):
        return f"; helm goes back in {rollout.spoken(step.environment)}, I tell when it has"
    return f" at {step.name}"
