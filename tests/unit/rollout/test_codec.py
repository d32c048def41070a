"""Dataclasses survive JSON whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quarterdeck.core.model.change import Change, ChangeStatus, Vote
from quarterdeck.core.model.person import Person
from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.state import State

AT = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
TIMES = st.datetimes(timezones=st.just(UTC))
SCALARS = st.none() | st.booleans() | st.integers() | st.text() | TIMES | st.binary()
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.frozensets(st.text())
    ),
    max_leaves=12,
)


@settings(deadline=None)  # a busy machine is no failure
@given(ANYTHING)
def test_anything_comes_back_with_its_type(value: object) -> None:
    """What stands where any type is allowed comes back equal, tuples as tuples."""
    back = codec.unmark(codec.mark(value))
    assert back == value
    assert type(back) is type(value)


def test_a_dataclass_comes_back_by_its_hints() -> None:
    """Nested dataclasses, enums, fixed tuples, sets and optional times come back as they were."""
    change = Change(
        number=1, change_id="I1", project="p", branch="b", subject="s", status=ChangeStatus.MERGED, revision="r",
        files={"a": ("M", "blob", 0o100644)}, votes=(Vote("Verified", 1, "ci", AT), Vote("x", 0, "y")),
    )  # fmt: skip
    assert codec.loads(Change, codec.dumps(change)) == change
    person = Person("alice", "alice", frozenset({"b", "a"}), {"irc": "alice"})
    assert codec.loads(Person, codec.dumps(person)) == person


def test_a_row_of_an_older_version_gets_defaults() -> None:
    """A field that was not written yet has its default; one we no longer have is dropped."""
    assert codec.loads(Vote, '{"label":"V","value":1,"who":"ci","gone":2}') == Vote("V", 1, "ci")


def test_times_sort_as_text() -> None:
    """Times of other zones are kept in UTC, and a naive one is refused."""
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert codec.instant(east) == codec.instant(AT)
    assert codec.instant(AT) < codec.instant(AT + timedelta(microseconds=1))
    with pytest.raises(TypeError, match="without a zone"):
        codec.mark({"at": AT.replace(tzinfo=None)})


@pytest.mark.parametrize("value", [object(), {1: 2}, [object()]])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """Nothing is kept as its repr."""
    with pytest.raises(TypeError):
        codec.dumps(value)


def test_enums_in_free_places_become_their_word() -> None:
    """A StrEnum equals its word, so a fact keeps its meaning."""
    assert codec.unmark(codec.mark({"state": State.FAILED})) == {"state": "FAILED"}
