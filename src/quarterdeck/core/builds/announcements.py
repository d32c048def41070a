"""Hears of merges, keeps the ledger of builds, and announces each image, or its failure, or its absence, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.builds.news import BuildNews
from quarterdeck.core.charts.members import plain_images
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.image import Image
from quarterdeck.core.ports.clock import Clock
from quarterdeck.core.ports.event_stream import EventStream
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.review import Review
from quarterdeck.core.ports.store import Store
from quarterdeck.core.rollout.subject import built_from, in_git

log = logging.getLogger(__name__)
T = TypeVar("T")
#: so long after the merge an image is still waited for
LATE = timedelta(days=1)
#: how far back the first look at a project goes
FIRST_LOOK = timedelta(days=14)


@dataclass(frozen=True)
class Pace:
    """When to look, in seconds.

    Attributes:
        timer: between two looks without any event.
        overlap: how far a look reaches back behind the last one.
        patience: how long a merged change may go without an image before we say so.
        image: between two looks while an image is named but not in the registry yet.
    """

    timer: float = 30.0
    overlap: float = 2.0
    patience: float = 1500.0
    image: float = 0.5


class Announcements:
    """Events only wake it; the truth is read from Gerrit and the registry."""

    def __init__(
        self,
        catalogue: Catalogue,
        review: Review,
        registry: Registry,
        store: Store,
        clock: Clock,
        news: BuildNews,
        events: EventStream,
        pace: Pace | None = None,
    ) -> None:
        self.catalogue, self.review, self.registry, self.store, self.clock = catalogue, review, registry, store, clock
        self.news, self.events, self.pace = news, events, pace or Pace()
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
        watched = {name for service in self.catalogue.services.values() for name, _ in service.projects}
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
        projects = {pair for service in self.catalogue.services.values() for pair in service.projects}
        for project, branch in sorted(projects):
            await self._guarded(project, self._merges(project, branch))
        waiting, now = False, self.clock.now()
        for build in await self.store.builds(states={BuildState.AWAITING, BuildState.SILENT}, limit=500):
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
        ready = await self.store.builds(states={BuildState.READY}, limit=500)
        newest: dict[str, Build] = {}
        for build in ready:
            if build.said == "ready":
                newest.setdefault(build.image, build)
        return list(newest.values())

    async def _look_again(self, build: Build) -> None:
        """Say it where a tag that was announced names another image now; once for each."""
        digest = await self.registry.digest(build.image, build.tag) or ""
        now = replace(build, digest=digest, updated=self.clock.now())
        if not builds.pushed_again(now, [build]):
            return
        await self.store.set_build(now, self.news.pushed_again(now, build.digest))

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
        seen = await self.store.cursor(name)
        now = self.clock.now()
        since = datetime.fromisoformat(seen) if seen else now - FIRST_LOOK
        changes = await self.review.merged_since(project, branch, since - timedelta(seconds=self.pace.overlap))
        state = BuildState.AWAITING if seen else BuildState.SEEN
        await self.store.add_builds(
            [Build(project, c.number, c.revision, c.subject, c.owner, c.submitted or now, state) for c in changes]
        )
        latest = max((c.submitted for c in changes if c.submitted), default=None)
        if latest is not None:
            await self.store.set_cursor(name, max(latest, since).isoformat())
        elif not seen:
            await self.store.set_cursor(name, now.isoformat())

    async def _settle(self, build: Build) -> bool:
        comments = await self.review.comments(build.project, build.change)
        images, _ = builds.published(comments, self._used)
        digests = {}
        for image in images:
            digest = await self.registry.digest(image.name, image.tag)
            if digest is not None and await self._complete(build.project, image):
                digests[image.name, image.tag] = digest
        now, patience = self.clock.now(), self.pace.patience
        for settled in builds.settle(build, comments, digests, now, patience, self._used):
            if settled.build != build or settled.event:
                await self._tell(settled)
        return len(digests) < len(images)

    def _used(self, image: Image) -> bool:
        """Whether a service runs the image with such a tag, as far as the catalogue knows who runs it."""
        members = built_from(self.catalogue, "", image.name)
        return not members or any(member.in_git(image.tag) for member in members)

    async def _complete(self, project: str, image: Image) -> bool:
        """Whether the registry has all that is deployed together with an image: of its part, of its group's flavours."""
        members = built_from(self.catalogue, project, image.name)
        tag = in_git(members, image.tag)
        wanted: set[tuple[str, str]] = set()
        for member in members:
            wanted |= {(beside.name, f"{beside.tag}{beside.end}") for beside in plain_images(member, tag)}
        digests = [await self.registry.digest(*one) for one in sorted(wanted - {(image.name, image.tag)})]
        return all(digest is not None for digest in digests)

    async def _tell(self, settled: builds.Settled) -> None:
        """Save the entry and say what is worth saying, in one transaction."""
        build, lines = settled.build, await self.news.of(settled)
        if settled.event:
            build = replace(build, said=settled.event)
        await self.store.set_build(build, lines)
