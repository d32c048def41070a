"""`!preview` says what a deploy would do, and does none of it."""

from __future__ import annotations

import asyncio

from quarterdeck.core.model.errors import TemporaryError
from tests.worlds.world import LIMITS, NEW, OLD, VALUES, Deck, config_map, values


async def test_a_preview_writes_nothing(deck: Deck) -> None:
    """Our edit is laid over an export and diffed there; no change, no rollout, no question."""
    said = await deck.say("preview citoid staging", "mallory", room="")
    assert said == (
        "preview citoid staging 2026-08-06-230932 → 2026-08-17-094555: 1 file, 1 line; staging: 1 Deployment, image only; "
        "would not ask. codfw and eqiad would become pending. Nothing was changed"
    )
    assert not deck.review.changes
    assert not deck.store.tables.rollouts
    assert (deck.git, deck.cluster.applied) == (OLD, [])


async def test_production_would_ask(deck: Deck) -> None:
    """And says about what."""
    deck.cluster.extra["eqiad"] = config_map()
    said = await deck.say(f"preview deploy citoid production {NEW}")
    assert "would ask" in said
    assert "memory 400Mi → 600Mi" in said


async def test_a_preview_of_an_apply(deck: Deck) -> None:
    """What git says already."""
    deck.repository.push({VALUES: values(NEW)})
    said = await deck.say("preview apply citoid staging")
    assert "git has it already" in said
    assert "1 Deployment, image only" in said


async def test_a_preview_that_cannot_be_made_says_why(deck: Deck) -> None:
    """Helmfile fails, the host is away, or its checkout never comes: one line, nothing changed."""

    async def fails(job: object) -> int:
        await job.write("Error: no such chart\n")  # type: ignore[attr-defined]
        return 74

    real, deck.runner.player = deck.runner.player, fails
    assert "helmfile diff failed in staging: Error: no such chart" in await deck.say("preview citoid staging")
    deck.runner.player = real
    deck.runner.away = True
    assert "Nothing was changed" in await deck.say("preview citoid staging")
    deck.runner.away = False
    deck.cluster.faults.always("has_commit", TemporaryError("away"))
    assert "away. Nothing was changed" in await deck.say("preview citoid staging")


async def test_a_preview_has_a_deadline() -> None:
    """A host that hangs."""
    from dataclasses import replace

    deck = Deck(limits=replace(LIMITS, diff=0.05))
    deck.announce()

    async def hangs(job: object) -> int:
        await asyncio.Event().wait()
        return 0

    deck.runner.player = hangs
    said = await deck.say("preview citoid staging")
    assert "internal error" not in said
    assert "Nothing was changed" in said
    await deck.close()
