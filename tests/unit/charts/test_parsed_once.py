"""A deploy reads its charts at three commits, and parses each file once at each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.rollout.state import State
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.repository import FakeRepository
from tests.worlds.fleet import BOX, NEW_BOX, FleetDeck
from tests.worlds.world import Deck


class MovingCharts(FakeCharts):
    """Charts on which somebody merges something else right after the order was read.

    Attributes:
        reads_of_order: how often the order asks for the tip.
    """

    def __init__(self, repository: FakeRepository, reads_of_order: int) -> None:
        super().__init__(repository)
        self.reads_of_order = reads_of_order
        self.tips: list[str] = []

    async def tip(self) -> str:
        """The newest commit."""
        self.tips.append(await super().tip())
        if len(self.tips) == self.reads_of_order:
            self.repository.push({"charts/other/Chart.yaml": b"version: 2\n"})
        return self.tips[-1]


@pytest.fixture
async def citoid() -> AsyncIterator[Deck]:
    """A service with an image of its own."""
    deck = Deck()
    deck.announce()
    yield deck
    await deck.close()


@pytest.fixture
async def shellbox() -> AsyncIterator[FleetDeck]:
    """Services that share a file, of which one is not in the catalogue."""
    deck = FleetDeck()
    deck.built(BOX, f"{NEW_BOX}-score")
    yield deck
    await deck.close()


async def deployed(deck: Deck, words: str, reads_of_order: int) -> tuple[Snapshot, ...]:
    """The snapshots of a deploy that went well: of the order, of the edit, and of what was merged."""
    charts = MovingCharts(deck.repository, reads_of_order)
    deck.charts = charts
    deck.build()
    rollout = await deck.deploy(words)
    assert rollout.state is State.SUCCEEDED, rollout.note
    assert rollout.records.edited is not None
    snapshots = deck.world.charts.kept
    commits = [snapshot.commit for snapshot in snapshots]
    assert commits == [charts.tips[0], rollout.records.edited.base, deck.repository.head]
    assert len(set(commits)) == 3
    return snapshots


def assert_parsed_once(snapshot: Snapshot, helmfiles: int) -> None:
    """Every helmfile, every values file, and every values file as an edit leaves it."""
    work = snapshot.work
    assert len(work.helmfiles) == helmfiles
    assert set(work.helmfiles.values()) == {1}
    assert set(work.values.values()) == {1}
    assert set(work.edited.values()) <= {1}


async def test_a_service_is_parsed_once_at_each_commit(citoid: Deck) -> None:
    """The edit is computed for the order and at its base; the proof before the vote and what was merged need none."""
    snapshots = await deployed(citoid, "citoid staging", reads_of_order=1)
    for snapshot in snapshots:
        assert_parsed_once(snapshot, helmfiles=1)
    assert [snapshot.work.edits for snapshot in snapshots] == [1, 1, 0]


async def test_a_group_is_parsed_once_at_each_commit(shellbox: FleetDeck) -> None:
    """The same for all members, and for whoever shares their file; the shared file makes the group, which reads once more."""
    snapshots = await deployed(shellbox, "@shellbox staging", reads_of_order=2)
    for snapshot in snapshots:
        assert_parsed_once(snapshot, helmfiles=3)
    assert [snapshot.work.edits for snapshot in snapshots] == [1, 1, 0]
