"""A group deploy when things go wrong: crashes, failures, stops, hands on git and helm, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from quarterdeck.testing.review import Gate
from tests.worlds.fleet import NEW_BOX, OLD_BOX, FleetDeck
from tests.worlds.groups import (
    GROUP,
    MEDIA,
    NEWEST_BOX,
    SHARED,
    both,
    doing,
    furnished,
    marks,
    once,
    pushed,
    second_crashes,
    second_fails,
    tag_of,
)
from tests.worlds.world import person


@pytest.fixture
async def deck() -> AsyncIterator[FleetDeck]:
    """A world in which nothing was deployed yet."""
    made = FleetDeck()
    yield made
    await made.close()


# -- a member fails ----------------------------------------------------------------------------------------------


async def test_the_second_member_crashes_and_both_go_back(deck: FleetDeck) -> None:
    """The line tells what serves and what is done; one rollback mends all."""
    second_crashes(deck)
    assert (await deck.order(GROUP)).state is State.FAILED
    assert "#1 @shellbox shellbox-media staging FAILED at check: 1/1 new pods crash (exit 1)" in deck.last
    assert "shellbox-media staging serves NOTHING. staging of shellbox done." in deck.last
    assert "!rollback @shellbox staging (reverts git)" in deck.last
    back = await deck.order("rollback @shellbox staging")
    assert back.state is State.SUCCEEDED
    assert {tag_of(deck, name) for name in ("shellbox", MEDIA)} == {OLD_BOX}
    assert (deck.git_says(MEDIA), deck.owed) == (OLD_BOX, {})


async def test_the_first_member_fails_and_the_second_is_not_begun(deck: FleetDeck) -> None:
    """Which service failed is named, though the group's own; the rest is untouched."""
    deck.fleet.failing.add(("shellbox", "staging"))
    await deck.order(GROUP)
    assert deck.fleet.applied == [("shellbox", "staging", ("main",))]
    assert "#1 @shellbox shellbox staging FAILED at apply" in deck.last
    assert f"Back: shellbox staging serves {OLD_BOX} (1/1). staging of shellbox-media not touched." in deck.last
    assert marks(deck) == ["staging shellbox START", "staging shellbox FAILED"]
    assert "#1 FAILED, apply shellbox staging" in await deck.say("status @shellbox")


async def test_a_retry_does_not_apply_the_first_again(deck: FleetDeck) -> None:
    """Its diff is empty: it is only looked at; the second gets its own START and DONE."""
    second_fails(deck)
    await deck.order(GROUP)
    deck.fleet.failing.clear()
    assert await deck.say("retry 1") == "#1: looking again, going on from sync. !stop 1"
    assert (await deck.settle()).state is State.SUCCEEDED
    assert [name for name, _, _ in deck.fleet.applied] == ["shellbox", MEDIA, MEDIA]
    assert marks(deck)[3:] == [f"staging {MEDIA} FAILED", *both("staging", MEDIA)]
    assert len(deck.review.changes) == 1
    assert len(deck.owed) == 7


