"""CHECK: the verdict comes from the new pods; they run the image, are ready, and stay so."""

from __future__ import annotations

from functools import partial
from typing import Any

from quarterdeck.core.cluster import health
from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.rollout.records import Checked
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.debts import pay
from quarterdeck.core.steps.evidence import keep_evidence
from quarterdeck.core.steps.run import Run


async def check(run: Run, step: Step) -> Checked:
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
            "the cluster", lambda: world.host.objects(*run.at(step.environment)), limits.check
        )
        now = world.clock.now()
        verdict = health.judge(objects, wanted, memory, now)
        memory = verdict.memory
        if verdict.health is health.Health.OK:
            result = Checked((verdict.ready, verdict.wanted), verdict.text, verdict.stable, verdict.digest)
            await run.done(step, result, _sal(run, step, verdict))
            if step.environment in run.rollout.served:
                await pay(world, run.rollout, [step.environment])
            return result
        if verdict.health is health.Health.BAD:
            await keep_evidence(run, step, verdict, objects)
        if verdict.health is health.Health.BAD and verdict.terminal:
            raise PermanentError(verdict.text)
        if (now - begun).total_seconds() > limits.check:
            raise PermanentError(f"no verdict after {limits.check:.0f} s: {verdict.text}")
        if (now - told).total_seconds() > limits.still:
            told = now
            await run.say("still", words_=f"{run.rollout.spoken(step.environment)} {verdict.text}")
        await run.pause(limits.poll)


async def wanted_pods(run: Run, step: Step, applied: bool) -> health.Expected:
    """What the pods of this step must be: the images that git makes the stage's releases run, by their digests."""
    diffed, limits = run.rollout.records.diffed, run.world.limits
    assert diffed is not None, "DIFF comes before"
    place_diff = diffed.places[step.environment]
    releases = place_diff.stage_releases(step.stage)
    images: dict[str, frozenset[str]] = {}
    for release in releases:
        for reference in place_diff.images.get(release, ()):
            name, _, tag = reference.rpartition(":")
            look = partial(run.world.registry.digest, name, tag)
            digest = diffed.digests.get(reference) or await run.patiently("the registry", look, limits.check)
            images[reference] = frozenset({digest} if digest else ())
    return health.Expected(
        releases=frozenset(releases),
        images=images,
        grace=limits.grace,
        soak=limits.soak,
        applied=applied,
    )


def _sal(run: Run, step: Step, verdict: health.Verdict) -> Any:
    """DONE closes a START, so only where something was applied."""
    if run.rollout.step(StepName.APPLY, step.environment, step.stage) is None:
        return ()
    return run.world.voice.lines("sal_done", run.rollout, step=step, pods=[verdict.ready, verdict.wanted])
