"""Image tags as values."""

from __future__ import annotations

from quarterdeck.core.model.tag import is_tag, short_tag


def test_tags_have_a_form() -> None:
    """At most 128 characters of the few that the distribution spec allows."""
    assert is_tag("_1.a-B")
    assert is_tag("a" * 128)
    for text in ("", "a" * 129, ".a", "-a", "a:b", "a/b", "a\n", "é"):
        assert not is_tag(text)


def test_people_leave_the_usual_suffix_out() -> None:
    """Unless there is nothing else."""
    assert short_tag("v1-production", "-production") == "v1"
    assert short_tag("v1", "-production") == "v1"
    assert short_tag("-production", "-production") == "-production"
    assert short_tag("v1", "") == "v1"
