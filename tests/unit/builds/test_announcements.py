"""From a merged change to an announcement: once, of what the registry has, and never of what was there before."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from quarterdeck.core.builds.announcements import Pace
from quarterdeck.core.model.build import BuildState
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.testing.events import FakeEvents
from tests.worlds.world import IMAGE, NEW, NEWER, PROJECT, Deck


class Watch:
    """Announcements on a world, and a CI that a test plays."""

    def __init__(self) -> None:
        self.deck = Deck()
        self.events = FakeEvents()
        self.announcements = self.deck.announcing(self.events, Pace(patience=600.0))

    def merge(self, subject: str = "Fix DOI regex") -> int:
        """Somebody's change is merged."""
        self.deck.clock.forward(60)
        number = self.deck.review.made(PROJECT, {subject: b"x"}, "mvolz", subject).number
        self.deck.review.merge(number)
        return number

    def comment(self, number: int, tag: str, status: str = "SUCCESS") -> None:
        """CI reports a build."""
        text = f"pipeline-build-result: {status} (job: citoid-pipeline-publish, build: 7)\n\n"
        text += f"IMAGE:\n docker-registry.example/{IMAGE}:{tag}\n\nTAGS:\n {tag}\n" if status == "SUCCESS" else ""
        self.deck.review.comment(number, "pipelinebot", text)

    @property
    def said(self) -> list[str]:
        """What was announced."""
        return self.deck.said()


@pytest.fixture
async def watch() -> Watch:
    """Announcements that has had its first look."""
    made = Watch()
    made.merge("Long ago")
    await made.announcements.look()
    return made


async def test_an_image_is_announced_once(watch: Watch) -> None:
    """As soon as CI named it and the registry has it; with subject, change, owner and the next command."""
    number = watch.merge()
    assert await watch.announcements.look() is False
    assert watch.said == []
    watch.comment(number, NEW)
    assert await watch.announcements.look() is False
    assert len(watch.said) == 1
    assert watch.said[0].startswith("citoid: image 2026-08-17-094555 ready.")
    assert f'"Fix DOI regex" ({number}, m\u200dvolz)' in watch.said[0]
    assert watch.said[0].endswith("!deploy citoid staging")
    await watch.announcements.look()
    await watch.deck.announcing(watch.events).look()
    assert len(watch.said) == 1
    await watch.deck.close()


async def test_not_before_the_registry_has_it(watch: Watch) -> None:
    """CI's comment comes first: the announcements looks again soon, and says nothing."""
    number = watch.merge()
    watch.comment(number, "2026-08-19-000000-production")
    assert await watch.announcements.look() is True
    assert watch.said == []
    watch.deck.registry.push(IMAGE, "2026-08-19-000000-production")
    assert await watch.announcements.look() is False
    assert len(watch.said) == 1


async def test_what_was_merged_before_we_watched_is_not_announced(watch: Watch) -> None:
    """First sight of a repository remembers without a word."""
    (build,) = await watch.deck.store.builds()
    assert build.state is BuildState.SEEN
    watch.comment(build.change, NEW)
    await watch.announcements.look()
    assert watch.said == []


async def test_a_failed_build_is_said_once(watch: Watch) -> None:
    """No image will come of it."""
    number = watch.merge()
    watch.comment(number, "", "FAILURE")
    await watch.announcements.look()
    await watch.announcements.look()
    assert watch.said == [f'citoid: post-merge build FAILED for {number} "Fix DOI regex" (m\u200dvolz): no image']


async def test_silence_is_said_once_and_a_late_image_all_the_same(watch: Watch) -> None:
    """The deadline passes; then the image comes after all."""
    number = watch.merge()
    watch.deck.clock.forward(601)
    await watch.announcements.look()
    await watch.announcements.look()
    assert watch.said == [f'citoid: {number} "Fix DOI regex" merged 10m01s ago, no image yet']
    watch.comment(number, NEW)
    await watch.announcements.look()
    assert "image 2026-08-17-094555 ready" in watch.said[-1]


async def test_an_older_image_is_not_announced_after_a_newer(watch: Watch) -> None:
    """Builds may end in another order than they began."""
    first, second = watch.merge("one"), watch.merge("two")
    watch.comment(second, NEWER)
    await watch.announcements.look()
    watch.comment(first, NEW)
    await watch.announcements.look()
    assert len(watch.said) == 1


async def test_one_project_that_cannot_be_read_holds_up_no_build(watch: Watch) -> None:
    """Gerrit refuses the list of merges; what is awaited is looked at all the same."""
    number = watch.merge()
    await watch.announcements.look()
    watch.deck.review.faults.once("merged_since", PermanentError("no such project"))
    watch.comment(number, NEW)
    await watch.announcements.look()
    assert len(watch.said) == 1


async def test_a_tag_that_is_pushed_again_is_said_loudly_and_once(watch: Watch) -> None:
    """Whoever looks at the tag sees what he was told of; now it is something else."""
    number = watch.merge()
    watch.comment(number, NEW)
    await watch.announcements.look()
    old = watch.deck.registry.images[IMAGE][NEW]
    new = watch.deck.registry.push(IMAGE, NEW, content="something else")
    assert await watch.announcements.look() is False
    assert len(watch.said) == 1, "not at every look"
    watch.deck.clock.forward(watch.announcements.pace.timer)
    watch.deck.registry.faults.once("digest", TemporaryError("away"))
    for _ in range(3):
        await watch.announcements.look()
        watch.deck.clock.forward(watch.announcements.pace.timer)
    assert len(watch.said) == 2
    assert "PUSHED AGAIN" in watch.said[1]
    assert f"{old[:19]} is {new[:19]} now" in watch.said[1]


async def test_events_only_wake_it(watch: Watch) -> None:
    """An event of a watched project makes it look at once; a dead Gerrit does not end it."""
    watch.announcements.pace = Pace(timer=3600.0)
    watch.deck.review.faults.once("merged_since", TemporaryError("away"))
    running = asyncio.create_task(watch.announcements.run())
    await watch.deck.until(lambda: watch.events.up)
    number = watch.merge()
    watch.comment(number, NEW)
    watch.events.send("comment-added", "somebody/elses")
    watch.events.send("comment-added", PROJECT)
    await watch.deck.until(lambda: watch.said)
    assert "ready" in watch.said[0]
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
