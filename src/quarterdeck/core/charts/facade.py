"""What the bot asks of a tree at a pinned commit, one question at a time; see `snapshot`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from quarterdeck.core.charts.editing.edit_plan import EditPlan, joined
from quarterdeck.core.charts.reading.images import PartInFiles, ReleaseImage
from quarterdeck.core.charts.reading.parts import CatalogueImages
from quarterdeck.core.charts.snapshot import Component, EditRequest, Snapshot, TagLocation
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.intent import ALL


def home(tree: Tree, directory: str) -> str:
    """See `Snapshot.home`."""
    return Snapshot(tree).home(directory)


def environments(tree: Tree, directory: str) -> tuple[str, ...]:
    """See `Snapshot.environments`."""
    return Snapshot(tree).environments(directory)


def timeout(tree: Tree, directory: str) -> int:
    """See `Snapshot.timeout`."""
    return Snapshot(tree).timeout(directory)


def parts_of(tree: Tree, directory: str, known: CatalogueImages | None = None) -> tuple[PartInFiles, ...]:
    """See `Snapshot.parts`."""
    return Snapshot(tree).parts(Component(directory, "", known))


def effective(
    tree: Tree, directory: str, environments: Iterable[str] = (), known: CatalogueImages | None = None, part: str = ""
) -> dict[str, TagLocation]:
    """See `Snapshot.tags`."""
    return Snapshot(tree).tags(Component(directory, part, known), environments)


def release_images(
    tree: Tree, directory: str, environment: str, known: CatalogueImages | None = None, part: str = ""
) -> dict[str, tuple[ReleaseImage, ...]]:
    """See `Snapshot.release_images`."""
    return Snapshot(tree).release_images(Component(directory, part, known), environment)


def tags_of(tree: Tree, directory: str, environment: str, known: CatalogueImages | None = None) -> frozenset[str]:
    """See `Snapshot.all_tags`."""
    return Snapshot(tree).all_tags(Component(directory, "", known), environment)


def plan(
    tree: Tree,
    directory: str,
    environments: Sequence[str],
    tag: str,
    known: CatalogueImages | None = None,
    part: str = "",
    pin: bool = False,
    by_hand: str = "",
) -> EditPlan:
    """See `Snapshot.edit`."""
    components = ((Component(directory, part, known), tuple(environments)),)
    return Snapshot(tree).edit(EditRequest(components, pin=pin, by_hand=by_hand), tag)


__all__ = [
    "ALL",
    "CatalogueImages",
    "EditPlan",
    "PartInFiles",
    "ReleaseImage",
    "TagLocation",
    "effective",
    "environments",
    "home",
    "joined",
    "parts_of",
    "plan",
    "release_images",
    "tags_of",
    "timeout",
]
