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
#: plain words that some YAML reader takes for a truth value or null
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
    quote = style if style in ('"', "'") else ""
    if not quote and not stays_string(value):
        quote = '"'
    return f"{quote}{value}{quote}"


def replacement(document: Document, scalar: Scalar, tag: str) -> Span:
    """The span that gives a scalar the tag; an image's name stays."""
    value = f"{scalar.name}:{tag}" if scalar.name else tag
    token = document.text[scalar.start : scalar.end]
    quote = scalar.style if scalar.style in ('"', "'") else ""
    ends_with_tag = not scalar.name or scalar.value == f"{scalar.name}:{scalar.tag}"
    stands_as_read = token == f"{quote}{scalar.value}{quote}" and ends_with_tag
    if stands_as_read and (quote or stays_string(value)):
        end = scalar.end - len(quote)
        return Span(end - len(scalar.tag), end, tag, dotted(scalar.path), scalar.line)
    return Span(scalar.start, scalar.end, written(value, quote), dotted(scalar.path), scalar.line)


# -- putting a line in ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class InsertionPoint:
    """Where a value goes that has no line yet.

    Attributes:
        start: character in the text before which it goes.
        end: where what it takes the place of ends; beyond *start* only in a file of blanks.
        line: from 1, in the old text.
        path: the whole keys.
        missing: those of them that are not there yet; the value's own key is the last.
        column: blanks before the first missing key.
        indent: further blanks before each of the others.
        newline: the line ending in use.
        gap: line ends that must stand before it.
        in_flow: it goes into `{…}`.
        others_follow: there are other entries behind it in that.
    """

    start: int
    end: int
    line: int
    path: KeyPath
    missing: KeyPath
    column: int = 0
    indent: int = 2
    newline: str = "\n"
    gap: str = ""
    in_flow: bool = False
    others_follow: bool = False

    def span(self, value: str, style: str) -> Span:
        """The span that puts a value there.

        Args:
            style: the quotes it gets; "" for none but where it must have some.
        """
        text = written(value, style)
        new = self._in_flow(text) if self.in_flow else self.gap + self._lines(text)
        return Span(self.start, self.end, new, dotted(self.path), self.line)

    def _lines(self, text: str) -> str:
        lines = [f"{' ' * (self.column + self.indent * depth)}{_key(key)}:" for depth, key in enumerate(self.missing)]
        lines[-1] += f" {text}"
        return self.newline.join(lines) + self.newline

    def _in_flow(self, text: str) -> str:
        for key in reversed(self.missing[1:]):
            text = f"{{{_key(key)}: {text}}}"
        return f"{_key(self.missing[0])}: {text}{', ' if self.others_follow else ''}"


def insertion_point(document: Document | None, path: KeyPath, newline: str) -> InsertionPoint:
    """Where a value at *path* goes: first child of the block that is there, or a new block at the end.

    Args:
        document: the file, None if it is to be made.
        newline: the line ending of a file that has none yet.

    Raises:
        RefusedError: something else stands on the path.
    """
    if document is None or not document.text.strip():
        end = len(document.text) if document else 0
        return InsertionPoint(0, end, 1, path, path, newline=newline)
    if "\n" in document.text:
        newline = document.newline
    indent = _indent(document.root) or 2
    block, depth = _deepest_block(document.root, path)
    if depth == 0 or block is None:
        return _at_the_end(document, path, newline, indent)
    keys = keys_at(document.root, path[:depth])
    if len(keys) > 1:
        raise refuse("duplicate-key", f"{dotted(path[:depth])} stands there more than once", document.file)
    if not keys:
        raise refuse("merge-key", f"{dotted(path[:depth])} comes from a merge key", document.file)
    return _first_child(document, keys[0][0], block, path, depth, newline, indent)


def _deepest_block(root: yaml.Node | None, path: KeyPath) -> tuple[yaml.Node | None, int]:
    """What is there on the way to *path*, and how many keys lead to it."""
    node, depth = root, 0
    while node is not None and depth < len(path) - 1:
        below = child(node, path[depth])
        if below is None:
            break
        node, depth = below, depth + 1
        if not isinstance(node, yaml.MappingNode):
            break
    return node, depth


def _indent(root: yaml.Node | None) -> int:
    """By how many blanks the file indents, 0 where it has no block in a block."""
    for _, value in pairs(root) if root is not None else ():
        if not isinstance(value, yaml.MappingNode) or value.flow_style:
            continue
        for key, _ in pairs(value):
            if key.start_mark.column:
                return int(key.start_mark.column)
    return 0


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_][\w.-]*", key) and stays_string(key) else f'"{key}"'


def _at_the_end(document: Document, path: KeyPath, newline: str, indent: int) -> InsertionPoint:
    """A new block behind all others, with a blank line before it."""
    root, text = document.root, document.text
    if root is not None and not (isinstance(root, yaml.MappingNode) and not root.flow_style):
        raise refuse("no-mapping", "the file holds no block mapping", document.file)
    if document.more:
        raise refuse("documents", "the file holds several documents", document.file)
    if re.search(r"^\.\.\.", text, re.MULTILINE):
        raise refuse("documents", "the file has an end marker (...)", document.file)
    gap = "" if text.endswith(("\n", "\r")) else newline
    if not re.search(r"(?:^|\n)[ \t]*\r?\n\Z", text + gap):
        gap += newline
    line = text.count("\n") + 1
    return InsertionPoint(len(text), len(text), line, path, path, indent=indent, newline=newline, gap=gap)


