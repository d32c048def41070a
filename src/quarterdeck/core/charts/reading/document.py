"""A values file as text, as a tree of nodes and as tokens with their places; what is odd about a tag is kept with it.

The text is parsed as `str` without its byte order mark, because libyaml counts positions after the mark. It is parsed
as it stands: Helm does not run a plain values file through a template. Only where a value is one on a single line, or
the whole is no YAML, is that masked by as many characters, so that a template elsewhere in the file disturbs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import yaml

from quarterdeck.core.charts.conventions import IMAGE_BESIDE_VERSION
from quarterdeck.core.charts.keys import KeyPath, TagKind, classify, embedded
from quarterdeck.core.charts.reading.template import MASK, conditions, directive, masked, replaced
from quarterdeck.core.charts.refusals import Obstacle

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BOM = "\ufeff"
_DEEPEST = 60  #: keys on a path
_MOST_VISITS = 50_000  #: nodes of a file, counted anew behind each alias
_NULL, _BOOL = "tag:yaml.org,2002:null", "tag:yaml.org,2002:bool"


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
        more: the roots of further documents in the file that hold something.
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
            self._scalars = {} if self.root is None or self.broken else dict(_tags(self, self.root))
        return self._scalars

    def defined(self, path: KeyPath) -> Scalar | None:
        """The tag at a path; also where only its anchor stands, which is no tag by its own place."""
        scalars = self.scalars()
        if path in scalars:
            return scalars[path]
        return next((scalar for scalar in scalars.values() if scalar.path == path), None)

    def token(self, node: yaml.ScalarNode) -> yaml.ScalarToken | None:
        """The scanner's token of a scalar: its marks leave anchors and YAML tags out."""
        if self._tokens is None:
            tokens = yaml.scan(self.shown, Loader=LOADER)
            self._tokens = {token.end_mark.index: token for token in tokens if isinstance(token, yaml.ScalarToken)}
        return self._tokens.get(node.end_mark.index)


# -- parsing -----------------------------------------------------------------------------------------------------


def parse(file: str, raw: bytes) -> Document:
    """Read a file; what is wrong with it is in `broken`, nothing is raised."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return Document(file, raw, broken=Obstacle("encoding", f"no UTF-8 (byte {error.start})", file, line))
    bom, text = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
    document = Document(file, raw, bom, text, shown=text)
    document.broken = _templated(file, text)
    if document.broken:
        return document
    try:
        document.shown, roots = composed(text)
    except yaml.MarkedYAMLError as error:
        document.broken = _no_yaml(file, error)
        return document
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError):
        document.broken = Obstacle("yaml", "no plain YAML", file)
        return document
    first, *later = [None if root is None or is_null(root) else root for root in roots] or [None]
    document.root, document.more = first, tuple(root for root in later if root is not None)
    try:
        document.scalars()
    except (_TooMuchError, RecursionError) as error:
        document.broken, document.root = Obstacle("yaml", str(error), file), None
    return document


class _TooMuchError(Exception):
    """Nested too deeply, or aliases within aliases."""


def _templated(file: str, text: str) -> Obstacle | None:
    """Why a file is no values file but a template that makes one, None if it is not."""
    line = conditions(text)
    if not line:
        return None
    if file.endswith(".gotmpl") or (directive(text.split("\n")[line - 1]) and not _is_yaml(text)):
        return Obstacle("template", "the file is a template with conditions", file, line)
    return None


def _is_yaml(text: str) -> bool:
    try:
        list(yaml.parse(text, Loader=LOADER))
    except (yaml.YAMLError, ValueError, OverflowError):
        return False
    return True


def _no_yaml(file: str, error: yaml.MarkedYAMLError) -> Obstacle:
    mark = error.problem_mark or error.context_mark
    reason = f"no plain YAML: {', '.join(filter(None, (error.context, error.problem)))}"
    return Obstacle("yaml", reason, file, mark.line + 1 if mark else 0)


def composed(text: str) -> tuple[str, list[yaml.Node | None]]:
    """The text as the parser saw it, and the documents in it.

    Raises:
        YAMLError: it is no YAML, as it stands and with its templates masked.
    """
    if "{{" not in text:
        return text, list(yaml.compose_all(text, Loader=LOADER))
    try:
        roots: list[yaml.Node | None] = list(yaml.compose_all(text, Loader=LOADER))
        shown = _without_expressions(text, roots)
    except yaml.YAMLError:
        shown = masked(text)
        if shown == text:
            raise
    if shown != text:
        roots = list(yaml.compose_all(shown, Loader=LOADER))
    for node in _all_nodes(roots):
        if isinstance(node, yaml.ScalarNode) and "{{" in node.value:
            node.value = replaced(node.value, lambda whole, _: MASK * len(whole))
    return shown, roots


def _without_expressions(text: str, roots: Iterable[yaml.Node | None]) -> str:
    """The text with those values masked that are one expression: YAML takes `{{ x }}` for a map whose key is a map."""
    pieces: list[str] = []
    end_of_last = 0
    for start, end in sorted(_maps_of_maps(roots)):
        whole = text[start:end]
        if start >= end_of_last and whole.startswith("{{") and whole.endswith("}}") and "\n" not in whole:
            pieces += [text[end_of_last:start], MASK * len(whole)]
            end_of_last = end
    return "".join((*pieces, text[end_of_last:]))


def _maps_of_maps(roots: Iterable[yaml.Node | None]) -> Iterator[tuple[int, int]]:
    """Start and end of each mapping whose first key is a mapping."""
    for node in _all_nodes(roots):
        if isinstance(node, yaml.MappingNode) and node.value and isinstance(node.value[0][0], yaml.MappingNode):
            yield node.start_mark.index, node.end_mark.index


def _all_nodes(roots: Iterable[yaml.Node | None]) -> Iterator[yaml.Node]:
    """All nodes, keys among them, each once."""
    seen: set[int] = set()
    waiting: list[yaml.Node | None] = list(roots)
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                waiting += (key, value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


# -- going through nodes ------------------------------------------------------------------------------------------

Entry = tuple[str, yaml.Node, tuple[int, ...]]


def pairs(node: yaml.Node) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The entries of a mapping whose keys are scalars, merge keys not followed; none of what is no mapping."""
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def merged(node: yaml.Node, finished: dict[int, list[Entry]] | None = None) -> list[Entry]:
    """(key, value, lines of all its occurrences) with merge keys followed; own keys win, the last of doubles wins.

    Args:
        finished: id of a node -> its entries, for those that were merged already.
    """
    finished = {} if finished is None else finished
    if id(node) in finished:
        return finished[id(node)]
    finished[id(node)] = []  # what merges itself adds nothing
    entries: dict[str, tuple[yaml.Node, list[int]]] = {}
    bases: list[yaml.Node] = []
    for key, value in pairs(node):
        if key.value == "<<" and not key.style:
            bases += value.value if isinstance(value, yaml.SequenceNode) else [value]
            continue
        lines_before = entries[key.value][1] if key.value in entries else []
        entries[key.value] = (value, [*lines_before, key.start_mark.line + 1])
    for base in bases:
        for name, value, lines in merged(base, finished) if isinstance(base, yaml.MappingNode) else ():
            entries.setdefault(name, (value, list(lines)))
    finished[id(node)] = [(name, value, tuple(lines)) for name, (value, lines) in entries.items()]
    return finished[id(node)]


