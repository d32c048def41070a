"""A group deploy while others push images, edit git and run helm by hand; and the way back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from quarterdeck.core.model.errors import TemporaryError
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName
from tests.worlds.fleet import BOX, FLAVOURS, HOME, NEW_BOX, OLD_BOX, FleetDeck, files, helmfile
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
    tag_of,
)
from tests.worlds.world import ENVIRONMENTS


@pytest.fixture
async def deck() -> AsyncIterator[FleetDeck]:
    """A world in which nothing was deployed yet."""
    made = FleetDeck()
    yield made
    await made.close()


def shared(tag: str) -> dict[str, bytes]:
    """The shared file with a tag, as somebody would push it."""
    return {SHARED: files(FLAVOURS)[SHARED].replace(OLD_BOX.encode(), tag.encode())}


async def on_production(deck: FleetDeck) -> None:
    """The group's new tag runs everywhere."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    assert (await deck.confirm(2)).state is State.SUCCEEDED


# -- images ------------------------------------------------------------------------------------------------------


async def test_a_flavour_that_was_pushed_again_is_not_applied(deck: FleetDeck) -> None:
    """Only the flavour of the place counts: the first member is applied, the second is not, and has no SAL line."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    deck.registry.push(BOX, f"{NEW_BOX}-media", content="something else")
    assert (await deck.confirm(2)).state is State.FAILED
    assert f"{NEW_BOX}-media was pushed again" in deck.last
    assert deck.fleet.applied[2:] == [("shellbox", "codfw", ("main",))]
    assert marks(deck)[4:] == both("codfw", "shellbox")


async def test_pods_with_another_flavours_image_are_no_success(deck: FleetDeck) -> None:
    """The tag is right and the digest is that of another flavour."""
    digests = deck.registry.images[BOX]
    real = deck.fleet._show

    def wrong(service: str, environment: str) -> None:
        kept = digests[f"{NEW_BOX}-media"]
        digests[f"{NEW_BOX}-media"] = digests[f"{NEW_BOX}-score"]
        real(service, environment)
        digests[f"{NEW_BOX}-media"] = kept

    deck.fleet._show = wrong  # type: ignore[method-assign]
    assert (await deck.order(GROUP)).state is State.FAILED
    assert "shellbox-media staging FAILED at check" in deck.last
    assert "another digest" in deck.last


# -- hands on git and helm ---------------------------------------------------------------------------------------


async def test_a_sharer_that_came_meanwhile_owes_too(deck: FleetDeck) -> None:
    """Between the ack and the edit somebody adds a service with a link to the file."""
    path, links = f"{HOME}/shellbox-new", {**deck.repository.links, f"{HOME}/shellbox-new/global.yaml": SHARED}
    new = {f"{path}/helmfile.yaml": helmfile(("main",), ("global.yaml", "values.yaml"))}
    new[f"{path}/values.yaml"] = b"shellbox:\n  flavour: score\n"
    assert await deck.say(GROUP) == ""
    repository = deck.repository
    repository.head = repository.make("a new one", {**repository.files, **new}, links).sha
    assert (await deck.settle()).state is State.SUCCEEDED
    assert {f"shellbox-new {e}" for e in ENVIRONMENTS} <= set(deck.owed)
    assert "shellbox-new" in deck.last


async def test_a_sharer_that_became_unreadable_is_refused(deck: FleetDeck) -> None:
    """At EDIT, and before it; what cannot be told is said instead of a guess."""
    assert await deck.say(GROUP) == ""
    deck.repository.push({f"{HOME}/shellbox-video/helmfile.yaml": b"{{ nothing to read"})
    assert (await deck.settle()).state is State.FAILED
    assert "FAILED at edit: I do not edit this: " in deck.last
    assert "is shared with shellbox-video, whose helmfile I cannot read" in deck.last
    assert (deck.owed, deck.review.changes) == ({}, ())
    for words in (GROUP, "status @shellbox"):
        said = await deck.say(words)
        assert "I cannot tell who shares a tag with shellbox" in said
        assert "shellbox-video, whose helmfile I cannot read" in said


async def test_a_bump_by_hand_after_our_merge_is_not_applied_as_ours(deck: FleetDeck) -> None:
    """Git says another tag than the one that was asked for: nobody's pods get it in our name."""
    pushed(deck)
    real = deck.host.has_commit

    async def has_commit(commit: str) -> bool:
        if deck.repository.head == commit:
            deck.repository.push(shared(NEWEST_BOX))
        return await real(commit)

    deck.host.has_commit = has_commit  # type: ignore[method-assign]
    assert (await deck.order(GROUP)).state is State.FAILED
    assert f"git says {NEWEST_BOX} for staging of shellbox and shellbox-media by now, bumped since" in deck.last
    assert deck.fleet.applied == []


async def test_a_release_that_somebody_moved_by_hand_is_refused(deck: FleetDeck) -> None:
    """Helmfile was run for the second member between the question and its turn."""
    await deck.order(GROUP)
    await deck.order("deploy @shellbox production")
    deck.fleet._upgrade((MEDIA, "codfw"), deck.fleet.live[MEDIA, "codfw"][0], "")
    assert (await deck.confirm(2)).state is State.FAILED
    assert (
        "#2 @shellbox shellbox-media codfw FAILED at apply: not applied: somebody else is on this release" in deck.last
    )
    assert deck.fleet.applied[2:] == [("shellbox", "codfw", ("main",))]


