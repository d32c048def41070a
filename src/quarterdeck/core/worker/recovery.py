"""What a start finds in the store: rollouts to take up again, and those that nobody can read."""

from __future__ import annotations

import logging

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.events import TakenUp
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.worker.deployer import Deployer

log = logging.getLogger(__name__)


async def recover(store: Store, voice: Voice, deployer: Deployer) -> tuple[Rollout, ...]:
    """After a start: take up what was RUNNING or accepted. The steps themselves look before they act."""
    await _name_the_unreadable(store, voice)
    unfinished = await store.find({State.RUNNING, State.PLANNED}, limit=1000)
    for rollout in unfinished:
        try:
            await store.say(voice.lines(TakenUp(rollout)))
        except TemporaryError:
            log.exception("rollout #%s: cannot say that it goes on", rollout.number)
        deployer.take_up(rollout)
    return unfinished


async def _name_the_unreadable(store: Store, voice: Voice) -> None:
    for unreadable in await store.unreadable():
        sentence = voice.refusal(unreadable)
        log.warning("%s", sentence)
        await store.note("worker", "left alone", sentence, unreadable.number)
