"""Questions to a tree of charts, each to a snapshot of its own: what tests ask one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quarterdeck.core.charts.editing.edit_plan import EditPlan
from quarterdeck.core.charts.reading.images import PartInFiles, ReleaseImage
from quarterdeck.core.charts.reading.parts import CatalogueImages
from quarterdeck.core.charts.snapshot import Component, EditRequest, Snapshot, TagLocation
from quarterdeck.core.ports.charts import Tree


def environments(tree: Tree, service: str) -> tuple[str, ...]:
    """The environments of a service's helmfile."""
    return Snapshot(tree).environments(service)


def timeout(tree: Tree, service: str) -> int:
    """Seconds helm waits for a release."""
    return Snapshot(tree).timeout(service)


def parts_of(tree: Tree, service: str, catalogued: CatalogueImages | None = None) -> tuple[PartInFiles, ...]:
    """The parts of a service."""
    return Snapshot(tree).parts(Component(service, "", catalogued))


def effective(
    tree: Tree,
    service: str,
    environments: Iterable[str] = (),
    catalogued: CatalogueImages | None = None,
    part: str = "",
) -> dict[str, TagLocation]:
    """Environment -> the tag it gets."""
    return Snapshot(tree).tags(Component(service, part, catalogued), environments)


def release_images(
    tree: Tree, service: str, environment: str, catalogued: CatalogueImages | None = None, part: str = ""
) -> dict[str, tuple[ReleaseImage, ...]]:
    """Release -> the images that it is to run in an environment."""
    return Snapshot(tree).release_images(Component(service, part, catalogued), environment)


def plan(
    tree: Tree,
    service: str,
    environments: Sequence[str],
    tag: str,
    catalogued: CatalogueImages | None = None,
    part: str = "",
    pin: bool = False,
    by_hand: str = "",
) -> EditPlan:
    """The edit that gives environments the tag."""
    components = ((Component(service, part, catalogued), tuple(environments)),)
    return Snapshot(tree).edit(EditRequest(components, pin=pin, by_hand=by_hand), tag)
