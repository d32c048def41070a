"""Groups the tags of a service into parts: what is built together, by the image that runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from quarterdeck.core.charts.keys import MAIN_BLOCKS, KeyPath, TagKind, dotted, image_paths, is_repository, short_image
from quarterdeck.core.charts.reading.document import Scalar
from quarterdeck.core.charts.reading.layers import (
    ParsedFiles,
    ReleaseTag,
    ServiceFiles,
    ServiceTags,
    plain_image,
    value_at,
)


@dataclass(frozen=True)
class CatalogueImages:
    """What a catalogue says of a service's images, without registry and tag.

    Attributes:
        image: of the service itself, or "".
        parts: name -> images.
        end: what the tag in the registry has beyond the one in git, where no `flavour` says it.
    """

    image: str = ""
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    end: str = ""

    @property
    def images(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (self.image, *(image for images in self.parts.values() for image in images))))


@dataclass(frozen=True)
class ImageGroup:
    """Tags that move together.

    Attributes:
        name: from the catalogue, else the image's last path element, else the service's or the chart's name.
        images: as the values name them; empty where only the chart knows.
        rows: what they decide.
        main: it holds a main tag of the service.
    """

    name: str
    images: tuple[str, ...]
    rows: tuple[ReleaseTag, ...]
    main: bool
    identities: frozenset[str] = frozenset()

    @property
    def scalars(self) -> tuple[Scalar, ...]:
        """Each deciding scalar once, in the order of files and lines."""
        found = {row.scalar.id: row.scalar for row in self.rows}
        return tuple(found[key] for key in sorted(found))


def identity(row: ReleaseTag) -> str:
    """What tells one image from another."""
    if row.image:
        return row.image
    return _unnamed(row.kind, row.release.chart, row.path)


def _unnamed(kind: TagKind, chart: str, path: KeyPath) -> str:
    return f"chart:{chart}" if kind is TagKind.MAIN else f"key:{dotted(path[:-1])}"


def image_groups(
    service: ServiceFiles, finding: ServiceTags, known: CatalogueImages | None = None
) -> tuple[ImageGroup, ...]:
    """The parts of a service: main ones first, helpers left out."""
    groups = _groups([row for row in finding.rows if row.kind is not TagKind.OTHER], known)
    names = _names(service, groups, known)
    parts = []
    for rows, name in zip(groups, names, strict=True):
        images = tuple(dict.fromkeys(row.image for row in rows if row.image))
        main = any(row.kind is TagKind.MAIN for row in rows)
        parts.append(ImageGroup(name, images, tuple(rows), main, frozenset(map(identity, rows))))
    if parts and not any(part.main for part in parts):
        parts = [ImageGroup(p.name, p.images, p.rows, all(map(is_repository, p.images)), p.identities) for p in parts]
    return tuple(sorted(parts, key=lambda part: not part.main))


def _groups(rows: Sequence[ReleaseTag], known: CatalogueImages | None) -> list[list[ReleaseTag]]:
    """Rows joined by a scalar they share, an image they share, or a part of the catalogue."""
    leader: dict[object, object] = {}

    def find(item: object) -> object:
        leader.setdefault(item, item)
        while leader[item] != item:
            item = leader[item]
        return item

    for row in rows:
        ties: list[object] = [row.scalar.id, identity(row)]
        ties += [
            ("part", name) for name, images in (known.parts if known else {}).items() if matches(row.image, images)
        ]
        for tie in ties:
            leader[find(tie)] = find(row.scalar.id)
    groups: dict[object, list[ReleaseTag]] = {}
    for row in rows:
        groups.setdefault(find(row.scalar.id), []).append(row)
    return list(groups.values())


def matches(image: str, wanted: Iterable[str]) -> bool:
    """Whether an image is one of those, whatever registry or folder stands before the shorter name."""
    return bool(image) and any(
        image == w or image.endswith(f"/{w}") or w.endswith(f"/{image}") for w in map(plain_image, wanted) if w
    )


def _names(service: ServiceFiles, groups: Sequence[Sequence[ReleaseTag]], known: CatalogueImages | None) -> list[str]:
    """A name for each group, all different."""
    sure: list[str] = []
    for rows in groups:
        said = [
            name
            for name, images in (known.parts if known else {}).items()
            if any(matches(r.image, images) for r in rows)
        ]
        sure.append(said[0] if said else "")
    charts = {identity(r) for rows in groups for r in rows if identity(r).startswith("chart:")}
    names = [name or _short(service, rows, len(charts)) for name, rows in zip(sure, groups, strict=True)]
    doubles = {name for name in names if names.count(name) > 1}
    for place, name in enumerate(names):
        if name in doubles and not sure[place]:
            images = sorted({row.image for row in groups[place] if row.image})
            names[place] = "+".join(images) or dotted(groups[place][0].path)
    return names


def _short(service: ServiceFiles, rows: Sequence[ReleaseTag], charts: int) -> str:
    images = list(dict.fromkeys(short_image(row.image) for row in rows if row.image))
    if images:
        return "+".join(sorted(images))
    first = rows[0]
    if first.kind is TagKind.MAIN:
        return service.name if charts <= 1 else short_image(first.release.chart) or service.name
    named = [key for key in first.path[:-1] if key not in (*MAIN_BLOCKS, "image")]
    return named[-1] if named else first.path[0]


def unread(shelf: ParsedFiles, service: ServiceFiles, finding: ServiceTags, part: ImageGroup) -> tuple[Scalar, ...]:
    """Scalars of a part that no release gets: higher layers override them everywhere.

    Only those in the service's own folder: a shared file's tag is not this service's where it decides nothing here.
    """
    live = {row.scalar.id for row in finding.rows}
    wanted = {row.path for row in part.rows}
    plain = {
        layer.real
        for r in service.releases
        for layer in r.layers
        if not layer.per_environment and not layer.per_release
    }
    shared = [d for real in service.values if real in plain and (d := shelf.full(real)) is not None]
    charts = tuple(dict.fromkeys(release.chart for release in service.releases))
    found: dict[tuple[str, int], Scalar] = {}
    for real in dict.fromkeys(layer.real for release in service.releases for layer in release.layers):
        inside = any(real.startswith(f"{home}/") for home in service.homes.values())
        others = [name for name in shelf.tree.sharers.get(real, ()) if name != service.name]
        document = shelf.full(real) if inside and not others else None
        for path, scalar in (document.scalars() if document else {}).items():
            if path not in wanted or scalar.id in live or scalar.null or document is None:
                continue
            places = image_paths(path)
            named = (value_at(d.root, place) for d in (document, *shared) for place in places)
            image = plain_image(scalar.name or next(filter(None, named), ""))
            kind = finding.kinds[path]
            names = {image} if image else {_unnamed(kind, chart, path) for chart in charts}
            if names & part.identities:
                found[scalar.id] = scalar
    return tuple(found[key] for key in sorted(found))
