"""One values file as text, node tree and token spans; what is odd in it is kept for whoever asks for that place.

The text is parsed as `str` without its byte order mark, because libyaml counts positions after the mark. Go
templates are masked by characters of the same number, so that a template elsewhere in the file disturbs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import yaml

from .keys import Kind, Path, classify, embedded
from .refusal import Refusal

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOM = "\ufeff"
MASK = "\ue000"
_DEPTH, _VISITS = 60, 50_000
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_CONTROL = re.compile(r"^[ \t]*(?:\{\{[^\n]*?\}\}[ \t]*)+\r?$", re.MULTILINE)
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
    path: Path
    paths: tuple[Path, ...]
    kinds: tuple[Kind | None, ...]
    value: str
    tag: str
    name: str
    start: int
    end: int
    style: str
    line: int
    problem: Refusal | None = None
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
        root: the first document's node, None where there is none.
        broken: why it is no YAML, or None.
        more: further documents in the file hold something.
    """

    file: str
    raw: bytes
    bom: str = ""
    text: str = ""
    shown: str = ""
    root: yaml.Node | None = None
    broken: Refusal | None = None
    more: tuple[yaml.Node, ...] = ()
    _scalars: dict[Path, Scalar] | None = field(default=None, repr=False)
    _tokens: dict[int, yaml.ScalarToken] | None = field(default=None, repr=False)

    @property
    def newline(self) -> str:
        """The line ending in use."""
        return "\r\n" if "\r\n" in self.text else "\n"

    def scalars(self) -> dict[Path, Scalar]:
        """Every tag, by each of its paths."""
        if self._scalars is None:
            self._scalars = {} if self.root is None or self.broken else dict(_tags(self))
        return self._scalars

    def defined(self, path: Path) -> Scalar | None:
        """The tag at a path, also where an anchor is defined that feeds tags and is none by its own place."""
        return self.scalars().get(path) or next((s for s in self.scalars().values() if s.path == path), None)

    def token(self, node: yaml.ScalarNode) -> yaml.ScalarToken | None:
        """The scanner's token of a scalar: its marks leave anchors and YAML tags out."""
        if self._tokens is None:
            found = yaml.scan(self.shown, Loader=LOADER)
            self._tokens = {t.end_mark.index: t for t in found if isinstance(t, yaml.ScalarToken)}
        return self._tokens.get(node.end_mark.index)


def masked(text: str) -> str:
    """The text with its Go templates as comments (whole lines) and filler (within a line)."""
    if "{{" not in text:
        return text

    def control(match: re.Match[str]) -> str:
        end = "\r" if match[0].endswith("\r") else ""
        width = len(match[0]) - len(end)
        return "#" * width + end

    text = _CONTROL.sub(control, text)
    return _TEMPLATE.sub(lambda match: re.sub(r"[^\n]", MASK, match[0]), text)


def parse(file: str, raw: bytes) -> Document:
    """Read a file; what is wrong with it is in `broken`, nothing is raised."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Document(file, raw, broken=Refusal("encoding", f"no UTF-8 (byte {error.start})", file, line))
    bom, text = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
    shown = masked(text)
    try:
        roots = [node for node in yaml.compose_all(shown, Loader=LOADER) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = f"no plain YAML: {', '.join(filter(None, (error.context, error.problem)))}"
        return Document(file, raw, bom, text, shown, broken=Refusal("yaml", reason, file, mark.line + 1 if mark else 0))
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        return Document(file, raw, bom, text, shown, broken=Refusal("yaml", "no plain YAML", file))
    roots = [node for node in roots if not is_null(node)]
    root, more = (roots[0], roots[1:]) if roots else (None, [])
    document = Document(file, raw, bom, text, shown, root, more=tuple(more))
    try:
        document.scalars()
    except (_TooMuchError, RecursionError) as error:
        document.broken, document.root = Refusal("yaml", str(error), file), None
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


def keys_at(root: yaml.Node | None, path: Path) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The key and value nodes at a path, all doubles."""
    found = [(k, v) for k, v in pairs(root) if k.value == path[0]] if root is not None else []
    for name in path[1:]:
        found = [(k, v) for _, node in found for k, v in pairs(node) if k.value == name]
    return found


def is_null(node: yaml.Node) -> bool:
    """Whether it is YAML's null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def leaf_at(root: yaml.Node | None, path: Path) -> yaml.Node | None:
    """What a document has at a path."""
    node = root
    for key in path:
        node = child(node, key)
    return node


def list_at(root: yaml.Node | None, path: Path) -> Path:
    """The keys of the first list on the way to a place, () if there is none."""
    node = root
    for depth, key in enumerate(path):
        if isinstance(node, yaml.SequenceNode):
            return path[:depth]
        node = child(node, key)
    return ()


def doubled(file: str, place: str, lines: Iterable[int]) -> Refusal:
    """The reason for a key that stands in its mapping twice."""
    ordered = sorted(lines)
    at = ", ".join(f"{file}:{line}" for line in ordered)
    return Refusal("duplicate-key", f"a key on the way to {place} stands there twice: {at}", file, ordered[-1])


def _beside(entries: Iterable[Entry]) -> frozenset[str]:
    """The keys of a mapping, without those of images that hold their tag: what stands beside them is no tag of them."""
    return frozenset(
        name
        for name, value, _ in entries
        if not (name in ("image", "image_name") and isinstance(value, yaml.ScalarNode) and embedded(value.value))
    )


Place = tuple[Path, yaml.ScalarNode, frozenset[str], tuple[int, ...], bool]


def places(root: yaml.Node) -> Iterator[Place]:
    """(keys, scalar, keys beside it that matter, lines of doubles on its path, whether a list is on its path), aliases followed."""
    left = [_VISITS]

    def walk(
        node: yaml.Node, path: Path, doubles: tuple[int, ...], listed: bool, above: tuple[int, ...]
    ) -> Iterator[Place]:
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


def _tags(document: Document) -> Iterator[tuple[Path, Scalar]]:
    """Every tag of a document under each of its paths."""
    if document.root is None:
        return
    seen: dict[int, list[tuple[Path, Kind | None, tuple[int, ...]]]] = {}
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
    document: Document, node: yaml.ScalarNode, uses: list[tuple[Path, Kind | None, tuple[int, ...]]]
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
    elif MASK in document.shown[start:end]:
        problem = Refusal("template", f"{place} is a Go template", file, line)
    elif null or not node.value:
        problem = Refusal("no-value", f"{place} has no value", file, line)
    elif any(leaf_at(root, uses[0][0]) is not None for root in document.more):
        problem = Refusal("documents", f"{place} stands in several documents of the file", file, line)
    elif token is None:
        problem = Refusal("no-token", f"{place} is no single value", file, line)
    elif style in ("|", ">"):
        problem = Refusal("block-scalar", f"{place} is a block scalar", file, line)
    paths, kinds = tuple(p for p, _, _ in uses), tuple(k for _, k, _ in uses)
    return Scalar(file, paths[0], paths, kinds, node.value, tag, name, start, end, style, line, problem, null)
