"""Why something cannot be done with a rollout."""

from __future__ import annotations

from dataclasses import dataclass

from quarterdeck.core.model.errors import Refusal
from quarterdeck.core.rollout.state import Move, State


@dataclass(frozen=True)
class NotReadable(Refusal):
    """The store has a rollout that this version cannot read; it is left alone.

    Attributes:
        why: what does not fit, beginning with its path.
    """

    number: int
    why: str


@dataclass(frozen=True)
class NoSuchMove(Refusal):
    """The table has no such move from the state the rollout is in.

    Attributes:
        possible: the moves that it has.
    """

    number: int
    state: State
    move: Move
    possible: tuple[Move, ...]


@dataclass(frozen=True)
class Held(Refusal):
    """Another rollout holds a target, or a scalar of the values files.

    Attributes:
        what: service and environment, or file and scalar.
        number: the rollout's.
        actor: who gave its command; empty where the rollout cannot be read.
        state: where it stands; None where the rollout cannot be read.
    """

    what: str
    number: int
    actor: str = ""
    state: State | None = None
