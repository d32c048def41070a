"""What a start finds in the store: rollouts to take up again, and those that nobody can read."""

from __future__ import annotations

import logging

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.worker.deployer import Deployer
from quarterdeck.core.world import World

log = logging.getLogger(__name__)


async def recover(world: World, deployer: Deployer) -> tuple[Rollout, ...]:
    """After a start: take up what was RUNNING or accepted. The steps themselves look before they act."""
    await _name_the_unreadable(world)
    unfinished = await world.store.find({State.RUNNING, State.PLANNED}, limit=1000)
    for rollout in unfinished:
        try:
            await world.store.say(world.voice.lines("back", rollout))
        except TemporaryError:
            log.exception("rollout #%s: cannot say that it goes on", rollout.number)
        deployer.take_up(rollout)
    return unfinished


async def _name_the_unreadable(world: World) -> None:
    for unreadable in await world.store.unreadable():
        sentence = world.voice.refusal(unreadable)
        log.warning("%s", sentence)
        await world.store.note("worker", "left alone", sentence, unreadable.number)
