"""A git repository in memory: one branch's commits, shared by the fakes of Gerrit and of the charts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FakeCommit:
    """One commit: its whole tree, and where it came from.

    Attributes:
        files: path -> bytes.
        links: path of a symlink -> real path it leads to.
    """

    sha: str
    parent: str
    message: str
    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)


class FakeRepository:
    """One branch that only grows.

    Attributes:
        commits: sha -> commit, also those that are on no branch (patch sets).
        head: the branch's newest commit.
    """

    def __init__(self, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> None:
        self.commits: dict[str, FakeCommit] = {}
        self.head = ""
        self.head = self.make("initial", files, links).sha

    def make(
        self, message: str, files: Mapping[str, bytes], links: Mapping[str, str] | None = None, parent: str = ""
    ) -> FakeCommit:
        """A commit that is not on the branch; its parent is the head unless another is given."""
        parent = parent or self.head
        if links is None and parent:
            links = self.commits[parent].links
        seed = repr((len(self.commits), parent, message, sorted(files.items())))
        sha = hashlib.sha1(seed.encode(), usedforsecurity=False).hexdigest()
        commit = FakeCommit(sha, parent, message, dict(files), dict(links or {}))
        self.commits[sha] = commit
        return commit

    def push(self, changed: Mapping[str, bytes], message: str = "somebody's work") -> str:
        """Put a commit with some changed files on the branch, as a person would; its sha."""
        self.head = self.make(message, {**self.files, **changed}).sha
        return self.head

    @property
    def files(self) -> Mapping[str, bytes]:
        """The files at the head."""
        return self.commits[self.head].files

    @property
    def links(self) -> Mapping[str, str]:
        """The symlinks at the head."""
        return self.commits[self.head].links

    def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors."""
        while commit:
            if commit == ancestor:
                return True
            commit = self.commits[commit].parent if commit in self.commits else ""
        return False
