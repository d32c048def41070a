"""Finds what a spoken target means: which services, and which members of them, by the catalogue and by the files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.charts.members import component, edit_request, member, other_services
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import EditRefusedError, RequestError, TemporaryError
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.refusals import DeployedInParts, NotOneOfAGroup, SharersUnknown
from quarterdeck.core.rollout.intent import ALL, Target
from quarterdeck.core.rollout.subject import Member, Subject, whole


class Targets:
    """Asks the catalogue and the charts."""

    def __init__(self, catalogue: Catalogue, charts: Snapshots) -> None:
        self.catalogue, self.charts = catalogue, charts

    async def snapshot_at_tip(self, services: Sequence[Service]) -> Snapshot:
        """The files of services at the branch's newest commit. Raises as `ports.Charts` does."""
        return await self.charts.at_tip(service.name for service in services)

    async def services_of(self, target: Target) -> tuple[Service, ...]:
        """The services that a target means: one, or a group's, which the catalogue or a shared file makes.

        Raises:
            RequestError: there is no such group.
            TemporaryError: the charts do not answer.
        """
        catalogue = self.catalogue
        if not target.group:
            return (catalogue.services[target.service],)
        if declared := catalogue.group(target.group):
            return declared
        first = catalogue.services[target.group]
        snapshot = await self.snapshot_at_tip((first,))
        alone = Subject((await asyncio.to_thread(member, snapshot, first),))
        every = alone.places(alone.own.environments)
        try:
            touched = await asyncio.to_thread(snapshot.touched, edit_request(alone, every))
        except EditRefusedError as why:
            if not first.image:
                raise RequestError(DeployedInParts(first.name)) from why
            raise RequestError(SharersUnknown(first.name, str(why))) from why
        names = other_services(alone, touched.services)
        sharing = tuple(catalogue.services[name] for name in names if name in catalogue.services)
        if not sharing:
            raise RequestError(NotOneOfAGroup(first.name, first.group))
        return (first, *sharing)

    async def members_of(self, target: Target) -> list[tuple[Member, Snapshot | None]]:
        """What there is to tell of a target: its parts, or its services, with their files; None where git is silent."""
        try:
            services = await self.services_of(target)
            snapshot = await self.snapshot_at_tip(services)
        except TemporaryError:  # pods can be told without git; the survey says what does not answer
            every = tuple(self.catalogue.environments)
            named = (self.catalogue.services[name] for name in (target.service, target.group) if name)
            services = self.catalogue.group(target.group) or tuple(named)
            return [(replace(whole(service), environments=every), None) for service in services]
        members: list[tuple[Member, Snapshot | None]] = []
        for service in services:
            parts: tuple[str, ...] = (target.part,)
            if target.part in ("", ALL):
                parts = await asyncio.to_thread(part_names, snapshot, service, bool(target.part))
            members += [(await asyncio.to_thread(member, snapshot, service, part), snapshot) for part in parts or ("",)]
        return members


def part_names(snapshot: Snapshot, service: Service, every: bool = False) -> tuple[str, ...]:
    """The parts that must be told apart by name; none where the service has an image of its own, unless *every* is."""
    if service.image and not every:
        return ()
    try:
        parts = snapshot.parts(component(service))
    except EditRefusedError:
        return ()
    return tuple(part.name for part in parts) if len(parts) > 1 or service.parts else ()
