"""A question's code, and what an answer to it is worth."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rules.asking import Answer, code, matches
from tests.worlds.moments import NOW
from tests.worlds.subjects import subject


@given(st.text(), st.sampled_from(["staging", "prod", "codfw", "prod-back"]))
def test_codes_can_be_read_aloud(digest: str, prefix: str) -> None:
    """A code is derived from the plan alone, and none of its three characters is mistaken for another."""
    made = code(digest, prefix)
    assert made == code(digest, prefix)
    assert made.startswith(f"{prefix}-")
    tail = made.removeprefix(f"{prefix}-")
    assert len(tail) == 3
    assert not set(tail) & set("0o1liuv")


def test_another_plan_has_another_code() -> None:
    """Codes of different plans hardly ever agree."""
    assert len({code(str(i), "p") for i in range(300)}) > 290


def waiting(count: int = 0, state: State = State.WAITING, asked: str = "prod-k7p") -> Rollout:
    """A rollout with an open question."""
    return Rollout(
        id="1",
        kind=Kind.DEPLOY,
        subject=subject(places=("codfw",)),
        environments=("codfw",),
        tag="t",
        before={},
        actor="a",
        shell="a",
        account="a",
        home=Room("irc", "#deploy"),
        created=NOW,
        state=state,
        code=asked,
        code_count=count,
        deadline=NOW,
    )


def test_an_answer_is_right_with_code_and_count() -> None:
    """Case does not matter; code, number and time do."""
    assert matches(" PROD-K7P", 0, waiting()) is Answer.RIGHT
    assert matches("prod-k7p", 2, waiting(2)) is Answer.RIGHT
    assert matches("prod-k7p", 1, waiting(2)) is Answer.WRONG_COUNT
    assert matches("prod-k7p", 1, waiting()) is Answer.WRONG_COUNT
    assert matches("prod-k7q", 0, waiting()) is Answer.WRONG_CODE
    assert matches("prod-k7p", 0, waiting(state=State.RUNNING)) is Answer.NOT_ASKED
    assert matches("", 0, waiting(asked="")) is Answer.NOT_ASKED
    assert matches("prod-k7p", 0, waiting(), NOW) is Answer.TOO_LATE
    assert matches("prod-k7p", 0, waiting(), NOW - timedelta(seconds=1)) is Answer.RIGHT
