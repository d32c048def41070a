"""Where rollouts are kept, with their steps and with what they hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from quarterdeck.core.model.line import Line
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State


class Rollouts(Protocol):
    """Rollouts and what they hold. Each method is one transaction."""

    async def accept(
        self, rollout: Rollout, takeover: Sequence[int], lines: Callable[[Rollout], Sequence[Line]]
    ) -> Rollout:
        """Give the rollout its number, hold its targets, write its lines, and abort the resting ones it takes over.

        Raises:
            BusyError: a target is held by a rollout that is not taken over.
        """
        ...

    async def save(
        self,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Rollout:
        """Replace *old* by *new*, with its steps, lines and write set; frees what a state no longer holds.

        Raises:
            StaleError: somebody moved it first.
            BusyError: a scalar of the write set is held by another rollout.
        """
        ...

    async def raise_stop(self, number: int, who: str) -> None:
        """Raise the stop flag of a rollout. Moves nothing, so it never races with the worker (save never writes it)."""
        ...

    async def get(self, number: int) -> Rollout | None:
        """A rollout by number.

        Raises:
            NotFoundError: it is there and cannot be read; carries `NotReadable`.
        """
        ...

    async def find(self, states: Collection[State] = (), service: str = "", limit: int = 50) -> tuple[Rollout, ...]:
        """Rollouts, newest first; no states means all. A group's are found by each of its services.

        One that cannot be read is left out; see `unreadable`.
        """
        ...

    async def unreadable(self) -> tuple[NotReadable, ...]:
        """The rollouts that are not over and cannot be read: a newer version wrote a field that this one lacks."""
        ...
