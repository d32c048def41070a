"""What is said to somebody who is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from quarterdeck.core.charts.refusals import NoPart
from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.rollout.refusals import Held, NoSuchMove
from quarterdeck.core.rollout.state import MOVES, Move, State
from quarterdeck.core.rules.refusals import NetworkRefusal
from quarterdeck.views.refusals import refusal_line, refusal_sentence


def kinds_of(base: type[Refusal]) -> Iterator[type[Refusal]]:
    """The classes below a class that nothing stands below."""
    for kind in base.__subclasses__():
        if kind.__subclasses__():
            yield from kinds_of(kind)
        else:
            yield kind


def test_every_refusal_has_its_sentence() -> None:
    """Or its network has."""
    unspoken = refusal_sentence.dispatch(object)
    silent = [kind for kind in kinds_of(Refusal) if refusal_sentence.dispatch(kind) is unspoken]
    ours = [kind for kind in silent if kind.__module__.startswith("quarterdeck.")]
    assert [kind for kind in ours if not issubclass(kind, NetworkRefusal)] == []


@pytest.mark.parametrize(
    ("refusal", "line"),
    [
        (
            Held("citoid codfw", 1, "alice", State.RUNNING),
            "citoid codfw is held by #1 (alice, RUNNING). !stop 1, or wait. Nothing done",
        ),
        (
            Held("citoid codfw", 1, "alice", State.UNKNOWN),
            "citoid codfw is held by #1 (alice, UNKNOWN). !retry 1 or !stop 1. Nothing done",
        ),
        (Held("citoid codfw", 1), "citoid codfw is held by #1. !status, or wait. Nothing done"),
        (
            NoSuchMove(42, State.FAILED, Move.FINISH, tuple(MOVES[State.FAILED])),
            "#42 is FAILED: no finish (possible: retry, abort). Nothing done",
        ),
        (
            NoSuchMove(42, State.ABORTED, Move.RETRY, ()),
            "#42 is ABORTED: no retry (possible: nothing, it is over). Nothing done",
        ),
        (NoPart("thing", "nope", ()), "no part nope of thing: say thing. Nothing done"),
    ],
)
def test_a_refusal_says_what_is_possible_and_that_nothing_was_done(refusal: Refusal, line: str) -> None:
    """What and why, what instead, and that nothing was done."""
    assert refusal_line(refusal) == line
