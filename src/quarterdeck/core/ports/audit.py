"""Who did what, when: kept for ever, never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class AuditRow:
    """One line of the append-only audit."""

    at: datetime
    who: str
    verb: str
    detail: str
    number: int


class Audit(Protocol):
    """The append-only audit."""

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """Append to the audit."""
        ...

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """The audit, newest first; of one rollout if a number is given."""
        ...
