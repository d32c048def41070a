"""Changes bytes: a tag replaced where it stands, a line put in, a line taken out with the block it leaves empty."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import yaml

from quarterdeck.core.charts.keys import KeyPath, dotted
from quarterdeck.core.charts.reading.document import Document, Scalar, child, is_null, keys_at, pairs
from quarterdeck.core.charts.refusals import refuse

#: plain words that some YAML reader takes for a number; Go's takes more of them than PyYAML's
_NUMBER = re.compile(
    r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9]+(:[0-9]+)+"
)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True)
class Span:
    """A replacement in one file's text.

    Attributes:
        start: first character in the text without byte order mark.
        end: the character after the last.
        new: what stands there afterwards.
        key: dotted path of the scalar.
        line: from 1, in the old text.
    """

    start: int
    end: int
    new: str
    key: str
    line: int


def stays_string(tag: str) -> bool:
    """Whether a plain scalar is a string for every reader."""
    if _NUMBER.fullmatch(tag) or tag.lower() in _WORDS:
        return False
    node = yaml.compose(tag, Loader=yaml.SafeLoader)
    return node is not None and node.tag == _STRING


def written(value: str, style: str) -> str:
    """A value as YAML, quoted as asked or where it must be."""
    quote = style if style in ('"', "'") else "" if stays_string(value) else '"'
    return f"{quote}{value}{quote}"


def replacement(document: Document, scalar: Scalar, tag: str) -> Span:
    """The span that gives a scalar the tag; an image's name stays."""
    value = f"{scalar.name}:{tag}" if scalar.name else tag
    token = document.text[scalar.start : scalar.end]
    quote = scalar.style if scalar.style in ('"', "'") else ""
    simple = token == f"{quote}{scalar.value}{quote}" and (
        not scalar.name or scalar.value == f"{scalar.name}:{scalar.tag}"
    )
    if simple and (quote or stays_string(value)):
        end = scalar.end - len(quote)
        return Span(end - len(scalar.tag), end, tag, dotted(scalar.path), scalar.line)
    return Span(scalar.start, scalar.end, written(value, quote), dotted(scalar.path), scalar.line)


def insertion(document: Document | None, path: KeyPath, value: str, style: str, newline: str, indent: int = 2) -> Span:
    """The span that puts `value` at *path*: first child of the block that is there, or a new block at the end.

    Raises:
        RefusedError: something else stands on the path.
    """
    text = written(value, style)
    if document is None or not document.text.strip():
        return Span(0, len(document.text) if document else 0, _block(path, text, newline, 0, indent), dotted(path), 1)
    newline = document.newline if "\n" in document.text else newline
    node, depth = document.root, 0
    indent = _step(document.root) or indent
    while node is not None and depth < len(path) - 1:
        below = child(node, path[depth])
        if below is None:
            break
        node, depth = below, depth + 1
        if not isinstance(node, yaml.MappingNode):
            break
    if depth == 0:
        return _appended(document, path, text, newline, indent)
    if len([1 for key, _ in keys_at(document.root, path[:depth])]) > 1:
        raise refuse("duplicate-key", f"{dotted(path[:depth])} stands there more than once", document.file)
    key = next((k for k, _ in keys_at(document.root, path[:depth])), None)
    if key is None or node is None:
        raise refuse("merge-key", f"{dotted(path[:depth])} comes from a merge key", document.file)
    return _first_child(document, key, node, path, depth, text, newline, indent)


def together(spans: Sequence[Span]) -> list[Span]:
    """Insertions at one place as one; lines that several begin with, as a block not there yet, are written once."""
    return _joined(_joined(spans, alone=True), alone=False)


def _joined(spans: Sequence[Span], alone: bool) -> list[Span]:
    found: list[Span] = []
    for span in spans:
        lines = span.new.splitlines(keepends=True)
        for number, other in enumerate(found):
            first = other.new.splitlines(keepends=True)
            alike = next((n for n, (a, b) in enumerate(zip(first, lines, strict=False)) if a != b), 0)
            headed = bool("".join(lines[:alike]).strip())
            if other.start == span.start == other.end == span.end and (headed or not alone):
                gap = [] if headed else lines[:alike][-1:]
                found[number] = replace(other, new="".join((*first, *gap, *lines[alike:])))
                break
        else:
            found.append(span)
    return found


def _step(root: yaml.Node | None) -> int:
    """By how many blanks the file indents."""
    for _, value in pairs(root) if root is not None else ():
        for key, _ in pairs(value):
            if isinstance(value, yaml.MappingNode) and not value.flow_style and key.start_mark.column:
                return int(key.start_mark.column)
    return 0


def _block(path: KeyPath, text: str, newline: str, column: int, indent: int) -> str:
    lines = [f"{' ' * (column + indent * n)}{_key(key)}:" for n, key in enumerate(path)]
    return newline.join([*lines[:-1], f"{lines[-1]} {text}"]) + newline


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][\w.-]*", key) and stays_string(key) else f'"{key}"'


