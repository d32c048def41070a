"""Reads and writes the store's rows inside an open transaction: rollouts, steps, what they hold, builds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from quarterdeck.adapters.store.schema import builds, debts, rollouts, steps, targets, write_sets
from quarterdeck.core.model.build import Build
from quarterdeck.core.rollout import codec, holding, packing
from quarterdeck.core.rollout.codec import UnreadableError
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.packing import PackedStep
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step


def columns(rollout: Rollout) -> dict[str, Any]:
    """The row of a rollout without its stop flag, which has a writer of its own."""
    return {
        "service": rollout.service,
        "kind": str(rollout.kind),
        "state": rollout.state.value,
        "version": rollout.version,
        "body": packing.pack(rollout),
        "services": f" {' '.join(rollout.services)} ",
    }


def serves(service: str) -> ColumnElement[bool]:
    """The condition that a rollout serves that service; like `==` it counts case, which LIKE would not."""
    return func.instr(rollouts.c.services, f" {service} ") > 0


def read(c: Connection, rows: Sequence[Row[Any]], pipelines: Pipelines) -> tuple[Rollout | NotReadable, ...]:
    """Rollouts with their steps, in the order of *rows*; in the place of one that does not fit its types why."""
    query = select(steps).where(steps.c.rollout.in_([row.number for row in rows]) & steps.c.position.is_not(None))
    of: dict[int, list[PackedStep]] = {}
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
        of.setdefault(row.rollout, []).append(step)
    return tuple(_unpacked(row, of.get(row.number, ()), pipelines) for row in rows)


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
    was = {step.key: (place, step) for place, step in enumerate(old)}
    now = {(*step.key, step.attempt) for step in new}
    for step in old:
        if (*step.key, step.attempt) not in now:
            c.execute(update(steps).where(_row_of(number, step)).values(position=None))
    for place, step in enumerate(new):
        if was.get(step.key) == (place, step):
            continue
        packed = packing.pack_step(step)
        values = {
            "position": place,
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
        c.execute(upsert(steps).values(**key, **values).on_conflict_do_update(index_elements=list(key), set_=values))


def _row_of(number: int, step: Step) -> Any:
    name, environment, stage = step.key
    return (
        (steps.c.rollout == number)
        & (steps.c.name == name)
        & (steps.c.environment == environment)
        & (steps.c.stage == stage)
        & (steps.c.attempt == step.attempt)
    )


def hold(c: Connection, rollout: Rollout, write_set: Sequence[tuple[str, str]] | None, pipelines: Pipelines) -> None:
    """Make the held rows those the state asks for; a write set of None stays while the state may hold one.

    Raises:
        BusyError: another rollout holds one of them.
    """
    number, wanted = rollout.number, holding.targets(rollout)
    rows = c.execute(select(targets).where(targets.c.number == number)).all()
    held = {(row.service, row.environment) for row in rows}
    for service, environment in held - wanted:
        here = (targets.c.service == service) & (targets.c.environment == environment)
        c.execute(delete(targets).where(here))
    for service, environment in sorted(wanted - held):
        try:
            c.execute(insert(targets).values(service=service, environment=environment, number=number))
        except IntegrityError as error:
            here = (targets.c.service == service) & (targets.c.environment == environment)
            other = c.execute(select(targets.c.number).where(here)).scalar_one()
            raise holding.busy(f"{service} {environment}", readable(c, other, pipelines), other) from error
    if not wanted:
        write_set = ()
    if write_set is None:
        return
    c.execute(delete(write_sets).where(write_sets.c.number == number))
    for file, scalar in sorted(set(write_set)):
        try:
            c.execute(insert(write_sets).values(file=file, scalar=scalar, number=number))
        except IntegrityError as error:
            here = (write_sets.c.file == file) & (write_sets.c.scalar == scalar)
            other = c.execute(select(write_sets.c.number).where(here)).scalar_one()
            raise holding.busy(f"{file} {scalar}", readable(c, other, pipelines), other) from error


def set_debts(c: Connection, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
    """Record and clear debts; the paid go first."""
    for service, environment, part in paid:
        settled = (debts.c.service == service) & (debts.c.environment == environment) & (debts.c.part == part)
        c.execute(delete(debts).where(settled))
    for debt in add:
        key = {"service": debt.service, "environment": debt.environment, "part": debt.part}
        row = upsert(debts).values(**key, body=codec.dumps(debt))
        c.execute(row.on_conflict_do_update(index_elements=list(key), set_={"body": row.excluded.body}))


def _build_row(build: Build) -> dict[str, Any]:
    return {
        "project": build.project,
        "change": build.change,
        "image": build.image,
        "state": build.state.value,
        "merged": codec.instant(build.merged),
        "body": codec.dumps(build),
    }


def put_build(c: Connection, build: Build) -> None:
    """Insert or replace a ledger entry; one with an image takes the place of the one without."""
    if build.image:
        unnamed = (builds.c.project == build.project) & (builds.c.change == build.change) & (builds.c.image == "")
        c.execute(delete(builds).where(unnamed))
    row = upsert(builds).values(**_build_row(build))
    kept = {name: row.excluded[name] for name in ("state", "merged", "body")}
    c.execute(row.on_conflict_do_update(index_elements=["project", "change", "image"], set_=kept))


def add_builds(c: Connection, added: Sequence[Build]) -> tuple[Build, ...]:
    """Add what the ledger does not know yet, and return that."""
    new: list[Build] = []
    for build in added:
        known = (builds.c.project == build.project) & (builds.c.change == build.change)
        if build.image:
            known &= builds.c.image == build.image
        if not c.execute(select(func.count()).select_from(builds).where(known)).scalar():
            put_build(c, build)
            new.append(build)
    return tuple(new)
