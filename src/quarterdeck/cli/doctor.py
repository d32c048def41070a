"""Asks each outside system whether the bot can reach and use it, and says what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from quarterdeck.core.model.errors import PermanentError, QuarterdeckError
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.review import Review

#: answers with what it found, or raises a QuarterdeckError that says what is missing
Probe = Callable[[], Awaitable[str]]
#: seconds for each; all run at once
DEADLINE = 20.0


@dataclass(frozen=True)
class Finding:
    """What one probe found.

    Attributes:
        text: what is there, or what is missing.
    """

    name: str
    well: bool
    text: str


async def examine(probes: Mapping[str, Probe], deadline: float = DEADLINE) -> tuple[Finding, ...]:
    """Run all probes at once; the findings come in the order of the probes. *deadline* in seconds for each."""
    return tuple(await asyncio.gather(*(_ask(name, probe, deadline) for name, probe in probes.items())))


async def _ask(name: str, probe: Probe, deadline: float) -> Finding:
    try:
        async with asyncio.timeout(deadline):
            return Finding(name, True, await probe())
    except TimeoutError:
        return Finding(name, False, f"no answer within {deadline:g} s")
    except QuarterdeckError as error:
        return Finding(name, False, str(error))
    except Exception as error:
        return Finding(name, False, f"the probe itself failed: {type(error).__name__}: {error}")


def review_probe(review: Review, user: str) -> Probe:
    """Gerrit answers and knows us by that account name."""

    async def probe() -> str:
        known = await review.whoami()
        if known != user:
            raise PermanentError(f"Gerrit knows this credential as {known or 'nobody'}, not as {user}")
        return f"I am {known}"

    return probe


def registry_probe(registry: Registry, image: str) -> Probe:
    """The registry answers and lists the tags of one known image."""

    async def probe() -> str:
        tags = await registry.tags(image)
        if not tags:
            raise PermanentError(f"there is no image {image}, or it may not be read")
        return f"{image} has {len(tags)} tag{'s' * (len(tags) != 1)}"

    return probe


def host_probe(host: Host) -> Probe:
    """The deploy host lets us in, and its charts checkout is in order."""

    async def probe() -> str:
        position = await host.position()
        if position.problem:
            raise PermanentError(position.problem)
        return f"charts stand at {position.commit[:10]}"

    return probe


def cluster_probe(host: Host, service: str, environment: str) -> Probe:
    """Helmfile on the deploy host can read the releases of one service in one environment."""

    async def probe() -> str:
        releases = await host.releases(service, environment)
        if not releases:
            return "no release here"
        return ", ".join(f"{r.name} {r.status or 'not installed'}" for r in releases)

    return probe
