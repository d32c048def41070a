"""The files of a charts repository at one moment, each parsed when it is first asked for and never again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.reading import helmfile as helmfiles
from quarterdeck.core.charts.reading.document import Document, parse
from quarterdeck.core.charts.reading.helmfile import Helmfile

#: what stands for the content of a symlink that leads nowhere or out of the charts: it is there, and is no YAML
UNREADABLE = b"{a symlink that leads nowhere or out of the checkout"
#: files as edits left them that stay parsed
_MOST_EDITED = 50


class FileTree(Protocol):
    """Files at one moment; paths are from the root of the charts repository."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Real path -> content."""
        ...

    @property
    def links(self) -> Mapping[str, str]:
        """Path of a symlink, or of a file in a linked folder -> real path of the file."""
        ...

    @property
    def sharers(self) -> Mapping[str, tuple[str, ...]]:
        """Real path -> the services that read it."""
        ...


@dataclass
class WorkCounts:
    """How often each file was parsed and how many edits were computed: what tests and benchmarks read.

    Attributes:
        helmfiles: real path -> times.
        values: the same for values files as the commit has them.
        edited: the same for values files that an edit has changed.
        edits: how many edits were computed.
    """

    helmfiles: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    edited: Counter[str] = field(default_factory=Counter)
    edits: int = 0


class ParsedFiles:
    """Parsed files, each parsed once; an edit's files may be laid over those of the tree.

    Attributes:
        tree: the files as the commit has them.
        changes: real path -> content that takes the place of the tree's; None where the file is gone.
        counts: how often each file was parsed, together with all that these files were made of or became.
    """

    def __init__(self, tree: FileTree) -> None:
        self.tree = tree
        self.changes: Mapping[str, bytes | None] = {}
        self.counts = WorkCounts()
        self._helmfiles: dict[str, Helmfile] = {}
        self._documents: dict[str, Document] = {}
        self._edited: dict[tuple[str, bytes], Document] = {}  # by content, because one file may be edited in many ways

    def with_changes(self, changes: Mapping[str, bytes | None]) -> ParsedFiles:
        """These files after an edit of values files; what it leaves as it is stays parsed, for both."""
        edited = self.within(self.tree)
        edited.changes = {**self.changes, **changes}
        return edited

    def within(self, tree: FileTree) -> ParsedFiles:
        """The same in another tree of the same commit; what is parsed for one of the two is parsed for both."""
        other = ParsedFiles(tree)
        other.changes, other.counts = self.changes, self.counts
        other._helmfiles, other._documents, other._edited = self._helmfiles, self._documents, self._edited
        return other

    def real(self, path: str) -> str:
        """A path with its symlink followed."""
        return self.tree.links.get(path, path)

    def content(self, real: str) -> bytes | None:
        """What a file holds, None if there is no such file."""
        return self.changes[real] if real in self.changes else self.tree.files.get(real)

    def document(self, real: str) -> Document | None:
        """A values file, None if there is no such file."""
        if real in self.changes:
            return self._edited_document(real, self.changes[real])
        if real not in self._documents:
            content = self.content(real)
            if content is None:
                return None
            self.counts.values[real] += 1
            self._documents[real] = parse(real, content)
        return self._documents[real]

    def _edited_document(self, real: str, content: bytes | None) -> Document | None:
        if content is None:
            return None
        if (real, content) not in self._edited:
            if len(self._edited) >= _MOST_EDITED:
                self._edited.clear()
            self.counts.edited[real] += 1
            self._edited[real, content] = parse(real, content)
        return self._edited[real, content]

    def helmfile(self, folder: str) -> Helmfile:
        """The helmfile of a folder; an empty one where there is none."""
        for name in HELMFILE_NAMES:
            real = self.real(f"{folder}/{name}")
            content = self.tree.files.get(real)
            if content is None:
                continue
            if real not in self._helmfiles:
                self.counts.helmfiles[real] += 1
                self._helmfiles[real] = helmfiles.read(content)
            return self._helmfiles[real]
        return helmfiles.read(b"")

    def sharers_of(self, real: str) -> tuple[str, ...]:
        """The services that read a file."""
        return self.tree.sharers.get(real, ())
