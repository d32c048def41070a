"""Gives environments a copy of their own, and takes such copies away."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quarterdeck.core.charts.editing.choosing import ScalarEdit, located
from quarterdeck.core.charts.editing.request import BumpRequest
from quarterdeck.core.charts.keys import KeyPath, dotted
from quarterdeck.core.charts.reading.document import Scalar, list_at
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import ImageGroup
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ReleaseTagId, ServiceTags
from quarterdeck.core.charts.reading.service_files import ServiceFiles, ValuesLayer
from quarterdeck.core.charts.refusals import refuse


@dataclass(frozen=True)
class Insertion:
    """A line to put in.

    Attributes:
        file: real path; it may not exist yet.
        path: the keys.
        tag: the tag that it gives.
        like: the scalar whose quoting it follows, and whose image's name it repeats if that has one.
    """

    file: str
    path: KeyPath
    tag: str
    like: Scalar

    @property
    def value(self) -> str:
        """The whole value."""
        return f"{self.like.name}:{self.tag}" if self.like.name else self.tag


def pin(
    request: BumpRequest, files: ParsedFiles, tags: ServiceTags, group: ImageGroup
) -> tuple[tuple[ScalarEdit, ...], tuple[Insertion, ...]]:
    """Copies to edit and copies to write so that the asked tags, and no others, change.

    Raises:
        RefusedError: no layer of the environment wins without touching others.
    """
    pinning = _Pinning(files, tags, frozenset(release_tag.id for release_tag in group.release_tags))
    edits: dict[tuple[str, int], ScalarEdit] = {}
    insertions: dict[tuple[str, KeyPath], Insertion] = {}
    for release_tag in group.release_tags:
        scalar = release_tag.scalar
        if pinning.is_own_copy(release_tag):
            edits[scalar.id] = ScalarEdit(scalar, request.tag)
            continue
        layer = pinning.lowest_layer(release_tag)
        _refuse_list(release_tag, layer, files)
        insertion = Insertion(layer.real, release_tag.path, request.tag, scalar)
        insertions[layer.real, release_tag.path] = insertion
    return tuple(edits.values()), tuple(insertions.values())


def _refuse_list(release_tag: ReleaseTag, layer: ValuesLayer, files: ParsedFiles) -> None:
    """Refuse to write a copy of what stands in a list: a later file's list takes the place of all of it."""
    scalar = release_tag.scalar
    document = files.document(scalar.file)
    keys = list_at(document.root, scalar.path) if document else ()
    if keys:
        reason = f"{dotted(keys)} is a list: one in {layer.path} would replace all of it"
        raise refuse("pin-list", reason, scalar.file, scalar.line)


@dataclass(frozen=True)
class _Pinning:
    """Where a copy can stand that decides the wanted tags and no others."""

    files: ParsedFiles
    tags: ServiceTags
    wanted: frozenset[ReleaseTagId]

    def is_own_copy(self, release_tag: ReleaseTag) -> bool:
        """Whether the deciding scalar is a copy of what was asked for: it decides nothing else, and no later file could."""
        layer = release_tag.release.layers[release_tag.depth]
        decided = {
            other.id
            for other in self.tags.release_tags
            if other.scalar.id == release_tag.scalar.id and not other.holder
        }
        if not decided <= self.wanted:
            return False
        higher = _pinnable_layers(release_tag)
        if layer.per_environment:
            shared = bool(_other_readers(layer, release_tag, self.files))
            return not shared or not any(self._fits(release_tag, later) for later in higher)
        return layer.per_release and not any(later.per_environment for later in higher)

    def lowest_layer(self, release_tag: ReleaseTag) -> ValuesLayer:
        """The lowest layer of the environment, else of the release, that wins and changes wanted tags only."""
        release, scalar = release_tag.release, release_tag.scalar
        if release.doubt:
            reason = f"the helmfile of {release_tag.service} cannot be read, so no layer is known to win"
            raise refuse("helmfile", reason, say="--key")
        layers = _pinnable_layers(release_tag)
        for layer in layers:
            # a file of several services' settings is not begun for a tag
            would_be_begun = self.files.content(layer.real) is None
            is_global = posixpath.basename(layer.path).startswith("global")
            if not (would_be_begun and is_global) and self._fits(release_tag, layer):
                return layer
        own = release.layers[release_tag.depth]
        for layer in (*layers, own):
            if layer.per_environment:
                reason = (
                    f"a pin in {layer.path} would move more than was asked for; name the others too, or leave --pin out"
                )
                raise refuse("pin-shared", reason)
        reason = (
            f"a pin for {release.environment} would do nothing in release {release.name}: {located(scalar)} "
            f"overrides it, and the helmfile names no later file of {release.environment}"
        )
        raise refuse("pin-overridden", reason, scalar.file, scalar.line)

    def _fits(self, release_tag: ReleaseTag, layer: ValuesLayer) -> bool:
        """Whether a scalar in a layer above would win for the tag and decide wanted ones only."""
        decided = {
            other.id for other in self.tags.release_tags if other.path == release_tag.path and _would_win(other, layer)
        }
        return decided <= self.wanted and not _other_readers(layer, release_tag, self.files)


