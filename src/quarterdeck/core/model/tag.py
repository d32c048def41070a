"""Image tags, as git has them and as people say them."""

from __future__ import annotations


def short_tag(tag: str, suffix: str) -> str:
    """The tag as people say it: without its usual suffix."""
    return tag.removesuffix(suffix) if suffix and tag != suffix else tag
