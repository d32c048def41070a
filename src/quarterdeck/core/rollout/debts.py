"""What is merged and not applied: who owes an apply, of what, since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Debt:
    """Merged, not applied there.

    Attributes:
        part: of the service; empty for all of it.
        tag: what git says there now.
        number: the rollout that made it so.
        owner: person's name.
    """

    service: str
    environment: str
    tag: str
    number: int
    owner: str
    since: datetime
    part: str = ""
