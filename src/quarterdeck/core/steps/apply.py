"""APPLY: one host job that diffs again, compares and applies; exactly once, whatever dies."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping

from quarterdeck.core.cluster import health
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.cluster.jobs import DIFFERS, HELD, MOVED, UNREADY
from quarterdeck.core.model.errors import (
    LostError,
    NotFoundError,
    PermanentError,
    QuarterdeckError,
    StopRequested,
    TemporaryError,
)
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.runner import JobState, JobStatus
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.records import Applied, ApplyIntent, PlaceDiff
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.steps.evidence import evidence_text
from quarterdeck.core.steps.run import Run
from quarterdeck.core.steps.watch import watch

log = logging.getLogger(__name__)


async def apply(run: Run, step: Step) -> Applied:
    """Apply what was shown.

    Raises:
        PermanentError: it was not applied, or helm went back; says which.
        LostError: the job's end cannot be proven.
        StopRequested: a person stopped it and the job has ended.
    """
    world, diffed = run.world, run.rollout.records.diffed
    assert diffed is not None, "DIFF comes before"
    place_diff = diffed.places[step.environment]
    pinned_revisions = _pinned_revisions(place_diff, step.stage)
    job = job_name(run.rollout, step)
    seconds = await _deadline(run, step.environment)
    begun = step.started or world.clock.now()
    status = await _found(run, step, job)
    if status.state is JobState.ABSENT:
        await _prove_not_started(run, step, status, pinned_revisions)
        run.check_stop()
        await _refuse_another_image(run, place_diff.images, diffed.digests)
        lines = () if step.state is StepState.INTENDED else world.voice.lines("sal_start", run.rollout, step=step)
        script = _script(run, step, place_diff, pinned_revisions)
        digest = hashlib.sha256(script.encode()).hexdigest()
        templates = await _templates(run, step)
        intent = ApplyIntent(status.host, job, digest, pinned_revisions, templates)
        step = await run.intend(step, intent, lines)
        begun = step.started or begun
        try:
            status = await world.runner.start(job, script)
        except TemporaryError as error:
            status = await _look_again(run, job, error)
    watching = asyncio.create_task(watch(run, step))
    try:
        status = await _until_ended(run, job, _log_name(step), seconds)
    finally:
        watching.cancel()
        (crash,) = await asyncio.gather(watching, return_exceptions=True)
        if isinstance(crash, Exception):  # a missing warning must not be the only trace of a bug
            log.error("the watcher of #%s crashed", run.rollout.number, exc_info=crash)
    seconds_taken = (world.clock.now() - begun).total_seconds()
    revisions = await _new_revisions(run, step, job, status, pinned_revisions)
    return Applied(job, revisions, seconds_taken)


def _pinned_revisions(place_diff: PlaceDiff, stage: str) -> dict[str, int]:
    """Release -> the revision it must be at, of the stage's releases that change."""
    releases = place_diff.stage_releases(stage)
    shown = place_diff.shown
    return {name: shown.releases[name].revision for name in releases if name in shown.changed_releases}


async def _found(run: Run, step: Step, job: str) -> JobStatus:
    """What the host knows of the job before anything is done. An apply that may run is found first, stopped then.

    Raises:
        LostError: it was asked for before, and nobody can say what came of it.
    """
    asked, host = step.state is StepState.INTENDED, run.world.runner
    try:
        status = await run.patiently(
            "the deploy host", lambda: host.status(job), run.world.limits.sync, heed_stop=not asked
        )
    except PermanentError as error:
        if asked:
            raise LostError(f"the apply was asked for and may run: {error}", step.started) from error
        raise
    known = step.intent.script if isinstance(step.intent, ApplyIntent) else ""
    if known and status.digest and status.digest != known:
        raise LostError(f"the deploy host has a job {job} with another command than ours", step.started)
    return status


async def _refuse_another_image(run: Run, images: Mapping[str, tuple[str, ...]], shown: Mapping[str, str]) -> None:
    """Law 8: a tag that was pushed again since the diff is not what was shown. A silent registry leaves it to CHECK."""
    mine = [ref for refs in images.values() for ref in refs if ref in shown]
    for ref, now in (await run.digests(mine)).items():
        if now != shown[ref]:
            raise PermanentError(
                f"not applied: {ref.rpartition(':')[2]} was pushed again since the diff was shown "
                f"({shown[ref][:19]} is {now[:19]} now). Say it again if you want that one"
            )


def _log_name(step: Step) -> str:
    return f"{slug(step.environment)}.{step.stage}.apply.log"


def _script(run: Run, step: Step, place_diff: PlaceDiff, pinned: Mapping[str, int]) -> str:
    """The job: what must be found before anything is applied, and who we are for whoever meets our lock."""
    parts = {f"diff.{name}": digest for name, digest in place_diff.parts.items() if name in pinned}
    revisions = {f"revision.{name}": str(revision) for name, revision in pinned.items()}
    note = f"quarterdeck #{run.rollout.number} ({run.rollout.shell})"
    return run.world.host.apply_script(
        *run.at(step.environment),
        tuple(pinned),
        {"diff": place_diff.digest, **parts, **revisions},
        {"export": place_diff.job, "id": run.rollout.id, "note": note},
    )


