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
_DEPTH, _NODES = 60, 50_000


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
    if depth > _DEPTH or seen[0] > _NODES:
        raise UnreadableError("too deep or too large")
    if isinstance(node, yaml.MappingNode):
        keys = [k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode)]
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
    pairs = _pairs(old, new)
    if pairs is None:
        yield path, old, new
        return
    for key, a, b in pairs:
        if a is None or b is None:
            yield (*path, key), a, b
        else:
            yield from compare(a, b, (*path, key))


def _pairs(old: yaml.Node, new: yaml.Node) -> list[tuple[str, yaml.Node | None, yaml.Node | None]] | None:
    """The children of two mappings or two lists side by side; None when they are of different kinds."""
    a: dict[str, yaml.Node]
    b: dict[str, yaml.Node]
    if isinstance(old, yaml.MappingNode) and isinstance(new, yaml.MappingNode):
        a, b = ({k.value: v for k, v in node.value} for node in (old, new))
        return [(_part(key), a.get(key), b.get(key)) for key in {**a, **b}]
    if isinstance(old, yaml.SequenceNode) and isinstance(new, yaml.SequenceNode):
        by_name = [_names(node) for node in (old, new)]
        if None not in by_name:
            a, b = (dict(zip(n or (), node.value, strict=True)) for n, node in zip(by_name, (old, new), strict=True))
        else:
            a, b = ({str(i): v for i, v in enumerate(node.value)} for node in (old, new))
        return [(f"[{key}]", a.get(key), b.get(key)) for key in {**a, **b}]
    return None


def _names(node: yaml.SequenceNode) -> list[str] | None:
    """The `name` of each item, if all have one and they are unique."""
    names = [scalar(item, "name") for item in node.value]
    return names if all(names) and len(set(names)) == len(names) else None


def scalar(node: yaml.Node | None, key: str) -> str:
    """A scalar below a mapping, "" if there is none."""
    if isinstance(node, yaml.MappingNode):
        for k, value in node.value:
            if k.value == key and isinstance(value, yaml.ScalarNode):
                return str(value.value)
    return ""


def replicas(node: yaml.Node | None) -> int | None:
    """How many pods a workload asks for (`spec.replicas`); None when it does not say."""
    spec = next((v for k, v in node.value if k.value == "spec"), None) if node is not None else None
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
        return "{" + ", ".join(f"{k.value}: {text_of(v)}" for k, v in node.value) + "}"
    return "[" + ", ".join(text_of(item) or "" for item in node.value) + "]"


def type_of(node: yaml.Node | None) -> str:
    """YAML's word for a node: "str", "int", "map" …"""
    return node.tag.rpartition(":")[2] if node is not None else ""
