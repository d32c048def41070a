"""Reads a checkout of the charts from disk, file by file as they are asked for, and writes changes back atomically."""

from __future__ import annotations

import errno
import os
import posixpath
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quarterdeck.core.charts.reading.files import UNREADABLE
from quarterdeck.core.charts.reading.sharers import Folders, Sharers

if TYPE_CHECKING:
    from quarterdeck.core.charts.editing.request import FileChange

_LINK_SIZE = 256


class _Contents(Mapping[str, bytes]):
    """Contents by path from the root, read when asked for."""

    def __init__(self, root: Path, listed: Sequence[str], lost: Sequence[str] = ()) -> None:
        self._root, self._listed = root, dict.fromkeys((*listed, *lost))
        self._read: dict[str, bytes | None] = dict.fromkeys(lost, UNREADABLE)

    def __getitem__(self, path: str) -> bytes:
        if path not in self._read:
            self._read[path] = self._from_disk(path)
        raw = self._read[path]
        if raw is None:
            raise KeyError(path)
        return raw

    def _from_disk(self, path: str) -> bytes | None:
        place = self._root / path
        try:
            if path not in self._listed and not place.resolve().is_relative_to(self._root):
                return UNREADABLE if place.exists() else None  # nothing outside of the checkout is read
            return place.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RuntimeError):
            return None

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


class Checkout:
    """A folder of charts as `core.charts` reads it.

    Attributes:
        files: real path from the root -> content.
        links: path of a symlink -> real path; a file that holds nothing but the path of another counts as one, as git
            writes it where a file system has no symlinks.
        sharers: real path -> services that reach it.

    Raises:
        OSError: the folder cannot be read.
    """

    def __init__(self, root: Path, services_dir: str) -> None:
        self.root = root.resolve()
        self.services_dir = posixpath.normpath(services_dir)
        self.root.stat()
        plain: list[str] = []
        self._lost: list[str] = []
        self.links: dict[str, str] = {}
        small: list[str] = []
        for path, entry in self._walk(self.services_dir):
            if entry.is_symlink():
                real = self._within(_end(self.root / path))
                if real and os.path.isfile(self.root / real):  # noqa: PTH113 - the same
                    self.links[path] = real
                else:
                    self._lost.append(path)
            else:
                plain.append(path)
                if path.endswith((".yaml", ".yml")) and 0 < entry.stat().st_size < _LINK_SIZE:
                    small.append(path)
        self.files = _Contents(self.root, plain, self._lost)
        for path in small:
            real = self._named(path)
            if real:
                self.links[path] = real
        self.sharers = Sharers(Folders(self.services_dir, self.files, self.links), self.files)

    def _walk(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        try:
            with os.scandir(self.root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return
        for entry in found:
            path = f"{folder}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(path)
            elif entry.is_symlink() and os.path.isdir(entry.path):  # noqa: PTH112 - a circle is none, and no error
                yield from self._linked(path)
            else:
                yield path, entry

    def _linked(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What a linked folder holds, as links to the files there; one outside of the checkout is not looked into."""
        if not self._within(_end(self.root / folder)):
            self._lost.append(folder)
            return
        for base, _, names in os.walk(self.root / folder):
            for name in names:
                inner = Path(base, name).relative_to(self.root).as_posix()
                real = self._within(_end(Path(base, name)))
                if real and os.path.isfile(self.root / real):  # noqa: PTH113 - the same
                    self.links[inner] = real
                else:
                    self._lost.append(inner)
        yield from ()

    def _within(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else ""

    def _named(self, path: str, depth: int = 0) -> str:
        """The file that a file of one path names, "" if it is no such file."""
        text = self.files.get(path, b"")
        if b"\n" in text or b" " in text or b":" in text or not text or depth > 8:
            return ""
        try:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), text.decode()))
        except UnicodeDecodeError:
            return ""
        if target == path or target.startswith("../") or target not in self.files:
            return ""
        return self._named(target, depth + 1) or self.links.get(target, target)


def _end(path: Path) -> Path:
    """Where a path ends with its symlinks followed, as far as they can be: a circle is no error."""
    return Path(os.path.realpath(path))


def write(root: Path, changes: Iterable[FileChange]) -> None:
    """Replace each file at once, never half.

    Raises:
        OSError: a file cannot be written; those before it are. One would be outside of the root: none is written.
    """
    changes = tuple(changes)
    for change in changes:
        path = root.resolve() / change.path
        if path.is_symlink() or not _end(path).is_relative_to(root.resolve()):
            raise PermissionError(errno.EPERM, "leads out of the checkout, or is a symlink", change.path)
    for change in changes:
        path = root.resolve() / change.path
        if change.new is None:
            path.unlink()
            continue
        mode = path.stat().st_mode & 0o7777 if path.exists() else 0o666 & ~_umask()
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(change.new)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
