"""A rule that nobody wrote yet is one entry of the list, and one sentence in the views."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import pytest

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.reason import Reason
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rules.moments import ProposedOrder, SaidCommand, ShownPlan
from quarterdeck.core.rules.rulebook import RULES
from quarterdeck.core.rules.ruling import ALLOW, Ask, Refuse, Rule, Ruling
from quarterdeck.views.questions import reason_sentence
from quarterdeck.views.refusals import refusal_sentence
from tests.worlds.world import NEW, Deck


@dataclass(frozen=True)
class SeaIsRough(Refusal):
    """Nobody hands out boats today.

    Attributes:
        wind: Beaufort.
    """

    wind: int


@dataclass(frozen=True)
class FullMoon(Reason):
    """The tide is high."""

    code_word: ClassVar[str] = "moon"
    metres: int

    @property
    def counted(self) -> int:
        """One more thing to know."""
        return 1


@refusal_sentence.register
def _(refusal: SeaIsRough) -> str:
    return f"wind {refusal.wind}: no boats. Wait for calm"


@reason_sentence.register
def _(reason: FullMoon) -> str:
    return f"the tide is at {reason.metres} m"


class Weather(Rule):
    """Eqiad waits for calm, codfw is asked at full moon, staging is indoors, and rollbacks have wings."""

    def on_command(self, command: SaidCommand, now: datetime) -> Ruling:
        """In a storm nobody retries anything."""
        return Refuse(SeaIsRough(11)) if command.actor.nick == "bob" else ALLOW

    def on_order(self, order: ProposedOrder, now: datetime) -> Ruling:
        """What goes to eqiad alone is not accepted."""
        return Refuse(SeaIsRough(9)) if set(order.places) == {"eqiad"} else ALLOW

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Who changes codfw is asked."""
        return Ask((FullMoon(7),)) if "codfw" in plan.changing else ALLOW


class Tide(Rule):
    """Staging is asked before anything is written."""

    def on_order(self, order: ProposedOrder, now: datetime) -> Ruling:
        """Judge an order."""
        return Ask((FullMoon(5),)) if "staging" in order.places else ALLOW


class Calm(Rule):
    """What the diffs show of production is never applied."""

    def on_plan(self, plan: ShownPlan, now: datetime) -> Ruling:
        """Judge what would be applied."""
        return Refuse(SeaIsRough(8)) if "codfw" in plan.places else ALLOW


@pytest.fixture
async def deck() -> AsyncIterator[Deck]:
    """A world with one rule more."""
    made = Deck()
    made.announce()
    made.rules = (*RULES, Weather())
    made.build()
    yield made
    await made.close()


async def test_it_allows(deck: Deck) -> None:
    """Where it says nothing all is as before."""
    assert (await deck.deploy("citoid staging")).state is State.SUCCEEDED


async def test_it_refuses_a_command(deck: Deck) -> None:
    """Before anything is read; the sentence is its own."""
    assert await deck.say("deploy citoid staging", "bob") == "bob: wind 11: no boats. Wait for calm. Nothing done"
    assert not deck.store.tables.rollouts


async def test_it_refuses_an_order(deck: Deck) -> None:
    """After the world was looked at, before a rollout is made; a preview is told the same."""
    refused = "alice: wind 9: no boats. Wait for calm. Nothing done"
    assert await deck.say(f"deploy citoid eqiad {NEW}") == refused
    assert await deck.say(f"preview citoid eqiad {NEW}") == refused
    assert not deck.store.tables.rollouts


async def test_it_asks_about_a_plan(deck: Deck) -> None:
    """Its sentence follows what the diffs say; the code has its word, and it counts."""
    waiting = await deck.deploy(f"citoid codfw {NEW}")
    assert waiting.state is State.WAITING
    assert waiting.code.startswith("codfw-moon-")
    assert waiting.code_count == 1
    assert f"; the tide is at 7 m. !confirm {waiting.code} with 1, or !stop 1" in deck.last
    assert "; the tide is at 7 m)" in await deck.say(f"preview citoid codfw {NEW}")
    assert (await deck.confirm(1)).state is State.SUCCEEDED


async def test_it_asks_about_an_order(deck: Deck) -> None:
    """Nothing is written before somebody says yes."""
    deck.rules = (*RULES, Tide())
    deck.build()
    waiting = await deck.deploy("citoid staging")
    assert waiting.state is State.WAITING
    assert waiting.code.startswith("staging-moon-")
    assert f"the tide is at 5 m. !confirm {waiting.code} with 1, or !stop 1" in deck.last
    assert not deck.review.changes
    assert (await deck.confirm(1)).state is State.SUCCEEDED


async def test_it_refuses_a_plan(deck: Deck) -> None:
    """What the diffs show is not applied; the verdict has its sentence."""
    deck.rules = (*RULES, Calm())
    deck.build()
    failed = await deck.deploy(f"citoid codfw {NEW}")
    assert failed.state is State.FAILED
    assert "wind 8: no boats. Wait for calm" in deck.last
    assert not deck.apply_jobs()
