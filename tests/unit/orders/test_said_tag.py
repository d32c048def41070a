"""Which tag of the registry a word means."""

from __future__ import annotations

import pytest

from quarterdeck.core.model.errors import NotFoundError, RequestError
from quarterdeck.core.orders.refusals import TagNotInRegistry
from quarterdeck.core.orders.said_tag import said_tag
from quarterdeck.views.refusals import refusal_line

OLD, TAG = "2026-08-06-230932-production", "2026-08-17-094555-production"


def test_a_tag_may_be_said_without_its_suffix() -> None:
    """Full tags, tags without their usual suffix, and versions are found."""
    tags = (OLD, TAG, "v1.0.20", "2026-08-01-000000-crash-production")
    assert said_tag(TAG, tags, "-production") == TAG
    assert said_tag("2026-08-17-094555", tags, "-production") == TAG
    assert said_tag("2026-08-01-000000-crash", tags, "-production") == "2026-08-01-000000-crash-production"
    assert said_tag("v1.0.20", tags, "") == "v1.0.20"


@pytest.mark.parametrize(
    ("given", "words", "error"),
    [
        ("Latest", "latest is no tag I deploy", RequestError),
        ("a b", "no image tag", RequestError),
        ("2026-08-17-094555", "could be 2026-08-17-094555 or", RequestError),
        ("2026-08-18-000000-candidate", "candidate or development", RequestError),
        ("2026-08-17", f"has no tag 2026-08-17: it has {TAG}", NotFoundError),
    ],
)
def test_unclear_tags_are_refused(given: str, words: str, error: type[RequestError]) -> None:
    """What is not one deployable tag is refused in words."""
    tags = (TAG, "2026-08-17-094555", "2026-08-18-000000-candidate")
    with pytest.raises(error) as caught:
        said_tag(given, tags, "-production")
    line = refusal_line(caught.value.refusal)
    assert words in line
    assert line.endswith("Nothing done")


def test_an_empty_registry_is_named() -> None:
    """Where there is no tag at all, that is said."""
    with pytest.raises(NotFoundError) as caught:
        said_tag("v1", (), "")
    assert caught.value.refusal == TagNotInRegistry("v1", ())
    assert "it has none" in refusal_line(caught.value.refusal)
