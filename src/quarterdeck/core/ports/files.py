"""A rollout's long texts on our own disk."""

from __future__ import annotations

from typing import Protocol


class Files(Protocol):
    """A rollout's long texts (logs, diffs, evidence) on our own disk, already redacted by whoever writes them."""

    async def append(self, number: int, name: str, data: bytes) -> int:
        """Append; returns the file's size in bytes."""
        ...

    async def write(self, number: int, name: str, data: bytes) -> None:
        """Replace the file atomically."""
        ...

    async def read(self, number: int, name: str, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """Bytes from an offset and the next offset; (b"", offset) if there is no such file."""
        ...
