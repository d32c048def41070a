"""The image registry."""

from __future__ import annotations

from typing import Protocol


class Registry(Protocol):
    """The image registry."""

    async def digest(self, image: str, tag: str) -> str | None:
        """The manifest digest a tag names ("sha256:…"); None if the tag is not there."""
        ...

    async def tags(self, image: str) -> tuple[str, ...]:
        """All tags of a repository; empty if there is none."""
        ...

    async def revision(self, image: str, tag: str) -> str | None:
        """The commit an image says it was built from (org.opencontainers.image.revision), if it says so."""
        ...
