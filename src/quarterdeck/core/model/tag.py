"""Image tags, as git has them and as people say them."""

from __future__ import annotations

import re

#: the form of a tag, by the OCI distribution spec
TAG_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
_TAG = re.compile(TAG_PATTERN)


def is_tag(text: str) -> bool:
    """Whether a text has the form of a tag."""
    return _TAG.fullmatch(text) is not None


def short_tag(tag: str, suffix: str) -> str:
    """The tag as people say it: without its usual suffix."""
    return tag.removesuffix(suffix) if suffix and tag != suffix else tag
