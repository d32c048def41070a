"""DIFF: let the deploy host diff the pinned commit against every place, and read what would change."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from functools import partial

from quarterdeck.core.charts.members import component_of, plain_images
from quarterdeck.core.charts.reading.images import ReleaseImage
from quarterdeck.core.charts.snapshot import Snapshot
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.cluster import diff_reader as reader
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.model.errors import EditRefusedError, PermanentError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.place import joined, slug
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.host import Host, Release
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.events import DiffTaken
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.records import STAGES, Diffed, DiffIntent, PlaceDiff
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.describe import describe, expected, references
from quarterdeck.core.steps.jobs import HostJobs
from quarterdeck.core.steps.reading import digests_of, snapshot_at
from quarterdeck.core.steps.run import Run

#: lines of helmfile's log that a failure tells
_TOLD_LINES = 3


class DiffStep:
    """Diffs on the deploy host, in a job for each place."""

    def __init__(
        self,
        charts: Snapshots,
        registry: Registry,
        host: Host,
        jobs: HostJobs,
        files: Files,
        redactor: Redactor,
        limits: Limits,
    ) -> None:
        self.charts, self.registry, self.host = charts, registry, host
        self.jobs, self.files, self.redactor, self.limits = jobs, files, redactor, limits

    async def perform(self, run: Run, step: Step) -> Diffed:
        """Diff all environments, say the changed lines, and lay out the APPLY and CHECK steps that follow.

        Raises:
            PermanentError: helmfile failed, or the two copies of a diff differ.
        """
        synced = run.rollout.records.synced
        assert synced is not None, "SYNC comes before"
        commit = synced.commit
        step = await run.intend(step, DiffIntent(commit))
        snapshot = await snapshot_at(run, self.charts, commit, self.limits.diff)
        await _refuse_another_tag(run, snapshot)
        place_diffs = await self._of_all_places(run, step, snapshot)
        references_shown: list[str] = []
        for place_diff in place_diffs.values():
            for references_of_release in place_diff.images.values():
                references_shown += references_of_release
        diffed = Diffed(commit, await digests_of(self.registry, references_shown), place_diffs)
        lines = run.voice.lines(DiffTaken(run.rollout, diffed.places))
        # in one move: a diff that is done without the steps it calls for would look like a rollout with nothing to do
        await run.done(step, diffed, lines, follow=layout(run.rollout, diffed))
        return diffed

    async def _of_all_places(self, run: Run, step: Step, snapshot: Snapshot) -> dict[str, PlaceDiff]:
        """Place -> its diff, all taken side by side; one that fails leaves no other behind."""
        places = run.rollout.environments
        diffing = [asyncio.create_task(self._of_place(run, step, place, snapshot)) for place in places]
        try:
            return dict(zip(places, await asyncio.gather(*diffing), strict=True))
        finally:
            for task in diffing:
                task.cancel()
            await asyncio.gather(*diffing, return_exceptions=True)

    async def _of_place(self, run: Run, step: Step, place: str, snapshot: Snapshot) -> PlaceDiff:
        rollout, log = run.rollout, f"{slug(place)}.diff.log"
        images = await self._images(run, place, snapshot)
        job = job_name(rollout, replace(step, environment=place))
        raw = await self._taken_on_the_host(run, place, job, snapshot.commit, log)
        text = raw.decode("utf-8", "replace")
        releases = await self._releases(run, job)
        kept_text = text
        if run.subject.own.is_part:
            releases = tuple(release for release in releases if release.name in images)
            kept_text = reader.of_releases(text, set(images))
        redacted_text = await asyncio.to_thread(self.redactor.text, kept_text)
        await self.files.write(rollout.number, f"{slug(place)}.diff", redacted_text.encode())
        if not releases:
            raise PermanentError(f"helmfile lists no release of {rollout.title} in {rollout.spoken(place)}")
        every_image = [image for named in images.values() for image in named]
        # read before redaction: a changed secret must count as a change; what is kept of it is redacted after
        before = "" if rollout.part == ALL else rollout.before.get(place, "")  # its parts may run several
        wanted = expected(every_image, before, rollout.tag)
        every_release = await asyncio.to_thread(reader.read, text, wanted)
        own_diff, left = every_release.of({release.name for release in releases})
        unwanted_releases = reader.deleted(await self.jobs.log_text(run, log))
        canary_names = run.subject.at(place)[0].service.canaries
        if run.subject.own.is_part:
            tags = frozenset(image.tag for image in every_image)
        else:
            tags = await _tags(run, place, snapshot)
        return PlaceDiff(
            job=job,
            digest=hashlib.sha256(raw).hexdigest(),
            parts=listing.digests(await self._result(run, job, "diff.releases")),
            canaries=tuple(release.name for release in releases if release.name in canary_names),
            images=references(images),
            tags=tuple(sorted(tags)),
            left=tuple(left),
            shown=describe(own_diff, releases, self.redactor, unwanted_releases),
        )

    async def _taken_on_the_host(self, run: Run, place: str, job: str, commit: str, log: str) -> bytes:
        """The diff of a place as the host took it.

        Raises:
            PermanentError: helmfile failed, or what arrived is not what the host took.
        """
        script = self.host.diff_script(*run.at(place), commit)
        ended = await self.jobs.run_reading(run, job, script, log, self.limits.diff)
        where = run.rollout.spoken(place)
        if ended.status != 0:
            raise PermanentError(f"helmfile diff failed in {where}: {await self._last_lines(run, log)}")
        raw = await self._result(run, job, "diff")
        if hashlib.sha256(raw).hexdigest() != (await self._result(run, job, "diff.sha256")).decode().strip():
            raise PermanentError(f"the diff of {where} changed on its way from the deploy host")
        return raw

    async def _images(self, run: Run, place: str, snapshot: Snapshot) -> dict[str, tuple[ReleaseImage, ...]]:
        """Release -> the images that the pinned commit makes it run; by the catalogue where the files do not say.

        Raises:
            PermanentError: nobody can say which releases are of the part.
        """
        member, environment = run.subject.at(place)
        name, tag = member.service.name, run.rollout.tag
        try:
            return await asyncio.to_thread(snapshot.release_images, component_of(member), environment)
        except EditRefusedError as why:
            if member.is_part:
                raise PermanentError(f"I cannot tell the releases of {member.title}: {why}") from why
        look = partial(self.host.releases, name, environment)
        releases = await run.patiently("the deploy host", look, self.limits.diff)
        return {release.name: plain_images(member, tag) if tag else () for release in releases}

    async def _releases(self, run: Run, job: str) -> tuple[Release, ...]:
        listed = await self._result(run, job, "releases.json")
        return listing.releases(listed, await self._result(run, job, "revisions.json"))

    async def _result(self, run: Run, job: str, name: str) -> bytes:
        return await self.jobs.result(run, job, name, self.limits.diff)

    async def _last_lines(self, run: Run, log: str) -> str:
        return " / ".join((await self.jobs.log_lines(run, log))[-_TOLD_LINES:]) or "no output"


async def _refuse_another_tag(run: Run, snapshot: Snapshot) -> None:
    """Somebody's later bump is not applied in the name of who asked for another tag.

    Raises:
        PermanentError: git gives a place another tag by now.
    """
    if run.rollout.kind == Kind.APPLY:
        return
    tags_in_git = {place: await _tag(run, place, snapshot) for place in run.rollout.environments}
    others = {place: tag for place, tag in tags_in_git.items() if tag not in ("", run.rollout.tag)}
    if others:
        tags = joined(sorted({short_tag(tag, run.service.suffix) for tag in others.values()}))
        where = run.rollout.listed(others)
        raise PermanentError(f"git says {tags} for {where} by now, bumped since. !apply takes what git says")


async def _tag(run: Run, place: str, snapshot: Snapshot) -> str:
    """The tag that git gives a place; empty where it cannot be told: the diff shows it."""
    member, environment = run.subject.at(place)
    try:
        return (await asyncio.to_thread(snapshot.tag, component_of(member), environment)).tag
    except EditRefusedError:
        return ""


async def _tags(run: Run, place: str, snapshot: Snapshot) -> frozenset[str]:
    """Every tag that an apply of the whole place brings; none where they cannot be told."""
    member, environment = run.subject.at(place)
    try:
        return await asyncio.to_thread(snapshot.all_tags, component_of(member), environment)
    except EditRefusedError:
        return frozenset()


def layout(rollout: Rollout, diffed: Diffed) -> tuple[Step, ...]:
    """APPLY and CHECK steps in the lawful order: canaries everywhere first, then the rest, primary last."""
    steps: list[Step] = []
    diff_step = rollout.step(StepName.DIFF)
    attempt = diff_step.attempt if diff_step else 1
    for stage in STAGES:
        for place in rollout.environments:
            place_diff = diffed.places[place]
            releases = place_diff.stage_releases(stage)
            if not releases:
                continue
            if any(release in place_diff.shown.changed_releases for release in releases):
                steps.append(Step(StepName.APPLY, place, stage, attempt))
            steps.append(Step(StepName.CHECK, place, stage, attempt))
    return tuple(steps)
