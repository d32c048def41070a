"""Finds what a spoken target means: which services, and which members of them, by the catalogue and by the files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.charts import facade
from quarterdeck.core.charts.members import known, member, other_services, planned_edit
from quarterdeck.core.model.errors import EditRefusedError, RequestError, TemporaryError
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.refusals import DeployedInParts, NotOneOfAGroup, SharersUnknown
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import Target
from quarterdeck.core.rollout.subject import Member, Subject, whole
from quarterdeck.core.world import World

#: stands for a tag where only the places of an edit are wanted
ANY = "any"


async def read_trees(world: World, services: Sequence[Service]) -> dict[str, Tree]:
    """Service -> its files, all at the tip. Raises as `ports.Charts` does."""
    tip = await world.charts.tip()
    return {service.name: await world.charts.tree(tip, service.name) for service in services}


async def services_of(world: World, target: Target) -> tuple[Service, ...]:
    """The services that a target means: one, or a group's, which the catalogue or a shared file makes.

    Raises:
        RequestError: there is no such group.
        TemporaryError: the charts do not answer.
    """
    catalogue = world.catalogue
    if not target.group:
        return (catalogue.services[target.service],)
    if declared := catalogue.group(target.group):
        return declared
    first = catalogue.services[target.group]
    trees = await read_trees(world, (first,))
    alone = Subject((await asyncio.to_thread(member, trees[first.name], first),))
    every = alone.places(alone.own.environments)
    try:
        probe = await asyncio.to_thread(planned_edit, alone, trees, every, ANY)
    except EditRefusedError as why:
        if not first.image:
            raise RequestError(DeployedInParts(first.name)) from why
        raise RequestError(SharersUnknown(first.name, str(why))) from why
    found = tuple(catalogue.services[name] for name in other_services(alone, probe) if name in catalogue.services)
    if not found:
        raise RequestError(NotOneOfAGroup(first.name, first.group))
    return (first, *found)


async def members_of(world: World, target: Target) -> list[tuple[Member, Tree | None]]:
    """What there is to tell of a target: its parts, or its services, with their files; None where git is silent."""
    try:
        services = await services_of(world, target)
        trees = await read_trees(world, services)
    except TemporaryError:  # pods can be told without git; the survey says what does not answer
        every = tuple(world.catalogue.environments)
        named = (world.catalogue.services[name] for name in (target.service, target.group) if name)
        services = world.catalogue.group(target.group) or tuple(named)
        return [(replace(whole(service), environments=every), None) for service in services]
    found: list[tuple[Member, Tree | None]] = []
    for service in services:
        tree = trees[service.name]
        parts: tuple[str, ...] = (target.part,)
        if target.part in ("", facade.ALL):
            parts = await asyncio.to_thread(part_names, tree, service, bool(target.part))
        found += [(await asyncio.to_thread(member, tree, service, part), tree) for part in parts or ("",)]
    return found


def part_names(tree: Tree, service: Service, every: bool = False) -> tuple[str, ...]:
    """The parts that must be told apart by name; none where the service has an image of its own, unless *every* is."""
    if service.image and not every:
        return ()
    try:
        found = facade.parts_of(tree, service.name, known(service))
    except EditRefusedError:
        return ()
    return tuple(part.name for part in found) if len(found) > 1 or service.parts else ()
