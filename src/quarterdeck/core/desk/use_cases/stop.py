"""`!stop ID`: declines a question, ends the apply and lets helm go back, or closes what rests."""

from __future__ import annotations

from quarterdeck.core.desk import grammar
from quarterdeck.core.desk.acceptance import RESTING
from quarterdeck.core.desk.answers import Stopping
from quarterdeck.core.desk.desk import Desk
from quarterdeck.core.desk.refusals import IsOver
from quarterdeck.core.desk.verb import Said
from quarterdeck.core.model.errors import StaleError, WrongStateError
from quarterdeck.core.rollout.events import Closed, StopSaidInPrivate
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State


async def stop(desk: Desk, said: Said) -> list[str]:
    """Raise the stop flag of what is driven; close what rests."""
    rollout = await desk.rollout(grammar.number(said.verb, said.text))
    desk.authority.permit_on(said.actor, said.verb, rollout)
    if not said.actor.room:  # what is said in private is seen by all
        await desk.store.say(desk.voice.lines(StopSaidInPrivate(rollout, said.actor.name)))
    if rollout.state in (State.RUNNING, State.PLANNED):
        await desk.store.raise_stop(rollout.number, said.actor.name)
        desk.deployer.interrupt(rollout.number, said.actor.name)
        step = rollout.current
        helm_goes_back = step is not None and desk.pipelines.outlives_us(step)
        return desk.tell(Stopping(rollout, helm_goes_back))
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
    return desk.tell(left) if left else []