def child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """What a mapping or a list has under a key or number."""
    if isinstance(node, yaml.MappingNode):
        return next((value for name, value, _ in merged(node) if name == key), None)
    if isinstance(node, yaml.SequenceNode) and key.isdigit() and int(key) < len(node.value):
        item = node.value[int(key)]
        return item if isinstance(item, yaml.Node) else None
    return None


def keys_at(root: yaml.Node | None, path: KeyPath) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """The key and value nodes at a path, all doubles."""
    if root is None:
        return []
    parents = [root]
    entries: list[tuple[yaml.ScalarNode, yaml.Node]] = []
    for name in path:
        entries = []
        for parent in parents:
            entries += [(key, value) for key, value in pairs(parent) if key.value == name]
        parents = [value for _, value in entries]
    return entries


def is_null(node: yaml.Node) -> bool:
    """Whether it is YAML's null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == _NULL


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


def doubled(file: str, key: str, lines: Iterable[int]) -> Obstacle:
    """The reason for a key that stands in its mapping twice."""
    ordered = sorted(lines)
    places = ", ".join(f"{file}:{line}" for line in ordered)
    return Obstacle("duplicate-key", f"a key on the way to {key} stands there twice: {places}", file, ordered[-1])


# -- finding tags ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlacedScalar:
    """A scalar at one of the places that it feeds.

    Attributes:
        path: the keys.
        node: the scalar; the same at every place that an alias of it feeds.
        siblings: the keys beside it that may say what it is.
        doubles: lines of the keys on its path that stand in their mapping twice.
        in_list: whether a list is on its path.
    """

    path: KeyPath
    node: yaml.ScalarNode
    siblings: frozenset[str]
    doubles: tuple[int, ...]
    in_list: bool


def placed_scalars(root: yaml.Node) -> Iterator[PlacedScalar]:
    """Every scalar of a document at every place that it feeds, aliases followed.

    Raises:
        _TooMuchError: the document is nested too deeply, or has too many aliases.
    """
    if not isinstance(root, yaml.ScalarNode):
        yield from _Walk().below(root, (), (), False, ())


class _Walk:
    """Goes through a document, with a limit to what a few aliases can make of it."""

    def __init__(self) -> None:
        self._visits_left = _MOST_VISITS

    def below(
        self, node: yaml.Node, path: KeyPath, doubles: tuple[int, ...], in_list: bool, above: tuple[int, ...]
    ) -> Iterator[PlacedScalar]:
        """The scalars below a mapping or a list.

        Args:
            above: ids of the collections it is in; one that holds itself is not followed.
        """
        self._visits_left -= 1
        if self._visits_left < 0 or len(path) > _DEEPEST:
            raise _TooMuchError("nested too deeply, or too many aliases")
        if id(node) in above:
            return
        above = (*above, id(node))
        is_list = isinstance(node, yaml.SequenceNode)
        siblings, entries = (frozenset[str](), _items(node)) if is_list else _entries(node)
        in_list = in_list or is_list
        for key, value, lines in entries:
            doubles_here = (*doubles, *lines) if len(lines) > 1 else doubles
            if isinstance(value, yaml.ScalarNode):
                yield PlacedScalar((*path, key), value, siblings, doubles_here, in_list)
            else:
                yield from self.below(value, (*path, key), doubles_here, in_list, above)


def _items(node: yaml.Node) -> list[Entry]:
    """The items of a list, with their numbers for keys."""
    return [(str(number), item, ()) for number, item in enumerate(node.value)]


def _entries(node: yaml.Node) -> tuple[frozenset[str], list[Entry]]:
    """The keys of a mapping that may say what stands beside them, and its entries.

    An image that holds its tag says nothing of a `version` beside it: that is no tag of it.
    """
    entries = merged(node)
    siblings = set()
    for name, value, _ in entries:
        holds_tag = isinstance(value, yaml.ScalarNode) and embedded(value.value) is not None
        if name not in IMAGE_BESIDE_VERSION or not holds_tag:
            siblings.add(name)
    return frozenset(siblings), entries


@dataclass(frozen=True)
class _Use:
    """One place that a scalar feeds, and what it is there; None for no tag."""

    path: KeyPath
    kind: TagKind | None
    doubles: tuple[int, ...]


def _tags(document: Document, root: yaml.Node) -> Iterator[tuple[KeyPath, Scalar]]:
    """Every tag of a document under each of its paths."""
    uses_by_node: dict[int, list[_Use]] = {}
    nodes: dict[int, yaml.ScalarNode] = {}
    for placed in placed_scalars(root):
        node = placed.node
        kind = classify(placed.path, node.value, placed.siblings, placed.in_list)
        if kind is not None or id(node) in nodes or _has_properties(document, node):
            nodes[id(node)] = node
            uses_by_node.setdefault(id(node), []).append(_Use(placed.path, kind, placed.doubles))
    for key, uses in uses_by_node.items():
        if all(use.kind is None for use in uses):
            continue
        scalar = _scalar(document, nodes[key], uses)
        if scalar is None:
            continue
        for use in uses:
            if use.kind is not None:
                yield use.path, scalar


def _has_properties(document: Document, node: yaml.ScalarNode) -> bool:
    """Whether an anchor or a YAML tag stands before a scalar."""
    return document.text[node.start_mark.index : node.start_mark.index + 1] in ("&", "!")


def _scalar(document: Document, node: yaml.ScalarNode, uses: Sequence[_Use]) -> Scalar | None:
    """The scalar with its exact place and what speaks against editing it; None for a truth value."""
    path = uses[0].path
    if node.tag == _BOOL and path[-1] != "version":
        return None
    null = is_null(node)
    token: yaml.ScalarNode | yaml.ScalarToken | None = None if null else node
    if token is not None and _has_properties(document, node):
        token = document.token(node)
    stands_at = token or node
    image = embedded(node.value, path[-1]) if path[-1] != "version" else None
    name, tag = image or ("", node.value)
    return Scalar(
        file=document.file,
        path=path,
        paths=tuple(use.path for use in uses),
        kinds=tuple(use.kind for use in uses),
        value=node.value,
        tag=tag,
        name=name,
        start=stands_at.start_mark.index,
        end=stands_at.end_mark.index,
        style=(token.style or "") if token else "",
        line=node.start_mark.line + 1,
        problem=_problem(document, node, token, uses),
        null=null,
    )


def _problem(
    document: Document,
    node: yaml.ScalarNode,
    token: yaml.ScalarNode | yaml.ScalarToken | None,
    uses: Sequence[_Use],
) -> Obstacle | None:
    """Why a scalar cannot be edited, None if it can."""
    path = uses[0].path
    file, line, key = document.file, node.start_mark.line + 1, ".".join(path)
    double_lines: set[int] = set()
    for use in uses:
        double_lines.update(use.doubles)
    if double_lines:
        return doubled(file, key, double_lines)
    stands_at = token or node
    if MASK in document.shown[stands_at.start_mark.index : stands_at.end_mark.index] or MASK in node.value:
        return Obstacle("template", f"{key} is a Go template", file, line)
    if is_null(node) or not node.value:
        return Obstacle("no-value", f"{key} has no value", file, line)
    if any(leaf_at(root, path) is not None for root in document.more):
        return Obstacle("documents", f"{key} stands in several documents of the file", file, line)
    if token is None:
        return Obstacle("no-token", f"{key} is no single value", file, line)
    if token.style in ("|", ">"):
        return Obstacle("block-scalar", f"{key} is a block scalar", file, line)
    return None
