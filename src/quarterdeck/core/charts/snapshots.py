"""The charts at the commits that were asked for last, each file of a commit read and parsed once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.ports.charts import Charts, Tree

#: commits that are kept: the tip that an order is made at, the base of an edit, the commit of a diff. All services of
#: one commit of Wikimedia's charts take 10 MB.
_MOST_KEPT = 3


@dataclass(frozen=True)
class _Kept:
    """What is kept of a commit."""

    tree: Tree
    services: frozenset[str]
    snapshot: Snapshot


class Snapshots:
    """Reads snapshots from the charts repository, and keeps the last few.

    Args:
        charts: the repository.
    """

    def __init__(self, charts: Charts) -> None:
        self._charts = charts
        self._kept: dict[str, _Kept] = {}
        self._reading = asyncio.Lock()

    @property
    def kept(self) -> tuple[Snapshot, ...]:
        """The snapshots that are kept, the one asked for last at the end."""
        return tuple(one.snapshot for one in self._kept.values())

    async def tip(self) -> str:
        """The branch's newest commit; raises as `ports.Charts.tip`."""
        return await self._charts.tip()

    async def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors."""
        return await self._charts.contains(commit, ancestor)

    async def at_tip(self, services: Iterable[str]) -> Snapshot:
        """Services at the branch's newest commit; raises as `tip` and `at`."""
        return await self.at(await self._charts.tip(), services)

    async def at(self, commit: str, services: Iterable[str]) -> Snapshot:
        """Services at a commit, parsed.

        Raises:
            AbsentError: a service has no folder there, or there is no such commit.
            TemporaryError: the repository cannot be read just now.
        """
        names = frozenset(services)
        if not self._has(commit, names):
            async with self._reading:  # whoever comes second finds what the first has read
                if not self._has(commit, names):
                    await self._read(commit, names)
        kept = self._kept[commit]
        self._keep(kept)
        return kept.snapshot

    def _has(self, commit: str, services: frozenset[str]) -> bool:
        return commit in self._kept and self._kept[commit].services >= services

    async def _read(self, commit: str, services: frozenset[str]) -> None:
        """Read those of some services that are not kept yet."""
        kept = self._kept.get(commit) or _nothing(commit)
        trees = {service: await self._charts.tree(commit, service) for service in sorted(services - kept.services)}
        self._keep(await _extended(kept, trees))

    async def read_again(self, commit: str, services: Iterable[str]) -> Snapshot:
        """These services alone, at a commit, as the repository has them now; parsed anew only where a byte differs.

        Raises:
            AbsentError: a service has no folder there, or there is no such commit.
            TemporaryError: the repository cannot be read just now.
        """
        async with self._reading:
            trees = {service: await self._charts.tree(commit, service) for service in dict.fromkeys(services)}
            kept = self._kept.get(commit)
            if kept is None or not all(_same(kept.tree, tree) for tree in trees.values()):
                kept = await _extended(_nothing(commit), trees)
                self._keep(kept)
        return kept.snapshot.within(_united(Tree(commit, {}), trees.values()))

    def _keep(self, kept: _Kept) -> None:
        """Remember a commit as the one that was asked for last."""
        others = [other for other in self._kept.values() if other.tree.commit != kept.tree.commit]
        newest = [*others[-(_MOST_KEPT - 1) :], kept]
        self._kept = {one.tree.commit: one for one in newest}


def _nothing(commit: str) -> _Kept:
    tree = Tree(commit, {})
    return _Kept(tree, frozenset(), Snapshot(tree, commit))


async def _extended(kept: _Kept, trees: Mapping[str, Tree]) -> _Kept:
    """What is kept of a commit, and more services."""
    united = _united(kept.tree, trees.values())
    snapshot = kept.snapshot.within(united)
    await asyncio.to_thread(snapshot.parse, trees)  # parsing may take long, and the loop must not wait
    return _Kept(united, kept.services | frozenset(trees), snapshot)


def _united(tree: Tree, others: Iterable[Tree]) -> Tree:
    """Trees of one commit as one."""
    for other in others:
        tree = replace(
            tree,
            files={**tree.files, **other.files},
            links={**tree.links, **other.links},
            sharers={**tree.sharers, **other.sharers},
        )
    return tree


def _same(kept: Tree, tree: Tree) -> bool:
    """Whether a tree says nothing else than what is kept."""
    return (
        tree.files.items() <= kept.files.items()
        and tree.links.items() <= kept.links.items()
        and tree.sharers.items() <= kept.sharers.items()
    )