def _other_readers(layer: ValuesLayer, release_tag: ReleaseTag, files: ParsedFiles) -> list[str]:
    """Other services that read a layer's file."""
    return [name for name in files.sharers_of(layer.real) if name != release_tag.service]


def _pinnable_layers(release_tag: ReleaseTag) -> list[ValuesLayer]:
    """The layers above the one that decides: the environment's, then those of the release in all environments."""
    higher = release_tag.release.layers[release_tag.depth + 1 :]
    usable = [layer for layer in higher if not layer.on_server and layer.certain]
    of_environment = [layer for layer in usable if layer.per_environment]
    of_release = [layer for layer in usable if layer.per_release and not layer.per_environment]
    return of_environment + of_release


def _would_win(release_tag: ReleaseTag, layer: ValuesLayer) -> bool:
    """Whether a scalar in that layer would decide the tag."""
    higher = release_tag.release.layers[release_tag.depth + 1 :]
    return any(other.real == layer.real for other in higher)


# -- taking copies away ---------------------------------------------------------------------------------------------


def copies(
    request: BumpRequest, files: ParsedFiles, service: ServiceFiles, tags: ServiceTags, group: ImageGroup
) -> tuple[Scalar, ...]:
    """The copies of single environments that go.

    Raises:
        RefusedError: in the old layout there are none.
    """
    if service.old_layout:
        reason = f"{service.name} has a folder for each environment; no tag is shared, so no copy can go"
        raise refuse("unpin", reason)
    gone = {
        scalar.id: scalar
        for layer, scalar in _copies_in_layers(request, files, service, group)
        if _is_of_group(scalar, layer, tags, group, files)
    }
    if request.releases:
        deciding = {release_tag.scalar.id for release_tag in filter(request.includes, group.release_tags)}
        gone = {scalar_id: scalar for scalar_id, scalar in gone.items() if scalar_id in deciding}
    return tuple(gone[scalar_id] for scalar_id in sorted(gone))


def _copies_in_layers(
    request: BumpRequest, files: ParsedFiles, service: ServiceFiles, group: ImageGroup
) -> Iterator[tuple[ValuesLayer, Scalar]]:
    """The scalars with a group's keys in the layers of single environments."""
    paths = {release_tag.path for release_tag in group.release_tags}
    for release in service.releases:
        if request.environments and release.environment not in request.environments:
            continue
        for layer in release.layers:
            document = files.document(layer.real) if layer.per_environment and not layer.on_server else None
            for path, scalar in (document.scalars() if document else {}).items():
                if path in paths and not scalar.null:
                    yield layer, scalar


def _is_of_group(scalar: Scalar, layer: ValuesLayer, tags: ServiceTags, group: ImageGroup, files: ParsedFiles) -> bool:
    """Whether a copy is the group's: if it decides something, nothing of others; if nothing, no other service reads it."""
    decided = [release_tag for release_tag in tags.release_tags if release_tag.scalar.id == scalar.id]
    of_group = {release_tag.id for release_tag in group.release_tags}
    if decided:
        return all(release_tag.id in of_group for release_tag in decided)
    return not _other_readers(layer, group.release_tags[0], files)


def check_unpinned(gone: Sequence[Scalar], before: ServiceTags, after: ServiceTags) -> None:
    """Refuse to take a copy away where nothing else says the tag of the same image.

    Raises:
        RefusedError: with the copy.
    """
    left = {release_tag.id: release_tag for release_tag in after.release_tags}
    ids_gone = {scalar.id for scalar in gone}
    for release_tag in before.release_tags:
        scalar = release_tag.scalar
        if scalar.id not in ids_gone:
            continue
        environment, afterwards = release_tag.release.environment, left.get(release_tag.id)
        if afterwards is None:
            reason = f"without {located(scalar)} {environment} would have no tag in the repository"
            raise refuse("unpin", reason, scalar.file, scalar.line)
        if afterwards.image != release_tag.image:
            image = release_tag.image or "the default image of its chart"
            reason = f"{environment} runs {image} with {located(scalar)}, not what the shared tag is of"
            raise refuse("unpin", reason, scalar.file, scalar.line)
