"""Parts that the catalogue does not name, a service with one part, and a service whose tag is not in git."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quarterdeck.core.charts import members
from quarterdeck.core.charts.reading.images import ReleaseImage
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import EditRefusedError, TemporaryError
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Part, Service
from quarterdeck.core.ports.host import Release
from quarterdeck.core.rollout.state import State
from quarterdeck.testing.registry import FakeRegistry
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.views.chat import ChatVoice
from tests.worlds.cluster import EMPTY, ENVIRONMENTS, NEW, NEWER, OLD
from tests.worlds.fleet import HOME, Fleet, FleetDeck, fleet, helmfile, tagged
from tests.worlds.saying import refused
from tests.worlds.world import _CLOCK, PAGE, TEMPLATES

API, WORKER, MEDIAWIKI = "wikimedia/thing-api", "wikimedia/thing-worker", "restricted/mediawiki-multiversion"
RELEASE = "values-{{`{{ .Release.Name }}`}}.yaml"
THING = {
    f"{HOME}/thing/helmfile.yaml": helmfile(("main", "side"), ("values.yaml", RELEASE)),
    f"{HOME}/thing/values.yaml": b"resources:\n  replicas: 1\n",
    f"{HOME}/thing/values-main.yaml": tagged(API, OLD),
    f"{HOME}/thing/values-side.yaml": tagged(WORKER, OLD),
}
WEB = {
    f"{HOME}/mw-web/helmfile.yaml": helmfile(("main",), ("values.yaml",)),
    f"{HOME}/mw-web/values.yaml": b"resources:\n  replicas: 1\n",
}


class _Host(Fleet):
    """Runs what every part of the files says, also those that the catalogue does not know."""

    def install(self, service: str, environment: str) -> None:
        """As it is, of the services there are."""
        if service in self.known.services:
            super().install(service, environment)

    def wanted(self, service: str, environment: str, contents: Any) -> dict[str, ReleaseImage]:
        """Release -> image, part by part."""
        snapshot, described = Snapshot(replace(EMPTY, files=contents)), self.known.services[service]
        found: dict[str, ReleaseImage] = {}
        for part in snapshot.parts(members.component(described)):
            try:
                named = snapshot.release_images(members.component(described, part.name), environment)
            except EditRefusedError:
                continue
            found |= {name: images[0] for name, images in named.items()}
        return found


class ThingDeck(FleetDeck):
    """One service, as a test describes it."""

    def __init__(self, service: Service, files: dict[str, bytes]) -> None:
        self.registry = FakeRegistry()
        for image in (API, WORKER, MEDIAWIKI):
            for tag in (OLD, NEW, NEWER):
                self.registry.push(image, tag)
        known: Catalogue = replace(fleet(), services={service.name: service})
        self.repository = FakeRepository(files)
        self.fleet = _Host(self.repository, self.registry, known)
        self.voice = ChatVoice(TEMPLATES, known, PAGE, "deploy1003", lambda: _CLOCK[0].now())  # noqa: PLW0108
        self.furnish(known, self.fleet)


def thing() -> ThingDeck:
    """The catalogue knows the service's image; git has another beside it."""
    deck = ThingDeck(Service("thing", "thing", API, rooms=(Room("irc", "#deploy"),)), THING)
    deck.built(API, NEW, "thing")
    return deck


def web() -> ThingDeck:
    """A service whose tag somebody else sets."""
    deck = ThingDeck(Service("mw-web", "", MEDIAWIKI, rooms=(Room("irc", "#deploy"),)), WEB)
    for environment in ENVIRONMENTS:
        deck.fleet.live["mw-web", environment] = [Release("main", "mw-web", "app-1", 7, "deployed")]
        deck.fleet.refs["mw-web", environment, "main"] = f"{MEDIAWIKI}:{OLD}"
        deck.fleet._show("mw-web", environment)
    return deck


async def test_the_catalogues_image_is_the_service() -> None:
    """Nobody is asked which part: it is the image that the catalogue names."""
    deck = thing()
    rollout = await deck.deploy("thing staging")
    assert (rollout.title, rollout.state) == ("thing", State.SUCCEEDED)
    assert deck.fleet.applied == [("thing", "staging", ("main",))]
    assert (deck.git_says("thing"), deck.git_says("thing", "side")) == (NEW, OLD)
    await deck.close()


