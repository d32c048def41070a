"""A rollout's long texts in memory, under the rules of the real ones."""

from __future__ import annotations

import re

from quarterdeck.core.model.errors import PermanentError

#: the names `ports.Files` allows
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class MemoryFiles:
    """`ports.Files` in a dictionary.

    Attributes:
        texts: (rollout number, name) -> bytes.
    """

    def __init__(self) -> None:
        self.texts: dict[tuple[int, str], bytes] = {}

    async def append(self, number: int, name: str, data: bytes) -> int:
        """See `ports.Files.append`."""
        key = self._key(number, name)
        self.texts[key] = self.texts.get(key, b"") + data
        return len(self.texts[key])

    async def write(self, number: int, name: str, data: bytes) -> None:
        """See `ports.Files.write`."""
        self.texts[self._key(number, name)] = data

    async def read(self, number: int, name: str, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """See `ports.Files.read`."""
        data = self.texts.get(self._key(number, name), b"")[offset : offset + limit]
        return data, offset + len(data)

    @staticmethod
    def _key(number: int, name: str) -> tuple[int, str]:
        if number < 1 or not NAME.fullmatch(name):
            raise PermanentError(f"no file may be called {name!r} (rollout {number})")
        return number, name