async def test_a_failure_in_production_leaves_the_next_data_centre(deck: FleetDeck) -> None:
    """The second member in codfw: eqiad is not touched; going back in production mends codfw alone."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    deck.fleet.failing.add((MEDIA, "codfw"))
    assert (await deck.confirm(2)).state is State.FAILED
    assert "codfw of shellbox done. eqiad of shellbox and shellbox-media not touched." in deck.last
    deck.fleet.failing.clear()
    await deck.order("rollback @shellbox production")
    assert (await deck.confirm(3)).state is State.SUCCEEDED
    assert [deck.fleet.tags(n, e)["main"][:17] for n in ("shellbox", MEDIA) for e in ("codfw", "eqiad")] == [
        OLD_BOX
    ] * 4
    assert sorted(deck.owed) == ["shellbox staging", "shellbox-media staging"]


# -- stop --------------------------------------------------------------------------------------------------------


async def test_a_stop_before_the_merge_changes_nothing(deck: FleetDeck) -> None:
    """The change is taken back."""
    deck.review.gate = Gate.STALL
    deck.clock.standing = True
    await deck.say(GROUP)
    await deck.until(lambda: any(c.votes for c in deck.review.changes))
    await deck.say("stop 1", "bob")
    assert (await deck.settle()).state is State.ABORTED
    assert (deck.owed, deck.fleet.applied, deck.sal) == ({}, [], [])


async def test_a_stop_while_a_member_is_checked_begins_no_other(deck: FleetDeck) -> None:
    """What was begun has its end in the SAL, what was not has no line; all that is owed is named, the strangers too."""
    once(deck, lambda: doing(deck, StepName.CHECK, "staging"), lambda: deck.say("stop 1", "bob"))
    await deck.order(GROUP)
    assert deck.rollout().state is State.ABORTED
    assert marks(deck) == ["staging shellbox START", "staging shellbox STOPPED"]
    assert "stopped by bob at check. shellbox staging serves 2026-08-20-090000 (1/1)" in deck.last
    assert "staging of shellbox-media not touched" in deck.last
    assert "staging, codfw and eqiad of shellbox, shellbox-media and shellbox-video pending" in deck.last


async def test_a_stop_between_two_members_has_no_end_without_a_start(deck: FleetDeck) -> None:
    """The first is done, the second never began: two SAL lines, and the words say which is which."""
    real = deck.store.set_debts

    async def set_debts(add: object, paid: object) -> None:
        await real(add, paid)  # type: ignore[arg-type]
        if paid and deck.fleet.applied:
            await deck.say("stop 1", "bob")

    deck.store.set_debts = set_debts  # type: ignore[method-assign, assignment]
    await deck.order(GROUP)
    assert deck.rollout().state is State.ABORTED
    assert marks(deck) == both("staging", "shellbox")
    assert "stopped by bob at apply" in deck.last
    assert "staging of shellbox done. staging of shellbox-media not touched." in deck.last
    assert len(deck.owed) == 8


async def test_a_stop_while_the_second_applies_lets_helm_go_back(deck: FleetDeck) -> None:
    """The first keeps what it has."""
    second = asyncio.Event()
    real = deck.fleet.applying
    assert real is not None

    async def applying(job: object, wanted: object) -> int:
        status = await real(job, wanted)  # type: ignore[arg-type]
        if len(deck.fleet.applied) == 2:
            second.set()
            await job.interrupted.wait()  # type: ignore[attr-defined]
            return 1
        return status

    deck.fleet.applying = applying  # type: ignore[assignment]
    await deck.say(GROUP)
    async with asyncio.timeout(10):
        await second.wait()
    assert await deck.say("stop 1") == "#1: stopping; helm goes back in shellbox-media staging, I tell when it has"
    assert (await deck.settle()).state is State.ABORTED
    assert (tag_of(deck, "shellbox"), tag_of(deck, MEDIA)) == (NEW_BOX, OLD_BOX)
    assert f"shellbox-media staging serves {OLD_BOX} (1/1). staging of shellbox done." in deck.last
    assert marks(deck)[2:] == [f"staging {MEDIA} START", f"staging {MEDIA} STOPPED"]


# -- targets and takeovers ---------------------------------------------------------------------------------------


async def test_a_running_group_holds_every_members_environment(deck: FleetDeck) -> None:
    """One member there, or elsewhere with the same file: refused by name."""
    deck.review.gate = Gate.STALL
    deck.clock.standing = True
    await deck.say(GROUP)
    await deck.until(lambda: any(c.votes for c in deck.review.changes))
    said = await deck.say("apply shellbox-media staging", "bob")
    assert said == "bob: shellbox-media staging is held by #1 (alice, RUNNING). !stop 1, or wait. Nothing done"
    pushed(deck)
    said = await deck.say(f"deploy shellbox-media codfw {NEWEST_BOX} --alone", "bob")
    assert f"{SHARED} is in the hands of #1 (alice, RUNNING)" in said
    deck.clock.standing = False


async def test_a_waiting_group_and_a_newer_command_for_one_member(deck: FleetDeck) -> None:
    """Each takes the other over, and says so."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    await deck.order("apply shellbox-media codfw", "bob")
    assert deck.rollout(2).state is State.ABORTED
    assert any(line.startswith("#3 ") and "Takes over #2." in line for line in deck.said())
    assert sorted(deck.store.tables.targets) == [(MEDIA, "codfw")]
    await deck.order("deploy @shellbox production", "bob")
    assert deck.rollout(3).note == "taken over by #4 (bob)"
    assert any(line.startswith("#4 ") and "Takes over #3." in line for line in deck.said())
    assert (await deck.confirm(4)).state is State.SUCCEEDED


async def test_who_may_deploy_one_member_does_not_close_the_groups_question(deck: FleetDeck) -> None:
    """What he may not stop he does not take over; a failed one holds nothing and stays; going back is for all."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    people = {**deck.catalogue.people, "mel": person("mel", "mediafolk", "sre")}
    deck.catalogue = replace(deck.catalogue, people=people)
    furnished(deck, replace(deck.catalogue.services[MEDIA], deployers=frozenset({"mediafolk", "deployers"})))
    said = await deck.say("apply shellbox-media codfw", "mel")
    assert said == "mel: shellbox-media codfw is held by #2 (alice, WAITING). !stop 2, or wait. Nothing done"
    deck.fleet.failing.add(("shellbox", "codfw"))
    assert (await deck.confirm(2)).state is State.FAILED
    assert (await deck.order("apply shellbox-media codfw", "mel")).state is State.WAITING
    assert (await deck.confirm(3, "mel")).state is State.SUCCEEDED
    assert deck.rollout(2).state is State.FAILED
    back = await deck.order(f"rollback @shellbox production {OLD_BOX}", "mel")
    assert (back.state, deck.rollout(2).state) == (State.WAITING, State.ABORTED)
