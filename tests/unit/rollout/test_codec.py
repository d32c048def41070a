"""Dataclasses survive JSON whole, and what does not fit is named by its path."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.model.change import Change, ChangeStatus, Vote
from quarterdeck.core.model.person import Person
from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.codec import UnreadableError
from quarterdeck.core.rollout.pipeline import PIPELINES
from quarterdeck.core.rollout.records import Diffed, PinnedRelease, PlaceDiff, ShownDiff
from quarterdeck.core.rollout.rollout import Rollout

AT = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
RECORDS = [kind for step in PIPELINES.steps.values() for kind in (step.intent, step.result) if kind is not None]


@dataclass(frozen=True)
class Everything:
    """A field of each shape that records use."""

    flag: bool
    count: int
    seconds: float
    words: str
    raw: bytes
    at: datetime | None
    status: ChangeStatus
    pair: tuple[str, int]
    many: tuple[str, ...]
    names: frozenset[str]
    by_name: dict[str, tuple[int, ...]]


EVERYTHING = st.builds(
    Everything,
    flag=st.booleans(),
    count=st.integers(),
    seconds=st.floats(allow_nan=False, allow_infinity=False),
    words=st.text(),
    raw=st.binary(),
    at=st.none() | st.datetimes(timezones=st.just(UTC)),
    status=st.sampled_from(ChangeStatus),
    pair=st.tuples(st.text(), st.integers()),
    many=st.lists(st.text()).map(tuple),
    names=st.frozensets(st.text()),
    by_name=st.dictionaries(st.text(), st.lists(st.integers()).map(tuple)),
)


@given(EVERYTHING)
def test_everything_comes_back_with_its_type(value: Everything) -> None:
    """Each shape of field comes back equal, tuples as tuples and sets as sets."""
    assert codec.loads(Everything, codec.dumps(value)) == value


def test_nested_dataclasses_come_back_by_their_hints() -> None:
    """Nested dataclasses, enums, fixed tuples, sets and optional times come back as they were."""
    change = Change(
        number=1, change_id="I1", project="p", branch="b", subject="s", status=ChangeStatus.MERGED, revision="r",
        files={"a": ("M", "blob", 0o100644)}, votes=(Vote("Verified", 1, "ci", AT), Vote("x", 0, "y")),
    )  # fmt: skip
    assert codec.loads(Change, codec.dumps(change)) == change
    person = Person("alice", "alice", frozenset({"b", "a"}), {"irc": "alice"})
    assert codec.loads(Person, codec.dumps(person)) == person


def test_a_row_of_an_older_version_gets_defaults() -> None:
    """A field that was not written yet has its default."""
    assert codec.loads(Vote, '{"label":"V","value":1,"who":"ci"}') == Vote("V", 1, "ci")


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_no_field_of_a_record_is_lost_silently(kind: type) -> None:
    """A field of a newer version is an error that names it, whatever the record."""
    with pytest.raises(UnreadableError, match=rf"{kind.__name__}\.newer: unknown field"):
        codec.loads(kind, '{"newer":1}')


def test_what_does_not_fit_is_named_by_its_path() -> None:
    """The path leads through mappings, tuples and nested dataclasses."""
    shown = ShownDiff({"main": PinnedRelease(4, "deployed", "ns")}, (), True, True, (), (), "", (("Deployment", 1),), 1)
    diffed = Diffed("c", {}, {"codfw": PlaceDiff("j", "d", {}, (), {}, (), (), shown)})
    text = codec.dumps(diffed)
    assert codec.loads(Diffed, text) == diffed
    for old, new, path in (
        ('"revision":4', '"revision":"4"', r"places\.codfw\.shown\.releases\.main\.revision: \'4\' is no int"),
        ('"revision":4', '"revision":4,"odd":1', r"releases\.main\.odd: unknown field"),
        ('["Deployment",1]', '["Deployment"]', r"workloads\[0\]: 1 items instead of 2"),
        ('["Deployment",1]', '["Deployment",null]', r"workloads\[0\]\[1\]: None is no int"),
        ('"job":"j",', "", r"places\.codfw\.job: missing"),
    ):
        assert old in text
        with pytest.raises(UnreadableError, match=path):
            codec.loads(Diffed, text.replace(old, new))


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null"])
def test_a_text_that_is_no_rollout_is_refused(text: str) -> None:
    """Whatever stands there, it is one kind of error."""
    with pytest.raises(UnreadableError):
        codec.loads(Rollout, text)


def test_times_sort_as_text() -> None:
    """Times of other zones are kept in UTC, and a naive one is refused."""
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert codec.instant(east) == codec.instant(AT)
    assert codec.instant(AT) < codec.instant(AT + timedelta(microseconds=1))
    with pytest.raises(TypeError, match="without a zone"):
        codec.dumps(Vote("V", 1, "ci", AT.replace(tzinfo=None)))


@pytest.mark.parametrize("value", [object(), {1: 2}, [object()]])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    """Nothing is kept as its repr."""
    with pytest.raises(TypeError):
        codec.dumps(value)