def _first_child(
    document: Document,
    key: yaml.ScalarNode,
    block: yaml.Node,
    path: KeyPath,
    depth: int,
    newline: str,
    indent: int,
) -> InsertionPoint:
    """A line after that of the block's key, indented like its first child."""
    name, key_line = dotted(path[:depth]), key.start_mark.line + 1
    if document.root is not None and _uses(document.root, block) > 1:
        raise refuse("alias", f"{name} is shared by an anchor; nothing can be put into it", document.file, key_line)
    missing = path[depth:]
    if isinstance(block, yaml.MappingNode) and block.flow_style:
        start = block.start_mark.index + 1
        return InsertionPoint(start, start, key_line, path, missing, in_flow=True, others_follow=bool(block.value))
    empty = is_null(block) and block.start_mark.index == block.end_mark.index
    if not isinstance(block, yaml.MappingNode) and not empty:
        raise refuse("no-mapping", f"{name} is no mapping", document.file, key_line)
    children = pairs(block)
    column = children[0][0].start_mark.column if children else key.start_mark.column + indent
    line_end = document.text.find("\n", key.end_mark.index)
    start, gap = (len(document.text), newline) if line_end < 0 else (line_end + 1, "")
    return InsertionPoint(start, start, key_line + 1, path, missing, column, indent, newline, gap)


def together(spans: Sequence[Span]) -> list[Span]:
    """Insertions at one place as one; lines that several begin with, as a block not there yet, are written once."""
    headed = _joined(spans, headed_only=True)
    return _joined(headed, headed_only=False)


def _joined(spans: Sequence[Span], headed_only: bool) -> list[Span]:
    """Insertions at one place as one: those that begin with the same lines, or all."""
    joined: list[Span] = []
    for span in spans:
        for number, other in enumerate(joined):
            new = _one_after_the_other(other, span, headed_only)
            if new is not None:
                joined[number] = replace(other, new=new)
                break
        else:
            joined.append(span)
    return joined


def _one_after_the_other(first: Span, second: Span, headed_only: bool) -> str | None:
    """The text of two insertions at one place, None where they are not at one place or not to be joined."""
    if not first.start == second.start == first.end == second.end:
        return None
    lines, more = first.new.splitlines(keepends=True), second.new.splitlines(keepends=True)
    pairs_of_lines = enumerate(zip(lines, more, strict=False))
    alike = next((number for number, (line, other) in pairs_of_lines if line != other), 0)
    headed = bool("".join(more[:alike]).strip())
    if headed_only and not headed:
        return None
    gap = [] if headed else more[:alike][-1:]
    return "".join((*lines, *gap, *more[alike:]))


def _uses(root: yaml.Node, wanted: yaml.Node) -> int:
    """How often a node is used in a tree: more than once if it has aliases."""
    count = 0
    seen: set[int] = set()
    waiting: list[yaml.Node] = [root]
    while waiting:
        node = waiting.pop()
        count += node is wanted
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        for item in node.value:
            waiting += item if isinstance(node, yaml.MappingNode) else (item,)
    return count


# -- taking a line out ----------------------------------------------------------------------------------------------


def removal(document: Document, path: KeyPath) -> Span:
    """The span that takes a scalar's line out, with the parents it leaves empty.

    Raises:
        RefusedError: it is not a line of its own.
    """
    depth = len(path)
    while depth > 1:
        parents = keys_at(document.root, path[: depth - 1])
        if len(parents) != 1 or len(parents[0][1].value) != 1:
            break
        depth -= 1
    entries = keys_at(document.root, path[:depth])
    if len(entries) != 1:
        raise refuse("no-line", f"{dotted(path)} is no line of its own", document.file)
    key, value = entries[0]
    above = [keys_at(document.root, path[:count])[0][1] for count in range(1, depth)]
    if any(getattr(node, "flow_style", False) for node in (document.root, *above)):
        raise refuse("flow", f"{dotted(path)} stands in a flow mapping", document.file, key.start_mark.line + 1)
    return _cut(document, path, key, value, depth)


def _cut(document: Document, path: KeyPath, key: yaml.ScalarNode, value: yaml.Node, depth: int) -> Span:
    """The lines from the outermost empty parent's to the scalar's; comment lines between them stay."""
    text, line = document.text, key.start_mark.line + 1
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[start : key.start_mark.index].strip(" \t"):
        raise refuse("no-line", f"{dotted(path)} does not begin its line", document.file, line)
    leaf = value
    for name in path[depth:]:
        leaf = child(leaf, name) or leaf
    end_of_key = keys_at(document.root, path)[-1][0].end_mark.index
    line_end = text.find("\n", max(end_of_key, leaf.end_mark.index))
    end = len(text) if line_end < 0 else line_end + 1
    lines = text[start:end].splitlines(keepends=True)
    comments = "".join(line for line in lines if line.lstrip(" \t").startswith("#"))
    if not comments:
        start, end = _with_blank(text, start, end)
    return Span(start, end, comments, dotted(path), line)


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
    for span in sorted(spans, key=lambda span: (span.start, span.end), reverse=True):
        text = text[: span.start] + span.new + text[span.end :]
    return text