async def test_a_derived_part_is_deployed_by_the_name_of_its_image() -> None:
    """Its own file and release; nothing was announced of it, so the tag must be said."""
    deck = thing()
    assert "no image of thing/thing-worker was announced yet" in await refused(
        deck, "deploy thing/thing-worker staging"
    )
    rollout = await deck.deploy(f"thing/Thing-Worker staging {NEW}")
    assert (rollout.title, rollout.state) == ("thing/thing-worker", State.SUCCEEDED)
    assert deck.fleet.applied == [("thing", "staging", ("side",))]
    assert await deck.say("versions thing/thing-worker thing") == (
        "thing/thing-worker: git, staging 2026-08-17-094555 | codfw, eqiad 2026-08-06-230932\n"
        "thing: git, staging, codfw, eqiad 2026-08-06-230932 | newest 2026-08-17-094555"
    )
    assert await refused(deck, "deploy thing/nope staging") == (
        "alice: no part nope of thing: say thing/thing-api, thing/thing-worker. Nothing done"
    )
    await deck.close()


async def test_the_services_own_image_by_its_parts_name_is_the_service() -> None:
    """Two names for one thing would have two debts and two ways back."""
    deck = thing()
    assert (await deck.deploy(f"thing/thing-api staging {NEW}")).title == "thing"
    await deck.deploy(f"thing staging {NEWER}")
    assert (await deck.order("rollback thing/thing-api staging")).tag == NEW
    await deck.close()


async def test_a_derived_parts_past_and_debts_are_not_the_services() -> None:
    """The service goes back to what its own image ran, and does not take the part's debts over by an edit."""
    deck = thing()
    await deck.deploy("thing staging")
    await deck.deploy(f"thing/thing-worker staging {NEWER}")
    await deck.deploy(f"thing/thing-worker staging {NEW}")
    await deck.deploy(f"thing staging {NEWER}")
    assert deck.owed == {
        f"{name} {environment}": tag
        for name, tag in (("thing", NEWER), ("thing/thing-worker", NEW))
        for environment in ("codfw", "eqiad")
    }
    assert "pending" not in (await deck.say("status thing/thing-worker")).replace("pending since 14:00 (#3 alice)", "")
    assert "thing-worker codfw, thing-worker eqiad pending" in await deck.say("status thing")
    assert (await deck.order("rollback thing staging")).tag == NEW
    assert (await deck.order("rollback thing staging")).tag == OLD
    await deck.close()


async def test_a_derived_part_goes_back_to_before_the_whole_was_applied() -> None:
    """What the service's own image ran is not what the part ran."""
    deck = thing()
    await deck.deploy(f"thing/thing-worker staging {NEW}")
    path = f"{HOME}/thing/values-side.yaml"
    deck.repository.push({path: tagged(WORKER, NEWER)})
    applied = await deck.order("apply thing staging")
    assert (await deck.confirm(applied.number)).state is State.SUCCEEDED
    assert deck.fleet.tags("thing", "staging") == {"main": OLD, "side": NEWER}
    assert (await deck.order("rollback thing/thing-worker staging")).tag == NEW
    await deck.close()


async def test_all_of_it_is_every_image_in_git() -> None:
    """The image that the catalogue does not name is expected in the diff and compared in the pods as well."""
    deck = thing()
    rollout = await deck.deploy(f"thing/all staging {NEWER}")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert deck.said()[1].startswith("#1 diff: - image …/thing-api:")
    assert "OK in 2s (gate 0s): 2/2 new pods" in deck.last
    assert deck.owed == {
        f"{name} {environment}": NEWER for name in ("thing", "thing/thing-worker") for environment in ("codfw", "eqiad")
    }
    assert "[staging] START helmfile.d/services/thing: apply all - 2026-08-06-230932 -> " in deck.sal[0]
    assert (await deck.order("rollback thing staging")).tag == OLD
    del deck.registry.images[WORKER][NEW]
    assert f"{WORKER}:{NEW} is not in the registry" in await refused(deck, f"deploy thing/all staging {NEW}")
    await deck.close()


