"""An image registry in memory."""

from __future__ import annotations

import hashlib

from quarterdeck.testing.faults import Faults


class FakeRegistry:
    """`ports.Registry` in memory.

    Attributes:
        images: repository -> tag -> digest.
        revisions: digest -> commit it says it was built from.
        faults: errors to raise, by method name.
    """

    def __init__(self) -> None:
        self.images: dict[str, dict[str, str]] = {}
        self.revisions: dict[str, str] = {}
        self.faults = Faults()

    def push(self, image: str, tag: str, revision: str = "", content: str = "") -> str:
        """Push an image; its digest. The same content gives the same digest."""
        made = hashlib.sha256(f"{image}\0{content or tag}\0{revision}".encode()).hexdigest()
        digest = f"sha256:{made}"
        self.images.setdefault(image, {})[tag] = digest
        if revision:
            self.revisions[digest] = revision
        return digest

    async def digest(self, image: str, tag: str) -> str | None:
        """The manifest digest a tag names; None if the tag is not there."""
        self.faults.check("digest")
        return self.images.get(image, {}).get(tag)

    async def tags(self, image: str) -> tuple[str, ...]:
        """All tags of a repository, sorted as registries do; empty if there is none."""
        self.faults.check("tags")
        return tuple(sorted(self.images.get(image, {})))

    async def revision(self, image: str, tag: str) -> str | None:
        """The commit an image says it was built from."""
        self.faults.check("revision")
        return self.revisions.get(self.images.get(image, {}).get(tag, ""))
