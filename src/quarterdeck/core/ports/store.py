"""What outlives the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.line import Line
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State


@dataclass(frozen=True)
class HeldTarget:
    """A target somebody holds."""

    service: str
    environment: str
    number: int
    state: State


@dataclass(frozen=True)
class OutboxRow:
    """A line to be said.

    Attributes:
        again: it was handed to the network before, and we died before we knew: say so.
    """

    id: int
    line: Line
    created: datetime
    again: bool = False


@dataclass(frozen=True)
class AuditRow:
    """One line of the append-only audit."""

    at: datetime
    who: str
    verb: str
    detail: str
    number: int


class Store(Protocol):
    """What outlives the process. Each method is one transaction."""

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

    async def holders(self, service: str) -> tuple[HeldTarget, ...]:
        """Which environments of a service are held, and by whom."""
        ...

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """What is merged and not applied, as far as our own edits made it so."""
        ...

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """Record and clear debts, the *paid* (service, environment, part) first."""
        ...

    async def say(self, lines: Sequence[Line]) -> None:
        """Put lines into the outbox outside of any move."""
        ...

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """The oldest unsent lines of a network, urgent ones first, now marked as handed over.

        A row handed over by an earlier process (or given back by `unsent`) and never marked sent comes with `again`.
        """
        ...

    async def sent(self, row: int) -> None:
        """The network has the line."""
        ...

    async def unsent(self, row: int) -> None:
        """The network lost the line, or may have: it is due again."""
        ...

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """Note a message; True exactly once for each (network, msgid)."""
        ...

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

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """Append to the audit."""
        ...

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """The audit, newest first; of one rollout if a number is given."""
        ...

    async def cursor(self, name: str) -> str:
        """A remembered word ("" at first)."""
        ...

    async def set_cursor(self, name: str, value: str) -> None:
        """Remember a word."""
        ...
