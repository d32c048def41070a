"""What rollouts hold: their targets and the scalars that they write, each under a unique index."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from quarterdeck.adapters.store import rollouts as rollout_rows
from quarterdeck.adapters.store.schema import targets, write_sets
from quarterdeck.adapters.store.upsert import inserted
from quarterdeck.core.rollout import holding
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.rollout import Rollout


def hold(c: Connection, rollout: Rollout, write_set: Sequence[tuple[str, str]] | None, pipelines: Pipelines) -> None:
    """Make the held rows those the state asks for; a write set of None stays while the state may hold one.

    Raises:
        BusyError: another rollout holds one of them.
    """
    wanted = holding.targets(rollout)
    _hold_targets(c, rollout, wanted, pipelines)
    if not wanted:
        write_set = ()
    if write_set is not None:
        _hold_scalars(c, rollout, write_set, pipelines)


def _hold_targets(c: Connection, rollout: Rollout, wanted: frozenset[tuple[str, str]], pipelines: Pipelines) -> None:
    rows = c.execute(select(targets).where(targets.c.number == rollout.number)).all()
    held = {(row.service, row.environment) for row in rows}
    for service, environment in held - wanted:
        c.execute(delete(targets).where((targets.c.service == service) & (targets.c.environment == environment)))
    for service, environment in sorted(wanted - held):
        row = {"service": service, "environment": environment, "number": rollout.number}
        if not inserted(c, targets, row):
            here = (targets.c.service == service) & (targets.c.environment == environment)
            other = c.execute(select(targets.c.number).where(here)).scalar_one()
            holder = rollout_rows.readable(c, other, pipelines)
            raise holding.busy(f"{service} {environment}", holder, other)


def _hold_scalars(c: Connection, rollout: Rollout, write_set: Sequence[tuple[str, str]], pipelines: Pipelines) -> None:
    c.execute(delete(write_sets).where(write_sets.c.number == rollout.number))
    for file, scalar in sorted(set(write_set)):
        if not inserted(c, write_sets, {"file": file, "scalar": scalar, "number": rollout.number}):
            here = (write_sets.c.file == file) & (write_sets.c.scalar == scalar)
            other = c.execute(select(write_sets.c.number).where(here)).scalar_one()
            raise holding.busy(f"{file} {scalar}", rollout_rows.readable(c, other, pipelines), other)
