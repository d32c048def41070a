"""Asks which part of a service is meant."""

from __future__ import annotations

import asyncio

from quarterdeck.core.charts.members import component
from quarterdeck.core.charts.reading.images import PartInFiles
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.editing import not_in_git
from quarterdeck.core.orders.refusals import OfferedPart, WhichPart
from quarterdeck.core.orders.tagging import Tagging
from quarterdeck.core.orders.targets import part_names
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.subject import Member

#: so many parts are told in one line
_OFFERED = 3


async def which_part(
    tagging: Tagging, snapshot: Snapshot, service: Service, verb: str, environment: str
) -> Refusal | None:
    """The refusal that asks which part is meant; None if the service has an image of its own, and it is in git.

    Args:
        environment: as said; empty if none was.
    """
    elsewhere = await asyncio.to_thread(not_in_git, snapshot, service, environment)
    if elsewhere or service.image:
        return elsewhere
    if not await asyncio.to_thread(part_names, snapshot, service):
        return None
    parts = await asyncio.to_thread(snapshot.parts, component(service))
    parts = tuple(part for part in parts if environment in part.tags) or parts
    offered = [await _offered(tagging, service, part, environment) for part in parts[:_OFFERED]]
    announced = next((part for part in offered if part.newest), None)
    return WhichPart(
        service=service.name,
        verb=verb,
        environment=environment,
        suffix=service.suffix,
        offered=tuple(offered),
        hidden=max(len(parts) - _OFFERED, 0),
        example=(announced or offered[0]).title,
        tag_is_needed=announced is None,
        every=f"{service.name}/{ALL}" if len(parts) > 1 else "",
    )


async def _offered(tagging: Tagging, service: Service, part: PartInFiles, environment: str) -> OfferedPart:
    ends = (service.image_suffix,) if service.image_suffix else ()
    member = Member(service, part.name, part.images, ends)
    tags = part.tags.get(environment) or next(iter(part.tags.values()), ())
    return OfferedPart(member.title, part.files, tuple(tags), await tagging.newest(member))
