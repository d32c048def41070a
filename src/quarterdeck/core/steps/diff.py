"""DIFF: let the deploy host diff the pinned commit against every environment, and read what would change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .. import diff as reader
from .. import releases as listing
from ..errors import NotFoundError, PermanentError
from ..rollout import Rollout, Step, StepName, job_name
from .describe import describe, expected
from .run import Run

CANARY, DEFAULT = "canary", "default"


async def diff(run: Run, step: Step) -> Mapping[str, Any]:
    """Diff all environments, say the changed lines, and lay out the APPLY and CHECK steps that follow.

    Raises:
        PermanentError: helmfile failed, or the two copies of a diff differ.
    """
    commit = str(run.rollout.result(StepName.SYNC)["commit"])
    step = await run.intend(step, commit=commit)
    diffs = [asyncio.create_task(_one(run, step, env, commit)) for env in run.rollout.environments]
    try:
        found = await asyncio.gather(*diffs)
    finally:  # one that failed leaves no other behind
        for task in diffs:
            task.cancel()
        await asyncio.gather(*diffs, return_exceptions=True)
    image = await run.image_digest()
    result = {"commit": commit, "image": image, "environments": dict(zip(run.rollout.environments, found, strict=True))}
    lines = run.world.voice.lines("diff", run.rollout, found=result["environments"])
    # in one move: a diff that is done without the steps it calls for would look like a rollout with nothing to do
    await run.done(step, result, lines, follow=layout(run.rollout, result))
    return result


async def _one(run: Run, step: Step, environment: str, commit: str) -> dict[str, Any]:
    world, number = run.world, run.rollout.number
    job = job_name(run.rollout, replace(step, environment=environment))
    script = world.host.diff_script(run.service.name, environment, commit)
    ended = await run.job(job, script, f"{environment}.diff.log", world.limits.diff)
    if ended.status != 0:
        raise PermanentError(f"helmfile diff failed in {environment}: {await _tail(run, environment)}")
    raw = await _read(run, job, "diff")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != (await _read(run, job, "diff.sha256")).decode().strip():
        raise PermanentError(f"the diff of {environment} changed on its way from the deploy host")
    text = raw.decode("utf-8", "replace")
    shown = await asyncio.to_thread(world.redactor.text, text)
    await world.files.write(number, f"{environment}.diff", shown.encode())
    found = listing.releases(await _read(run, job, "releases.json"), await _read(run, job, "revisions.json"))
    if not found:
        raise PermanentError(f"helmfile lists no release of {run.service.name} in {environment}")
    parts = listing.digests(await _read(run, job, "diff.releases"))
    old, tag = run.rollout.before.get(environment, ""), run.rollout.tag
    # read before redaction: a changed secret must count as a change; what is kept of it is redacted after
    read = await asyncio.to_thread(reader.read, text, expected(run.service.image, old, tag))
    canaries = [r.name for r in found if r.name in run.service.canaries]
    said, _ = await world.files.read(number, f"{environment}.diff.log")
    gone = [
        f"release {name} is no longer wanted; I leave it" for name in reader.deleted(said.decode("utf-8", "replace"))
    ]
    told = describe(read, found, world.redactor)
    told["surprises"] += gone
    return {"job": job, "digest": digest, "parts": parts, "canaries": canaries, **told}


def layout(rollout: Rollout, result: Mapping[str, Any]) -> tuple[Step, ...]:
    """APPLY and CHECK steps in the lawful order: canaries everywhere first, then the rest, primary last."""
    steps: list[Step] = []
    diffed = rollout.step(StepName.DIFF)
    attempt = diffed.attempt if diffed else 1
    for stage in (CANARY, DEFAULT):
        for environment in rollout.environments:
            found = result["environments"][environment]
            mine = stage_releases(found, stage)
            if not mine:
                continue
            if any(name in found["changed_releases"] for name in mine):
                steps.append(Step(StepName.APPLY, environment, stage, attempt))
            steps.append(Step(StepName.CHECK, environment, stage, attempt))
    return tuple(steps)


def stage_releases(found: Mapping[str, Any], stage: str) -> tuple[str, ...]:
    """The releases of an environment that belong to a stage: the service's canaries, or all others."""
    return tuple(name for name in found["releases"] if (name in found["canaries"]) is (stage == CANARY))


async def _read(run: Run, job: str, name: str) -> bytes:
    async def read() -> bytes:
        try:
            return await run.world.runner.read(job, name)
        except NotFoundError:
            return b""

    return await run.patiently("the deploy host", read, run.world.limits.diff)


async def _tail(run: Run, environment: str, lines: int = 3) -> str:
    data, _ = await run.world.files.read(run.rollout.number, f"{environment}.diff.log")
    kept = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "no output"
