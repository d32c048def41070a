"""What an order would change: its edited files are laid over an export on the deploy host and diffed there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from quarterdeck.core.charts.members import component_of, plain_images
from quarterdeck.core.cluster import diff_reader
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.model.errors import EditRefusedError, PermanentError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.place import slug
from quarterdeck.core.orders.order import Order
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.runner import JobState, Runner
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.records import ShownDiff
from quarterdeck.core.steps.describe import describe, expected


class TrialDiffs:
    """Diffs in jobs of their own; changes nothing."""

    def __init__(self, runner: Runner, host: Host, redactor: Redactor, clock: Clock, limits: Limits) -> None:
        self.runner, self.host, self.redactor, self.clock, self.limits = runner, host, redactor, clock, limits

    async def of(self, order: Order) -> Mapping[str, ShownDiff]:
        """Place -> its diff.

        Raises:
            TimeoutError: there is none in time.
            PermanentError, TemporaryError: there will be none, or the host is away.
        """
        diffs = await asyncio.gather(*(self._diff(order, place) for place in order.places))
        return dict(zip(order.places, diffs, strict=True))

    async def _diff(self, order: Order, place: str) -> ShownDiff:
        job = f"preview-{secrets.token_hex(8)}-{slug(place)}"
        await self._run(order, place, job)
        raw = await self.runner.read(job, "diff")
        releases = listing.releases(
            await self.runner.read(job, "releases.json"), await self.runner.read(job, "revisions.json")
        )
        member, environment = order.subject.at(place)
        try:
            edited = order.snapshot.edited(order.plan)
            images = await asyncio.to_thread(edited.release_images, component_of(member), environment)
        except EditRefusedError:  # as in a rollout: what the catalogue says
            images = {release.name: plain_images(member, order.tag) for release in releases}
        if member.is_part:
            releases = tuple(release for release in releases if release.name in images)
        before = "" if member.part == ALL else order.situation.running(place)  # its parts may run several
        every_image = [image for of_release in images.values() for image in of_release]
        text = raw.decode("utf-8", "replace")
        read = await asyncio.to_thread(diff_reader.read, text, expected(every_image, before, order.tag))
        of_releases, _ = read.of({release.name for release in releases})
        return describe(of_releases, releases, self.redactor)

    async def _run(self, order: Order, place: str, job: str) -> None:
        """Run the diff's job to its end, once the deploy host has the commit."""
        member, environment = order.subject.at(place)
        commit = order.snapshot.commit
        script = self.host.diff_script(member.service.name, environment, commit, order.plan.files)
        output = bytearray()

        async def keep(_: int, chunk: bytes) -> None:
            output.extend(chunk)

        async with asyncio.timeout(self.limits.diff):
            while not await self.host.has_commit(commit):
                await self.clock.sleep(self.limits.poll)
            await self.runner.start(job, script)
            status = await self.runner.follow(job, 0, keep)
        if status.state is not JobState.DONE or status.status != 0:
            shown = self.redactor.text(bytes(output).decode("utf-8", "replace")).strip().splitlines()
            last = shown[-1] if shown else "no output"
            raise PermanentError(f"helmfile diff failed in {order.subject.spoken(place)}: {last}")
