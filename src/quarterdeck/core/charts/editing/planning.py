"""Decides what a bump does to which scalars, and whom it reaches; no byte is changed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from quarterdeck.core.charts.editing.by_key import edits_by_key
from quarterdeck.core.charts.editing.choosing import (
    ScalarEdit,
    check_edits,
    check_request,
    choose_group,
    refuse_doubtful,
    refuse_several_tags,
    scalar_edits,
)
from quarterdeck.core.charts.editing.pinning import Insertion, check_unpinned, copies, pin
from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.editing.splice import insertion_point
from quarterdeck.core.charts.keys import dotted
from quarterdeck.core.charts.reading.document import Scalar
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import ImageGroup
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ReleaseTagId, ServiceTags, service_tags
from quarterdeck.core.charts.reading.service_files import ServiceFiles, read_service
from quarterdeck.core.charts.refusals import Obstacle, RefusedError


@dataclass(frozen=True)
class PlannedBump:
    """What is to be done to scalars.

    Attributes:
        edits: those that get another tag.
        insertions: copies that are written.
        gone: copies that are taken away.
        wanted: id of each release's tag that shall change -> its new tag.
    """

    edits: tuple[ScalarEdit, ...] = ()
    insertions: tuple[Insertion, ...] = ()
    gone: tuple[Scalar, ...] = ()
    wanted: Mapping[ReleaseTagId, str] = field(default_factory=dict)


def plan_bump(request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags) -> PlannedBump:
    """What a request does.

    Raises:
        RefusedError: something else could be meant, or it cannot be done.
    """
    check_request(request, service)
    if request.pin:
        tags = service_tags(files, service, hollow=True)
    if request.keys:
        return _planned_by_key(request, files, service, tags)
    if tags.unreadable:
        raise RefusedError(tags.unreadable)
    group = choose_group(request, files, service, tags)
    if request.narrowed:
        refuse_doubtful(service, group)
    refuse_several_tags(service, group, request.tag)
    wanted = {release_tag.id: request.tag for release_tag in group.release_tags}
    if request.pin:
        edits, insertions = pin(request, files, tags, group)
        return PlannedBump(edits, insertions, wanted=wanted)
    gone: tuple[Scalar, ...] = ()
    if request.unpin:
        gone = copies(request, files, service, tags, group)
        group, tags = _without_copies(gone, files, service, tags, group)
    edits = tuple(edit for edit in scalar_edits(request, files, service, tags, group) if edit.scalar not in gone)
    return PlannedBump(edits, gone=gone, wanted=wanted)


def _planned_by_key(request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags) -> PlannedBump:
    edits = edits_by_key(request, files, service, tags)
    new_tags = {edit.scalar.id: edit.tag for edit in edits}
    wanted = {
        release_tag.id: new_tags[release_tag.scalar.id]
        for release_tag in filter(request.includes, tags.release_tags)
        if release_tag.scalar.id in new_tags
    }
    return PlannedBump(edits, wanted=wanted)


def _without_copies(
    gone: tuple[Scalar, ...], files: ParsedFiles, service: ServiceFiles, tags: ServiceTags, group: ImageGroup
) -> tuple[ImageGroup, ServiceTags]:
    """The group and all tags as they are once some copies are gone."""
    after = service_tags(files, service, frozenset(scalar.id for scalar in gone))
    check_unpinned(gone, tags, after)
    of_group = {release_tag.id for release_tag in group.release_tags}
    left = tuple(release_tag for release_tag in after.release_tags if release_tag.id in of_group)
    return replace(group, release_tags=left), after


# -- whom it reaches ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WrittenPlace:
    """Where a file would be written, the first place in it.

    Attributes:
        key: dotted.
        line: from 1.
    """

    file: str
    key: str
    line: int


@dataclass(frozen=True)
class Reach:
    """Whom a bump would touch, whatever its tag.

    Attributes:
        written: each file that it would write.
        release_tags: of the service and of others, all that would change.
    """

    written: tuple[WrittenPlace, ...]
    release_tags: tuple[ReleaseTag, ...]


def reach(files: ParsedFiles, request: BumpRequest, service: ServiceFiles) -> Reach:
    """Who else reads the scalars that a request would change; its tag may be left out.

    Raises:
        RefusedError: the files allow no such edit.
    """
    tags = service_tags(files, service)
    planned = plan_bump(request, files, service, tags)
    check_edits(planned.edits)
    written = _written_places(files, planned)
    edited = {edit.scalar.id for edit in planned.edits}
    reached = [
        release_tag
        for release_tag in tags.release_tags
        if release_tag.scalar.id in edited or release_tag.id in planned.wanted
    ]
    obstacles: list[Obstacle] = []
    for sharer in _sharers(files, written, request.services_dir, service.name):
        tags_of_sharer = service_tags(files, sharer)
        obstacles += unreadable_sharers(sharer, tags_of_sharer)
        reached += [
            release_tag
            for release_tag in tags_of_sharer.release_tags
            if release_tag.scalar.id in edited and not release_tag.holder
        ]
    if obstacles:
        raise RefusedError(obstacles)
    return Reach(written, tuple(reached))


def _written_places(files: ParsedFiles, planned: PlannedBump) -> tuple[WrittenPlace, ...]:
    """Each file that a plan writes, with the first place in it.

    Raises:
        RefusedError: something stands where a copy would be put in.
    """
    starts: list[tuple[str, int, WrittenPlace]] = []
    for edit in planned.edits:
        scalar = edit.scalar
        starts.append((scalar.file, scalar.start, WrittenPlace(scalar.file, dotted(scalar.path), scalar.line)))
    for insertion in planned.insertions:
        document = files.document(insertion.file)
        if document is not None and document.broken:
            raise RefusedError([document.broken])
        point = insertion_point(document, insertion.path, "\n")
        place = WrittenPlace(insertion.file, dotted(insertion.path), point.line)
        starts.append((insertion.file, point.start, place))
    first_places: dict[str, WrittenPlace] = {}
    for file, _, place in sorted(starts, key=lambda start: start[:2]):
        first_places.setdefault(file, place)
    return tuple(first_places.values())


def _sharers(
    files: ParsedFiles, written: Iterable[WrittenPlace], services_dir: str, own: str
) -> Iterator[ServiceFiles]:
    """Other services that read a file that is written."""
    names: set[str] = set()
    for place in written:
        names.update(files.sharers_of(place.file))
    for name in sorted(names - {own}):
        sharer = read_service(files, services_dir, name)
        if sharer is not None:
            yield sharer


def unreadable_sharers(sharer: ServiceFiles, tags: ServiceTags) -> list[Obstacle]:
    """The files of a service that shares an edited one and cannot be read: what becomes of it cannot be told."""
    return [
        Obstacle(
            "shared",
            f"{sharer.name} shares an edited file, and this one of its files is {why.reason}",
            why.file,
            why.line,
        )
        for why in tags.unreadable
    ]
