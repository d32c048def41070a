"""Why something cannot be done with a rollout."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.model.errors import Refusal


@dataclass(frozen=True)
class NotReadable(Refusal):
    """The store has a rollout that this version cannot read; it is left alone.

    Attributes:
        why: what does not fit, beginning with its path.
    """

    number: int
    why: str
