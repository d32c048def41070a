"""Hears of merges, keeps the ledger of builds, and announces each image, or its failure, or its absence, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.charts.members import plain_images
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.image import Image
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.event_stream import EventStream
from quarterdeck.core.rollout.subject import Member, Subject, built_from, in_git
from quarterdeck.core.situation import Surveyor
from quarterdeck.core.world import World

log = logging.getLogger(__name__)
T = TypeVar("T")
#: so long after the merge an image is still waited for
LATE = timedelta(days=1)


@dataclass(frozen=True)
class Pace:
    """When to look, in seconds.

    Attributes:
        timer: between two looks without any event.
        overlap: how far a look reaches back behind the last one.
        patience: how long a merged change may go without an image before we say so.
        survey: how long an announcement may wait for the cluster to say what runs.
        image: between two looks while an image is named but not in the registry yet.
    """

    timer: float = 30.0
    overlap: float = 2.0
    patience: float = 1500.0
    image: float = 0.5
    survey: float = 1.0


class Herald:
    """Events only wake it; the truth is read from Gerrit and the registry."""

    def __init__(
        self,
        world: World,
        events: EventStream,
        pace: Pace | None = None,
    ) -> None:
        self.world, self.events, self.pace = world, events, pace or Pace()
        self.surveyor = Surveyor(world.charts, world.host, world.store)
        self._bell = asyncio.Event()
        self._looked_again: datetime | None = None

    async def run(self) -> None:
        """For ever."""
        listening = asyncio.create_task(self.events.run(self._ring), name="stream-events")
        try:
            while True:
                self._bell.clear()
                waiting = False
                try:
                    waiting = await self.look()
                except QuarterdeckError as error:
                    log.warning("cannot read merges and builds: %s", error)
                await self._wait(self.pace.image if waiting else self.pace.timer)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    def _ring(self, event: str, project: str) -> None:
        watched = {name for service in self.world.catalogue.services.values() for name, _ in service.projects}
        if project in watched or event in ("connected", "dropped-output"):
            self._bell.set()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def look(self) -> bool:
        """One look at everything watched; True if an image is named but not in the registry yet."""
        projects = {pair for service in self.world.catalogue.services.values() for pair in service.projects}
        for project, branch in sorted(projects):
            await self._guarded(project, self._merges(project, branch))
        waiting, now = False, self.world.clock.now()
        for build in await self.world.store.builds(states={BuildState.AWAITING, BuildState.SILENT}, limit=500):
            late = build.state is BuildState.SILENT  # its silence was said; its image may come all the same
            if late and now - build.merged > LATE:
                continue
            unready = await self._guarded(f"{build.project} {build.change}", self._settle(build))
            waiting = waiting or (bool(unready) and not late)
        if self._looked_again is None or (now - self._looked_again).total_seconds() >= self.pace.timer:
            self._looked_again = now
            for build in await self._newest():
                await self._guarded(f"{build.image}:{build.tag}", self._look_again(build))
        return waiting

    async def _newest(self) -> list[Build]:
        """The last announced build of each image."""
        ready = await self.world.store.builds(states={BuildState.READY}, limit=500)
        newest: dict[str, Build] = {}
        for build in ready:
            if build.said == "ready":
                newest.setdefault(build.image, build)
        return list(newest.values())

    async def _look_again(self, build: Build) -> None:
        """Say it where a tag that was announced names another image now; once for each."""
        digest = await self.world.registry.digest(build.image, build.tag) or ""
        now = replace(build, digest=digest, updated=self.world.clock.now())
        if not builds.pushed_again(now, [build]):
            return
        members = built_from(self.world.catalogue, build.project, build.image)
        told = replace(now, tag=in_git(members, build.tag))
        lines = (
            self.world.voice.lines("build_again", None, build=told, members=members, was=build.digest)
            if members
            else ()
        )
        await self.world.store.set_build(now, lines)

    async def _guarded(self, what: str, act: Coroutine[Any, Any, T]) -> T | None:
        """One project that cannot be read holds up no other."""
        try:
            return await act
        except QuarterdeckError as error:
            log.warning("cannot read %s: %s", what, error)
            return None

    async def _merges(self, project: str, branch: str) -> None:
        """Add what was merged since the last look; on first sight remember without announcing."""
        name = f"merged:{project}:{branch}"
        seen = await self.world.store.cursor(name)
        now = self.world.clock.now()
        since = datetime.fromisoformat(seen) if seen else now - timedelta(days=14)
        changes = await self.world.review.merged_since(project, branch, since - timedelta(seconds=self.pace.overlap))
        state = BuildState.AWAITING if seen else BuildState.SEEN
        await self.world.store.add_builds(
            [Build(project, c.number, c.revision, c.subject, c.owner, c.submitted or now, state) for c in changes]
        )
        latest = max((c.submitted for c in changes if c.submitted), default=None)
        if latest is not None:
            await self.world.store.set_cursor(name, max(latest, since).isoformat())
        elif not seen:
            await self.world.store.set_cursor(name, now.isoformat())

    async def _settle(self, build: Build) -> bool:
        comments = await self.world.review.comments(build.project, build.change)
        images, _ = builds.published(comments, self._used)
        digests = {}
        for image in images:
            digest = await self.world.registry.digest(image.name, image.tag)
            if digest is not None and await self._complete(build.project, image):
                digests[image.name, image.tag] = digest
        now, patience = self.world.clock.now(), self.pace.patience
        for settled in builds.settle(build, comments, digests, now, patience, self._used):
            if settled.build != build or settled.event:
                await self._tell(settled)
        return len(digests) < len(images)

    def _used(self, image: Image) -> bool:
        """Whether a service runs the image with such a tag, as far as the catalogue knows who runs it."""
        members = built_from(self.world.catalogue, "", image.name)
        return not members or any(member.in_git(image.tag) for member in members)

    async def _complete(self, project: str, image: Image) -> bool:
        """Whether the registry has all that is deployed together with an image: of its part, of its group's flavours."""
        members = built_from(self.world.catalogue, project, image.name)
        tag = in_git(members, image.tag)
        wanted = {(each.name, f"{each.tag}{each.end}") for m in members for each in plain_images(m, tag)}
        found = [await self.world.registry.digest(*one) for one in sorted(wanted - {(image.name, image.tag)})]
        return all(digest is not None for digest in found)

    async def _tell(self, settled: builds.Settled) -> None:
        """Save the entry and say what is worth saying, in one transaction."""
        build = settled.build
        members = built_from(self.world.catalogue, build.project, build.image)
        lines: tuple[Line, ...] = ()
        if settled.event and members:
            known = await self.world.store.builds(project=build.project, limit=500)
            known = tuple(replace(b, tag=in_git(members, b.tag)) for b in known)
            told = replace(settled, build=replace(build, tag=in_git(members, build.tag)))
            running = await self._running(members[0]) if settled.event == "ready" else {}
            if self._worth_saying(told, members, known, running):
                facts = {"since": commits_since(told.build, known, running), "mends": builds.fixes(build, known)}
                lines = self.world.voice.lines(f"build_{told.event}", None, build=told.build, members=members, **facts)
        if settled.event:
            build = replace(build, said=settled.event)
        await self.world.store.set_build(build, lines)

    async def _running(self, member: Member) -> dict[str, str]:
        """Environment -> tag that runs there, as far as the cluster answers quickly."""
        every = tuple(self.world.catalogue.environments)
        situation = await self.surveyor.survey(Subject((member,)), every, self.pace.survey)
        return {environment: situation.running(environment) for environment in situation.serving}

    def _worth_saying(
        self, settled: builds.Settled, members: Sequence[Member], known: Sequence[Build], running: Mapping[str, str]
    ) -> bool:
        if settled.event != "ready":  # a change may come in several images
            same = (b for b in known if b.change == settled.build.change)
            return all(b.said != settled.event for b in same)
        build, services = settled.build, [m.service for m in members]
        tags = {tag for tag in running.values() if tag}
        why_not = builds.worth_saying(build, services, running=tags, announced=known)
        beside = {name for m in members for name in m.images} - {build.image}
        if any(b.image in beside and b.tag == build.tag and b.said == "ready" for b in known):
            why_not = why_not or "announced with the other images of its part"
        if why_not:
            log.info("%s:%s is not announced: %s", build.image, build.tag, why_not)
        return not why_not


def commits_since(build: Build, known: Sequence[Build], running: Mapping[str, str]) -> dict[str, int]:
    """Environment -> merged changes between what it runs and this build; only where the ledger knows both."""
    merged = {b.tag: b.merged for b in known if b.tag}
    counts = {}
    for environment, tag in running.items():
        if tag in merged:
            counts[environment] = len({b.change for b in known if merged[tag] < b.merged <= build.merged})
    return counts