async def test_a_bump_by_hand_that_runs_nowhere_is_not_undone(deck: FleetDeck) -> None:
    """Law 4 for all who share the tag; the way forward is a command that is not refused."""
    pushed(deck)
    deck.repository.push(shared(NEWEST_BOX))
    said = await deck.say(f"deploy shellbox staging {NEW_BOX} --alone")
    assert f"git says {NEWEST_BOX} for shellbox staging: a bump made by hand" in said
    assert f"Go forward: !deploy shellbox staging {NEWEST_BOX} --alone, or take that change back" in said
    assert (await deck.order(f"deploy shellbox staging {NEWEST_BOX} --alone")).state is State.SUCCEEDED


async def test_a_members_own_bump_is_no_bump_by_hand(deck: FleetDeck) -> None:
    """Another member's failed deploy left the tag in git: it is ours, so it may be taken back."""
    pushed(deck)
    deck.fleet.failing.add((MEDIA, "staging"))
    await deck.order(f"deploy shellbox-media staging {NEWEST_BOX} --alone")
    deck.fleet.failing.clear()
    assert (await deck.order(f"deploy @shellbox staging {NEW_BOX}")).state is State.SUCCEEDED


async def test_what_was_merged_after_an_apply_was_pinned_stays_owed(deck: FleetDeck) -> None:
    """One member is applied while another's edit moves the shared tag on: the first owes the newer one."""
    pushed(deck)
    await deck.order(f"deploy shellbox staging {NEW_BOX} --alone")

    async def newer() -> None:
        deck.clock.forward(1)
        assert await deck.say(f"deploy shellbox staging {NEWEST_BOX} --alone", "bob") == ""
        await deck.settle(3)

    once(deck, lambda: doing(deck, StepName.CHECK, "staging", 2), newer)
    await deck.order("apply shellbox-media staging")
    await deck.settle(2)
    assert tag_of(deck, MEDIA) == NEW_BOX
    assert deck.owed[f"{MEDIA} staging"] == NEWEST_BOX


# -- the way back ------------------------------------------------------------------------------------------------


async def test_the_group_goes_back_in_production(deck: FleetDeck) -> None:
    """One question, one change; staging is left behind git, and named."""
    await on_production(deck)
    await deck.order("rollback @shellbox")
    assert deck.last.startswith("alice: #3 @shellbox codfw then eqiad: ")
    assert deck.rollout(3).code.startswith("prod-back-")
    assert (await deck.confirm(3)).state is State.SUCCEEDED
    assert "staging of shellbox and shellbox-media pending" in deck.last
    assert deck.review.changes[-1].subject == f'Revert "shellbox: bump to {NEW_BOX}"'


async def test_members_that_ran_different_tags_are_asked_about(deck: FleetDeck) -> None:
    """There is no one tag to go back to; each member is named with its own."""
    pushed(deck)
    await deck.order(f"deploy shellbox staging {NEW_BOX} --alone")
    await deck.order(f"deploy @shellbox staging {NEWEST_BOX}")
    assert await deck.say("rollback @shellbox staging") == (
        f"alice: back to what? shellbox staging ran {NEW_BOX}; shellbox-media staging ran {OLD_BOX}. "
        "Say the tag: !rollback @shellbox staging TAG. Nothing done"
    )


async def test_a_strangers_file_is_found_by_the_member_that_shares_it(deck: FleetDeck) -> None:
    """The second member of a declared group shares its file with a service that the catalogue does not know."""
    links = {**deck.repository.links, f"{HOME}/thirdstore/values.yaml": f"{HOME}/sessionstore/values.yaml"}
    third = {f"{HOME}/thirdstore/helmfile.yaml": helmfile(("main",), ("values.yaml",))}
    deck.repository.head = deck.repository.make("third", {**deck.repository.files, **third}, links).sha
    kask = replace(deck.catalogue.services["sessionstore"], name="thirdstore")
    deck.fleet.known = replace(deck.catalogue, services={**deck.catalogue.services, "thirdstore": kask})
    for environment in ENVIRONMENTS:
        deck.fleet.install("thirdstore", environment)
    assert (await deck.order("deploy @kask staging v1.0.20")).state is State.SUCCEEDED
    assert {f"thirdstore {e}" for e in ENVIRONMENTS} <= set(deck.owed)
    said = await deck.say("deploy sessionstore staging v1.0.19")
    assert "holds one tag for 2 services" in said
    assert "!deploy @kask staging applies 2" in said


async def test_who_shares_the_file_and_is_not_in_the_declared_group_is_said(deck: FleetDeck) -> None:
    """The group is what the catalogue declares; the refusal promises no more than that."""
    video = replace(deck.catalogue.services[MEDIA], name="shellbox-video")
    boxes = [replace(deck.catalogue.services[name], group="boxes") for name in ("shellbox", MEDIA)]
    furnished(deck, video, *boxes)
    said = await deck.say(f"deploy shellbox staging {NEW_BOX}")
    assert (
        "!deploy @boxes staging applies 2, one after the other. shellbox-video is not in @boxes and becomes pending"
        in said
    )
    await deck.order(f"deploy @boxes staging {NEW_BOX}")
    assert [name for name, _, _ in deck.fleet.applied] == ["shellbox", MEDIA]


async def test_a_silent_registry_refuses_before_a_number_is_given(deck: FleetDeck) -> None:
    """No image can be checked: nothing is accepted."""
    deck.registry.faults.always("tags", TemporaryError("away"))
    assert "the registry does not answer" in await deck.say(GROUP)
    assert not deck.store.tables.rollouts
