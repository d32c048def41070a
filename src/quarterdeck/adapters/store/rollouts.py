"""Rows of rollouts and of their steps, inside an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from quarterdeck.adapters.store.schema import rollout_services, rollouts, steps
from quarterdeck.adapters.store.upsert import inserted_number, put
from quarterdeck.core.model.errors import StaleError
from quarterdeck.core.rollout import codec, packing
from quarterdeck.core.rollout.codec import UnreadableError
from quarterdeck.core.rollout.packing import PackedStep
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step


def insert_accepted(c: Connection, rollout: Rollout, owner: str) -> int:
    """Insert a rollout that has just been accepted; its number.

    Raises:
        StaleError: a rollout with its id is there already.
    """
    row = {"id": rollout.id, "stop": "", **columns(rollout, owner)}
    number = inserted_number(c, rollouts, row, rollouts.c.number)
    if number is None:
        raise StaleError(f"rollout {rollout.id} was accepted before")
    for service in rollout.services:
        c.execute(insert(rollout_services).values(number=number, service=service))
    return number


def columns(rollout: Rollout, owner: str) -> dict[str, Any]:
    """The row of a rollout without its stop flag, which has a writer of its own."""
    return {
        "kind": str(rollout.kind),
        "state": rollout.state.value,
        "actor": rollout.actor,
        "created": codec.instant(rollout.created),
        "version": rollout.version,
        "owner": owner,
        "body": packing.pack(rollout),
    }


def serves(service: str) -> ColumnElement[bool]:
    """The condition that a rollout serves that service."""
    numbers = select(rollout_services.c.number).where(rollout_services.c.service == service)
    return rollouts.c.number.in_(numbers)


def read(c: Connection, rows: Sequence[Row[Any]], pipelines: Pipelines) -> tuple[Rollout | NotReadable, ...]:
    """Rollouts with their steps, in the order of *rows*; in the place of one that does not fit its types why."""
    query = select(steps).where(steps.c.rollout.in_([row.number for row in rows]) & steps.c.position.is_not(None))
    steps_of: dict[int, list[PackedStep]] = {}
    for row in c.execute(query.order_by(steps.c.rollout, steps.c.position)):
        step = PackedStep(
            name=row.name,
            environment=row.environment,
            stage=row.stage,
            attempt=row.attempt,
            state=row.state,
            intent=row.intent,
            result=row.result,
            why=row.why,
            started=codec.moment(row.started) if row.started else None,
            ended=codec.moment(row.ended) if row.ended else None,
        )
        steps_of.setdefault(row.rollout, []).append(step)
    return tuple(_unpacked(row, steps_of.get(row.number, ()), pipelines) for row in rows)


def _unpacked(row: Row[Any], packed_steps: Sequence[PackedStep], pipelines: Pipelines) -> Rollout | NotReadable:
    try:
        return packing.unpack(row.body, packed_steps, row.stop, pipelines)
    except UnreadableError as error:
        return NotReadable(row.number, str(error))


def get(c: Connection, number: int, pipelines: Pipelines) -> Rollout | NotReadable | None:
    """A rollout by number."""
    rows = read(c, c.execute(select(rollouts).where(rollouts.c.number == number)).all(), pipelines)
    return rows[0] if rows else None


def readable(c: Connection, number: int, pipelines: Pipelines) -> Rollout | None:
    """A rollout by number, for words about it; None where it cannot be read."""
    rollout = get(c, number, pipelines)
    return None if isinstance(rollout, NotReadable) else rollout


def write_steps(c: Connection, number: int, old: Sequence[Step], new: Sequence[Step]) -> None:
    """Write the steps that changed; those that are no longer part of the plan stay as history."""
    old_by_key = {step.key: (position, step) for position, step in enumerate(old)}
    new_attempts = {(*step.key, step.attempt) for step in new}
    for step in old:
        if (*step.key, step.attempt) not in new_attempts:
            c.execute(update(steps).where(_is_row_of(number, step)).values(position=None))
    for position, step in enumerate(new):
        if old_by_key.get(step.key) == (position, step):
            continue
        packed = packing.pack_step(step)
        values = {
            "position": position,
            "state": packed.state,
            "intent": packed.intent,
            "result": packed.result,
            "why": packed.why,
            "started": codec.instant(step.started) if step.started else None,
            "ended": codec.instant(step.ended) if step.ended else None,
        }
        name, environment, stage = step.key
        key = {
            "rollout": number,
            "name": name,
            "environment": environment,
            "stage": stage,
            "attempt": step.attempt,
        }
        put(c, steps, key, values)


def _is_row_of(number: int, step: Step) -> ColumnElement[bool]:
    name, environment, stage = step.key
    return (
        (steps.c.rollout == number)
        & (steps.c.name == name)
        & (steps.c.environment == environment)
        & (steps.c.stage == stage)
        & (steps.c.attempt == step.attempt)
    )
