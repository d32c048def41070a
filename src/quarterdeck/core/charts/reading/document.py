"""One values file as text, node tree and token spans; what is odd in it is kept for whoever asks for that place.

The text is parsed as `str` without its byte order mark, because libyaml counts positions after the mark. It is parsed
as it stands: Helm does not run a plain values file through a template. Only where a value is one on a single line, or
the whole is no YAML, is that masked by as many characters, so that a template elsewhere in the file disturbs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from quarterdeck.core.charts.keys import KeyPath, TagKind, classify, embedded
from quarterdeck.core.charts.reading.template import MASK, conditions, directive, masked, replaced
from quarterdeck.core.charts.refusals import Obstacle

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOM = "\ufeff"
_DEPTH, _VISITS = 60, 50_000
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True)
class Scalar:
    """One tag in a file.

    Attributes:
        file: real path from the root of the charts.
        path: its keys where it is defined.
        paths: every place it feeds, its own first: more than one where it is anchored.
        kinds: what it is at each of these places; None is no tag.
        value: the whole value; `name:tag` for an image string.
        tag: the tag alone.
        name: the image's name in an image string, else "".
        start: first character of the token in the text without byte order mark.
        end: the character after the token.
        style: `"`, `'`, "" for plain, or the block style.
        line: from 1.
        problem: why it cannot be edited, or None.
        null: it is there and has no value.
    """

    file: str
    path: KeyPath
    paths: tuple[KeyPath, ...]
    kinds: tuple[TagKind | None, ...]
    value: str
    tag: str
    name: str
    start: int
    end: int
    style: str
    line: int
    problem: Obstacle | None = None
    null: bool = False

    @property
    def id(self) -> tuple[str, int]:
        """Names the scalar among all files."""
        return self.file, self.start


@dataclass
class Document:
    """A parsed file.

    Attributes:
        file: real path from the root of the charts.
        raw: its bytes.
        bom: the byte order mark, or "".
        text: the characters without it.
        shown: the same with Go templates masked, which is what the parser saw.
        root: the first document's node, None where it is empty: Helm reads no other.
        broken: why it is no YAML, or None.
        more: further documents in the file hold something.
    """

    file: str
    raw: bytes
    bom: str = ""
    text: str = ""
    shown: str = ""
    root: yaml.Node | None = None
    broken: Obstacle | None = None
    more: tuple[yaml.Node, ...] = ()
    _scalars: dict[KeyPath, Scalar] | None = field(default=None, repr=False)
    _tokens: dict[int, yaml.ScalarToken] | None = field(default=None, repr=False)

    @property
    def newline(self) -> str:
        """The line ending in use."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def scalars(self) -> dict[KeyPath, Scalar]:
        """Every tag, by each of its paths."""
        if self._scalars is None:
            self._scalars = {} if self.root is None or self.broken else dict(_tags(self))
        return self._scalars

    def defined(self, path: KeyPath) -> Scalar | None:
        """The tag at a path, also where an anchor is defined that feeds tags and is none by its own place."""
        return self.scalars().get(path) or next((s for s in self.scalars().values() if s.path == path), None)

    def token(self, node: yaml.ScalarNode) -> yaml.ScalarToken | None:
        """The scanner's token of a scalar: its marks leave anchors and YAML tags out."""
        if self._tokens is None:
            found = yaml.scan(self.shown, Loader=LOADER)
            self._tokens = {t.end_mark.index: t for t in found if isinstance(t, yaml.ScalarToken)}
        return self._tokens.get(node.end_mark.index)


def _every(roots: Iterable[yaml.Node | None]) -> Iterator[yaml.Node]:
    """All nodes, keys among them, each once."""
    seen: set[int] = set()
    left: list[Any] = list(roots)
    while left:
        node = left.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            left += [each for pair in node.value for each in pair]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value


def _expressions(text: str, roots: Iterable[yaml.Node | None]) -> str:
    """The text with those values masked that are one expression: YAML takes it for a map whose key is a map."""
    found = [
        (node.start_mark.index, node.end_mark.index)
        for node in _every(roots)
        if isinstance(node, yaml.MappingNode) and node.value and isinstance(node.value[0][0], yaml.MappingNode)
    ]
    out, last = [], 0
    for start, end in sorted(found):
        whole = text[start:end]
        if start >= last and whole.startswith("{{") and whole.endswith("}}") and "\n" not in whole:
            out += [text[last:start], MASK * len(whole)]
            last = end
    return "".join((*out, text[last:]))


