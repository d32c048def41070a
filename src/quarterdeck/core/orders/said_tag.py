"""Finds the tag of the registry that a word means."""

from __future__ import annotations

from collections.abc import Collection

from quarterdeck.core.builds.ledger import acceptable
from quarterdeck.core.model.errors import NotFoundError, RequestError
from quarterdeck.core.model.tag import is_tag
from quarterdeck.core.orders.refusals import LatestIsNoTag, NoTag, NotForServices, SeveralTags, TagNotInRegistry

#: so many tags are offered instead of one that is not there
_OFFERED = 3


def said_tag(word: str, registry_tags: Collection[str], suffix: str) -> str:
    """The whole tag: said in full, or without its usual suffix.

    Args:
        registry_tags: as they would stand in git.

    Raises:
        RequestError: `latest`, no tag at all, a pre-merge image, or two tags could be meant.
        NotFoundError: the registry has no such tag.
    """
    if word.lower() == "latest":
        raise RequestError(LatestIsNoTag())
    if not is_tag(word):
        raise RequestError(NoTag(word))
    meant = sorted({word, f"{word}{suffix}"} & set(registry_tags))
    if len(meant) > 1:
        raise RequestError(SeveralTags(word, tuple(meant)))
    if not meant:
        usual = [tag for tag in registry_tags if acceptable(tag) and tag.endswith(suffix)]
        raise NotFoundError(TagNotInRegistry(word, tuple(sorted(usual, reverse=True)[:_OFFERED])))
    if not acceptable(meant[0]):
        raise RequestError(NotForServices(meant[0]))
    return meant[0]
