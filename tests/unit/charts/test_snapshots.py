"""Commits are kept with what was read and parsed of them, a few of them, and read again where that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.errors import AbsentError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.testing.charts import FakeCharts
from quarterdeck.testing.repository import FakeRepository

S = "helmfile.d/services"
HELMFILE = b"environments:\n  staging:\n    values:\n      - releases: [main]\nreleases:\n  - name: main\n    values: [values.yaml]\n"
VALUES = b"main_app:\n  version: one\n"
FILES = {
    f"{S}/citoid/helmfile.yaml": HELMFILE,
    f"{S}/citoid/values.yaml": VALUES,
    f"{S}/zotero/helmfile.yaml": HELMFILE,
    f"{S}/zotero/values.yaml": VALUES,
}


class CountingCharts(FakeCharts):
    """Charts that count their reads, and may say something else of a commit later."""

    reads = 0
    later: Mapping[str, bytes] = {}

    async def tree(self, commit: str, service: str) -> Tree:
        """The tree, with other contents later."""
        self.reads += 1
        tree = await super().tree(commit, service)
        return replace(tree, files={**tree.files, **self.later})


@pytest.fixture
def charts() -> CountingCharts:
    """Two services."""
    return CountingCharts(FakeRepository(FILES))


async def test_a_service_is_read_once_at_a_commit(charts: CountingCharts) -> None:
    """Another service is read beside it, and nothing of the first again."""
    snapshots, head = Snapshots(charts), charts.repository.head
    await snapshots.at(head, ["citoid"])
    both = await snapshots.at(head, ["citoid", "zotero"])
    await snapshots.at_tip(["zotero"])
    assert charts.reads == 2
    assert set(both.files) == set(FILES)
    assert set(both.work.values.values()) == {1}


async def test_a_few_commits_are_kept(charts: CountingCharts) -> None:
    """The ones asked for last; an older one is read again."""
    snapshots = Snapshots(charts)
    commits = [charts.repository.push({"README": f"{number}".encode()}) for number in range(4)]
    for commit in commits:
        await snapshots.at(commit, ["citoid"])
    assert [snapshot.commit for snapshot in snapshots.kept] == commits[1:]
    await snapshots.at(commits[1], ["citoid"])
    assert [snapshot.commit for snapshot in snapshots.kept] == [*commits[2:], commits[1]]
    assert charts.reads == 4
    await snapshots.at(commits[0], ["citoid"])
    assert charts.reads == 5


async def test_reading_again_parses_only_what_differs(charts: CountingCharts) -> None:
    """The same bytes are the same answers; other bytes are parsed anew."""
    snapshots, head = Snapshots(charts), charts.repository.head
    first = await snapshots.at(head, ["citoid"])
    again = await snapshots.read_again(head, ["citoid"])
    assert charts.reads == 2
    assert again.work is first.work
    charts.later = {f"{S}/citoid/values.yaml": b"main_app:\n  version: two\n"}
    other = await snapshots.read_again(head, ["citoid"])
    assert other.work is not first.work
    assert other.files[f"{S}/citoid/values.yaml"].endswith(b"two\n")


async def test_what_is_read_again_is_of_those_services_alone(charts: CountingCharts) -> None:
    """Whoever else was read at that commit is no part of a proof."""
    snapshots, head = Snapshots(charts), charts.repository.head
    await snapshots.at(head, ["citoid", "zotero"])
    again = await snapshots.read_again(head, ["citoid"])
    assert {path.split("/")[2] for path in again.files} == {"citoid"}


async def test_a_service_that_is_not_there_leaves_the_others_kept(charts: CountingCharts) -> None:
    """It is refused each time, and what was read stays."""
    snapshots, head = Snapshots(charts), charts.repository.head
    await snapshots.at(head, ["citoid"])
    for _ in range(2):
        with pytest.raises(AbsentError):
            await snapshots.at(head, ["citoid", "nowhere"])
    await snapshots.at(head, ["citoid"])
    assert charts.reads == 3
