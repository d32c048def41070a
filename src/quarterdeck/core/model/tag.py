"""Image tags, as git has them and as people say them."""

from __future__ import annotations

import re

_FORM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def is_tag(text: str) -> bool:
    """Whether a text has the form of a tag (OCI distribution spec)."""
    return _FORM.fullmatch(text) is not None


def short_tag(tag: str, suffix: str) -> str:
    """The tag as people say it: without its usual suffix."""
    return tag.removesuffix(suffix) if suffix and tag != suffix else tag
