"""APPLY: one host job that diffs again, compares and applies; exactly once, whatever dies."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from functools import partial

from quarterdeck.core.cluster import health
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.cluster.jobs import DIFFERS, HELD, MOVED, UNREADY
from quarterdeck.core.model.errors import (
    AbsentError,
    LostError,
    PermanentError,
    QuarterdeckError,
    StopRequested,
    TemporaryError,
)
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.host import Host, Release
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.runner import JobState, JobStatus, Runner
from quarterdeck.core.rollout.events import ApplyStarted
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.records import Applied, ApplyIntent, Diffed, PlaceDiff
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.steps.evidence import EvidenceKeeper
from quarterdeck.core.steps.jobs import HostJobs
from quarterdeck.core.steps.reading import digests_of
from quarterdeck.core.steps.run import Run
from quarterdeck.core.steps.watch import Watcher

log = logging.getLogger(__name__)
#: exit status of our own script -> what it means
_REFUSALS = {
    UNREADY: "not applied",
    HELD: "not applied: another apply of this service holds the host's lock",
    DIFFERS: "not applied: the diff is no longer the one that was shown. Say it again to see the new one",
    MOVED: "not applied: somebody else is on this release, or was since the diff. Say it again",
}


class ApplyStep:
    """Starts the job, finds it again, follows it, and decides what it did."""

    def __init__(
        self,
        host: Host,
        runner: Runner,
        registry: Registry,
        jobs: HostJobs,
        evidence: EvidenceKeeper,
        watcher: Watcher,
        limits: Limits,
    ) -> None:
        self.host, self.runner, self.registry, self.jobs = host, runner, registry, jobs
        self.evidence, self.watcher, self.limits = evidence, watcher, limits

    async def perform(self, run: Run, step: Step) -> Applied:
        """Apply what was shown.

        Raises:
            PermanentError: it was not applied, or helm went back; says which.
            LostError: the job's end cannot be proven.
            StopRequested: a person stopped it and the job has ended.
        """
        diffed = run.rollout.records.diffed
        assert diffed is not None, "DIFF comes before"
        pinned_revisions = _pinned_revisions(diffed.places[step.environment], step.stage)
        job = job_name(run.rollout, step)
        begun = step.started or run.clock.now()
        status = await self._found(run, step, job)
        if status.state is JobState.ABSENT:
            await self._prove_not_started(run, step, status, pinned_revisions)
            run.check_stop()
            step, status = await self._start(run, step, job, status.host, diffed)
            begun = step.started or begun
        status = await self._watched_to_its_end(run, step, job)
        seconds_taken = (run.clock.now() - begun).total_seconds()
        revisions = await self._new_revisions(run, step, job, status, pinned_revisions)
        return Applied(job, revisions, seconds_taken)

    # -- before ------------------------------------------------------------------------------------------------

    async def _found(self, run: Run, step: Step, job: str) -> JobStatus:
        """What the host knows of the job before anything is done. An apply that may run is found first, stopped then.

        Raises:
            LostError: it was asked for before, and nobody can say what came of it.
        """
        asked = step.state is StepState.INTENDED
        try:
            status = await self._status(run, job, heed_stop=not asked)
        except PermanentError as error:
            if asked:
                raise LostError(f"the apply was asked for and may run: {error}", step.started) from error
            raise
        our_script = step.intent.script if isinstance(step.intent, ApplyIntent) else ""
        if our_script and status.digest and status.digest != our_script:
            raise LostError(f"the deploy host has a job {job} with another command than ours", step.started)
        return status

    async def _status(self, run: Run, job: str, heed_stop: bool) -> JobStatus:
        look = partial(self.runner.status, job)
        return await run.patiently("the deploy host", look, self.limits.sync, heed_stop=heed_stop)

    async def _prove_not_started(self, run: Run, step: Step, status: JobStatus, pinned: Mapping[str, int]) -> None:
        """Law 7: go on by ourselves only if the same host says absent and the revisions are still the pinned ones."""
        if not isinstance(step.intent, ApplyIntent):
            return
        if status.host != step.intent.host:
            raise LostError(
                "the deploy host was restarted since the apply was asked for, its job is gone", step.started
            )
        releases = await self.host.releases(*run.at(step.environment))
        revisions = {release.name: release.revision for release in releases}
        moved = [name for name, revision in pinned.items() if revisions.get(name) != revision]
        if moved:
            raise LostError(f"the job is gone and release {moved[0]} is no longer at the pinned revision", step.started)

    async def _start(self, run: Run, step: Step, job: str, host: str, diffed: Diffed) -> tuple[Step, JobStatus]:
        """Save the intent and start the job; the step as saved.

        Args:
            host: incarnation of the deploy host.
        """
        place_diff = diffed.places[step.environment]
        pinned_revisions = _pinned_revisions(place_diff, step.stage)
        await self._refuse_another_image(place_diff.images, diffed.digests)
        lines = () if step.state is StepState.INTENDED else run.voice.lines(ApplyStarted(run.rollout, step))
        script = self._script(run, step, place_diff, pinned_revisions)
        digest = hashlib.sha256(script.encode()).hexdigest()
        templates = await self._templates(run, step)
        step = await run.intend(step, ApplyIntent(host, job, digest, pinned_revisions, templates), lines)
        try:
            return step, await self.runner.start(job, script)
        except TemporaryError as error:
            return step, await self._look_again(run, job, error)

    async def _refuse_another_image(self, images: Mapping[str, tuple[str, ...]], shown: Mapping[str, str]) -> None:
        """Law 8: a tag that was pushed again since the diff is not what was shown.

        A silent registry leaves it to CHECK.
        """
        references: list[str] = []
        for references_of_release in images.values():
            references += [reference for reference in references_of_release if reference in shown]
        for reference, now in (await digests_of(self.registry, references)).items():
            if now != shown[reference]:
                raise PermanentError(
                    f"not applied: {reference.rpartition(':')[2]} was pushed again since the diff was shown "
                    f"({shown[reference][:19]} is {now[:19]} now). Say it again if you want that one"
                )

    def _script(self, run: Run, step: Step, place_diff: PlaceDiff, pinned: Mapping[str, int]) -> str:
        """The job: what must be found before anything is applied, and who we are for whoever meets our lock."""
        parts = {f"diff.{name}": digest for name, digest in place_diff.parts.items() if name in pinned}
        revisions = {f"revision.{name}": str(revision) for name, revision in pinned.items()}
        note = f"quarterdeck #{run.rollout.number} ({run.rollout.shell})"
        return self.host.apply_script(
            *run.at(step.environment),
            tuple(pinned),
            {"diff": place_diff.digest, **parts, **revisions},
            {"export": place_diff.job, "id": run.rollout.id, "note": note},
        )

    async def _templates(self, run: Run, step: Step) -> tuple[str, ...]:
        """The pod templates that are there before the apply, so that the watcher judges only newer ones."""
        try:
            return tuple(sorted(health.templates(await self.host.objects(*run.at(step.environment)))))
        except QuarterdeckError:
            return ()

    async def _look_again(self, run: Run, job: str, error: TemporaryError) -> JobStatus:
        """The connection broke while starting: the job's name tells whether it began."""
        try:
            status = await self._status(run, job, heed_stop=False)
        except PermanentError as away:
            raise LostError(f"the deploy host went away while the apply was starting: {away}") from error
        if status.state is JobState.ABSENT:
            raise PermanentError(f"the apply did not start: {error}") from error
        return status

    # -- meanwhile ---------------------------------------------------------------------------------------------

    async def _watched_to_its_end(self, run: Run, step: Step, job: str) -> JobStatus:
        watching = asyncio.create_task(self.watcher.watch(run, step))
        try:
            return await self._until_ended(run, job, _log_name(step), self._deadline(run, step.environment))
        finally:
            watching.cancel()
            (crash,) = await asyncio.gather(watching, return_exceptions=True)
            if isinstance(crash, Exception):  # a missing warning must not be the only trace of a bug
                log.error("the watcher of #%s crashed", run.rollout.number, exc_info=crash)

    def _deadline(self, run: Run, place: str) -> float:
        """Seconds an apply may take: the helmfile's own timeout for the upgrade and again for the way back, and some."""
        timeout = run.rollout.briefing.timeouts.get(place, 600)
        return 2.0 * float(timeout) + self.limits.apply_extra

    async def _until_ended(self, run: Run, job: str, log_name: str, seconds: float) -> JobStatus:
        """Follow to the end; a stop or the deadline interrupts the job, and then its end is awaited all the same."""
        following = asyncio.create_task(self.jobs.follow(run, job, log_name))
        flag = asyncio.create_task(run.interrupted.wait())
        try:
            ended, _ = await asyncio.wait({following, flag}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if following not in ended:
                await self._interrupt(job)
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

    async def _interrupt(self, job: str) -> None:
        try:
            await self.runner.stop(job)
        except TemporaryError as error:
            raise LostError(f"the deploy host went away before the apply could be interrupted: {error}") from error

    # -- afterwards --------------------------------------------------------------------------------------------

    async def _new_revisions(
        self, run: Run, step: Step, job: str, status: JobStatus, pinned: Mapping[str, int]
    ) -> dict[str, int]:
        """Decide from exit status and revisions what the job did; the pods are judged by CHECK."""
        if status.state is JobState.LOST:
            raise LostError("helmfile on the deploy host ended without an exit status", step.started)
        if status.status in _REFUSALS:
            told = (await self._reason(run, step)).removeprefix("quarterdeck: ")
            raise PermanentError(f"{_REFUSALS[status.status]} ({told})")
        if status.status != 0:
            if run.interrupted.is_set():
                raise StopRequested
            seen = await self.evidence.text(run, step)
            helm = f"helmfile apply ended with exit status {status.status}: {await self._reason(run, step)}"
            raise PermanentError(seen or helm)
        releases = await self._releases_afterwards(job)
        for name, revision in pinned.items():
            release = releases.get(name)
            if release is None or release.status != "deployed" or release.revision != revision + 1:
                stands = f"{release.status} at revision {release.revision}" if release else "gone"
                raise PermanentError(f"applied, but release {name} is {stands}, not deployed at {revision + 1}")
        return {name: releases[name].revision for name in pinned}

    async def _releases_afterwards(self, job: str) -> dict[str, Release]:
        try:
            listed = await self.runner.read(job, "releases.json")
            releases = listing.releases(listed, await self.runner.read(job, "revisions.json"))
        except (TemporaryError, AbsentError) as error:
            raise LostError(f"applied, but the releases could not be read afterwards: {error}") from error
        return {release.name: release for release in releases}

    async def _reason(self, run: Run, step: Step) -> str:
        """Helm's own sentence out of the log, else its last line."""
        lines = await self.jobs.log_lines(run, _log_name(step))
        errors = [line for line in lines if line.startswith("Error:")]
        return (errors or lines or ["no output"])[-1][:200]


def _pinned_revisions(place_diff: PlaceDiff, stage: str) -> dict[str, int]:
    """Release -> the revision it must be at, of the stage's releases that change."""
    releases = place_diff.stage_releases(stage)
    shown = place_diff.shown
    return {name: shown.releases[name].revision for name in releases if name in shown.changed_releases}


def _log_name(step: Step) -> str:
    return f"{slug(step.environment)}.{step.stage}.apply.log"
