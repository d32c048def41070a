"""A group deploy whose process dies: at every call, whatever comes of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from quarterdeck.core.rollout.state import State
from tests.worlds.fleet import FleetDeck
from tests.worlds.groups import GROUP, MEDIA, both, marks, second_crashes, second_fails


def well(_deck: FleetDeck) -> None:
    """Nothing goes wrong."""


ENDS = [
    (well, True, State.SUCCEEDED, "DONE", 7),
    (well, False, State.SUCCEEDED, "DONE", 7),
    (second_crashes, True, State.FAILED, "FAILED", 8),
    (second_fails, True, State.FAILED, "FAILED", 8),
]


async def crashed(at: int, after: bool, prepare: Callable[[FleetDeck], None]) -> tuple[FleetDeck, bool]:
    """A group deploy whose process dies at its call number *at*, taken up by the next process."""
    deck = FleetDeck()
    prepare(deck)
    return deck, await deck.die(GROUP, at, after)


@pytest.mark.parametrize("end", ENDS, ids=lambda e: f"{e[0].__name__}-{e[1]}")
async def test_a_crash_at_any_call_ends_as_without_it(
    end: tuple[Callable[[FleetDeck], None], bool, State, str, int],
) -> None:
    """Whatever it was doing: one change, one apply for each member, one START and one end, the same debts."""
    prepare, after, state, mark, owed = end
    at, died = 0, True
    while died:
        deck, died = await crashed(at, after, prepare)
        where = f"died at call {at}, {deck.fate.calls[-1]}"
        if deck.store.tables.rollouts:
            rollout = deck.rollout()
            assert rollout.state is state, f"{where}: {rollout.state} {rollout.note}"
            assert deck.fleet.applied == [(n, "staging", ("main",)) for n in ("shellbox", MEDIA)], where
            assert len(deck.review.changes) == 1, where
            assert marks(deck) == [*both("staging", "shellbox", MEDIA)[:3], f"staging {MEDIA} {mark}"], where
            assert len(deck.owed) == owed, f"{where}: {deck.owed}"
        else:
            assert deck.fleet.applied == [], where
        at += 1
        await deck.close()
    assert at > 20
