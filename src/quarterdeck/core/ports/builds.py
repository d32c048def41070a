"""The ledger of merged changes and of the images that come of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.line import Line


class Builds(Protocol):
    """The ledger. Each method is one transaction."""

    async def add_builds(self, builds: Sequence[Build]) -> tuple[Build, ...]:
        """Add merged changes to the ledger; those already there stay as they are. Returns what was new."""
        ...

    async def set_build(self, build: Build, lines: Sequence[Line] = ()) -> None:
        """Update a ledger entry (key: project, change, image), and say what follows from it, in one transaction."""
        ...

    async def builds(
        self, project: str = "", image: str = "", states: Collection[BuildState] = (), limit: int = 200
    ) -> tuple[Build, ...]:
        """Ledger entries, newest merge first."""
        ...