def composed(text: str) -> tuple[str, list[yaml.Node | None]]:
    """The text as the parser saw it, and the documents in it.

    Raises:
        YAMLError: it is no YAML, as it stands and with its templates masked.
    """
    if "{{" not in text:
        return text, list(yaml.compose_all(text, Loader=LOADER))
    try:
        roots: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=LOADER))
        shown = _expressions(text, roots)
    except yaml.YAMLError:
        shown = masked(text)
        if shown == text:
            raise
    if shown != text:
        roots = list(yaml.compose_all(shown, Loader=LOADER))
    for node in _every(roots):
        if isinstance(node, yaml.ScalarNode) and "{{" in node.value:
            node.value = replaced(node.value, lambda whole, _: MASK * len(whole))
    return shown, roots


def _is_yaml(text: str) -> bool:
    try:
        list(yaml.parse(text, Loader=LOADER))
    except (yaml.YAMLError, ValueError, OverflowError):
        return False
    return True


def parse(file: str, raw: bytes) -> Document:
    """Read a file; what is wrong with it is in `broken`, nothing is raised."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Document(file, raw, broken=Obstacle("encoding", f"no UTF-8 (byte {error.start})", file, line))
    bom, text = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
    shown, line = text, conditions(text)
    if line and (file.endswith(".gotmpl") or (directive(text.split("\n")[line - 1]) and not _is_yaml(text))):
        reason = "the file is a template with conditions"
        return Document(file, raw, bom, text, shown, broken=Obstacle("template", reason, file, line))
    try:
        shown, found = composed(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"no plain YAML: {', '.join(filter(None, (error.context, error.problem)))}"
        return Document(
            file, raw, bom, text, shown, broken=Obstacle("yaml", reason, file, mark.line + 1 if mark else 0)
        )
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        return Document(file, raw, bom, text, shown, broken=Obstacle("yaml", "no plain YAML", file))
    first, *later = [None if node is None or is_null(node) else node for node in found] or [None]
    more = tuple(node for node in later if node is not None)
    document = Document(file, raw, bom, text, shown, first, more=more)
    try:
        document.scalars()
    except (_TooMuchError, RecursionError) as error:
        document.broken, document.root = Obstacle("yaml", str(error), file), None
    return document


class _TooMuchError(Exception):
    """Nested too deeply, or aliases within aliases."""


def pairs(node: yaml.Node) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The entries of a mapping whose keys are scalars, merge keys not followed."""
    return (
        [(k, v) for k, v in node.value if isinstance(k, yaml.ScalarNode)] if isinstance(node, yaml.MappingNode) else []
    )


Entry = tuple[str, yaml.Node, tuple[int, ...]]


def merged(node: yaml.Node, known: dict[int, list[Entry]] | None = None) -> list[Entry]:
    """(key, value, lines of all its occurrences) with merge keys followed; own keys win, the last of doubles wins."""
    known = {} if known is None else known
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = []  # what merges itself adds nothing
    found: dict[str, tuple[yaml.Node, list[int]]] = {}
    below: list[yaml.Node] = []
    for key, value in pairs(node):
        if key.value == "<<" and not key.style:
            below += value.value if isinstance(value, yaml.SequenceNode) else [value]
            continue
        before = found[key.value][1] if key.value in found else []
        found[key.value] = (value, [*before, key.start_mark.line + 1])
    for base in below:
        for name, value, lines in merged(base, known) if isinstance(base, yaml.MappingNode) else ():
            found.setdefault(name, (value, list(lines)))
    known[id(node)] = [(name, value, tuple(lines)) for name, (value, lines) in found.items()]
    return known[id(node)]


def child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """What a mapping or a list has under a key or number."""
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value, _ in merged(node) if name == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        found = node.value[int(key)]
        return found if isinstance(found, yaml.Node) else None
    return None


def keys_at(root: yaml.Node | None, path: KeyPath) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The key and value nodes at a path, all doubles."""
    found = [(k, v) for k, v in pairs(root) if k.value == path[0]] if root is not None else []
    for name in path[1:]:
        found = [(k, v) for _, node in found for k, v in pairs(node) if k.value == name]
    return found


def is_null(node: yaml.Node) -> bool:
    """Whether it is YAML's null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def leaf_at(root: yaml.Node | None, path: KeyPath) -> yaml.Node | None:
    """What a document has at a path."""
    node = root
    for key in path:
        node = child(node, key)
    return node


def list_at(root: yaml.Node | None, path: KeyPath) -> KeyPath:
    """The keys of the first list on the way to a place, () if there is none."""
    node = root
    for depth, key in enumerate(path):
        if isinstance(node, yaml.SequenceNode):
            return path[:depth]
        node = child(node, key)
    return ()


def doubled(file: str, place: str, lines: Iterable[int]) -> Obstacle:
    """The reason for a key that stands in its mapping twice."""
    ordered = sorted(lines)
    at = ", ".join(f"{file}:{line}" for line in ordered)
    return Obstacle("duplicate-key", f"a key on the way to {place} stands there twice: {at}", file, ordered[-1])


