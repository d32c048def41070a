"""An image in the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Image:
    """An image in the registry.

    Attributes:
        name: repository, e.g. "wikimedia/mediawiki-services-citoid".
        tag: e.g. "2026-08-17-094555-production".
        digest: "sha256:…" of the manifest the tag names; empty when not looked up.
    """

    name: str
    tag: str
    digest: str = ""
