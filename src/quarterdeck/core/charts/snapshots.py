"""The charts at the commits that were asked for last, each file of a commit read and parsed once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace

from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.ports.charts import Charts, Tree

#: commits that are kept: the tip that an order is made at, the base of an edit, the commit of a diff. All services of
#: a commit of Wikimedia's charts take 10 MB.
_KEPT = 3


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

    async def tip(self, services: Iterable[str]) -> Snapshot:
        """Services at the branch's newest commit. Raises as `at`, and where the repository cannot be reached."""
        return await self.at(await self._charts.tip(), services)

    async def at(self, commit: str, services: Iterable[str]) -> Snapshot:
        """Services at a commit, parsed.

        Raises:
            NotFoundError: a service has no folder there, or there is no such commit.
            TemporaryError: the repository cannot be read just now.
        """
        async with self._reading:  # whoever comes second finds what the first has read
            kept = self._kept.pop(commit, None)
            try:
                for service in dict.fromkeys(services):
                    if kept is None or service not in kept.services:
                        kept = await self._with(kept, commit, service)
            finally:
                if kept is not None:
                    self._kept = dict([*self._kept.items()][1 - _KEPT :]) | {commit: kept}
        if kept is None:
            raise ValueError("no service was named")
        return kept.snapshot

    async def _with(self, kept: _Kept | None, commit: str, service: str) -> _Kept:
        """What is kept of a commit, and one more service."""
        tree = await self._charts.tree(commit, service)
        services = frozenset({service})
        snapshot = Snapshot(tree, commit)
        if kept is not None:
            tree, services = _united(kept.tree, tree), kept.services | services
            snapshot = kept.snapshot.within(tree)
        await asyncio.to_thread(snapshot.parse, [service])  # parsing may take long, and the loop must not wait
        return _Kept(tree, services, snapshot)


def _united(first: Tree, second: Tree) -> Tree:
    """Two trees of one commit as one."""
    return replace(
        first,
        files={**first.files, **second.files},
        links={**first.links, **second.links},
        sharers={**first.sharers, **second.sharers},
    )
