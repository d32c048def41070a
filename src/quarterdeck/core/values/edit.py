"""Moves a tag: replaces the characters of one scalar per file and proves that nothing else changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from ..errors import EditRefusedError
from ..ports import Tree
from .find import content, locate
from .helmfile import home, layout
from .scalar import Spot, compose, decode, leaves

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
#: plain words that some YAML reader takes for a number; Go's takes more of them than PyYAML's
_NUMBER = re.compile(r"[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class EditPlan:
    """An edit, computed and proven, not yet written.

    Attributes:
        files: path from the repository's root -> whole new content.
        spans: path -> (first byte, byte after the last) of what is replaced in the old content.
        write_set: (file, scalar) that the edit touches.
        effect: environment -> (tag before, tag afterwards), for every one whose tag changes, targets or not.
        already: every target has the tag already; nothing to write.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    spans: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    write_set: tuple[tuple[str, str], ...] = ()
    effect: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    already: bool = False


def plan(tree: Tree, directory: str, environments: Sequence[str], tag: str) -> EditPlan:
    """The edit that gives *environments* the tag. An environment with its own copy has only that copy edited.

    Args:
        tree: the service's files at the pinned commit.
        directory: the service's folder, from the root or by its last part.
        environments: the targets; the helmfile must have them.
        tag: the whole tag, as it shall stand in git.

    Raises:
        EditRefusedError: the files do not allow a safe edit; says where the candidates are and what to do.
    """
    try:
        return _plan(tree, directory, environments, tag)
    except EditRefusedError as why:
        service = directory.strip("/").rpartition("/")[2]
        where = environments[0] if len(environments) == 1 else "production" if environments else "ENV"
        raise EditRefusedError(
            f"I do not edit this: {why}. Push the change by hand, then !apply {service} {where}"
        ) from None


def _plan(tree: Tree, directory: str, environments: Sequence[str], tag: str) -> EditPlan:
    if _TAG.fullmatch(tag) is None:
        raise EditRefusedError(f"{tag[:40]!r} is no image tag")
    if not environments:
        raise EditRefusedError("no environment was named")
    everywhere = locate(tree, directory)
    unknown = [name for name in environments if name not in everywhere]
    if unknown:
        raise EditRefusedError(f"{layout(tree, directory).path} has no environment {unknown[0]}")
    targets = {everywhere[name].file: everywhere[name] for name in environments}
    edits = {path: spot for path, spot in targets.items() if spot.value != tag}
    if not edits:
        return EditPlan(already=True)
    service = home(tree, directory).rpartition("/")[2]
    for spot in edits.values():
        _refuse_shared(tree, spot, service)
    done = {path: splice(path, content(tree, path) or b"", spot, tag) for path, spot in edits.items()}
    return EditPlan(
        files={path: new for path, (new, _) in done.items()},
        spans={path: span for path, (_, span) in done.items()},
        write_set=tuple((path, spot.keys) for path, spot in sorted(edits.items())),
        effect={name: (spot.value, tag) for name, spot in everywhere.items() if spot.file in edits},
    )


def splice(path: str, raw: bytes, spot: Spot, tag: str) -> tuple[bytes, tuple[int, int]]:
    """Replace one scalar and prove it: (new content, span of bytes in the old content).

    Raises:
        EditRefusedError: the result does not parse to the same document with that one value changed.
    """
    bom, text = decode(path, raw)
    written = f"{spot.quote}{tag}{spot.quote}" if spot.quote else _plain(tag)
    changed = text[: spot.start] + written + text[spot.end :]
    before, after = leaves(compose(path, text)), leaves(compose(path, changed))
    differing = [(a, b) for a, b in zip(before, after, strict=False) if a != b]
    proven = (
        len(before) == len(after)
        and len(differing) == 1
        and differing[0][0][2] == spot.value
        and differing[0][1] == (differing[0][0][0], _STRING, tag)
    )
    if not proven:
        raise EditRefusedError(f"{spot.place}: replacing it would change more than this value")
    start = len((bom + text[: spot.start]).encode())
    end = len((bom + text[: spot.end]).encode())
    return (bom + changed).encode(), (start, end)


def _plain(tag: str) -> str:
    """The tag as a plain scalar, or quoted where some reader would not take it for a string."""
    node = yaml.compose(tag, Loader=yaml.SafeLoader)
    odd = _NUMBER.fullmatch(tag) or tag.lower() in _WORDS or node is None or node.tag != _STRING
    return f'"{tag}"' if odd else tag


def _refuse_shared(tree: Tree, spot: Spot, service: str) -> None:
    """A file that other services read too is not edited for one of them."""
    real = tree.links.get(spot.file, spot.file)
    others = [name for name in tree.sharers.get(real, ()) if name != service]
    if real != spot.file:
        also = f", read by {', '.join(tree.sharers.get(real, ()))}" if tree.sharers.get(real) else ""
        raise EditRefusedError(f"{spot.place} stands in a symlink to {real}{also}")
    if others:
        raise EditRefusedError(f"{spot.place} is shared with {', '.join(others)}")
