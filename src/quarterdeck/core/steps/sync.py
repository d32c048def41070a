"""SYNC: wait until the deploy host's checkout has the merged commit, and pin what it stands at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.run import Run


async def sync(run: Run, step: Step) -> Mapping[str, Any]:
    """Pin the commit that everything after this is made from.

    Raises:
        PermanentError: the checkout stayed behind; says where it stands and why the pull fails.
    """
    world = run.world
    merged = run.rollout.result(StepName.MERGE).get("commit")
    # a person's retry follows a repair that was merged since, so it waits for the tip
    wanted = str(step.intent.get("commit") or (merged if step.attempt == 1 else "") or "")
    if not wanted:
        wanted = await run.patiently("Gerrit", world.charts.tip, world.limits.gate)
    step = await run.intend(step, commit=wanted)
    begun = world.clock.now()
    while not await run.patiently("the deploy host", lambda: world.host.has_commit(wanted), world.limits.sync):
        waited = (world.clock.now() - begun).total_seconds()
        if waited > world.limits.sync:
            raise PermanentError(await _why_stuck(run, wanted, waited))
        await run.pause(world.limits.poll)
    position = await run.patiently("the deploy host", world.host.position, world.limits.sync)
    return {"commit": position.commit, "merged": merged or "", "host": position.host}


async def _why_stuck(run: Run, wanted: str, waited: float) -> str:
    try:
        position = await run.world.host.position()
    except TemporaryError as error:
        return f"the deploy host is away: {error}"
    problem = f", git pull fails: {position.problem}" if position.problem else ""
    name = run.world.deploy_host_name
    return (
        f"{name} stands at {position.commit[:8]} and has not got {wanted[:8]} after {waited:.0f} s{problem}. Needs root"
    )
