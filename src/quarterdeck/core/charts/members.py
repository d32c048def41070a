"""What the files of the charts say of a member of a subject: its parts, its images, and the edit of its tag."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from quarterdeck.core.charts import facade
from quarterdeck.core.model import place as places
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError
from quarterdeck.core.model.service import Service
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.subject import Member, Subject, whole


def known(service: Service) -> facade.CatalogueImages:
    """What the catalogue says of a service's images."""
    parts = {name: tuple(dict.fromkeys(part.images.values())) for name, part in service.parts.items()}
    return facade.CatalogueImages(service.image, parts, service.image_suffix)


def release_images(member: Member, tree: Tree, environment: str) -> dict[str, tuple[facade.ReleaseImage, ...]]:
    """Release -> the images that a member is to run; raises as `facade.release_images` does."""
    return facade.release_images(tree, member.service.name, environment, known(member.service), member.part)


def plain_images(member: Member, tag: str) -> tuple[facade.ReleaseImage, ...]:
    """A member's images with a tag of git, by what is known of it without files."""
    suffixes = member.registry_suffixes or ("",)
    return tuple(facade.ReleaseImage(name, tag, suffix) for name in member.images for suffix in suffixes)


def planned_edit(
    subject: Subject, trees: Mapping[str, Tree], where: Iterable[str], tag: str, pin: bool = False
) -> facade.EditPlan:
    """The edit that gives places the tag, over all members; see `facade.plan`.

    Args:
        trees: service -> its files at the pinned commit.
        where: the places.

    Raises:
        EditRefusedError: the files of one of them do not allow a safe edit.
    """
    done = facade.EditPlan(already=True)
    targets = [subject.at(place) for place in where]
    named = dict.fromkeys(environment for _, environment in targets)
    by_hand = f"!apply {subject.title} {next(iter(named)) if len(named) == 1 else 'production'}"
    own = subject.service.name
    for member in subject.members:
        environments = [environment for owner, environment in targets if owner is member]
        if not environments:
            continue
        name = member.service.name
        tree = replace(trees[name], files={**trees[name].files, **done.files})
        edit = facade.plan(tree, name, environments, tag, known(member.service), member.part, pin, by_hand)
        by_part = {part if part in member.parts else "": _placed(tags, name, own) for part, tags in edit.parts.items()}
        done = facade.joined(done, replace(edit, effect=_placed(edit.effect, name, own), parts=by_part))
    return done


def other_services(subject: Subject, edit: facade.EditPlan) -> tuple[str, ...]:
    """Services outside of the subject that an edit changes too."""
    names = {member.service.name for member in subject.members}
    return tuple(name for name in edit.others if name not in names)


def _placed(effect: Mapping[str, tuple[str, str]], name: str, own: str) -> dict[str, tuple[str, str]]:
    """A service's effect with its places named as the service *own* names them."""
    return {places.named(*places.split(place, name), own): tags for place, tags in effect.items()}


def member(tree: Tree, service: Service, part: str = "") -> Member:
    """A service or one of its parts, by what its files say.

    Args:
        part: as typed; letters' case does not matter.

    Raises:
        NotFoundError: no such part; names those there are.
        EditRefusedError: a part was named, and files cannot be read.
    """
    try:
        found = facade.parts_of(tree, service.name, known(service))
    except EditRefusedError:
        if part:
            raise
        return replace(whole(service), environments=facade.environments(tree, service.name))
    images = (service.image,) if service.image else service.images
    environments = facade.environments(tree, service.name)
    parts: dict[str, tuple[str, ...]] = {}
    if part == ALL or (not part and len(found) > 1):
        parts = {"" if service.image in each.images else each.name: each.images for each in found}
    if part == ALL:
        images = tuple(dict.fromkeys(image for each in found for image in each.images)) or images
    elif part:
        mine = next((each for each in found if each.name.casefold() == part.casefold()), None)
        if mine is None:
            names = ", ".join(f"{service.name}/{each.name}" for each in found)
            raise NotFoundError(f"no part {part[:40]} of {service.name}: say {names or service.name}. Nothing done")
        part, images = mine.name, mine.images or images
        environments = tuple(name for name in environments if name in mine.tags)
        if service.image and service.image in images:
            part = ""  # the service's own image by its part's name
    plain = Member(service, part, images, (), environments, parts)
    return replace(plain, registry_suffixes=_registry_suffixes(tree, plain) or whole(service).registry_suffixes)


def _registry_suffixes(tree: Tree, plain: Member) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for environment in plain.environments:
        try:
            named = release_images(plain, tree, environment)
        except EditRefusedError:  # the part is not in that environment
            continue
        found |= {image.end: None for images in named.values() for image in images if image.end}
    return tuple(found)
