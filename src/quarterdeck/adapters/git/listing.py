"""Read a listing of a git tree, and follow its symlinks to the files where they end. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.charts.reading.sharers import flat

_MAX_CHAIN = 10


@dataclass(frozen=True)
class Listing:
    """What `git ls-tree -r -z -l` says of a commit.

    Attributes:
        files: path of a regular file -> blob id.
        sizes: path of a regular file -> bytes.
        symlinks: path of a symlink -> blob id of its text.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    symlinks: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, output: bytes) -> Listing:
        """Read git's output; submodules are left out."""
        files: dict[str, str] = {}
        sizes: dict[str, int] = {}
        symlinks: dict[str, str] = {}
        for entry in output.decode(errors="surrogateescape").split("\0"):
            if not entry:
                continue
            head, _, path = entry.partition("\t")
            mode, kind, blob, size = head.split()
            if mode == "120000":
                symlinks[path] = blob
            elif kind == "blob":
                files[path], sizes[path] = blob, int(size)
        return cls(files, sizes, symlinks)

    def links(self, texts: Mapping[str, bytes]) -> dict[str, str]:
        """Path of a symlink, or of a file in a linked folder -> the file there; what leads nowhere is left out.

        Args:
            texts: blob id of a symlink -> its text.
        """
        steps = {
            path: end
            for path, blob in self.symlinks.items()
            if (end := target(path, texts[blob].decode(errors="surrogateescape"))) is not None
        }
        return flat({path: end for path in steps if (end := real(path, steps)) is not None}, self.files)

    def lost(self, links: Mapping[str, str]) -> frozenset[str]:
        """The symlinks that lead nowhere, or out of the repository.

        Args:
            links: what the others lead to.
        """
        leading: set[str] = set()
        for path in links:
            parts = path.split("/")
            leading.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        return frozenset(self.symlinks) - leading


def real(path: str, steps: Mapping[str, str]) -> str | None:
    """Where a path ends when every symlink in it is followed; None if it goes in a circle."""
    for _ in range(_MAX_CHAIN):
        parts = path.split("/")
        for count in range(1, len(parts) + 1):
            step = steps.get("/".join(parts[:count]))
            if step is not None:
                path = posixpath.join(step, *parts[count:])
                break
        else:
            return path
    return None


def target(link: str, text: str) -> str | None:
    """What a symlink's text means from the repository's root; None if it leads out of it."""
    if text.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
    return None if path == ".." or path.startswith("../") else path
