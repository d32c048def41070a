"""A charts repository in memory, on the same commits as the fake Gerrit if it is given them."""

from __future__ import annotations

from quarterdeck.core.charts.reading.sharers import Folders, Sharers, flat
from quarterdeck.core.model.errors import AbsentError
from quarterdeck.core.ports.charts import Tree
from quarterdeck.testing.faults import Faults
from quarterdeck.testing.repository import FakeCommit, FakeRepository


class FakeCharts:
    """`ports.Charts` in memory.

    Attributes:
        repository: the commits; a merge in the fake Gerrit moves the tip when both have the same one.
        faults: errors to raise, by method name.
    """

    def __init__(self, repository: FakeRepository, services_dir: str = "helmfile.d/services") -> None:
        self.repository = repository
        self.faults = Faults()
        self._services = services_dir
        self._sharers: dict[str, Sharers] = {}

    async def tip(self) -> str:
        """The branch's newest commit."""
        self.faults.check("tip")
        return self.repository.head

    async def tree(self, commit: str, service: str) -> Tree:
        """The directory of a service at a commit, with what it leads to and with the directories that share that."""
        self.faults.check("tree")
        at = self._commit(commit)
        if commit not in self._sharers:
            self._sharers[commit] = Sharers(Folders(self._services, at.files, flat(at.links, at.files)), at.files)
        sharers = self._sharers[commit]
        paths, links = sharers.around(service)
        if not paths:
            raise AbsentError(f"no directory {self._services}/{service} at {commit[:12]}")
        files = {path: at.files[path] for path in sorted(paths)}
        return Tree(commit, files, links, {path: sharers[path] for path in files})

    async def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors."""
        self.faults.check("contains")
        if commit != ancestor:
            self._commit(commit)
        return self.repository.contains(commit, ancestor)

    def _commit(self, sha: str) -> FakeCommit:
        try:
            return self.repository.commits[sha]
        except KeyError:
            raise AbsentError(f"the charts repository has no commit {sha[:12]}") from None
