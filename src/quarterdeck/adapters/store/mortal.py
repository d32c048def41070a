"""A test aid: a store that kills its own process right after a chosen save, so that a crash there can be proven."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.core.model.line import Line
from quarterdeck.core.rollout.rollout import Rollout

#: `STEP:STATE` or `STEP/ENVIRONMENT:STATE` of a step (`apply:intended`), a rollout's state (`WAITING`), or `sent`:
#: a line is with the network and not yet marked so
VARIABLE = "QUARTERDECK_DIE_AT"


def open_store(path: Path, incarnation: str, now: Callable[[], datetime]) -> SqliteStore:
    """The store; the mortal one where the environment names a point to die at.

    Raises:
        PermanentError: see `SqliteStore`.
    """
    point = os.environ.get(VARIABLE, "")
    return MortalStore(path, incarnation, now, point) if point else SqliteStore(path, incarnation, now)


class MortalStore(SqliteStore):
    """`SqliteStore` that ends the process by SIGKILL as soon as the chosen point has been saved."""

    def __init__(self, path: Path, incarnation: str, now: Callable[[], datetime], point: str) -> None:
        super().__init__(path, incarnation, now)
        self._point = point

    async def save(
        self,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Rollout:
        """See `ports.Store.save`."""
        saved = await super().save(old, new, lines, write_set)
        if self._point in points(old, saved):
            os.kill(os.getpid(), signal.SIGKILL)
        return saved

    async def sent(self, row: int) -> None:
        """See `ports.Store.sent`."""
        if self._point == "sent":
            os.kill(os.getpid(), signal.SIGKILL)
        await super().sent(row)


def points(old: Rollout, new: Rollout) -> frozenset[str]:
    """The names of what changed between two states of a rollout."""
    found = {new.state.value} if new.state is not old.state else set()
    before = {step.key: step.state for step in old.steps}
    for step in new.steps:
        if before.get(step.key) is not step.state:
            found |= {f"{step.name}:{step.state}", f"{step.name}/{step.environment}:{step.state}"}
    return frozenset(found)
