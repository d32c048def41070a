"""What comes of a command that is refused, or served to its end."""

from __future__ import annotations

from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from tests.worlds.world import Deck


async def refused(deck: Deck, command: str, who: str = "alice") -> str:
    """The one line of a refusal; nothing was accepted."""
    before = len(deck.store.tables.rollouts)
    said = await deck.say(command, who)
    assert said.endswith("Nothing done"), said
    assert "\n" not in said
    assert len(said.encode()) <= 400
    assert len(deck.store.tables.rollouts) == before
    return said


async def refused_untouched(deck: Deck, command: str) -> str:
    """The one line of a refusal before anything was ever written."""
    said = await refused(deck, command)
    assert not deck.review.changes
    return said


async def served(deck: Deck, words: str, who: str = "alice") -> Rollout:
    """`!deploy` and the like, confirmed where it asks."""
    rollout = await deck.order(words, who)
    return await deck.confirm(rollout.number, who) if rollout.state is State.WAITING else rollout


async def asked(deck: Deck) -> int:
    """A production rollout that waits for a confirm; its number."""
    await deck.deploy()
    waiting = await deck.deploy("citoid production")
    assert waiting.state is State.WAITING
    return waiting.number