async def _templates(run: Run, step: Step) -> tuple[str, ...]:
    """The pod templates that are there before the apply, so that the watcher judges only newer ones."""
    try:
        return tuple(sorted(health.templates(await run.world.host.objects(*run.at(step.environment)))))
    except QuarterdeckError:
        return ()


async def _prove_not_started(run: Run, step: Step, status: JobStatus, pinned: Mapping[str, int]) -> None:
    """Law 7: go on by ourselves only if the same host says absent and the revisions are still the pinned ones."""
    if not isinstance(step.intent, ApplyIntent):
        return
    if status.host != step.intent.host:
        raise LostError("the deploy host was restarted since the apply was asked for, its job is gone", step.started)
    live = {r.name: r.revision for r in await run.world.host.releases(*run.at(step.environment))}
    moved = [name for name, revision in pinned.items() if live.get(name) != revision]
    if moved:
        raise LostError(f"the job is gone and release {moved[0]} is no longer at the pinned revision", step.started)


async def _look_again(run: Run, job: str, error: TemporaryError) -> JobStatus:
    """The connection broke while starting: the job's name tells whether it began."""
    try:
        status = await run.patiently(
            "the deploy host", lambda: run.world.runner.status(job), run.world.limits.sync, heed_stop=False
        )
    except PermanentError as away:
        raise LostError(f"the deploy host went away while the apply was starting: {away}") from error
    if status.state is JobState.ABSENT:
        raise PermanentError(f"the apply did not start: {error}") from error
    return status


async def _deadline(run: Run, environment: str) -> float:
    """Seconds an apply may take: the helmfile's own timeout for the upgrade and again for the way back, and some."""
    timeout = run.rollout.briefing.timeouts.get(environment, 600)
    return 2.0 * float(timeout) + run.world.limits.apply_extra


async def _until_ended(run: Run, job: str, log: str, seconds: float) -> JobStatus:
    """Follow to the end; a stop or the deadline interrupts the job, and then its end is awaited all the same."""
    following = asyncio.create_task(run.follow(job, log))
    flag = asyncio.create_task(run.interrupted.wait())
    try:
        ended, _ = await asyncio.wait({following, flag}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if following not in ended:
            await _interrupt(run, job)
            ended, _ = await asyncio.wait({following}, timeout=seconds)
            if following not in ended:
                raise LostError(f"job {job} was interrupted and did not end within {seconds:.0f} s")
        return following.result()
    except TemporaryError as error:
        raise LostError(f"the deploy host went away while it applied: {error}") from error
    except PermanentError as error:
        raise LostError(f"the apply could not be followed to its end: {error}") from error
    finally:
        for task in (following, flag):
            task.cancel()
        await asyncio.gather(following, flag, return_exceptions=True)


async def _interrupt(run: Run, job: str) -> None:
    try:
        await run.world.runner.stop(job)
    except TemporaryError as error:
        raise LostError(f"the deploy host went away before the apply could be interrupted: {error}") from error


async def _new_revisions(
    run: Run, step: Step, job: str, status: JobStatus, pinned: Mapping[str, int]
) -> dict[str, int]:
    """Decide from exit status and revisions what the job did; the pods are judged by CHECK."""
    if status.state is JobState.LOST:
        raise LostError("helmfile on the deploy host ended without an exit status", step.started)
    refusals = {
        UNREADY: "not applied",
        HELD: "not applied: another apply of this service holds the host's lock",
        DIFFERS: "not applied: the diff is no longer the one that was shown. Say it again to see the new one",
        MOVED: "not applied: somebody else is on this release, or was since the diff. Say it again",
    }
    if status.status in refusals:
        told = (await _reason(run, step)).removeprefix("quarterdeck: ")
        raise PermanentError(f"{refusals[status.status]} ({told})")
    if status.status != 0:
        if run.interrupted.is_set():
            raise StopRequested
        seen = await evidence_text(run, step)
        helm = f"helmfile apply ended with exit status {status.status}: {await _reason(run, step)}"
        raise PermanentError(seen or helm)
    try:
        listed = await run.world.runner.read(job, "releases.json")
        after = {r.name: r for r in listing.releases(listed, await run.world.runner.read(job, "revisions.json"))}
    except (TemporaryError, NotFoundError) as error:
        raise LostError(f"applied, but the releases could not be read afterwards: {error}") from error
    for name, revision in pinned.items():
        release = after.get(name)
        if release is None or release.status != "deployed" or release.revision != revision + 1:
            stands = f"{release.status} at revision {release.revision}" if release else "gone"
            raise PermanentError(f"applied, but release {name} is {stands}, not deployed at {revision + 1}")
    return {name: after[name].revision for name in pinned}


async def _reason(run: Run, step: Step) -> str:
    """Helm's own sentence out of the log, else its last line."""
    data, _ = await run.world.files.read(run.rollout.number, _log_name(step))
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error:")]
    return (errors or lines or ["no output"])[-1][:200]
