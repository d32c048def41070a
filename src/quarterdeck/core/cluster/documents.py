"""Compares two YAML documents field by field, by text and type, without building Python values.

Node trees are compared, not loaded values, so that 1 and "1", or `yes` and `true`, stay different.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

Path = tuple[str, ...]
Change = tuple[Path, yaml.Node | None, yaml.Node | None]

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_KEY = re.compile(r"^[A-Za-z0-9_-]+$")
#: deeper or larger documents are refused, since they could take for ever
_DEEPEST = 60
_MOST_NODES = 50_000


class UnreadableError(Exception):
    """A text does not rebuild to one document; the message says why in a few words."""


def parse(lines: Sequence[str]) -> yaml.Node | None:
    """The document's node tree; None when there is no document."""
    text = "\n".join(lines) + "\n"
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
        if node is not None:
            _check(node, 0, [0])
    except (yaml.YAMLError, RecursionError, ValueError):
        raise UnreadableError("no YAML") from None
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise UnreadableError("no mapping")
    return node


def _check(node: yaml.Node, depth: int, seen: list[int]) -> None:
    """Refuse what could hide a change or never end: duplicate keys, odd keys, endless aliases."""
    seen[0] += 1
    if depth > _DEEPEST or seen[0] > _MOST_NODES:
        raise UnreadableError("too deep or too large")
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if len(keys) != len(node.value) or len(set(keys)) != len(keys):
            raise UnreadableError("duplicate or odd keys")
        for _, value in node.value:
            _check(value, depth + 1, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, depth + 1, seen)


def compare(old: yaml.Node, new: yaml.Node, path: Path = ()) -> Iterator[Change]:
    """The smallest subtrees that differ; scalars differ by text or by type ("1" is not 1)."""
    if isinstance(old, yaml.ScalarNode) and isinstance(new, yaml.ScalarNode):
        if (old.tag, old.value) != (new.tag, new.value):
            yield path, old, new
        return
    children = _children_side_by_side(old, new)
    if children is None:
        yield path, old, new
        return
    for key, old_child, new_child in children:
        if old_child is None or new_child is None:
            yield (*path, key), old_child, new_child
        else:
            yield from compare(old_child, new_child, (*path, key))


def _children_side_by_side(
    old: yaml.Node, new: yaml.Node
) -> list[tuple[str, yaml.Node | None, yaml.Node | None]] | None:
    """The children of two mappings or two lists by key; None when they are of different kinds."""
    if isinstance(old, yaml.MappingNode) and isinstance(new, yaml.MappingNode):
        return _joined(
            {_part(key): node for key, node in _mapping(old).items()},
            {_part(key): node for key, node in _mapping(new).items()},
        )
    if isinstance(old, yaml.SequenceNode) and isinstance(new, yaml.SequenceNode):
        old_names, new_names = _names(old), _names(new)
        if old_names is None or new_names is None:  # items without names are compared place by place
            old_names = [str(index) for index in range(len(old.value))]
            new_names = [str(index) for index in range(len(new.value))]
        old_items = dict(zip([f"[{name}]" for name in old_names], old.value, strict=True))
        return _joined(old_items, dict(zip([f"[{name}]" for name in new_names], new.value, strict=True)))
    return None


def _joined(
    old: dict[str, yaml.Node], new: dict[str, yaml.Node]
) -> list[tuple[str, yaml.Node | None, yaml.Node | None]]:
    """Every key of both, in the order of the old one and then of what is new."""
    return [(key, old.get(key), new.get(key)) for key in {**old, **new}]


def _mapping(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value}


def _names(node: yaml.SequenceNode) -> list[str] | None:
    """The `name` of each item, if all have one and they are unique."""
    names = [scalar(item, "name") for item in node.value]
    return names if all(names) and len(set(names)) == len(names) else None


def scalar(node: yaml.Node | None, key: str) -> str:
    """A scalar below a mapping, "" if there is none."""
    if not isinstance(node, yaml.MappingNode):
        return ""
    value = _mapping(node).get(key)
    return str(value.value) if isinstance(value, yaml.ScalarNode) else ""


def replicas(node: yaml.Node | None) -> int | None:
    """How many pods a workload asks for (`spec.replicas`); None when it does not say."""
    spec = _mapping(node).get("spec") if isinstance(node, yaml.MappingNode) else None
    text = scalar(spec, "replicas")
    return int(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _part(key: str) -> str:
    return key if _PLAIN_KEY.match(key) else f"[{key}]"


def text_of(node: yaml.Node | None) -> str | None:
    """A subtree as one text; scalars as they stand."""
    if node is None:
        return None
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.MappingNode):
        return "{" + ", ".join(f"{key.value}: {text_of(value)}" for key, value in node.value) + "}"
    return "[" + ", ".join(text_of(item) or "" for item in node.value) + "]"


def type_of(node: yaml.Node | None) -> str:
    """YAML's word for a node: "str", "int", "map" …"""
    return node.tag.rpartition(":")[2] if node is not None else ""
