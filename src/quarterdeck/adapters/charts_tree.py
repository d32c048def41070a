"""Find out which files a service's directory reaches, by itself and by symlink, in a listing of a git tree. Pure."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

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


@dataclass(frozen=True)
class Reach:
    """Who reaches what.

    Attributes:
        services_dir: directory whose entries are the services.
        files: all regular files of the commit.
        links: path of a symlink -> where it points, from the repository's root, one step.
    """

    services_dir: str
    files: frozenset[str]
    links: Mapping[str, str]

    def real(self, path: str) -> str | None:
        """Where a path ends when every symlink in it is followed; None if it leads nowhere or in a circle."""
        for _ in range(_MAX_CHAIN):
            parts = path.split("/")
            for count in range(1, len(parts) + 1):
                target = self.links.get("/".join(parts[:count]))
                if target is not None:
                    path = posixpath.join(target, *parts[count:])
                    break
            else:
                return path
        return None

    def below(self, directory: str) -> frozenset[str]:
        """The files in a directory, or the file itself."""
        if directory in self.files:
            return frozenset({directory})
        first = bisect_left(self._ordered, f"{directory}/")
        return frozenset(self._ordered[first : bisect_left(self._ordered, f"{directory}0", first)])

    @cached_property
    def _ordered(self) -> list[str]:
        return sorted(self.files)

    def of(self, service: str) -> tuple[frozenset[str], dict[str, str]]:
        """The files a service's directory reaches, and its symlinks with their ends."""
        home = f"{self.services_dir}/{service}"
        if home in self.files:
            return frozenset(), {}
        reached: set[str] = set()
        ends: dict[str, str] = {}
        todo = [home]
        seen: set[str] = set()
        while todo:
            place = todo.pop()
            if place in seen:
                continue
            seen.add(place)
            reached |= self.below(place)
            for link in self.links:
                if link != place and not link.startswith(f"{place}/"):
                    continue
                end = self.real(link)
                if end is not None and self.below(end):
                    ends[link] = end
                    todo.append(end)
        return frozenset(reached), dict(sorted(ends.items()))

    def sharers(self, path: str) -> tuple[str, ...]:
        """The services whose directory reaches a file, in order."""
        return self._sharers.get(path, ())

    @cached_property
    def _sharers(self) -> Mapping[str, tuple[str, ...]]:
        start = f"{self.services_dir}/"
        inside = (p.removeprefix(start) for p in (*self.files, *self.links) if p.startswith(start))
        names = {path.split("/")[0] for path in inside if "/" in path or f"{start}{path}" in self.links}
        found: dict[str, list[str]] = {}
        for name in sorted(names):
            for path in self.of(name)[0]:
                found.setdefault(path, []).append(name)
        return {path: tuple(services) for path, services in found.items()}


def target(link: str, text: str) -> str | None:
    """What a symlink's text means from the repository's root; None if it leads out of it."""
    if text.startswith("/"):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(link), text))
    return None if path == ".." or path.startswith("../") else path
