"""The pages: the same facts as HTML and as text, everything foreign escaped."""

from __future__ import annotations

import json

import pytest

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.state import OVER, State
from quarterdeck.views.commands import next_commands
from quarterdeck.views.data import as_json
from quarterdeck.views.hunks import diff_class
from quarterdeck.views.page import Pages, clock
from quarterdeck.views.rollout_page import BANNERS
from tests.worlds.world import NEW, OLD, SECRET, START, TEMPLATES, Deck, catalogue, config_map, rolled

PAGES = Pages(TEMPLATES, catalogue())


async def page(deck: Deck, number: int = 1, html: bool = False) -> str:
    """A rollout's page."""
    found = await deck.dossiers.gather(number)
    assert found is not None
    return PAGES.rollout(found, deck.clock.now(), html)


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
async def test_a_page_tells_the_whole_rollout(deck: Deck, html: bool) -> None:
    """Banner, next commands, environments, change, diff, pods, log, and the lines to type by hand."""
    await deck.deploy("citoid staging -- because <b>")
    shown = await page(deck, html=html)
    for words in (
        "#1",
        "SUCCEEDED",
        "new pods run and stayed up",
        f"staging serves {NEW[:17]} (1 pod)",
        "!status citoid",
        "alice",
        OLD,
        "1001",
        deck.repository.head[:8],
        f"citoid-{NEW}-0",
        "main UPDATED",
        "helmfile -e staging apply",
        "registry.example",
    ):
        assert words in shown, words
    assert SECRET not in shown
    assert ("&lt;b&gt;" in shown) is html
    assert ("because <b>" in shown) is not html


async def test_a_failed_one_says_what_to_do(deck: Deck) -> None:
    """The note is the sentence, the next commands stand below it, the evidence is kept."""
    deck.cluster.broken.add(NEW)
    await deck.deploy()
    shown = await page(deck)
    assert "FAILED" in shown
    assert "crash (exit 1)" in shown
    assert "!retry 1   !rollback citoid staging   !stop 1" in shown
    found = await deck.dossiers.gather(1)
    assert found is not None
    assert found.evidence
    assert not found.over


async def test_a_cluster_out_of_sight_hides_nothing_else(deck: Deck) -> None:
    """Said where its pods would stand."""
    await deck.deploy()
    deck.cluster.faults.always("objects", TemporaryError("timed out"))
    assert "staging cannot be seen: timed out" in await page(deck)
    assert "staging cannot be seen: timed out" in await page(deck, html=True)


async def test_the_same_as_data(deck: Deck) -> None:
    """JSON that survives a round trip, with steps, pods and commands."""
    deck.cluster.extra["staging"] = config_map()
    waiting = await deck.deploy()
    found = await deck.dossiers.gather(1)
    assert found is not None
    data = json.loads(json.dumps(as_json(found)))
    assert (data["number"], data["state"], data["service"]) == (1, "WAITING", "citoid")
    assert data["next"][0] == f"!confirm {waiting.code} with 1"
    assert [s["name"] for s in data["steps"]][:3] == ["edit", "merge", "sync"]
    assert data["pods"]["staging"][0]["tag"] == OLD
    assert data["by_hand"]["staging"]
    assert await deck.dossiers.gather(99) is None


@pytest.mark.parametrize("html", [False, True], ids=["text", "html"])
async def test_the_index_lists_debts_and_rollouts(deck: Deck, html: bool) -> None:
    """What is pending first."""
    assert ("None yet" if html else "no rollouts yet") in PAGES.index((), (), START, html)
    rollout = await deck.deploy()
    shown = PAGES.index((rollout,), await deck.store.debts(), deck.clock.now(), html)
    assert "codfw" in shown
    assert "2026-08-17-094555" in shown


def test_every_state_has_a_banner_and_a_next_command() -> None:
    """Nobody stands before an empty page."""
    assert set(BANNERS) == set(State)
    for state in State:
        assert next_commands(rolled(state=state, code="c-1", code_count=1))
    assert next_commands(rolled(state=State.WAITING, code="c-1")) == ("!confirm c-1", "!stop 41")
    assert {s for s in State if next_commands(rolled(state=s)) == ("!status citoid",)} == OVER


def test_small_things() -> None:
    """Times in UTC; a diff's lines by sign."""
    assert clock(START) == "2026-08-17 14:00:00"
    assert clock(None) == ""
    assert [diff_class(line) for line in ("+ a", "- a", "  a", "ns, a, ConfigMap (v1) has changed:", "")] == [
        "add",
        "del",
        "",
        "",
        "",
    ]


async def test_a_page_of_a_service_that_left_the_catalogue(deck: Deck) -> None:
    """The list of rollouts outlives the catalogue."""
    assert "#41" in PAGES.index((rolled(service="gone"),), (), START, False)
