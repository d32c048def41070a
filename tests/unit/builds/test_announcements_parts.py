"""Announcements of what is deployed together: a part's images, a group's flavours, one image of several services."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from quarterdeck.core.builds.announcements import Pace
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.rollout.state import State
from quarterdeck.testing.events import FakeEvents
from quarterdeck.views.chat import ChatVoice
from tests.worlds.fleet import BOX, JS, KASK, ORCHESTRATOR, PY, FleetDeck, fleet
from tests.worlds.world import _CLOCK, PAGE, TEMPLATES

EVALUATOR = "wikifunctions/evaluator"
TAG, BOX_TAG = "2026-08-19-122639-production", "2026-08-21-090000"


class Watch:
    """Announcements on the fleet, and a CI that a test plays."""

    def __init__(self, known: Catalogue | None = None) -> None:
        self.deck = FleetDeck()
        if known is not None:
            self.deck.catalogue = known
            self.deck.voice = ChatVoice(TEMPLATES, known, PAGE, "deploy1003", lambda: _CLOCK[0].now())  # noqa: PLW0108
            self.deck.build()
        self.events = FakeEvents()
        self.announcements = self.deck.announcing(self.events, Pace(patience=600.0))

    def merge(self, project: str, subject: str = "Work faster") -> int:
        """Somebody's change is merged."""
        self.deck.clock.forward(60)
        number = self.deck.review.made(project, {subject: b"x"}, "mvolz", subject).number
        self.deck.review.merge(number)
        return number

    def name(self, number: int, *refs: str, job: str = "all") -> None:
        """CI names images, a comment for each."""
        for build, ref in enumerate(refs, 7):
            text = f"pipeline-build-result: SUCCESS (job: {job}{build}-pipeline-publish, build: {build})\n\n"
            text += f"IMAGE:\n docker-registry.example/{ref}\n\nTAGS:\n {ref.rpartition(':')[2]}\n"
            self.deck.review.comment(number, "pipelinebot", text)

    async def pushed(self, *refs: str) -> list[str]:
        """The registry gets images, one after the other, with a look after each."""
        for ref in refs:
            name, _, tag = ref.rpartition(":")
            self.deck.registry.push(name, tag)
            await self.announcements.look()
        return self.deck.said()


async def watching(*projects: str, known: Catalogue | None = None) -> Watch:
    """Announcements that has had its first look at projects."""
    made = Watch(known)
    for project in projects:
        made.merge(project, "Long ago")
    await made.announcements.look()
    return made


async def test_a_part_is_announced_once_when_all_its_images_are_there() -> None:
    """With the part's command; a deploy without a tag takes that one."""
    watch = await watching(EVALUATOR)
    number = watch.merge(EVALUATOR)
    watch.name(number, f"{JS}:{TAG}", f"{PY}:{TAG}")
    assert await watch.pushed(f"{JS}:{TAG}") == []
    said = (
        'wikifunctions/evaluators: image 2026-08-19-122639 ready. "Work faster" '
        f"({number}, m\u200dvolz). !deploy wikifunctions/evaluators staging"
    )
    assert await watch.pushed(f"{PY}:{TAG}") == [said]
    await watch.announcements.look()
    await watch.deck.announcing(watch.events).look()
    assert watch.deck.said() == [said]
    rollout = await watch.deck.deploy("wikifunctions/evaluators staging")
    assert (rollout.tag, rollout.state) == (TAG, State.SUCCEEDED)
    await watch.deck.close()


async def test_an_image_that_does_not_come_is_said_once() -> None:
    """Two images of one change are one silence; the late one is announced all the same, once."""
    watch = await watching(EVALUATOR)
    number = watch.merge(EVALUATOR)
    watch.name(number, f"{JS}:{TAG}", f"{PY}:{TAG}")
    await watch.pushed(f"{JS}:{TAG}")
    watch.deck.clock.forward(700)
    for _ in range(3):
        await watch.announcements.look()
    late = f'wikifunctions/evaluators: {number} "Work faster" merged 11m40s ago, no image yet'
    assert watch.deck.said() == [late]
    (_, ready) = await watch.pushed(f"{PY}:{TAG}")
    assert "image 2026-08-19-122639 ready" in ready
    await watch.deck.close()


