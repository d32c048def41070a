"""The charts repository, read at a pinned commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Tree:
    """The text files of a service's directory at one commit, what they lead to, and the directories that share it.

    "Lead to" is by symlink, or by a path that the helmfile names; whoever reaches one of those files too is a sharer,
    and its directory is there as well, so that the effect of an edit on it can be computed.

    Attributes:
        commit: sha.
        files: path from the repository's root -> bytes.
        links: path of a symlink, or of a file in a linked folder -> real path of the file, both from the root.
        sharers: real path -> services that reach it.
    """

    commit: str
    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    sharers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Charts(Protocol):
    """The charts repository, read at a pinned commit."""

    async def tip(self) -> str:
        """Fetch, and return the branch's newest commit."""
        ...

    async def tree(self, commit: str, service: str) -> Tree:
        """The directory of a service at a commit.

        Raises:
            AbsentError: no such directory there.
        """
        ...

    async def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors."""
        ...
