"""Which images the releases of a service run, as far as git says, and into which parts they divide it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from quarterdeck.core.charts.keys import KeyPath
from quarterdeck.core.charts.reading.layers import ParsedFiles, ReleaseTag, ServiceFiles, ServiceTags, value_at
from quarterdeck.core.charts.reading.parts import CatalogueImages, ImageGroup, image_groups, matches

#: beside a main tag: the image's variant, which the registry's tag ends with
_FLAVOUR = "flavour"


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


def main_parts(service: ServiceFiles, finding: ServiceTags, known: CatalogueImages | None) -> tuple[ImageGroup, ...]:
    """The parts that hold a main tag, or that the catalogue names."""
    named = set(known.parts if known else ())
    return tuple(part for part in image_groups(service, finding, known) if part.main or part.name in named)


def found_parts(service: ServiceFiles, finding: ServiceTags, known: CatalogueImages | None) -> tuple[PartInFiles, ...]:
    """Every part with its images and tags."""
    return tuple(_found(part, known) for part in main_parts(service, finding, known))


def _found(part: ImageGroup, known: CatalogueImages | None) -> PartInFiles:
    tags: dict[str, dict[str, None]] = {}
    for row in part.rows:
        tags.setdefault(row.release.environment, {})[row.scalar.tag] = None
    images = tuple(dict.fromkeys(filter(None, (_name(row, known) for row in part.rows))))
    files = len({scalar.file for scalar in part.scalars})
    return PartInFiles(part.name, images, {e: tuple(found) for e, found in tags.items()}, files)


def release_images(
    shelf: ParsedFiles, rows: Iterable[ReleaseTag], known: CatalogueImages | None
) -> tuple[ReleaseImage, ...]:
    """What rows make a release run; where nobody knows an image's name, nothing."""
    found = []
    for row in rows:
        name = _name(row, known)
        if name:
            found.append(ReleaseImage(name, row.scalar.tag, _end(shelf, row, known)))
    return tuple(dict.fromkeys(found))


def _name(row: ReleaseTag, known: CatalogueImages | None) -> str:
    """The catalogue's name of a row's image, else the files'; "" where only the chart knows and no catalogue."""
    for name in known.images if known else ():
        if matches(row.image, (name,)):
            return name
    return row.image or (known.image if known else "")


def _end(shelf: ParsedFiles, row: ReleaseTag, known: CatalogueImages | None) -> str:
    place: KeyPath = (*row.path[:-1], _FLAVOUR)
    for layer in reversed(row.release.layers):
        document = None if layer.on_server or not layer.known else shelf.full(layer.real)
        if document is not None and (flavour := value_at(document.root, place)):
            return f"-{flavour}"
    return known.end if known else ""
