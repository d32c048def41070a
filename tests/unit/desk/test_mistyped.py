"""A mistyped word is answered with the command that was meant: of the same verb, whichever it is."""

from __future__ import annotations

import pytest

from quarterdeck.core.desk.commands import COMMANDS, Command
from quarterdeck.core.model.text import nearest
from tests.worlds.world import Deck

WITH_ENVIRONMENT = [command.name for command in COMMANDS if command.words.environment]
WITH_OTHER_WORDS = [*WITH_ENVIRONMENT, "preview apply", "status", "versions"]


@pytest.mark.parametrize("verb", [*WITH_ENVIRONMENT, "preview apply"])
async def test_a_mistyped_environment_proposes_the_same_verb(deck: Deck, verb: str) -> None:
    """`!rollback citoid codfw2` proposes a rollback, not a deploy."""
    said = await deck.say(f"{verb} citoid codfw2")
    assert f"Did you mean: !{verb} citoid codfw (also " in said
    assert said.endswith("Nothing done")
    assert not deck.store.tables.rollouts


@pytest.mark.parametrize("verb", WITH_OTHER_WORDS)
async def test_a_mistyped_service_proposes_the_same_verb(deck: Deck, verb: str) -> None:
    """The other words are kept as they were typed."""
    environment = " staging" if verb not in ("status", "versions") else ""
    said = await deck.say(f"{verb} citiod{environment}")
    assert f"Did you mean: !{verb} citoid{environment}. Nothing done" in said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
async def test_a_mistyped_verb_is_answered_with_the_verb(deck: Deck, command: Command) -> None:
    """Every one of the table, with a letter too many."""
    name = command.name
    mistyped = f"{name}x"
    (said,) = await deck.dispatcher.answer("", deck.actor(), f"!{mistyped} citoid")
    assert said == f"alice: no command !{mistyped}. Did you mean !{name}? Nothing done"


@pytest.mark.parametrize(
    ("word", "most", "meant"),
    [
        ("codfw2", 1, "codfw"),
        ("CODWF", 1, "codfw"),
        ("cdf", 1, ""),
        ("cdf", 2, "codfw"),
        ("eqiad", 3, ""),
        ("", 3, ""),
    ],
)
def test_how_far_a_word_may_be_mistyped(word: str, most: int, meant: str) -> None:
    """The nearest one, if it is the only one as near; a word that is right is not mistyped."""
    assert nearest(word, ("codfw", "staging"), most) == meant


def test_two_that_are_equally_near_are_none() -> None:
    """A guess would be wrong half of the time."""
    assert nearest("bat", ("cat", "hat")) == ""
