"""Proves that an edit of a file changed exactly the leaves it was meant to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from quarterdeck.core.charts.conventions import is_values_file
from quarterdeck.core.charts.editing.choosing import ScalarEdit
from quarterdeck.core.charts.editing.pinning import Insertion
from quarterdeck.core.charts.editing.request import FileChange
from quarterdeck.core.charts.keys import KeyPath
from quarterdeck.core.charts.reading.document import Document, Scalar
from quarterdeck.core.charts.reading.files import ParsedFiles
from quarterdeck.core.charts.refusals import refuse

#: path, type, value
Leaf = tuple[KeyPath, str, str]
_DEEPEST = 100
_STRING, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
#: what is gone may have been of any type
_ANY_TYPE = ""


def leaves(document: Document | None) -> Counter[Leaf]:
    """Every scalar with its path and type, an aliased one at its definition only, doubles counted; none of no file.

    The first key of a path is the number of the document.
    """
    counted: Counter[Leaf] = Counter()
    roots = (document.root, *document.more) if document else ()
    for number, root in enumerate(roots):
        if root is not None:
            counted.update(_leaves(root, (str(number),), set(), 0))
    return counted


def _leaves(node: yaml.Node, path: KeyPath, seen: set[int], depth: int) -> Iterator[Leaf]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield path, node.tag, node.value
    elif depth > _DEEPEST:
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
        for number, item in enumerate(node.value):
            yield from _leaves(item, (*path, str(number)), seen, depth + 1)


@dataclass(frozen=True)
class IntendedChanges:
    """What an edit is meant to do to leaves.

    Attributes:
        edits: scalars that get another value, or quotes that make them strings.
        insertions: values that come.
        gone: scalars that go.
    """

    edits: Sequence[ScalarEdit]
    insertions: Sequence[Insertion] = ()
    gone: Sequence[Scalar] = ()

    def in_file(self, file: str) -> IntendedChanges:
        """Those of one file."""
        return IntendedChanges(
            [edit for edit in self.edits if edit.scalar.file == file],
            [insertion for insertion in self.insertions if insertion.file == file],
            [scalar for scalar in self.gone if scalar.file == file],
        )

    def lost(self) -> Counter[Leaf]:
        """The leaves that should be gone; of any type."""
        lost = Counter((edit.scalar.path, _ANY_TYPE, edit.scalar.value) for edit in self.edits)
        lost.update((scalar.path, _ANY_TYPE, scalar.value) for scalar in self.gone)
        return lost

    def won(self) -> Counter[Leaf]:
        """The leaves that should have come, all of them strings."""
        won: Counter[Leaf] = Counter()
        for edit in self.edits:
            value = f"{edit.scalar.name}:{edit.tag}" if edit.scalar.name else edit.tag
            won[edit.scalar.path, _STRING, value] += 1
        for insertion in self.insertions:
            won[insertion.path, _STRING, insertion.value] += 1
        return won

    def fills(self, path: KeyPath, tag: str, value: str) -> bool:
        """Whether a leaf is an empty block that a value is put into: that is no loss."""
        empty = tag == "{}" or (tag == _NULL and value == "")
        return empty and any(insertion.path[: len(path)] == path for insertion in self.insertions)


def prove_files(
    files: ParsedFiles, edited: ParsedFiles, changes: Sequence[FileChange], intended: IntendedChanges
) -> None:
    """Refuse unless each file's leaves differ by exactly what was planned for it.

    Raises:
        RefusedError: the file and what is wrong.
    """
    for change in changes:
        if not is_values_file(change.path):
            raise refuse("no-values-file", "only values files are edited", change.path)
        new = edited.document(change.path)
        if new is not None and new.broken is not None:
            raise refuse("unproven", f"the edit would leave no YAML: {new.broken.reason}", change.path, new.broken.line)
        if not _differs_as_intended(files.document(change.path), new, intended.in_file(change.path)):
            has_final_newline = (change.old or b"").endswith(b"\n")
            hint = "" if has_final_newline else "; the file has no final newline, and a new one would matter"
            reason = f"the edit would change more than the tag{hint}"
            raise refuse("unproven", reason, change.path, change.spans[0].line)


def _differs_as_intended(old: Document | None, new: Document | None, intended: IntendedChanges) -> bool:
    """Whether the leaves of a file that are gone and that have come are those that should; a file may go as a whole."""
    before, after = leaves(old), leaves(new)
    won: Counter[Leaf] = Counter()
    for (path, tag, value), count in (after - before).items():
        won[path[1:], tag, value] += count
    if won != intended.won():
        return False
    if new is None:
        return True
    lost: Counter[Leaf] = Counter()
    for (path, tag, value), count in (before - after).items():
        if not intended.fills(path[1:], tag, value):
            lost[path[1:], _ANY_TYPE, value] += count
    return lost == intended.lost()
