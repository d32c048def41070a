"""Closes the open questions whose time is up."""

from __future__ import annotations

import contextlib
import logging

from quarterdeck.core.model.errors import QuarterdeckError, TemporaryError
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.world import World

log = logging.getLogger(__name__)
#: seconds between two looks
EVERY = 1.0


async def tend_questions(world: World) -> None:
    """For ever: close questions whose deadline has passed, or that somebody stopped while they were being opened."""
    while True:
        await world.clock.sleep(EVERY)
        try:
            for rollout in await world.store.find({State.WAITING}, limit=1000):
                is_late = rollout.deadline is not None and rollout.deadline <= world.clock.now()
                if is_late or rollout.stop:
                    await _close(world, rollout)
        except TemporaryError:
            log.exception("cannot read open questions")


async def _close(world: World, rollout: Rollout) -> None:
    note = f"stopped by {rollout.stop}" if rollout.stop else "nobody confirmed in time"
    closed = advance(rollout, Move.ABORT, world.clock.now(), note=note, moved_by=rollout.stop)
    debts = await world.store.debts()
    if rollout.stop:
        lines = world.voice.lines("closed", closed, by=rollout.stop, was=State.WAITING, debts=debts)
    else:
        lines = world.voice.lines("expired", closed, debts=debts)
    with contextlib.suppress(QuarterdeckError):
        await world.store.save(rollout, closed, lines, write_set=())
