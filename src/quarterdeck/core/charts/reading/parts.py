"""Groups the tags of a service by the image they are of: what is built together moves together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from quarterdeck.core.charts.conventions import MAIN_BLOCKS
from quarterdeck.core.charts.keys import KeyPath, TagKind, dotted, image_paths, is_repository, short_image
from quarterdeck.core.charts.reading.document import Document, Scalar
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ServiceTags, plain_image, value_at
from quarterdeck.core.charts.reading.service_files import ServiceFiles


@dataclass(frozen=True)
class CatalogueImages:
    """What a catalogue says of a service's images, without registry and tag.

    Attributes:
        image: of the service itself, or "".
        parts: name -> images.
        suffix: what the tag in the registry has beyond the one in git, where no `flavour` says it.
    """

    image: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    suffix: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """All of them, the service's own first."""
        images = [self.image]
        for of_part in self.parts.values():
            images += of_part
        return tuple(filter(None, images))

    def parts_with(self, image: str) -> tuple[str, ...]:
        """The names of the parts that an image is of."""
        return tuple(name for name, images in self.parts.items() if matches(image, images))


#: where there is no catalogue
NOTHING_CATALOGUED = CatalogueImages()


@dataclass(frozen=True)
class ImageGroup:
    """Tags that move together.

    Attributes:
        name: from the catalogue, else the image's last path element, else the service's or the chart's name.
        images: as the values name them; empty where only the chart knows.
        release_tags: what they decide.
        main: it holds a main tag of the service.
        identities: what tells its images from others, also where the values do not name them.
    """

    name: str
    images: tuple[str, ...]
    release_tags: tuple[ReleaseTag, ...]
    main: bool
    identities: frozenset[str] = frozenset()

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Each deciding scalar once, in the order of files and lines."""
        by_id = {release_tag.scalar.id: release_tag.scalar for release_tag in self.release_tags}
        return tuple(by_id[scalar_id] for scalar_id in sorted(by_id))


def image_groups(
    service: ServiceFiles, tags: ServiceTags, catalogued: CatalogueImages | None = None
) -> tuple[ImageGroup, ...]:
    """The groups of a service: main ones first, helpers left out."""
    catalogued = catalogued or NOTHING_CATALOGUED
    of_images = [release_tag for release_tag in tags.release_tags if release_tag.kind is not TagKind.OTHER]
    divided = _divided(of_images, catalogued)
    names = _names(service, divided, catalogued)
    groups = [_group(name, release_tags) for name, release_tags in zip(names, divided, strict=True)]
    if not any(group.main for group in groups):
        groups = [replace(group, main=all(map(is_repository, group.images))) for group in groups]
    return tuple(sorted(groups, key=lambda group: not group.main))


def _group(name: str, release_tags: Sequence[ReleaseTag]) -> ImageGroup:
    images = dict.fromkeys(release_tag.image for release_tag in release_tags if release_tag.image)
    main = any(release_tag.kind is TagKind.MAIN for release_tag in release_tags)
    return ImageGroup(name, tuple(images), tuple(release_tags), main, frozenset(map(_identity, release_tags)))


def _identity(release_tag: ReleaseTag) -> str:
    """What tells one image from another."""
    if release_tag.image:
        return release_tag.image
    return _unnamed(release_tag.kind, release_tag.release.chart, release_tag.path)


def _unnamed(kind: TagKind, chart: str, path: KeyPath) -> str:
    """The identity of an image that the values do not name."""
    return f"chart:{chart}" if kind is TagKind.MAIN else f"key:{dotted(path[:-1])}"


def _divided(release_tags: Sequence[ReleaseTag], catalogued: CatalogueImages) -> list[list[ReleaseTag]]:
    """Tags joined by a scalar they share, an image they share, or a part of the catalogue."""
    leaders: dict[object, object] = {}

    def leader(item: object) -> object:
        leaders.setdefault(item, item)
        while leaders[item] != item:
            item = leaders[item]
        return item

    for release_tag in release_tags:
        ties: list[object] = [release_tag.scalar.id, _identity(release_tag)]
        ties += [("part", name) for name in catalogued.parts_with(release_tag.image)]
        for tie in ties:
            leaders[leader(tie)] = leader(release_tag.scalar.id)
    by_leader: dict[object, list[ReleaseTag]] = {}
    for release_tag in release_tags:
        by_leader.setdefault(leader(release_tag.scalar.id), []).append(release_tag)
    return list(by_leader.values())


def matches(image: str, wanted: Iterable[str]) -> bool:
    """Whether an image is one of those, whatever registry or folder stands before the shorter name."""
    if not image:
        return False
    for name in map(plain_image, wanted):
        if name and (image == name or image.endswith(f"/{name}") or name.endswith(f"/{image}")):
            return True
    return False


def _names(service: ServiceFiles, divided: Sequence[Sequence[ReleaseTag]], catalogued: CatalogueImages) -> list[str]:
    """A name for each group, all different."""
    catalogue_names = [_catalogue_name(release_tags, catalogued) for release_tags in divided]
    identities: set[str] = set()
    for release_tags in divided:
        identities.update(map(_identity, release_tags))
    count_of_charts = sum(identity.startswith("chart:") for identity in identities)
    names = [
        name or _short_name(service, release_tags, count_of_charts)
        for name, release_tags in zip(catalogue_names, divided, strict=True)
    ]
    doubles = {name for name in names if names.count(name) > 1}
    for number, release_tags in enumerate(divided):
        if names[number] in doubles and not catalogue_names[number]:
            images = sorted({release_tag.image for release_tag in release_tags if release_tag.image})
            names[number] = "+".join(images) or dotted(release_tags[0].path)
    return names


def _catalogue_name(release_tags: Sequence[ReleaseTag], catalogued: CatalogueImages) -> str:
    """The first part of the catalogue that one of these tags is of, "" if there is none."""
    for name, images in catalogued.parts.items():
        if any(matches(release_tag.image, images) for release_tag in release_tags):
            return name
    return ""


def _short_name(service: ServiceFiles, release_tags: Sequence[ReleaseTag], count_of_charts: int) -> str:
    images = {short_image(release_tag.image) for release_tag in release_tags if release_tag.image}
    if images:
        return "+".join(sorted(images))
    first = release_tags[0]
    if first.kind is TagKind.MAIN:
        return service.name if count_of_charts <= 1 else short_image(first.release.chart) or service.name
    keys = [key for key in first.path[:-1] if key not in (*MAIN_BLOCKS, "image")]
    return keys[-1] if keys else first.path[0]


def overridden_scalars(
    files: ParsedFiles, service: ServiceFiles, tags: ServiceTags, group: ImageGroup
) -> tuple[Scalar, ...]:
    """Scalars of a group that no release gets: higher layers override them everywhere.

    Only those in the service's own folder: a shared file's tag is not this service's where it decides nothing here.
    """
    deciding = {release_tag.scalar.id for release_tag in tags.release_tags}
    paths = {release_tag.path for release_tag in group.release_tags}
    shared_layers = _shared_layers(files, service)
    found: dict[tuple[str, int], Scalar] = {}
    for document in _own_layers(files, service):
        for path, scalar in document.scalars().items():
            if path not in paths or scalar.id in deciding or scalar.null:
                continue
            image = _image_named(path, scalar, (document, *shared_layers))
            charts = {release.chart for release in service.releases}
            identities = {image} if image else {_unnamed(tags.kinds[path], chart, path) for chart in charts}
            if identities & group.identities:
                found[scalar.id] = scalar
    return tuple(found[scalar_id] for scalar_id in sorted(found))


def _image_named(path: KeyPath, scalar: Scalar, documents: Sequence[Document]) -> str:
    """The image of a tag as the scalar itself or one of these files names it, "" if none does."""
    if scalar.name:
        return plain_image(scalar.name)
    for document in documents:
        for image_path in image_paths(path):
            if image := value_at(document.root, image_path):
                return plain_image(image)
    return ""


def _shared_layers(files: ParsedFiles, service: ServiceFiles) -> list[Document]:
    """The values files that every release in every environment reads, in the service's order of files."""
    plain: set[str] = set()
    for release in service.releases:
        plain |= {layer.real for layer in release.layers if not layer.per_environment and not layer.per_release}
    documents = (files.document(real) for real in service.values if real in plain)
    return [document for document in documents if document is not None]


def _own_layers(files: ParsedFiles, service: ServiceFiles) -> Iterator[Document]:
    """The files of all layers that lie in the service's folder and are read by no other service."""
    reals: dict[str, None] = {}
    for release in service.releases:
        reals |= dict.fromkeys(layer.real for layer in release.layers)
    for real in reals:
        inside = any(real.startswith(f"{home}/") for home in service.homes.values())
        shared = any(name != service.name for name in files.sharers_of(real))
        document = files.document(real) if inside and not shared else None
        if document is not None:
            yield document
