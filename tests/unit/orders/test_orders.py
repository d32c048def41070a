"""Requests checked against the world: which tag is meant, and every refusal before anything is written."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.state import State
from tests.worlds.saying import refused_untouched
from tests.worlds.world import HOME, IMAGE, NEW, NEWER, OLD, VALUES, Deck, pods, values


async def test_staging_takes_the_newest_announced(deck: Deck) -> None:
    """Not the newest in the registry: the newest that was announced."""
    deck.announce(OLD, 400)
    assert (await deck.deploy()).tag == NEW


async def test_without_an_announcement_the_tag_must_be_said() -> None:
    """No guess."""
    deck = Deck()
    assert "no image of citoid was announced yet" in await refused_untouched(deck, "deploy citoid staging")
    await deck.close()


async def test_a_tag_may_be_said_without_its_suffix(deck: Deck) -> None:
    """As people say it."""
    assert (await deck.deploy("citoid staging 2026-08-18-081200")).tag == NEWER


async def test_production_takes_what_staging_runs(deck: Deck) -> None:
    """Verified: all of staging's pods ready on one tag."""
    deck.announce(NEWER, 502)
    deck.cluster.run("staging", NEW)
    assert (await deck.deploy("citoid production")).tag == NEW


async def test_a_staging_that_is_no_proof_is_refused(deck: Deck) -> None:
    """Pods that are not ready, two tags, nothing, or out of sight."""
    deck.cluster.run("staging", NEW, ready=False)
    assert "staging is no proof just now" in await refused_untouched(deck, "deploy citoid production")
    deck.cluster.pods["citoid", "staging"] = [*pods(NEW, 1), *pods(OLD, 1)]
    assert "staging is no proof just now: it runs" in await refused_untouched(deck, "deploy citoid production")
    deck.cluster.pods["citoid", "staging"] = []
    assert "it runs nothing" in await refused_untouched(deck, "deploy citoid codfw")
    deck.cluster.faults.always("objects staging", TemporaryError("timed out"))
    assert "cannot see what staging runs" in await refused_untouched(deck, "deploy citoid codfw")


async def test_an_image_the_registry_has_not_got_is_refused(deck: Deck) -> None:
    """Before anything is written."""
    said = await refused_untouched(deck, "deploy citoid staging 2026-01-01-000000-production")
    assert "the registry has no tag" in said
    assert NEWER in said
    del deck.registry.images[IMAGE][NEW]
    assert "not in the registry" in await refused_untouched(deck, "deploy citoid staging")


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("charts", "Gerrit does not answer"),
        ("registry", "the registry does not answer"),
        ("cluster", "I cannot see staging of citoid"),
    ],
)
async def test_a_dead_system_is_a_refusal(deck: Deck, fault: str, word: str) -> None:
    """What cannot be read is not guessed."""
    error = TemporaryError("connection refused")
    faults = {"charts": deck.charts.faults, "registry": deck.registry.faults, "cluster": deck.cluster.faults}[fault]
    faults.always({"charts": "tip", "registry": "digest", "cluster": "objects"}[fault], error)
    assert word in await refused_untouched(deck, "deploy citoid staging")


async def test_already_there_is_no_rollout(deck: Deck) -> None:
    """Git and every pod have it: nothing happens, and it says so."""
    deck.cluster.run("staging", NEW)
    deck.repository.push({VALUES: values(NEW)})
    said = await deck.say("deploy citoid staging")
    assert said == "alice: citoid staging already runs 2026-08-17-094555 (1/1). Nothing to do."
    assert not deck.store.tables.rollouts


async def test_git_has_it_and_the_pods_do_not(deck: Deck) -> None:
    """Then there is work, without an edit."""
    deck.repository.push({VALUES: values(NEW)})
    rollout = await deck.deploy()
    assert rollout.state is State.SUCCEEDED
    assert not deck.review.changes
    assert "looking at the diff" in deck.said()[0]


async def test_values_that_are_no_plain_scalar_are_refused_with_the_place(deck: Deck) -> None:
    """Where the candidates are, and how to go on by hand."""
    deck.repository.push({VALUES: values(OLD) + b"main_app:\n  version: other\n"})
    said = await refused_untouched(deck, "deploy citoid staging")
    assert "values.yaml" in said


async def test_apply_takes_no_tag(deck: Deck) -> None:
    """It brings what git says."""
    assert "!apply takes what git says, no tag" in await refused_untouched(deck, f"apply citoid staging {NEW}")
    deck.repository.push({VALUES: values(NEW)})
    rollout = await deck.order("apply citoid staging")
    assert rollout.state is State.SUCCEEDED
    assert deck.cluster.runs["staging"] == NEW
    assert not deck.review.changes


async def test_an_apply_of_nothing_says_so(deck: Deck) -> None:
    """The diff is empty: git and cluster agree."""
    rollout = await deck.order("apply citoid staging")
    assert rollout.state is State.SUCCEEDED
    assert "git and cluster agree on 2026-08-06-230932, 1/1 pods" in deck.last
    assert deck.sal == []


async def test_an_environment_the_service_has_not_got(deck: Deck) -> None:
    """Its helmfile decides, not the catalogue."""
    helmfile = deck.repository.files[f"{HOME}/helmfile.yaml"].replace(
        b"  codfw:\n    values:\n      - values.yaml\n", b""
    )
    deck.repository.push({f"{HOME}/helmfile.yaml": helmfile})
    assert 'no environment "codfw" for citoid' in await refused_untouched(deck, "deploy citoid codfw")


async def test_a_missing_environment_is_asked_for(deck: Deck) -> None:
    """Never a default for something that changes the cluster."""
    assert "which environment?" in await refused_untouched(deck, "apply citoid")
    said = await deck.say("deploy citoid")
    assert "say !deploy citoid staging, or !deploy citoid production. Nothing done" in said
    assert said.startswith("citoid: ")
