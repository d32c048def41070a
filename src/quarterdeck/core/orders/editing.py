"""The edit that an order makes, and what it means for those that it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import chain

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.charts.members import component, component_of, edit_request, plain_images
from quarterdeck.core.charts.snapshot import Snapshot, Touched
from quarterdeck.core.model.errors import EditRefusedError, RequestError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.refusals import NoSafeEdit, NotInGit
from quarterdeck.core.rollout.records import Effect
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.situation import Situation


async def touched_by(subject: Subject, snapshot: Snapshot, places: Sequence[str], pin: bool) -> Touched:
    """What the edit of some places would touch, whatever the tag will be.

    Raises:
        RequestError: the files do not allow a safe one, or the tag is not in git at all.
    """
    try:
        return await asyncio.to_thread(snapshot.touched, edit_request(subject, places, pin))
    except EditRefusedError as error:
        raise await _refused(error, subject, snapshot, places) from error


async def edit_of(subject: Subject, snapshot: Snapshot, places: Sequence[str], tag: str, pin: bool) -> EditPlan:
    """The edit that gives places the tag.

    Raises:
        RequestError: the files do not allow a safe one, or the tag is not in git at all.
    """
    try:
        return await asyncio.to_thread(snapshot.edit, edit_request(subject, places, pin), tag)
    except EditRefusedError as error:
        raise await _refused(error, subject, snapshot, places) from error


async def _refused(
    error: EditRefusedError, subject: Subject, snapshot: Snapshot, places: Sequence[str]
) -> RequestError:
    service, environments = subject.service, environments_of(places)
    environment = environments[0] if len(environments) == 1 else "production"
    elsewhere = await asyncio.to_thread(not_in_git, snapshot, service, environment)
    return RequestError(elsewhere or NoSafeEdit(str(error)))


def not_in_git(snapshot: Snapshot, service: Service, environment: str) -> NotInGit | None:
    """The refusal for a service that is not deployed from git; None if git has a tag of it."""
    try:
        if snapshot.parts(component(service)):
            return None
    except EditRefusedError:  # files that cannot be read are told by the edit
        return None
    return NotInGit(service.name, environment)


def moves(plan: EditPlan, situation: Situation) -> tuple[tuple[Situation, Effect], ...]:
    """What an edit moves, beside what there is of just that: part by part where all of them move."""
    apart = tuple((situation.parts[name], effect) for name, effect in plan.parts.items() if name in situation.parts)
    return apart or ((situation, plan.effect),)


def taken_away(plan: EditPlan, targets: Sequence[str], situation: Situation) -> dict[str, str]:
    """Other places that would lose a tag that they run to an older one, with that tag (law 4)."""
    lost: dict[str, str] = {}
    for seen, effect in moves(plan, situation):
        for place, (old, new) in effect.items():
            if place not in targets and seen.running(place) == old and builds.newer(old, new):
                lost[place] = old
    return lost


def references(
    around: Subject, snapshot: Snapshot, plan: EditPlan, places: Iterable[str], tag: str
) -> tuple[tuple[str, str], ...]:
    """(repository, tag) of the images that places run after the edit; by the catalogue where files do not say."""
    edited = snapshot.edited(plan)
    wanted: dict[tuple[str, str], None] = {}
    for place in dict.fromkeys(places):
        member, environment = around.at(place)
        try:
            of_releases = edited.release_images(component_of(member), environment)
        except EditRefusedError:
            of_releases = {}
        images = [image for image in chain(*of_releases.values()) if image.tag == tag]
        for image in images or plain_images(member, tag):
            wanted[image.name, f"{image.tag}{image.end}"] = None
    return tuple(wanted)
