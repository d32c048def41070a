"""Proves, from the bytes alone, the limit of what the bot writes: values files only, and in them image tags only.

This is a second opinion on an edit. It shares no code with what plans and makes one; of what the edit was meant to do
it knows nothing. It parses the old and the new text as they stand, and `keys.classify` says which leaves are tags;
what is no YAML with its templates in it gets no vote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import yaml

from quarterdeck.core.charts.conventions import CHART_FOLDERS, is_values_file
from quarterdeck.core.charts.keys import TAG, KeyPath, TagKind, classify, dotted, embedded, is_helper, is_holder
from quarterdeck.core.model.errors import EditRefusedError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOM = "\ufeff"
_STRING, _NULL, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
_NO_TAG = frozenset({_NULL, "tag:yaml.org,2002:bool"})
_DEEPEST = 60  #: keys on a path
_MOST_VISITS = 100_000  #: nodes of a file, counted anew behind each alias
_PROPERTIES = re.compile(r"(?:[&!]\S*[ \t]+)*")
_TOKEN = re.compile(r"[\s{}:,\"']|[^\s{}:,\"']+")
_WORD = re.compile(r"[^\s{}:,\"']+")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*", re.MULTILINE)
_CUT = "\0"  #: stands in no YAML


def prove(before: Mapping[str, bytes], after: Mapping[str, bytes], services_dir: str) -> None:
    """Refuse unless the new files differ from the old ones by image tags in values files, and by no other byte.

    A tag is a service's own or another image's (a helper's is beyond the limit), it is a plain string afterwards, and
    of `name:tag` the name stays. A tag may also come whole, or go with its line, and with it the block that holds
    nothing else; a name that comes with it must stand in the old files already.

    Args:
        before: path from the root -> content; files that do not change may be among them.
        after: the new contents of those files that change; none goes.
        services_dir: folder whose entries are the services' folders.

    Raises:
        EditRefusedError: the file and what is wrong.
    """
    for path in sorted(after):
        if not _is_services_values_file(path, services_dir):
            raise EditRefusedError(f"{path} is no values file of a service")
        _prove(_Text(path, before.get(path, b"")), _Text(path, after[path]), before)


def _is_services_values_file(path: str, services_dir: str) -> bool:
    """Whether a path is that of a values file in a service's folder, and not in a chart or hidden folder there."""
    if not path.startswith(f"{services_dir}/") or not is_values_file(path):
        return False
    parts = path.removeprefix(f"{services_dir}/").split("/")
    if len(parts) < 2 or any(part.startswith(".") or not part for part in parts):
        return False
    return CHART_FOLDERS.isdisjoint(parts[1:-1])


#: number of the document, and keys
_Place = tuple[int, KeyPath]


@dataclass
class _Leaf:
    """A scalar or an empty collection.

    Attributes:
        place: number of the document and keys where it is defined.
        kinds: what it is at each place that it feeds, this one included.
        helper: one of these places is a helper's.
    """

    node: yaml.Node
    place: _Place
    kinds: list[TagKind | None] = field(default_factory=list)
    helper: bool = False

    @property
    def value(self) -> str:
        """As YAML reads it."""
        return self.node.value if isinstance(self.node, yaml.ScalarNode) else ""

    @property
    def tag(self) -> str:
        """YAML's type."""
        return str(self.node.tag)

    @property
    def parts(self) -> tuple[str, str]:
        """Name of an image string, or ""; and the tag."""
        key = self.place[1][-1] if self.place[1] else ""
        return (embedded(self.value, key) if key != "version" else None) or ("", self.value)


class _Text:
    """A file as characters and as the leaves it holds."""

    def __init__(self, path: str, raw: bytes) -> None:
        self.path = path
        try:
            text = raw.decode("utf-8")
            self.bom, self.text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
            self.roots = list(yaml.compose_all(self.text, Loader=_LOADER))
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
            raise EditRefusedError(f"{path} is no plain YAML") from error

    @cached_property
    def leaves(self) -> tuple[_Leaf, ...]:
        """Every leaf once, at its definition."""
        reader = _Reader(self.path)
        for number, root in enumerate(self.roots):
            if root is not None:
                reader.walk(root, (number, ()), frozenset(), listed=False, twice=False, above=())
        return tuple(reader.found.values())

    def counted(self) -> Counter[tuple[_Place, str, str]]:
        """Place, type and value of each leaf."""
        return Counter((leaf.place, leaf.tag, leaf.value) for leaf in self.leaves)

    def span(self, leaf: _Leaf) -> tuple[int, int]:
        """Where a scalar stands, without its anchor and without what names its type."""
        start, end = leaf.node.start_mark.index, leaf.node.end_mark.index
        match = _PROPERTIES.match(self.text, start, end)
        return (match.end() if match else start), end

    def without(self, leaves: Iterable[_Leaf]) -> str:
        """The text with those scalars cut out."""
        text = self.text
        for start, end in sorted((self.span(leaf) for leaf in leaves), reverse=True):
            text = text[:start] + _CUT + text[end:]
        return text

    def refusal(self, leaf: _Leaf, why: str) -> EditRefusedError:
        """What is wrong with a leaf."""
        return EditRefusedError(f"{self.path}:{leaf.node.start_mark.line + 1} {dotted(leaf.place[1])} {why}")


Entry = tuple[str, yaml.Node, bool]


class _Reader:
    """Finds the leaves of a document with all the places they feed, aliases and merge keys followed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.found: dict[int, _Leaf] = {}
        self._merged: dict[int, list[Entry]] = {}
        self._left = _MOST_VISITS

    def walk(
        self,
        node: yaml.Node,
        place: _Place,
        beside: frozenset[str],
        *,
        listed: bool,
        twice: bool,
        above: tuple[int, ...],
    ) -> None:
        """Look at a node and at what is below it.

        Args:
            beside: the keys of the mapping it stands in.
            listed: a list is on the way.
            twice: a key on the way stands in its mapping twice.
            above: the collections it is in.
        """
        number, path = place
        self._left -= 1
        if self._left < 0 or len(path) > _DEEPEST:
            raise EditRefusedError(f"{self.path} is nested too deeply, or has too many aliases")
        if id(node) in above:
            return
        if isinstance(node, yaml.ScalarNode) or not node.value:
            leaf = self.found.setdefault(id(node), _Leaf(node, place))
            scalar = isinstance(node, yaml.ScalarNode) and path and not twice
            kind = classify(path, node.value, beside, listed) if scalar else None
            if kind or not (scalar and leaf.place == place and is_holder(path)):  # a holder is what it feeds
                leaf.kinds.append(kind)
            leaf.helper = leaf.helper or bool(path and is_helper(path))
            return
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            entries = self._entries(node)
            beside = frozenset(name for name, _, _ in entries)
            for name, value, double in entries:
                inner = (number, (*path, name))
                self.walk(value, inner, beside, listed=listed, twice=twice or double, above=above)
        else:
            for count, value in enumerate(node.value):
                inner = (number, (*path, str(count)))
                self.walk(value, inner, frozenset(), listed=True, twice=twice, above=above)

    def _entries(self, node: yaml.MappingNode) -> list[Entry]:
        """(key, value, whether it stands there twice), what merge keys bring in after the own ones."""
        if id(node) in self._merged:
            return self._merged[id(node)]
        self._merged[id(node)] = []  # what merges itself adds nothing
        own = [(_name(key), value) for key, value in node.value if key.tag != _MERGE]
        count = Counter(name for name, _ in own)
        entries = [(name, value, count[name] > 1) for name, value in own]
        for base in self._bases(node):
            for name, value, double in self._entries(base):
                if name not in count:
                    count[name] += 1
                    entries.append((name, value, double))
        self._merged[id(node)] = entries
        return entries

    @staticmethod
    def _bases(node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
        for key, value in node.value:
            if key.tag == _MERGE:
                for base in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(base, yaml.MappingNode):
                        yield base


def _name(key: yaml.Node) -> str:
    return str(key.value) if isinstance(key, yaml.ScalarNode) else "?"


def _prove(old: _Text, new: _Text, before: Mapping[str, bytes]) -> None:
    """Refuse unless a file's leaves and characters differ by image tags alone."""
    lost, won = _differing_leaves(old, new)
    replaced = sorted(lost.keys() & won.keys())
    gone = [leaf for place, leaf in lost.items() if place not in won and not _hollow(leaf, won)]
    come = [leaf for place, leaf in won.items() if place not in lost and not _hollow(leaf, lost)]
    for place in replaced:
        _check(old, lost[place])
        _check(new, won[place], written=True)
        if lost[place].parts[0] != won[place].parts[0]:
            raise new.refusal(won[place], "would be another image")
    for leaf in gone:
        _check(old, leaf)
    for leaf in come:
        _check(new, leaf, written=True)
        if leaf.parts[0] and leaf.parts[0] not in _images(before):
            raise new.refusal(leaf, "would be another image")
    old_rest = old.without(lost[place] for place in replaced)
    new_rest = new.without(won[place] for place in replaced)
    if old.bom != new.bom or (old_rest != new_rest and not (gone or come)):
        raise EditRefusedError(f"{old.path}: more than the tag would change")
    if old_rest != new_rest:
        _check_rest(old.path, old_rest, new_rest, gone, come)


def _differing_leaves(old: _Text, new: _Text) -> tuple[dict[_Place, _Leaf], dict[_Place, _Leaf]]:
    """The leaves that are lost and those that are won, by place.

    Raises:
        EditRefusedError: one of them stands there twice.
    """
    count_before, count_after = old.counted(), new.counted()
    fewer, more = count_before - count_after, count_after - count_before
    lost = {leaf.place: leaf for leaf in old.leaves if (leaf.place, leaf.tag, leaf.value) in fewer}
    won = {leaf.place: leaf for leaf in new.leaves if (leaf.place, leaf.tag, leaf.value) in more}
    if len(lost) != fewer.total() or len(won) != more.total():
        raise EditRefusedError(f"{old.path}: what changes stands there twice")
    return lost, won


def _check(text: _Text, leaf: _Leaf, *, written: bool = False) -> None:
    """Refuse unless a leaf is an image tag; *written*: by us, so it must be as plain as can be.

    Raises:
        EditRefusedError: it is something else.
    """
    if leaf.place[0]:
        raise text.refusal(leaf, "is not in the first document, and no other is read")
    feeds_tags_only = None not in leaf.kinds and not leaf.helper
    feeds_image = TagKind.MAIN in leaf.kinds or TagKind.IMAGE in leaf.kinds
    looks_like_tag = leaf.tag not in _NO_TAG and TAG.fullmatch(leaf.parts[1].removeprefix("sha256:"))
    if not (feeds_tags_only and feeds_image and looks_like_tag):
        raise text.refusal(leaf, "is no image tag that the bot may write")
    start, end = text.span(leaf)
    characters = text.text[start:end]
    plain = {leaf.value, f'"{leaf.value}"', f"'{leaf.value}'"}
    if written and (leaf.tag != _STRING or characters not in plain):
        raise text.refusal(leaf, "would be no plain string")
    if "\n" in characters:
        raise text.refusal(leaf, "stands on several lines")


def _hollow(leaf: _Leaf, others: Iterable[_Place]) -> bool:
    """A block that holds nothing, where tags come or go below it."""
    empty = isinstance(leaf.node, yaml.MappingNode) or (leaf.tag == _NULL and not leaf.value)
    return empty and any(_is_below(place, leaf.place) for place in others)


def _is_below(place: _Place, above: _Place) -> bool:
    (number, path), (number_above, path_above) = place, above
    return number == number_above and len(path) > len(path_above) and path[: len(path_above)] == path_above


def _images(before: Mapping[str, bytes]) -> set[str]:
    """The names of all images that stand as `name:tag` in the old files."""
    names: set[str] = set()
    for path, raw in before.items():
        if not is_values_file(path):
            continue
        try:
            names |= {leaf.parts[0] for leaf in _Text(path, raw).leaves if any(leaf.kinds)}
        except EditRefusedError:  # a file that cannot be read names none
            continue
    return names


def _check_rest(path: str, old: str, new: str, gone: Sequence[_Leaf], come: Sequence[_Leaf]) -> None:
    """Refuse unless the lines that differ hold only the keys and tags of what comes and goes.

    Raises:
        EditRefusedError: a comment or anything else would change.
    """
    old = _bared(old, gone)
    wrong = EditRefusedError(f"{path}: more than the tag would change")
    if _COMMENT.findall(old) != _COMMENT.findall(new):
        raise wrong
    words_gone, words_come = _words(gone), _words(come)
    for old_lines, new_lines in _differing(old.splitlines(keepends=True), new.splitlines(keepends=True)):
        old_tokens, new_tokens = _TOKEN.findall("".join(old_lines)), _TOKEN.findall("".join(new_lines))
        taken_out, put_in = set[str](), set[str]()
        for fewer, more in _differing(old_tokens, new_tokens):
            taken_out |= set(filter(_WORD.match, fewer))
            put_in |= set(filter(_WORD.match, more))
        blank = not any(map(_WORD.match, (*old_tokens, *new_tokens)))
        if not (taken_out <= words_gone and put_in <= words_come):
            raise wrong
        if not (taken_out or put_in or blank):
            raise wrong


def _differing(old: list[str], new: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    """What differs between two lists, piece by piece."""
    from difflib import SequenceMatcher

    head = _alike(old, new)
    old, new = old[head:], new[head:]
    tail = _alike(old[::-1], new[::-1])
    old, new = old[: len(old) - tail], new[: len(new) - tail]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in matcher.get_opcodes():
        if kind != "equal":
            yield old[old_start:old_end], new[new_start:new_end]


def _alike(first: list[str], second: list[str]) -> int:
    """How many items are the same from the beginning."""
    count = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        count += 1
    return count


def _bared(text: str, gone: Iterable[_Leaf]) -> str:
    """The text without the comments that stand behind what goes: those are of the tag."""
    lines = text.split("\n")
    for leaf in gone:
        number = leaf.node.start_mark.line
        lines[number] = _COMMENT.sub("", lines[number])
    return "\n".join(lines)


def _words(leaves: Iterable[_Leaf]) -> set[str]:
    """The words of the keys and values of leaves."""
    words: set[str] = set()
    for leaf in leaves:
        for text in (*leaf.place[1], leaf.value):
            words.update(_WORD.findall(text))
    return words
