"""How far something has been read."""

from __future__ import annotations

from typing import Protocol


class Cursors(Protocol):
    """Words that are remembered by a name."""

    async def cursor(self, name: str) -> str:
        """A remembered word ("" at first)."""
        ...

    async def set_cursor(self, name: str, value: str) -> None:
        """Remember a word."""
        ...
