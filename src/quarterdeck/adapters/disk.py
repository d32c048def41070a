"""A rollout's long texts on our own disk: `<root>/<number>/<name>`, redacted by whoever writes them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from quarterdeck.core.model.errors import PermanentError, TemporaryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
P = ParamSpec("P")
R = TypeVar("R")
#: appended files kept open, so that a chunk costs one write and no open
OPEN_FILES = 64


class DiskFiles:
    """`ports.Files` in a folder. Appends reach the disk surely (fsync) when the file is closed, not at each chunk.

    Args:
        root: the folder for them alone, e.g. `<data>/rollouts`; made when needed, for the owner's eyes only.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[Path, int] = {}
        self._executor = ThreadPoolExecutor(1, "files")

    async def append(self, number: int, name: str, data: bytes) -> int:
        """See `ports.Files.append`. A chunk that does not fit is cut off again, then TemporaryError."""
        return await self._run(self._append, self._path(number, name), data)

    async def write(self, number: int, name: str, data: bytes) -> None:
        """See `ports.Files.write`."""
        await self._run(self._write, self._path(number, name), data)

    async def read(self, number: int, name: str, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `ports.Files.read`."""
        return await self._run(_read, self._path(number, name), offset, limit)

    async def done(self, number: int) -> None:
        """Close a rollout's files, with fsync: nothing more is expected."""
        await self._run(self._close_of, self._root / str(number))

    async def expire(self, older_than: float, keep: Collection[int] = ()) -> tuple[int, ...]:
        """Remove the folders of rollouts last written before a time; returns their numbers.

        Args:
            older_than: seconds since the epoch.
            keep: rollouts that are not over.
        """
        return await self._run(self._expire, older_than, frozenset(keep))

    def close(self) -> None:
        """Close all, with fsync."""
        with contextlib.suppress(RuntimeError):  # closed before
            self._executor.submit(self._close_of, self._root).result()
        self._executor.shutdown()

    async def _run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        def translated() -> R:
            try:
                return work(*args, **kwargs)
            except OSError as error:
                raise TemporaryError(f"the data folder cannot be used: {error.strerror or error}", 5.0) from error

        return await asyncio.get_running_loop().run_in_executor(self._executor, translated)

    def _path(self, number: int, name: str) -> Path:
        if number < 1 or not NAME.fullmatch(name):
            raise PermanentError(f"no file may be called {name!r} (rollout {number})")
        return self._root / str(number) / name

    def _append(self, path: Path, data: bytes) -> int:
        descriptor = self._open.pop(path, -1)
        if descriptor < 0:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._open[path] = descriptor  # at the end: the least recently used one is first
        if len(self._open) > OPEN_FILES:
            self._close(next(iter(self._open)))
        size = os.fstat(descriptor).st_size
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            os.ftruncate(descriptor, size)  # an offset somebody holds must never point into half a chunk
            raise
        return size + len(data)

    def _write(self, path: Path, data: bytes) -> None:
        self._close(path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise

    def _close(self, path: Path) -> None:
        descriptor = self._open.pop(path, -1)
        if descriptor >= 0:
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _close_of(self, folder: Path) -> None:
        for path in [p for p in self._open if folder in p.parents]:
            self._close(path)

    def _expire(self, older_than: float, keep: frozenset[int]) -> tuple[int, ...]:
        gone = []
        for folder in sorted(self._root.glob("[0-9]*")) if self._root.is_dir() else ():
            if not folder.name.isdigit() or int(folder.name) in keep:
                continue
            newest = max((p.stat().st_mtime for p in folder.iterdir()), default=folder.stat().st_mtime)
            if newest < older_than:
                self._close_of(folder)
                shutil.rmtree(folder)
                gone.append(int(folder.name))
        return tuple(gone)


def _read(path: Path, offset: int, limit: int) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(limit)
    except FileNotFoundError:
        return b"", offset
    return data, offset + len(data)