def _beside(entries: Iterable[Entry]) -> frozenset[str]:
    """The keys of a mapping, without those of images that hold their tag: what stands beside them is no tag of them."""
    return frozenset(
        name
        for name, value, _ in entries
        if not (name in ("image", "image_name") and isinstance(value, yaml.ScalarNode) and embedded(value.value))
    )


PlacedScalar = tuple[KeyPath, yaml.ScalarNode, frozenset[str], tuple[int, ...], bool]


def places(root: yaml.Node) -> Iterator[PlacedScalar]:
    """(keys, scalar, keys beside it that matter, lines of doubles on its path, whether a list is on its path), aliases followed."""
    left = [_VISITS]

    def walk(
        node: yaml.Node, path: KeyPath, doubles: tuple[int, ...], listed: bool, above: tuple[int, ...]
    ) -> Iterator[PlacedScalar]:
        left[0] -= 1
        if left[0] < 0 or len(path) > _DEPTH:
            raise _TooMuchError("nested too deeply, or too many aliases")
        if id(node) in above:
            return
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            entries = merged(node)
            names = _beside(entries)
            for name, value, lines in entries:
                bad = (*doubles, *lines) if len(lines) > 1 else doubles
                if isinstance(value, yaml.ScalarNode):
                    yield (*path, name), value, names, bad, listed
                else:
                    yield from walk(value, (*path, name), bad, listed, above)
        elif isinstance(node, yaml.SequenceNode):
            for number, value in enumerate(node.value):
                if isinstance(value, yaml.ScalarNode):
                    yield (*path, str(number)), value, frozenset(), doubles, True
                else:
                    yield from walk(value, (*path, str(number)), doubles, True, above)

    if not isinstance(root, yaml.ScalarNode):
        yield from walk(root, (), (), False, ())


def _tags(document: Document) -> Iterator[tuple[KeyPath, Scalar]]:
    """Every tag of a document under each of its paths."""
    if document.root is None:
        return
    seen: dict[int, list[tuple[KeyPath, TagKind | None, tuple[int, ...]]]] = {}
    nodes: dict[int, yaml.ScalarNode] = {}
    for path, node, beside, doubles, listed in places(document.root):
        kind = classify(path, node.value, beside, listed)
        if kind is not None or id(node) in nodes or _anchored(document, node):
            nodes[id(node)] = node
            seen.setdefault(id(node), []).append((path, kind, doubles))
    for key, uses in seen.items():
        if all(kind is None for _, kind, _ in uses):
            continue
        scalar = _scalar(document, nodes[key], uses)
        if scalar is not None:
            for path, kind, _ in uses:
                if kind is not None:
                    yield path, scalar


def _anchored(document: Document, node: yaml.ScalarNode) -> bool:
    return document.text[node.start_mark.index : node.start_mark.index + 1] in ("&", "!")


def _scalar(
    document: Document, node: yaml.ScalarNode, uses: list[tuple[KeyPath, TagKind | None, tuple[int, ...]]]
) -> Scalar | None:
    """The scalar with its exact span and what speaks against editing it."""
    file, line = document.file, node.start_mark.line + 1
    null = is_null(node)
    if node.tag == "tag:yaml.org,2002:bool" and uses[0][0][-1] != "version":
        return None
    token: yaml.ScalarNode | yaml.ScalarToken | None = None if null else node
    if token is not None and _anchored(document, node):
        token = document.token(node)
    start, end = (token or node).start_mark.index, (token or node).end_mark.index
    style = (token.style or "") if token else ""
    image = embedded(node.value, uses[0][0][-1]) if uses[0][0][-1] != "version" else None
    name, tag = image or ("", node.value)
    place = ".".join(uses[0][0])
    doubles = sorted({n for _, _, lines in uses for n in lines})
    problem = None
    if doubles:
        problem = doubled(file, place, doubles)
    elif MASK in document.shown[start:end] or MASK in node.value:
        problem = Obstacle("template", f"{place} is a Go template", file, line)
    elif null or not node.value:
        problem = Obstacle("no-value", f"{place} has no value", file, line)
    elif any(leaf_at(root, uses[0][0]) is not None for root in document.more):
        problem = Obstacle("documents", f"{place} stands in several documents of the file", file, line)
    elif token is None:
        problem = Obstacle("no-token", f"{place} is no single value", file, line)
    elif style in ("|", ">"):
        problem = Obstacle("block-scalar", f"{place} is a block scalar", file, line)
    paths, kinds = tuple(p for p, _, _ in uses), tuple(k for _, k, _ in uses)
    return Scalar(file, paths[0], paths, kinds, node.value, tag, name, start, end, style, line, problem, null)
