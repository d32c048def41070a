"""A rollout contains what it is about: what leaves the catalogue while it runs changes nothing about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.rollout.state import State
from quarterdeck.views.chat import ChatVoice
from quarterdeck.views.page import Pages
from tests.worlds.world import NEW, PAGE, TEMPLATES, Deck, hanging


def without_service(catalogue: Catalogue) -> Catalogue:
    """Citoid is gone."""
    return replace(catalogue, services={"zotero": catalogue.services["zotero"]})


def without_environment(catalogue: Catalogue) -> Catalogue:
    """Staging and codfw are gone."""
    return replace(catalogue, environments={"eqiad": catalogue.environments["eqiad"]})


def without_person(catalogue: Catalogue) -> Catalogue:
    """Alice is gone."""
    people = {name: person for name, person in catalogue.people.items() if name != "alice"}
    return replace(catalogue, people=people)


def with_other_suffix(catalogue: Catalogue) -> Catalogue:
    """Citoid's tags end otherwise, its image is another, and its rooms moved."""
    changed = replace(catalogue.services["citoid"], suffix="-prod", image="wikimedia/citoid2")
    return replace(catalogue, services={**catalogue.services, "citoid": changed})


CHANGES = [without_service, without_environment, without_person, with_other_suffix]
changing = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


async def restart(deck: Deck, change: object) -> tuple[int, ...]:
    """The next process starts with another catalogue; the numbers of what it takes up."""
    assert callable(change)
    deck.catalogue = change(deck.catalogue)
    deck.voice = ChatVoice(TEMPLATES, deck.catalogue, PAGE, "deploy1003", deck.clock.now)
    return tuple(rollout.number for rollout in await deck.crash())


async def everything_answers(deck: Deck, number: int = 1) -> None:
    """Every command that looks, and the page, has an answer, and none is an internal error."""
    for command in ("status", f"status {number}", f"pods {number}", f"diff {number}", f"log {number}"):
        said = await deck.say(command, "bob")
        assert said, command
        assert "internal error" not in said, command
    dossier = await deck.dossiers.gather(number)
    assert dossier is not None
    pages = Pages(TEMPLATES, deck.catalogue)
    for html in (False, True):
        assert f"#{number}" in pages.rollout(dossier, deck.clock.now(), html)
        assert f"#{number}" in pages.index([dossier.rollout], (), deck.clock.now(), html)


@changing
async def test_a_running_one_is_taken_up_and_ends(deck: Deck, change: object) -> None:
    """The bot starts, the apply is followed to its end, and the channel and the SAL are told."""
    await hanging(deck)
    assert await restart(deck, change) == (1,)
    await everything_answers(deck)
    assert deck.cluster.release_hang is not None
    deck.cluster.release_hang.set()
    done = await deck.settle()
    assert done.state is State.SUCCEEDED, done.note
    assert "citoid staging OK" in deck.last
    assert f"on {NEW[:17]}" in deck.last
    assert "DONE helmfile.d/services/citoid: apply - OK" in deck.sal[-1]
    await everything_answers(deck)


@changing
async def test_a_running_one_is_stopped(deck: Deck, change: object) -> None:
    """`!stop` by somebody who may, according to what was stored where the catalogue knows nothing."""
    await hanging(deck)
    await restart(deck, change)
    assert "stopping" in await deck.say("stop 1", "bob")
    assert (await deck.settle()).state is State.ABORTED
    await everything_answers(deck)


@changing
async def test_a_waiting_one_is_answered(deck: Deck, change: object) -> None:
    """The open question is confirmed, and the rollout ends."""
    await deck.deploy()
    waiting = await deck.deploy("citoid codfw")
    assert waiting.state is State.WAITING
    await restart(deck, change)
    await everything_answers(deck, 2)
    assert (await deck.confirm(2, "bob")).state is State.SUCCEEDED


@changing
async def test_a_failed_one_is_retried(deck: Deck, change: object) -> None:
    """`!retry` goes on where it stood."""
    deck.cluster.status = 1
    assert (await deck.deploy()).state is State.FAILED
    deck.cluster.status = 0
    await restart(deck, change)
    await everything_answers(deck)
    assert "looking again" in await deck.say("retry 1", "bob")
    done = await deck.settle()
    assert done.state is State.SUCCEEDED, done.note


@changing
async def test_a_finished_one_is_still_told(deck: Deck, change: object) -> None:
    """What is over keeps its page and its answers."""
    assert (await deck.deploy()).state is State.SUCCEEDED
    assert await restart(deck, change) == ()
    await everything_answers(deck)


async def test_who_is_no_deployer_of_a_stored_service_may_not_stop_it(deck: Deck) -> None:
    """Authority fails closed: with the service gone from the catalogue its stored deployers count."""
    await hanging(deck)
    await restart(deck, without_service)
    assert "is for deployers" in await deck.say("stop 1", "eve")
    assert deck.rollout(1).state is State.RUNNING
