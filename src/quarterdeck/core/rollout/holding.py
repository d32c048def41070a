"""What a rollout holds, when it lets go, and who is in the way: one rule for every store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from quarterdeck.core.model.errors import BusyError, StaleError
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.refusals import Held
from quarterdeck.core.rollout.rollout import Rollout, advance
from quarterdeck.core.rollout.state import HOLDING, MOVES, Move, State
from quarterdeck.core.rollout.step import Step

#: resting states that a newer command may take over
RESTING = frozenset({State.PLANNED, State.WAITING, State.FAILED, State.UNKNOWN})


def targets(rollout: Rollout) -> frozenset[tuple[str, str]]:
    """The (service, environment) pairs a rollout holds in the state it is in."""
    if rollout.state not in HOLDING and rollout.state is not State.PLANNED:
        return frozenset()
    return frozenset(rollout.targets)


def debtor(rollout: Rollout, place: str, part: str = "") -> tuple[str, str, str]:
    """(service, environment, part) for which a rollout makes and pays debts at a place.

    All parts are the whole service, and so is a service without parts: the part is empty then, which pays for all of
    them. The part is one of the rollout's own service; of another that its edit moves along, it is the whole.

    Args:
        part: the one that moved, of a rollout of all parts: each owes by itself, so that each can pay.
    """
    service, environment = rollout.target(place)
    mine = part or (rollout.part if rollout.part != ALL else "")
    return service, environment, mine if service == rollout.service else ""


def taken_over(rollout: Rollout | None, number: int, by: Rollout, at: datetime) -> Rollout:
    """A resting rollout as it stands after a newer command took its targets.

    Raises:
        StaleError: it rests no longer: look again.
    """
    if rollout is None or rollout.state not in RESTING:
        raise StaleError(f"#{number} is {rollout.state if rollout else 'not there'}: it rests no longer")
    return advance(rollout, Move.ABORT, at, note=f"taken over by #{by.number} ({by.actor})")


def busy(what: str, holder: Rollout | None, number: int) -> BusyError:
    """The refusal for a held target or scalar.

    Args:
        holder: None where it cannot be read.
    """
    if holder is None:
        return BusyError(Held(what, number))
    return BusyError(Held(what, number, holder.actor, holder.state))


def check_steps(steps: Sequence[Step]) -> None:
    """Refuse two steps of one key: one would silently hide the other.

    Raises:
        ValueError: a mistake of the caller.
    """
    keys = [step.key for step in steps]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a rollout has two steps of one key: {keys}")


def who_moved(old: Rollout, new: Rollout) -> str:
    """Who made a move, for the audit: the worker moves what runs, a person what rests."""
    if old.state in (State.RUNNING, State.PLANNED):
        return "worker"
    return new.moved_by or "worker"


def move_between(old: State, new: State) -> str:
    """The word of the table for going from one state to another; "note" if none leads there."""
    return next((move.value for move, state in MOVES[old].items() if state is new), "note")


def accepted_detail(rollout: Rollout) -> str:
    """One line for the audit: what was accepted."""
    return f"{rollout.kind} {rollout.title} {', '.join(rollout.environments)} {rollout.tag}".strip()


def audit_detail(old: Rollout, new: Rollout) -> str:
    """One line for the audit: states, the steps that changed, and the note."""
    parts = [f"{old.state} → {new.state}"]
    before = {step.key: step for step in old.steps}
    for step in new.steps:
        was = before.get(step.key)
        if was is None or (was.state, was.attempt) != (step.state, step.attempt):
            name = " ".join(part for part in step.key if part)
            parts.append(f"{name} (attempt {step.attempt}) {step.state}")
    if new.note and new.note != old.note:
        parts.append(new.note)
    return "; ".join(parts)
