"""The edit that an order makes, and what it means for those that it moves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.charts import facade
from quarterdeck.core.charts.members import known, plain_images, planned_edit, release_images
from quarterdeck.core.model.errors import EditRefusedError, RequestError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.service import Service
from quarterdeck.core.orders.refusals import NoSafeEdit, NotInGit
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.records import Effect
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.situation import Situation


async def edit_of(
    subject: Subject, trees: Mapping[str, Tree], places: Sequence[str], tag: str, pin: bool
) -> facade.EditPlan:
    """The edit that gives places the tag.

    Raises:
        RequestError: the files do not allow a safe one, or the tag is not in git at all.
    """
    try:
        return await asyncio.to_thread(planned_edit, subject, trees, places, tag, pin)
    except EditRefusedError as error:
        service, environments = subject.service, environments_of(places)
        environment = environments[0] if len(environments) == 1 else "production"
        elsewhere = await asyncio.to_thread(not_in_git, trees[service.name], service, environment)
        raise RequestError(elsewhere or NoSafeEdit(str(error))) from error


def not_in_git(tree: Tree, service: Service, environment: str) -> NotInGit | None:
    """The refusal for a service that is not deployed from git; None if git has a tag of it."""
    try:
        if facade.parts_of(tree, service.name, known(service)):
            return None
    except EditRefusedError:  # files that cannot be read are told by the edit
        return None
    return NotInGit(service.name, environment)


def moves(plan: facade.EditPlan, situation: Situation) -> tuple[tuple[Situation, Effect], ...]:
    """What an edit moves, beside what there is of just that: part by part where all of them move."""
    apart = tuple((situation.parts[name], effect) for name, effect in plan.parts.items() if name in situation.parts)
    return apart or ((situation, plan.effect),)


def taken_away(plan: facade.EditPlan, targets: Sequence[str], situation: Situation) -> dict[str, str]:
    """Other places that would lose a tag that they run to an older one, with that tag (law 4)."""
    lost: dict[str, str] = {}
    for seen, effect in moves(plan, situation):
        for place, (old, new) in effect.items():
            if place not in targets and seen.running(place) == old and builds.newer(old, new):
                lost[place] = old
    return lost


def holding_tree(trees: Mapping[str, Tree], service: str) -> Tree:
    """The tree that has a service's files: its own, else the first in which it is one of the sharers."""
    if service in trees:
        return trees[service]
    for tree in trees.values():
        if any(service in sharers for sharers in tree.sharers.values()):
            return tree
    return next(iter(trees.values()))


def references(
    around: Subject, trees: Mapping[str, Tree], plan: facade.EditPlan, places: Iterable[str], tag: str
) -> tuple[tuple[str, str], ...]:
    """(repository, tag) of the images that places run after the edit; by the catalogue where files do not say."""
    wanted: dict[tuple[str, str], None] = {}
    for place in dict.fromkeys(places):
        member, environment = around.at(place)
        tree = holding_tree(trees, member.service.name)
        edited = replace(tree, files={**tree.files, **plan.files})
        try:
            of_releases = release_images(member, edited, environment)
        except EditRefusedError:
            of_releases = {}
        images = [image for image in chain(*of_releases.values()) if image.tag == tag]
        for image in images or plain_images(member, tag):
            wanted[image.name, f"{image.tag}{image.end}"] = None
    return tuple(wanted)
