"""Finds main image tags in the text of one values file, with the exact span of their characters.

The span is that of the scanner's ScalarToken: a node's own marks include anchors and tags. The text is parsed
as `str` without its byte order mark, because libyaml counts positions after the mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from ..errors import EditRefusedError

MAIN_KEYS = ("main_app", "app", "shellbox")
LEAF = "version"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM = "\ufeff"
_DEPTH = 100

Leaf = tuple[str, str, str]


@dataclass(frozen=True)
class Spot:
    """One scalar in a file.

    Attributes:
        keys: e.g. "main_app.version".
        line: from 1.
        start: first character in the text without byte order mark.
        end: the character after the last.
        quote: `"`, `'`, or "" for a plain scalar.
    """

    file: str
    keys: str
    line: int
    value: str
    start: int
    end: int
    quote: str

    @property
    def place(self) -> str:
        """`folder/file:line keys`, for people."""
        return f"{short(self.file)}:{self.line} {self.keys}"


def short(path: str) -> str:
    """The last two parts of a path: enough to find the file, short enough for a chat line."""
    return "/".join(path.split("/")[-2:])


def decode(file: str, raw: bytes) -> tuple[str, str]:
    """(byte order mark or "", text).

    Raises:
        EditRefusedError: the file is no UTF-8.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EditRefusedError(f"{short(file)} is no UTF-8 (byte {error.start})") from None
    return (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)


def spots(file: str, raw: bytes) -> tuple[Spot, ...]:
    """The main image tags of a values file, usually one or none.

    Raises:
        EditRefusedError: the file is no plain YAML, or a tag stands there in a form that is not edited.
    """
    _, text = decode(file, raw)
    root = compose(file, text)
    if not isinstance(root, yaml.MappingNode):
        return ()
    found: list[Spot] = []
    for name in MAIN_KEYS:
        main = _child(file, root, name)
        if isinstance(main, yaml.MappingNode):
            leaf = _child(file, main, LEAF, f"{name}.")
            if leaf is not None:
                found.append(_spot(file, text, f"{name}.{LEAF}", leaf))
    return tuple(found)


def compose(file: str, text: str) -> yaml.Node | None:
    """The node tree of a text.

    Raises:
        EditRefusedError: it is no single YAML document.
    """
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise EditRefusedError(f"{short(file)}{line} is no plain YAML (a Go template?): {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError):
        raise EditRefusedError(f"{short(file)} is no plain YAML") from None
    return node


def leaves(node: yaml.Node | None) -> tuple[Leaf, ...]:
    """Every scalar with its path and type, in order; an aliased part once."""
    return tuple(_leaves(node, "", set(), 0))


def _leaves(node: yaml.Node | None, path: str, seen: set[int], depth: int) -> Iterator[Leaf]:
    if isinstance(node, yaml.ScalarNode):
        yield path, node.tag, node.value
        return
    if node is None or id(node) in seen:
        return
    if depth > _DEPTH:
        raise EditRefusedError("the file is nested too deeply")
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for place, (key, value) in enumerate(node.value):
            yield from _leaves(key, f"{path}/{place}k", seen, depth + 1)
            yield from _leaves(value, f"{path}/{place}v", seen, depth + 1)
    else:
        for place, item in enumerate(node.value):
            yield from _leaves(item, f"{path}/{place}", seen, depth + 1)


def _child(file: str, parent: yaml.MappingNode, name: str, prefix: str = "") -> yaml.Node | None:
    """The value of a key that stands there itself, once, and is no alias."""
    pairs = [(k, v) for k, v in parent.value if isinstance(k, yaml.ScalarNode) and k.value == name]
    merged = [k for k, _ in parent.value if k.value == "<<"]
    if not pairs:
        if merged and prefix:
            line = merged[0].start_mark.line + 1
            raise EditRefusedError(f"{short(file)}:{line} {prefix}{name} may come from a merge key (<<)")
        return None
    if len(pairs) > 1:
        lines = ", ".join(f"{short(file)}:{k.start_mark.line + 1}" for k, _ in pairs)
        raise EditRefusedError(f"{prefix}{name} stands there more than once: {lines}")
    key, value = pairs[0]
    if value.start_mark.index < key.end_mark.index:
        raise EditRefusedError(f"{short(file)}:{key.start_mark.line + 1} {prefix}{name} is an alias (*)")
    return value if isinstance(value, yaml.Node) else None


def _spot(file: str, text: str, keys: str, node: yaml.Node) -> Spot:
    """The exact span of a scalar, if it is one that is edited."""
    place = f"{short(file)}:{node.start_mark.line + 1} {keys}"
    if not isinstance(node, yaml.ScalarNode):
        raise EditRefusedError(f"{place} is no single value")
    end = node.end_mark.index
    tokens = yaml.scan(text, Loader=_LOADER)
    token = next((t for t in tokens if isinstance(t, yaml.ScalarToken) and t.end_mark.index == end), None)
    if token is None or not node.value:
        raise EditRefusedError(f"{place} has no value")
    if token.start_mark.index != node.start_mark.index:
        raise EditRefusedError(f"{place} has an anchor or a tag (& or !) before it")
    if token.style in ("|", ">"):
        raise EditRefusedError(f"{place} is a block scalar")
    if "{{" in node.value:
        raise EditRefusedError(f"{place} is a Go template")
    start = token.start_mark.index
    quote = "" if token.plain else str(token.style)
    return Spot(file, keys, node.start_mark.line + 1, node.value, start, end, quote)
