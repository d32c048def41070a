"""What tests of group deploys see of a fleet, and how they meddle with it while it is served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.step import StepName
from tests.worlds import fleet as fleets
from tests.worlds.fleet import BOX, HOME, NEW_BOX, FleetDeck

SHARED = f"{HOME}/shellbox/global.yaml"
NEWEST_BOX = "2026-08-25-100000"
MEDIA = "shellbox-media"
GROUP = f"deploy @shellbox staging {NEW_BOX}"


def marks(deck: FleetDeck) -> list[str]:
    """`staging shellbox START` of each SAL line."""
    found = []
    for line in deck.sal:
        words = line.split()
        found.append(f"{words[3].strip('[]')} {words[5].rpartition('/')[2].rstrip(':')} {words[4]}")
    return found


def both(environment: str, *names: str) -> list[str]:
    """START and DONE of services in an environment."""
    return [f"{environment} {name} {mark}" for name in names for mark in ("START", "DONE")]


def furnished(deck: FleetDeck, *changed: Service) -> None:
    """Give the catalogue other entries."""
    services = {**deck.catalogue.services, **{service.name: service for service in changed}}
    deck.catalogue = replace(deck.catalogue, services=services)
    deck.build()


def pushed(deck: FleetDeck, tag: str = NEWEST_BOX) -> None:
    """All flavours of an image are in the registry."""
    for flavour in fleets.FLAVOURS.values():
        deck.registry.push(BOX, f"{tag}-{flavour}")


def tag_of(deck: FleetDeck, service: str, environment: str = "staging") -> str:
    """The tag that runs, without its flavour."""
    return deck.fleet.tags(service, environment)["main"].rpartition("-")[0]


def once(deck: FleetDeck, when: Callable[[], bool], act: Callable[[], object]) -> None:
    """Do something once, when the worker looks at pods and it is true."""
    real, done = deck.host.objects, list[bool]()

    async def objects(service: str, environment: str) -> object:
        if not done and when():
            done.append(True)
            found = act()
            if asyncio.iscoroutine(found):
                await found
        return await real(service, environment)

    deck.host.objects = objects  # type: ignore[method-assign, assignment]


def doing(deck: FleetDeck, name: StepName, place: str, number: int = 1) -> bool:
    """Whether a rollout is at that step."""
    step = deck.rollout(number).current if number in deck.store.tables.rollouts else None
    return step is not None and (step.name, step.environment) == (name, place)


def second_crashes(deck: FleetDeck) -> None:
    """The second member's image is bad."""
    deck.fleet.broken.add(f"{BOX}:{NEW_BOX}-media")


def second_fails(deck: FleetDeck) -> None:
    """Helm goes back in the second member."""
    deck.fleet.failing.add((MEDIA, "staging"))
