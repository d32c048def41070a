"""CHECK: the verdict comes from the new pods; they run the image, are ready, and stay so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import health
from ..errors import PermanentError
from ..rollout import Step, StepName
from .diff import stage_releases
from .evidence import keep_evidence
from .run import Run


async def check(run: Run, step: Step) -> Mapping[str, Any]:
    """Look at the pods until they are proven or hopeless.

    Raises:
        PermanentError: they are bad for longer than the grace, or not ready within the deadline.
    """
    world, limits = run.world, run.world.limits
    step = await run.intend(step)
    wanted = await wanted_pods(run, step, applied=True)
    memory, begun, told = health.Memory(), world.clock.now(), world.clock.now()
    while True:
        objects = await run.patiently(
            "the cluster", lambda: world.host.objects(run.service.name, step.environment), limits.check
        )
        now = world.clock.now()
        verdict = health.judge(objects, wanted, memory, now)
        memory = verdict.memory
        if verdict.state is health.State.OK:
            result = {
                "pods": [verdict.ready, verdict.wanted],
                "text": verdict.text,
                "soak": verdict.stable,
                "digest": verdict.digest,
            }
            await run.done(step, result, _sal(run, step, verdict))
            return result
        if verdict.state is health.State.BAD:
            await keep_evidence(run, step, verdict, objects)
        if verdict.state is health.State.BAD and verdict.terminal:
            raise PermanentError(verdict.text)
        if (now - begun).total_seconds() > limits.check:
            raise PermanentError(f"no verdict after {limits.check:.0f} s: {verdict.text}")
        if (now - told).total_seconds() > limits.still:
            told = now
            await run.say("still", words_=f"{step.environment} {verdict.text}")
        await run.pause(limits.poll)


async def wanted_pods(run: Run, step: Step, applied: bool) -> health.Wanted:
    """What the pods of this step must be: the tag's image, by its digest, in the stage's releases."""
    diffed = run.rollout.result(StepName.DIFF)
    found = diffed["environments"][step.environment]
    tag, limits = run.rollout.tag, run.world.limits
    digest = diffed.get("image")
    if tag and not digest:
        digest = await run.patiently(
            "the registry", lambda: run.world.registry.digest(run.service.image, tag), limits.check
        )
    return health.Wanted(
        releases=frozenset(stage_releases(found, step.stage)),
        images={f"{run.service.image}:{tag}": frozenset({digest} if digest else ())} if tag else {},
        grace=limits.grace,
        soak=limits.soak,
        applied=applied,
    )


def _sal(run: Run, step: Step, verdict: health.Verdict) -> Any:
    """DONE closes a START, so only where something was applied."""
    if run.rollout.step(StepName.APPLY, step.environment, step.stage) is None:
        return ()
    return run.world.voice.lines("sal_done", run.rollout, step=step, pods=[verdict.ready, verdict.wanted])
