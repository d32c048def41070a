"""The probes of `quarterdeck doctor`, on adapters built exactly as the bot builds them."""

from __future__ import annotations

import asyncio

from quarterdeck import wiring
from quarterdeck.adapters.gerrit.review import GerritReview
from quarterdeck.adapters.registry import HttpRegistry
from quarterdeck.cli import doctor
from quarterdeck.cli.doctor import Probe
from quarterdeck.config.catalogue import load as load_catalogue
from quarterdeck.config.settings import Settings


def probes(s: Settings) -> dict[str, Probe]:
    """What `quarterdeck doctor` asks, by name; everything is built as the bot builds it."""
    catalogue = load_catalogue(s.catalogue, frozenset(s.networks))
    _, host = wiring.deploy_host(s, catalogue)
    image = next((service.image for service in catalogue.services.values() if service.image), "")
    reviews, images = wiring.review(s), wiring.registry(s)
    found: dict[str, Probe] = {
        "gerrit": _closing(reviews, doctor.review_probe(reviews, s.gerrit.user)),
        "registry": _closing(images, doctor.registry_probe(images, image)),
        "deploy host": doctor.host_probe(host),
    }
    for service in catalogue.services.values():
        for environment in catalogue.environments:
            found[f"{service.name} {environment}"] = doctor.cluster_probe(host, service.name, environment)
    for name in s.networks:
        found[f"chat {name}"] = _chat_probe(s, name)
    return found


def _closing(adapter: GerritReview | HttpRegistry, probe: Probe) -> Probe:
    async def ask() -> str:
        try:
            return await probe()
        finally:
            await adapter.close()

    return ask


def _chat_probe(s: Settings, name: str) -> Probe:
    async def ask() -> str:
        """Log in beside the running bot, in no room, and leave."""
        n = s.networks[name]
        said: list[str] = []
        transport = wiring.irc(n, name, lambda _: None, said.append, nick=f"{n.nick}-doctor", rooms=())
        running = asyncio.create_task(transport.run())
        try:
            while not transport.up:  # noqa: ASYNC110  the transport tells nobody else
                await asyncio.sleep(0.05)
            return f"identified as {n.account}"
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    return ask
