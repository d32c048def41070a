"""A charts repository in memory, on the same commits as the fake Gerrit if it is given them."""

from __future__ import annotations

from ..core.errors import NotFoundError
from ..core.ports import Tree
from .faults import Faults
from .repository import FakeCommit, FakeRepository


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

    async def tip(self) -> str:
        """The branch's newest commit."""
        self.faults.check("tip")
        return self.repository.head

    async def tree(self, commit: str, service: str) -> Tree:
        """The directory of a service at a commit, with what its symlinks lead to."""
        self.faults.check("tree")
        at = self._commit(commit)
        files, links = self._reach(at, service)
        if not files:
            raise NotFoundError(f"no directory {self._services}/{service} at {commit[:12]}")
        start = f"{self._services}/"
        inside = (path.removeprefix(start) for path in (*at.files, *at.links) if path.startswith(start))
        names = sorted({path.split("/")[0] for path in inside if "/" in path})
        reached = {name: self._reach(at, name)[0] for name in names}
        sharers = {path: tuple(name for name in names if path in reached[name]) for path in files}
        return Tree(commit, files, links, sharers)

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
            raise NotFoundError(f"the charts repository has no commit {sha[:12]}") from None

    def _reach(self, at: FakeCommit, service: str) -> tuple[dict[str, bytes], dict[str, str]]:
        home = f"{self._services}/{service}/"
        links = {link: real for link, real in at.links.items() if link.startswith(home)}
        ends = tuple(f"{real}/" for real in links.values())
        files = {
            path: content
            for path, content in at.files.items()
            if path.startswith((home, *ends)) or path in links.values()
        }
        return files, links
