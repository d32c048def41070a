"""Which images the releases of a service run, as far as git says, and into which parts they divide it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quarterdeck.core.charts.conventions import FLAVOUR_KEY
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.reading.parts import CatalogueImages, ImageGroup, image_groups, matches
from quarterdeck.core.charts.reading.release_tags import ReleaseTag, ServiceTags, value_at
from quarterdeck.core.charts.reading.service_files import ServiceFiles


@dataclass(frozen=True)
class ReleaseImage:
    """An image that a release is to run.

    Attributes:
        name: repository in the registry.
        tag: as it stands in git.
        end: what the registry's tag has beyond it, e.g. "-score83".
    """

    name: str
    tag: str
    end: str = ""

    @property
    def reference(self) -> str:
        """`name:tag` as the registry has it."""
        return f"{self.name}:{self.tag}{self.end}"


@dataclass(frozen=True)
class PartInFiles:
    """A part of a service, as its files show it.

    Attributes:
        images: repositories, as the catalogue names them where it does.
        tags: environment -> tags, each once.
        files: how many files hold them.
    """

    name: str
    images: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: int = 0


def main_groups(service: ServiceFiles, tags: ServiceTags, catalogued: CatalogueImages) -> tuple[ImageGroup, ...]:
    """The groups that hold a main tag, or that the catalogue names."""
    groups = image_groups(service, tags, catalogued)
    return tuple(group for group in groups if group.main or group.name in catalogued.parts)


def part_in_files(group: ImageGroup, catalogued: CatalogueImages) -> PartInFiles:
    """A group as a part of the service: its images by the catalogue's names, and its tags."""
    tags: dict[str, dict[str, None]] = {}
    for release_tag in group.release_tags:
        tags.setdefault(release_tag.release.environment, {})[release_tag.scalar.tag] = None
    images = dict.fromkeys(image_name(release_tag, catalogued) for release_tag in group.release_tags)
    return PartInFiles(
        name=group.name,
        images=tuple(image for image in images if image),
        tags={environment: tuple(of_environment) for environment, of_environment in tags.items()},
        files=len({scalar.file for scalar in group.scalars}),
    )


def release_images(
    files: ParsedFiles, release_tags: Iterable[ReleaseTag], catalogued: CatalogueImages
) -> tuple[ReleaseImage, ...]:
    """What tags make a release run; where nobody knows an image's name, nothing."""
    images: dict[ReleaseImage, None] = {}
    for release_tag in release_tags:
        name = image_name(release_tag, catalogued)
        if name:
            suffix = _registry_suffix(files, release_tag, catalogued)
            images[ReleaseImage(name, release_tag.scalar.tag, suffix)] = None
    return tuple(images)


def image_name(release_tag: ReleaseTag, catalogued: CatalogueImages) -> str:
    """The catalogue's name of a tag's image, else the files'; "" where only the chart knows and no catalogue."""
    for name in catalogued.images:
        if matches(release_tag.image, (name,)):
            return name
    return release_tag.image or catalogued.image


def is_catalogued(release_tag: ReleaseTag, catalogued: CatalogueImages) -> bool:
    """Whether the catalogue speaks of a tag's image; the chart's own counts as the service's."""
    if release_tag.image:
        return matches(release_tag.image, catalogued.images)
    return bool(catalogued.image)


def _registry_suffix(files: ParsedFiles, release_tag: ReleaseTag, catalogued: CatalogueImages) -> str:
    """What the registry's tag has beyond the one in git: the image's flavour, else what the catalogue says."""
    path = (*release_tag.path[:-1], FLAVOUR_KEY)
    for layer in reversed(release_tag.release.layers):
        document = None if layer.on_server or not layer.certain else files.document(layer.real)
        flavour = value_at(document.root, path) if document is not None else ""
        if flavour:
            return f"-{flavour}"
    return catalogued.suffix