def _appended(document: Document, path: KeyPath, text: str, newline: str, indent: int) -> Span:
    if document.root is not None and not (isinstance(document.root, yaml.MappingNode) and not document.root.flow_style):
        raise refuse("no-mapping", "the file holds no block mapping", document.file)
    if document.more:
        raise refuse("documents", "the file holds several documents", document.file)
    old = document.text
    if re.search(r"^\.\.\.", old, re.MULTILINE):
        raise refuse("documents", "the file has an end marker (...)", document.file)
    gap = "" if old.endswith(("\n", "\r")) else newline
    if not re.search(r"(?:^|\n)[ \t]*\r?\n\Z", old + gap):
        gap += newline
    line = old.count("\n") + 1
    return Span(len(old), len(old), gap + _block(path, text, newline, 0, indent), dotted(path), line)


def _first_child(
    document: Document,
    key: yaml.ScalarNode,
    node: yaml.Node,
    path: KeyPath,
    depth: int,
    text: str,
    newline: str,
    indent: int,
) -> Span:
    """A line after that of the block's key, indented like its first child."""
    old, line = document.text, key.start_mark.line + 2
    place = dotted(path[:depth])
    if document.root is not None and _uses(document.root, node) > 1:
        raise refuse("alias", f"{place} is shared by an anchor; nothing can be put into it", document.file, line - 1)
    rest = path[depth:]
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        at = node.start_mark.index + 1
        nested = text
        for name in reversed(rest[1:]):
            nested = f"{{{_key(name)}: {nested}}}"
        return Span(at, at, f"{_key(rest[0])}: {nested}{', ' if node.value else ''}", dotted(path), line - 1)
    empty = is_null(node) and isinstance(node, yaml.ScalarNode) and node.start_mark.index == node.end_mark.index
    if not isinstance(node, yaml.MappingNode) and not empty:
        raise refuse("no-mapping", f"{place} is no mapping", document.file, line - 1)
    children = pairs(node)
    column = children[0][0].start_mark.column if children else key.start_mark.column + indent
    at = old.find("\n", key.end_mark.index)
    gap = ""
    if at < 0:
        at, gap = len(old), newline
    else:
        at += 1
    return Span(at, at, gap + _block(rest, text, newline, column, indent), dotted(path), line)


def _uses(root: yaml.Node, wanted: yaml.Node) -> int:
    """How often a node is used in a tree: more than once if it has aliases."""
    count, stack, seen = 0, [root], set()
    while stack:
        node = stack.pop()
        count += node is wanted
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        stack += [n for pair in node.value for n in pair] if isinstance(node, yaml.MappingNode) else node.value
    return count


def removal(document: Document, path: KeyPath) -> Span:
    """The span that takes a scalar's line out, with the parents it leaves empty.

    Raises:
        RefusedError: it is not a line of its own.
    """
    depth = len(path)
    while depth > 1:
        found = keys_at(document.root, path[: depth - 1])
        if len(found) != 1 or len(found[0][1].value) != 1:
            break
        depth -= 1
    found = keys_at(document.root, path[:depth])
    if len(found) != 1:
        raise refuse("no-line", f"{dotted(path)} is no line of its own", document.file)
    key, value = found[0]
    parents = [keys_at(document.root, path[:n])[0][1] for n in range(1, depth)]
    if any(getattr(node, "flow_style", False) for node in (document.root, *parents)):
        raise refuse("flow", f"{dotted(path)} stands in a flow mapping", document.file, key.start_mark.line + 1)
    return _cut(document, path, key, value, depth)


def _cut(document: Document, path: KeyPath, key: yaml.ScalarNode, value: yaml.Node, depth: int) -> Span:
    """The lines from the outermost empty parent's to the scalar's; comment lines between them stay."""
    text = document.text
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[start : key.start_mark.index].strip(" \t"):
        raise refuse("no-line", f"{dotted(path)} does not begin its line", document.file, key.start_mark.line + 1)
    leaf = value
    for name in path[depth:]:
        leaf = child(leaf, name) or leaf
    last = keys_at(document.root, path)[-1][0].end_mark.index
    stop = text.find("\n", max(last, leaf.end_mark.index))
    end = len(text) if stop < 0 else stop + 1
    kept = "".join(line for line in text[start:end].splitlines(keepends=True) if line.lstrip(" \t").startswith("#"))
    if not kept:
        start, end = _with_blank(text, start, end)
    return Span(start, end, kept, dotted(path), key.start_mark.line + 1)


def _with_blank(text: str, start: int, end: int) -> tuple[int, int]:
    """A block or line that goes takes one of the blank lines along that set it apart."""
    after = re.compile(r"[ \t]*\r?\n").match(text, end)
    before = re.search(r"(?:^|\n)([ \t]*\r?\n)\Z", text[:start])
    if start == 0 or before:
        if after:
            return start, after.end()
        if end == len(text) and before:
            return before.start(1), end
    return start, end


def apply(text: str, spans: Sequence[Span]) -> str:
    """The text with every replacement made."""
    for span in sorted(spans, key=lambda s: (s.start, s.end), reverse=True):
        text = text[: span.start] + span.new + text[span.end :]
    return text
