"""Closes the open questions whose time is up."""

from __future__ import annotations

import contextlib
import logging

from quarterdeck.core.model.errors import QuarterdeckError, TemporaryError
from quarterdeck.core.model.event import Event
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.events import Closed, QuestionExpired
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import Move, State

log = logging.getLogger(__name__)
#: seconds between two looks
EVERY = 1.0


async def tend_questions(store: Store, voice: Voice, clock: Clock) -> None:
    """For ever: close questions whose deadline has passed, or that somebody stopped while they were being opened."""
    while True:
        await clock.sleep(EVERY)
        try:
            for rollout in await store.find({State.WAITING}, limit=1000):
                is_late = rollout.deadline is not None and rollout.deadline <= clock.now()
                if is_late or rollout.stop:
                    await _close(rollout, store, voice, clock)
        except TemporaryError:
            log.exception("cannot read open questions")


async def _close(rollout: Rollout, store: Store, voice: Voice, clock: Clock) -> None:
    note = f"stopped by {rollout.stop}" if rollout.stop else "nobody confirmed in time"
    closed = advance(rollout, Move.ABORT, clock.now(), note=note, moved_by=rollout.stop)
    debts = await store.debts()
    event: Event = QuestionExpired(closed, debts)
    if rollout.stop:
        event = Closed(closed, rollout.stop, State.WAITING, debts)
    with contextlib.suppress(QuarterdeckError):
        await store.save(rollout, closed, voice.lines(event), write_set=())
