"""SYNC: wait until the deploy host's checkout has the merged commit, and pin what it stands at."""

from __future__ import annotations

from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.rollout.records import Synced, SyncIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run


async def sync(run: Run, step: Step) -> Synced:
    """Pin the commit that everything after this is made from.

    Raises:
        PermanentError: the checkout stayed behind; says where it stands and why the pull fails.
    """
    world = run.world
    merged = run.rollout.records.merged
    merged_commit = merged.commit if merged else ""
    wanted = await _commit_to_wait_for(run, step, merged_commit)
    step = await run.intend(step, SyncIntent(wanted))
    begun = world.clock.now()
    while not await run.patiently("the deploy host", lambda: world.host.has_commit(wanted), world.limits.sync):
        waited = (world.clock.now() - begun).total_seconds()
        if waited > world.limits.sync:
            raise PermanentError(await _why_stuck(run, wanted, waited))
        await run.pause(world.limits.poll)
    position = await run.patiently("the deploy host", world.host.position, world.limits.sync)
    return Synced(position.commit, merged_commit, position.host)


async def _commit_to_wait_for(run: Run, step: Step, merged_commit: str) -> str:
    """What MERGE brought; in a person's retry the tip, because it follows a repair that was merged since."""
    if isinstance(step.intent, SyncIntent):
        return step.intent.commit
    if merged_commit and step.attempt == 1:
        return merged_commit
    return await run.patiently("Gerrit", run.world.charts.tip, run.world.limits.gate)


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
