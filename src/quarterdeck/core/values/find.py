"""Says which tag each environment of a service gets, and from which line of which file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import EditRefusedError
from ..ports import Tree
from .helmfile import layout
from .scalar import Spot, spots


@dataclass(frozen=True)
class Found:
    """Where an environment's tag stands.

    Attributes:
        tag: as it stands in git.
        file: path from the repository's root.
        keys: e.g. "main_app.version".
        line: from 1.
    """

    tag: str
    file: str
    keys: str
    line: int


def effective(tree: Tree, directory: str, environments: Iterable[str] = ()) -> dict[str, Found]:
    """Environment -> the tag it gets, as far as git says (values on the deploy host only are not seen).

    Args:
        tree: the service's files at a commit.
        directory: the service's folder, from the root or by its last part.
        environments: which; none means all of the helmfile.

    Raises:
        EditRefusedError: no tag, several that could be meant, per-release files, or no plain YAML.
    """
    return {name: _found(spot) for name, spot in locate(tree, directory, environments).items()}


def locate(tree: Tree, directory: str, environments: Iterable[str] = ()) -> dict[str, Spot]:
    """Like `effective`, with the exact spans."""
    laid = layout(tree, directory)
    folder = laid.path.rpartition("/")[0]
    wanted = tuple(environments) or laid.environments
    unknown = [name for name in wanted if name not in laid.environments]
    if unknown:
        raise EditRefusedError(f"{laid.path} has no environment {unknown[0]}: {', '.join(laid.environments)}")
    own = {name: f"{folder}/values-{name}.yaml" for name in laid.environments}
    _refuse_release_files(tree, folder, frozenset(own.values()))
    shared = [spot for name in laid.shared for spot in _read(tree, f"{folder}/{name}")]
    return {name: _choose(folder, name, shared, _read(tree, own[name])) for name in wanted}


def content(tree: Tree, path: str) -> bytes | None:
    """A file's bytes, through its symlink if it is one; None if it is not there."""
    return tree.files.get(tree.links.get(path, path), tree.files.get(path))


def _found(spot: Spot) -> Found:
    return Found(spot.value, spot.file, spot.keys, spot.line)


def _read(tree: Tree, path: str) -> tuple[Spot, ...]:
    raw = content(tree, path)
    return () if raw is None else spots(path, raw)


def _choose(folder: str, environment: str, shared: list[Spot], own: tuple[Spot, ...]) -> Spot:
    """The environment's own copy if there is one, else the shared one."""
    chosen = list(own) or shared
    if not chosen:
        raise EditRefusedError(f"{folder}: no main image tag for {environment} in its values files")
    keys = {spot.keys for spot in (*shared, *own)}
    if len(chosen) > 1 or len(keys) > 1:
        places = ", ".join(spot.place for spot in (*shared, *own))
        raise EditRefusedError(f"several tags could be meant for {environment}: {places}")
    return chosen[0]


def _refuse_release_files(tree: Tree, folder: str, own: frozenset[str]) -> None:
    """Values files of single releases win over all others: a tag in one is not handled yet."""
    places: list[str] = []
    for path in sorted({*tree.files, *tree.links}):
        name = path.removeprefix(f"{folder}/")
        if path == name or "/" in name or path in own or not _is_release_file(name):
            continue
        places += [spot.place for spot in _read(tree, path)]
    if places:
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        raise EditRefusedError(f"the tag stands in per-release files: {', '.join(places[:3])}{more}")


def _is_release_file(name: str) -> bool:
    return name.startswith("values-") and name.endswith((".yaml", ".yml"))