async def test_an_image_that_ci_never_named_is_waited_for() -> None:
    """One of two was named: nothing is ready until the registry has the other one, too."""
    watch = await watching(EVALUATOR)
    watch.name(watch.merge(EVALUATOR), f"{JS}:{TAG}")
    assert await watch.pushed(f"{JS}:{TAG}") == []
    watch.deck.clock.forward(700)
    await watch.announcements.look()
    assert [line.partition(" merged ")[2] for line in watch.deck.said()] == ["11m40s ago, no image yet"]
    assert "ready" in (await watch.pushed(f"{PY}:{TAG}"))[-1]
    await watch.deck.close()


def flavoured() -> Catalogue:
    """Shellbox as the catalogue alone describes it: two flavours in one group."""
    known, ends = fleet(), {"shellbox": "-score", "shellbox-media": "-media"}
    mine = {n: replace(known.services[n], image_suffix=end, group="shellbox") for n, end in ends.items()}
    return replace(known, services={**known.services, **mine})


@pytest.mark.parametrize("order", [("score", "media", "video"), ("video", "media", "score")])
async def test_flavours_are_announced_once_by_the_tag_in_git(order: Sequence[str]) -> None:
    """When all that the catalogue runs are there; one that it does not know is not waited for, named last or not."""
    watch = await watching("shellbox", known=flavoured())
    number = watch.merge("shellbox")
    watch.name(number, *(f"{BOX}:{BOX_TAG}-{flavour}" for flavour in order))
    assert await watch.pushed(f"{BOX}:{BOX_TAG}-score") == []
    said = (
        'shellbox, shellbox-media: image 2026-08-21-090000 ready. "Work faster" '
        f"({number}, m\u200dvolz). !deploy @shellbox staging"
    )
    assert await watch.pushed(f"{BOX}:{BOX_TAG}-media", f"{BOX}:{BOX_TAG}-video") == [said]
    await watch.deck.close()


async def test_one_image_of_two_services_names_both() -> None:
    """A group with a tag each is deployed as a group; without one the first command stands for both."""
    watch = await watching("kask")
    watch.name(watch.merge("kask"), f"{KASK}:v1.0.21")
    (said,) = await watch.pushed(f"{KASK}:v1.0.21")
    assert said.startswith("echostore, sessionstore: image v1.0.21 ready. ")
    assert said.endswith("!deploy @kask staging")
    known = fleet()
    alone = {name: replace(service, group="") for name, service in known.services.items()}
    watch = await watching("kask", known=replace(known, services=alone))
    watch.name(watch.merge("kask"), f"{KASK}:v1.0.21")
    (said,) = await watch.pushed(f"{KASK}:v1.0.21")
    assert said.startswith("echostore, sessionstore: image v1.0.21 ready. ")
    assert said.endswith("!deploy echostore staging")
    await watch.deck.close()


async def test_a_parts_failed_build_is_the_parts() -> None:
    """Once, by its name."""
    watch = await watching("wikifunctions/orchestrator")
    number = watch.merge("wikifunctions/orchestrator")
    watch.deck.review.comment(
        number, "pipelinebot", "pipeline-build-result: FAILURE (job: o-pipeline-publish, build: 7)\n"
    )
    await watch.announcements.look()
    await watch.announcements.look()
    assert watch.deck.said() == [
        f'wikifunctions/orchestrator: post-merge build FAILED for {number} "Work faster" (m\u200dvolz): no image'
    ]
    await watch.deck.close()


async def test_the_parts_projects_wake_it() -> None:
    """An event of a part's own project is worth a look, and its merges are read."""
    watch = await watching("wikifunctions/orchestrator")
    watch.announcements.pace = Pace(timer=3600.0)
    running = asyncio.create_task(watch.announcements.run())
    await watch.deck.until(lambda: watch.events.up)
    watch.name(watch.merge("wikifunctions/orchestrator"), f"{ORCHESTRATOR}:{TAG}")
    watch.deck.registry.push(ORCHESTRATOR, TAG)
    watch.events.send("comment-added", "somebody/elses")
    watch.events.send("comment-added", "wikifunctions/orchestrator")
    await watch.deck.until(watch.deck.said)
    assert watch.deck.last.endswith("!deploy wikifunctions/orchestrator staging")
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await watch.deck.close()
