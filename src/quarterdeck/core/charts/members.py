"""What the files of the charts say of a member of a subject: its parts, its images, and the edit of its tag."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from quarterdeck.core.charts.reading.images import PartInFiles, ReleaseImage
from quarterdeck.core.charts.reading.parts import CatalogueImages
from quarterdeck.core.charts.refusals import NoPart
from quarterdeck.core.charts.snapshot import Component, EditRequest, Snapshot
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError
from quarterdeck.core.model.service import Service
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.subject import Member, Subject, whole


def component(service: Service, part: str = "") -> Component:
    """A service or one of its parts, as the charts are asked for it."""
    parts = {name: tuple(dict.fromkeys(described.images.values())) for name, described in service.parts.items()}
    return Component(service.name, part, CatalogueImages(service.image, parts, service.image_suffix))


def component_of(member: Member) -> Component:
    """A member, as the charts are asked for it."""
    return component(member.service, member.part)


def plain_images(member: Member, tag: str) -> tuple[ReleaseImage, ...]:
    """A member's images with a tag of git, by what is known of it without files."""
    images: list[ReleaseImage] = []
    for name in member.images:
        images += [ReleaseImage(name, tag, suffix) for suffix in member.registry_suffixes or ("",)]
    return tuple(images)


def edit_request(subject: Subject, places: Iterable[str], pin: bool = False) -> EditRequest:
    """The edit of the tag of all members at some places."""
    targets = [subject.at(place) for place in places]
    named = dict.fromkeys(environment for _, environment in targets)
    where = next(iter(named)) if len(named) == 1 else "production"
    components: list[tuple[Component, tuple[str, ...]]] = []
    for member in subject.members:
        environments = tuple(environment for owner, environment in targets if owner is member)
        if environments:
            components.append((component_of(member), environments))
    return EditRequest(tuple(components), subject.service.name, pin, f"!apply {subject.title} {where}")


def other_services(subject: Subject, services: Iterable[str]) -> tuple[str, ...]:
    """Those of some services that are outside of the subject."""
    names = {member.service.name for member in subject.members}
    return tuple(service for service in services if service not in names)


def member(snapshot: Snapshot, service: Service, part: str = "") -> Member:
    """A service or one of its parts, by what its files say.

    Args:
        part: as typed; letters' case does not matter.

    Raises:
        NotFoundError: no such part; names those there are.
        EditRefusedError: a part was named, and files cannot be read.
    """
    try:
        parts = snapshot.parts(component(service))
    except EditRefusedError:
        if part:
            raise
        return replace(whole(service), environments=snapshot.environments(service.name))
    environments = snapshot.environments(service.name)
    if part == ALL:
        found = _all_parts(service, parts, environments)
    elif part:
        found = _one_part(service, _part_named(part, service, parts), environments)
    else:
        several = _images_by_part(service, parts) if len(parts) > 1 else {}
        found = Member(service, "", _catalogue_images(service), (), environments, several)
    suffixes = _registry_suffixes(snapshot, found) or whole(service).registry_suffixes
    return replace(found, registry_suffixes=suffixes)


def _catalogue_images(service: Service) -> tuple[str, ...]:
    """The service's own image, else those of all its parts."""
    return (service.image,) if service.image else service.images


def _all_parts(service: Service, parts: Sequence[PartInFiles], environments: tuple[str, ...]) -> Member:
    images: dict[str, None] = {}
    for part in parts:
        images |= dict.fromkeys(part.images)
    of_all = tuple(images) or _catalogue_images(service)
    return Member(service, ALL, of_all, (), environments, _images_by_part(service, parts))


def _one_part(service: Service, part: PartInFiles, environments: tuple[str, ...]) -> Member:
    """A part, in the environments where it is; by no name where it is the service's own image."""
    images = part.images or _catalogue_images(service)
    is_own_image = bool(service.image) and service.image in images
    present = tuple(name for name in environments if name in part.tags)
    return Member(service, "" if is_own_image else part.name, images, (), present)


def _images_by_part(service: Service, parts: Sequence[PartInFiles]) -> dict[str, tuple[str, ...]]:
    """Part -> its images; the service's own image has no name."""
    return {"" if service.image in part.images else part.name: part.images for part in parts}


def _part_named(name: str, service: Service, parts: Sequence[PartInFiles]) -> PartInFiles:
    for part in parts:
        if part.name.casefold() == name.casefold():
            return part
    raise NotFoundError(NoPart(service.name, name, tuple(part.name for part in parts)))


def _registry_suffixes(snapshot: Snapshot, member: Member) -> tuple[str, ...]:
    """What the registry's tags of a member have beyond those in git."""
    suffixes: dict[str, None] = {}
    for environment in member.environments:
        try:
            by_release = snapshot.release_images(component_of(member), environment)
        except EditRefusedError:  # the part is not in that environment
            continue
        for images in by_release.values():
            suffixes |= dict.fromkeys(image.end for image in images if image.end)
    return tuple(suffixes)
