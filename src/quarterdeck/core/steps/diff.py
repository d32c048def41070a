"""DIFF: let the deploy host diff the pinned commit against every place, and read what would change."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace

from quarterdeck.core.charts import facade
from quarterdeck.core.charts.members import known, plain_images, release_images
from quarterdeck.core.cluster import diff_reader as reader
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError, PermanentError
from quarterdeck.core.model.place import joined, slug
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.ports.charts import Tree
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.records import STAGES, Diffed, DiffIntent, PlaceDiff
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.describe import describe, expected, references
from quarterdeck.core.steps.run import Run


async def diff(run: Run, step: Step) -> Diffed:
    """Diff all environments, say the changed lines, and lay out the APPLY and CHECK steps that follow.

    Raises:
        PermanentError: helmfile failed, or the two copies of a diff differ.
    """
    synced = run.rollout.records.synced
    assert synced is not None, "SYNC comes before"
    commit = synced.commit
    step = await run.intend(step, DiffIntent(commit))
    trees = await run.trees(commit, run.world.limits.diff)
    await _refuse_another_tag(run, trees)
    diffs = [asyncio.create_task(_one(run, step, place, commit, trees)) for place in run.rollout.environments]
    try:
        place_diffs = await asyncio.gather(*diffs)
    finally:  # one that failed leaves no other behind
        for task in diffs:
            task.cancel()
        await asyncio.gather(*diffs, return_exceptions=True)
    image_references = [reference for place_diff in place_diffs for reference in _references_of(place_diff)]
    digests = await run.digests(image_references)
    result = Diffed(commit, digests, dict(zip(run.rollout.environments, place_diffs, strict=True)))
    lines = run.world.voice.lines("diff", run.rollout, found=result.places)
    # in one move: a diff that is done without the steps it calls for would look like a rollout with nothing to do
    await run.done(step, result, lines, follow=layout(run.rollout, result))
    return result


def _references_of(place_diff: PlaceDiff) -> list[str]:
    return [reference for references in place_diff.images.values() for reference in references]


async def _refuse_another_tag(run: Run, trees: Mapping[str, Tree]) -> None:
    """Somebody's later bump is not applied in the name of who asked for another tag.

    Raises:
        PermanentError: git gives a place another tag by now.
    """
    if run.rollout.kind == Kind.APPLY:
        return
    found = {place: await _tag(run, place, trees) for place in run.rollout.environments}
    other = {place: tag for place, tag in found.items() if tag not in ("", run.rollout.tag)}
    if other:
        tags = joined(sorted({short_tag(tag, run.service.suffix) for tag in other.values()}))
        where = run.rollout.listed(other)
        raise PermanentError(f"git says {tags} for {where} by now, bumped since. !apply takes what git says")


async def _tag(run: Run, place: str, trees: Mapping[str, Tree]) -> str:
    """The tag that git gives a place; empty where it cannot be told: the diff shows it."""
    member, environment = run.subject.at(place)
    name = member.service.name
    try:
        args = (trees[name], name, (environment,), known(member.service), member.part)
        return (await asyncio.to_thread(facade.effective, *args))[environment].tag
    except EditRefusedError:
        return ""


async def _one(run: Run, step: Step, place: str, commit: str, trees: Mapping[str, Tree]) -> PlaceDiff:
    world, (service, environment) = run.world, run.at(place)
    log = f"{slug(place)}.diff.log"
    images = await _images(run, place, trees)
    job = job_name(run.rollout, replace(step, environment=place))
    script = world.host.diff_script(service, environment, commit)
    ended = await run.job(job, script, log, world.limits.diff)
    if ended.status != 0:
        raise PermanentError(f"helmfile diff failed in {run.rollout.spoken(place)}: {await _tail(run, log)}")
    raw = await _read(run, job, "diff")
    digest = hashlib.sha256(raw).hexdigest()
    if digest != (await _read(run, job, "diff.sha256")).decode().strip():
        raise PermanentError(f"the diff of {run.rollout.spoken(place)} changed on its way from the deploy host")
    text = mine = raw.decode("utf-8", "replace")
    found = listing.releases(await _read(run, job, "releases.json"), await _read(run, job, "revisions.json"))
    if run.subject.own.is_part:
        found = tuple(release for release in found if release.name in images)
        mine = reader.of_releases(text, set(images))
    redacted_text = await asyncio.to_thread(world.redactor.text, mine)
    await world.files.write(run.rollout.number, f"{slug(place)}.diff", redacted_text.encode())
    if not found:
        raise PermanentError(f"helmfile lists no release of {run.rollout.title} in {run.rollout.spoken(place)}")
    parts = listing.digests(await _read(run, job, "diff.releases"))
    every = [image for named in images.values() for image in named]
    # read before redaction: a changed secret must count as a change; what is kept of it is redacted after
    before = "" if run.rollout.part == facade.ALL else run.rollout.before.get(place, "")  # its parts may run several
    wanted = expected(every, before, run.rollout.tag)
    read = await asyncio.to_thread(reader.read, text, wanted)
    own, left = read.of({release.name for release in found})
    canaries = [r.name for r in found if r.name in run.subject.at(place)[0].service.canaries]
    said, _ = await world.files.read(run.rollout.number, log)
    unwanted_releases = reader.deleted(said.decode("utf-8", "replace"))
    shown = describe(own, found, world.redactor, unwanted_releases)
    tags = {image.tag for image in every} if run.subject.own.is_part else await _tags(run, place, trees)
    return PlaceDiff(
        job=job,
        digest=digest,
        parts=parts,
        canaries=tuple(canaries),
        images=references(images),
        tags=tuple(sorted(tags)),
        left=tuple(left),
        shown=shown,
    )


async def _tags(run: Run, place: str, trees: Mapping[str, Tree]) -> frozenset[str]:
    """Every tag that an apply of the whole place brings; none where they cannot be told."""
    member, environment = run.subject.at(place)
    name = member.service.name
    try:
        return await asyncio.to_thread(facade.tags_of, trees[name], name, environment, known(member.service))
    except EditRefusedError:
        return frozenset()


async def _images(run: Run, place: str, trees: Mapping[str, Tree]) -> dict[str, tuple[facade.ReleaseImage, ...]]:
    """Release -> the images that the pinned commit makes it run; by the catalogue where the files do not say.

    Raises:
        PermanentError: nobody can say which releases are of the part.
    """
    world, (member, environment) = run.world, run.subject.at(place)
    name, tag = member.service.name, run.rollout.tag
    try:
        return await asyncio.to_thread(release_images, member, trees[name], environment)
    except EditRefusedError as why:
        if member.is_part:
            raise PermanentError(f"I cannot tell the releases of {member.title}: {why}") from why
    releases = await run.patiently("the deploy host", lambda: world.host.releases(name, environment), world.limits.diff)
    return {release.name: plain_images(member, tag) if tag else () for release in releases}


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


async def _read(run: Run, job: str, name: str) -> bytes:
    async def read() -> bytes:
        try:
            return await run.world.runner.read(job, name)
        except NotFoundError:
            return b""

    return await run.patiently("the deploy host", read, run.world.limits.diff)


async def _tail(run: Run, log: str, lines: int = 3) -> str:
    data, _ = await run.world.files.read(run.rollout.number, log)
    kept = [line.strip() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(kept[-lines:]) or "no output"
