"""Reads a checkout of the charts from disk, file by file as they are asked for, and writes changes back atomically."""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core.values.asking import FileChange

_LINK_SIZE = 256
_OUTSIDE = re.compile(r"(?<![\w/])(\.\./[^\s\"']+?\.ya?ml)")
_TEMPLATE = re.compile(r"\{\{.*?\}\}(?:`\}\})?")
_HELMFILES = ("helmfile.yaml", "helmfile.yaml.gotmpl")


class _Contents(Mapping[str, bytes]):
    """Contents by path from the root, read when asked for."""

    def __init__(self, root: Path, listed: Sequence[str]) -> None:
        self._root, self._listed = root, dict.fromkeys(listed)
        self._read: dict[str, bytes | None] = {}

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
                return None  # nothing outside of the checkout is read
            return place.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RuntimeError):
            return None

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)


class _Sharers(Mapping[str, tuple[str, ...]]):
    """Real path -> services that reach it, found when asked for."""

    def __init__(self, checkout: Checkout) -> None:
        self._checkout = checkout

    def __getitem__(self, path: str) -> tuple[str, ...]:
        return self._checkout.reached_by(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._checkout.files)

    def __len__(self) -> int:
        return len(self._checkout.files)


class Checkout:
    """A folder of charts as `core.values` reads it.

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
        self.links: dict[str, str] = {}
        small: list[str] = []
        for path, entry in self._walk(self.services_dir):
            if entry.is_symlink():
                real = self._within((self.root / path).resolve())
                if real and (self.root / real).is_file():
                    self.links[path] = real
            else:
                plain.append(path)
                if path.endswith((".yaml", ".yml")) and 0 < entry.stat().st_size < _LINK_SIZE:
                    small.append(path)
        self.files = _Contents(self.root, plain)
        for path in small:
            real = self._named(path)
            if real:
                self.links[path] = real
        self.sharers: Mapping[str, tuple[str, ...]] = _Sharers(self)

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
            elif entry.is_symlink() and entry.is_dir():
                yield from self._linked(path)
            else:
                yield path, entry

    def _linked(self, folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """What a linked folder holds, as links to the files there."""
        for base, _, names in os.walk(self.root / folder):
            for name in names:
                inner = Path(base, name).relative_to(self.root).as_posix()
                real = self._within(Path(base, name).resolve())
                if real:
                    self.links[inner] = real
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

    def owner(self, path: str) -> str:
        """The service whose folder a path is in, "" if it is in none."""
        parts = path.removeprefix(f"{self.services_dir}/").split("/")
        if not path.startswith(f"{self.services_dir}/") or len(parts) < 2:
            return ""
        deep = len(parts) > 2 and any(
            f"{self.services_dir}/{parts[0]}/{parts[1]}/{name}" in self._known for name in _HELMFILES
        )
        name = parts[1] if deep else parts[0]
        return "" if name.startswith("_") else name

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset((*self.files, *self.links))

    @cached_property
    def _linking(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for link, real in self.links.items():
            name = self.owner(link)
            if name:
                found.setdefault(real, {})[name] = None
        return {real: tuple(names) for real, names in found.items()}

    @cached_property
    def _naming(self) -> tuple[tuple[str, str], ...]:
        """(service, pattern of a path outside its folder that its helmfile names)."""
        found: list[tuple[str, str]] = []
        for path in self._known:
            folder, _, name = path.rpartition("/")
            owner = self.owner(path)
            if name not in _HELMFILES or not owner:
                continue
            text = self.files.get(self.links.get(path, path), b"").decode("utf-8", "replace")
            outside = dict.fromkeys(_OUTSIDE.findall(_TEMPLATE.sub("*", text)))
            found += [(owner, posixpath.normpath(posixpath.join(folder, named))) for named in outside]
        return tuple(found)

    def reached_by(self, path: str) -> tuple[str, ...]:
        """The services whose folder or helmfile reaches a file."""
        names = dict.fromkeys([self.owner(path)] if self.owner(path) else [])
        names |= dict.fromkeys(self._linking.get(path, ()))
        at = {path, *(link for link, real in self.links.items() if real == path)}
        names |= {owner: None for owner, pattern in self._naming if any(fnmatch.fnmatchcase(p, pattern) for p in at)}
        return tuple(sorted(names))


def write(root: Path, changes: Iterable[FileChange]) -> None:
    """Replace each file at once, never half.

    Raises:
        OSError: a file cannot be written; those before it are.
    """
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