async def test_a_service_with_one_part_is_asked_for_that_part() -> None:
    """As its catalogue names it; there is no "all" of one."""
    service = Service(
        "thing", "", "", rooms=(Room("irc", "#deploy"),), parts={"api": Part("thing", images={"main": API})}
    )
    files = {
        f"{HOME}/thing/helmfile.yaml": helmfile(("main",), ("values.yaml",)),
        f"{HOME}/thing/values.yaml": tagged(API, OLD),
    }
    deck = ThingDeck(service, files)
    assert await refused(deck, "deploy thing staging") == (
        "alice: which part? thing/api (2026-08-06-230932). E.g. !deploy thing/api staging TAG. Nothing done"
    )
    assert (await deck.deploy(f"thing/api staging {NEW}")).state is State.SUCCEEDED
    assert await deck.say("versions thing") == (
        "thing/api: git, staging 2026-08-17-094555 | codfw, eqiad 2026-08-06-230932"
    )
    assert (await deck.order("apply thing codfw")).state is State.WAITING
    await deck.close()


async def test_many_parts_fit_in_one_line() -> None:
    """Three are told, the others are counted."""
    names = [f"worker-number-{n}" for n in range(9)]
    parts = {name: Part("thing", images={name: f"wikimedia/thing-{name}"}) for name in names}
    files = {f"{HOME}/thing/values-{name}.yaml": tagged(f"wikimedia/thing-{name}", OLD) for name in names}
    files[f"{HOME}/thing/helmfile.yaml"] = helmfile(names, (RELEASE,))
    deck = ThingDeck(Service("thing", "", "", rooms=(Room("irc", "#deploy"),), parts=parts), files)
    for n, name in enumerate(names):
        deck.built(f"wikimedia/thing-{name}", NEW, "thing", 700 + n)
    said = await refused(deck, "deploy thing staging")
    assert " · and 6 more: !versions thing · thing/all. E.g. !deploy thing/worker-number-0 staging. " in said
    assert "Nothing done" in await refused(deck, "rollback thing/all production")
    await deck.close()


# -- a tag that is not in git ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "deploy mw-web ENV",
        f"deploy mw-web ENV {NEW}",
        f"deploy mw-web/all ENV {NEW}",
        "rollback mw-web ENV",
        "preview mw-web ENV",
    ],
)
@pytest.mark.parametrize("where", ["staging", "production"])
async def test_a_tag_that_is_not_in_git_is_somebody_elses(command: str, where: str) -> None:
    """Said of the service, in a deployer's words; never a rollout of nothing that reads as a success."""
    deck = web()
    assert await refused(deck, command.replace("ENV", where)) == (
        f"alice: mw-web is not deployed by me: its tag is not in git. !apply mw-web {where} brings the rest. Nothing done"
    )
    await deck.close()


async def test_a_bare_deploy_of_it_offers_nothing_that_is_refused() -> None:
    """The same line, without an environment."""
    deck = web()
    assert "is not deployed by me: its tag is not in git. !apply mw-web " in await refused(deck, "deploy mw-web")
    await deck.close()


async def test_a_bare_deploy_tells_the_pods_without_git() -> None:
    """A dead Gerrit hides no more than git's tags."""
    deck = thing()
    deck.charts.faults.always("tip", TemporaryError("away"))
    assert (await deck.say("deploy thing")).startswith("thing: staging, codfw, eqiad 2026-08-06-230932 | ")
    await deck.close()


async def test_what_is_in_git_of_it_is_applied() -> None:
    """Config changes: the pods are judged, without an image to compare with."""
    deck = web()
    rollout = await deck.order("apply mw-web staging")
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert "git and cluster agree, 1/1 pods" in deck.last
    assert await deck.say("versions mw-web") == (
        "mw-web: staging, codfw, eqiad 2026-08-06-230932 | git: mw-web has no main image tag for staging in the repository"
    )
    deck.fleet.broken.add(f"{MEDIAWIKI}:{OLD}")
    deck.fleet._show("mw-web", "staging")
    assert (await deck.order("apply mw-web staging")).state is State.FAILED
    await deck.close()
