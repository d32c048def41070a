"""Proves that an edit of a file changed exactly the leaves it was meant to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import yaml

from quarterdeck.core.charts.conventions import is_values_file
from quarterdeck.core.charts.editing.choosing import ScalarEdit
from quarterdeck.core.charts.editing.pinning import Insertion
from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.keys import KeyPath
from quarterdeck.core.charts.reading.document import Document, Scalar
from quarterdeck.core.charts.reading.layers import ParsedFiles
from quarterdeck.core.charts.refusals import refuse

Leaf = tuple[KeyPath, str, str]
_DEPTH = 100
_STRING = "tag:yaml.org,2002:str"


def leaves(document: Document) -> Counter[Leaf]:
    """Every scalar with its path and type, an aliased part at its definition only, doubles counted."""
    found: Counter[Leaf] = Counter()
    for number, root in enumerate((document.root, *document.more)):
        if root is not None:
            found.update(_leaves(root, (str(number),), set(), 0))
    return found


def _leaves(node: yaml.Node, path: KeyPath, seen: set[int], depth: int) -> Iterator[Leaf]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node.tag, node.value
    elif depth > _DEPTH:
        raise refuse("yaml", "the file is nested too deeply")
    elif isinstance(node, yaml.MappingNode):
        if not node.value:
            yield path, "{}", ""
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else "?"
            yield from _leaves(value, (*path, name), seen, depth + 1)
    else:
        if not node.value:
            yield path, "[]", ""
        for place, item in enumerate(node.value):
            yield from _leaves(item, (*path, str(place)), seen, depth + 1)


def prove_files(
    shelf: ParsedFiles,
    edited: ParsedFiles,
    changes: Sequence[FileChange],
    edits: Sequence[ScalarEdit],
    inserts: Sequence[Insertion],
    gone: Sequence[Scalar],
) -> None:
    """Refuse unless each file's leaves differ by exactly what was planned for it.

    Raises:
        RefusedError: the file and what is wrong.
    """
    for change in changes:
        if not is_values_file(change.path):
            raise refuse("no-values-file", "only values files are edited", change.path)
        old = shelf.full(change.path)
        new = edited.full(change.path)
        if new is not None and new.broken is not None:
            raise refuse("unproven", f"the edit would leave no YAML: {new.broken.reason}", change.path, new.broken.line)
        before = leaves(old) if old else Counter()
        after = leaves(new) if new else Counter()
        lost, won = before - after, after - before
        want_won = Counter(
            [(*_value(t.scalar.name, t.tag), t.scalar.path) for t in edits if t.scalar.file == change.path]
        )
        want_won.update((*_value("", i.value), i.path) for i in inserts if i.file == change.path)
        want_lost = Counter([(t.scalar.value, t.scalar.path) for t in edits if t.scalar.file == change.path])
        want_lost.update((s.value, s.path) for s in gone if s.file == change.path)
        got_won = Counter([(value, tag, path[1:]) for (path, tag, value), n in won.items() for _ in range(n)])
        got_lost = Counter(
            [
                (value, path[1:])
                for (path, tag, value), n in lost.items()
                for _ in range(n)
                if not _hollow(path[1:], tag, value, inserts, change)
            ]
        )
        if change.new is None:
            want_lost = got_lost = Counter()
        if got_won != want_won or got_lost != want_lost:
            hint = (
                ""
                if (change.old or b"").endswith(b"\n")
                else "; the file has no final newline, and a new one would matter"
            )
            raise refuse(
                "unproven", f"the edit would change more than the tag{hint}", change.path, change.spans[0].line
            )


def _value(name: str, tag: str) -> tuple[str, str]:
    return (f"{name}:{tag}" if name else tag), _STRING


def _hollow(path: KeyPath, tag: str, value: str, inserts: Sequence[Insertion], change: FileChange) -> bool:
    """An empty block that a pin fills is no loss."""
    empty = tag == "{}" or (tag == "tag:yaml.org,2002:null" and value == "")
    return empty and any(i.file == change.path and i.path[: len(path)] == path for i in inserts)
