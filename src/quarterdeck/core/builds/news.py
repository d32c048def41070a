"""What is worth saying about a build, and the lines for it, in the rooms of whoever runs the image."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.builds.events import BuildEvent, BuildFailed, BuildSilent, ImageReady, TagPushedAgain
from quarterdeck.core.model.build import Build
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.store import Store
from quarterdeck.core.ports.voice import Voice
from quarterdeck.core.rollout.subject import Member, Subject, built_from, in_git
from quarterdeck.core.situation import Surveyor

log = logging.getLogger(__name__)
#: seconds an announcement waits for the cluster to say what runs
SURVEY_WITHIN = 1.0


class BuildNews:
    """Makes the lines about builds; saves and sends nothing."""

    def __init__(self, catalogue: Catalogue, store: Store, surveyor: Surveyor, voice: Voice) -> None:
        self.catalogue, self.store, self.surveyor, self.voice = catalogue, store, surveyor, voice

    async def of(self, settled: builds.Settled) -> tuple[Line, ...]:
        """What there is to say after a look at a ledger entry."""
        build, event = settled.build, settled.event
        members = built_from(self.catalogue, build.project, build.image)
        if not event or not members:
            return ()
        in_ledger = await self.store.builds(project=build.project, limit=500)
        announced = tuple(replace(other, tag=in_git(members, other.tag)) for other in in_ledger)
        told = replace(build, tag=in_git(members, build.tag))
        running = await self._running(members[0]) if event == "ready" else {}
        if not _worth_saying(told, event, members, announced, running):
            return ()
        return self.voice.lines(_event_of(event, told, members, announced, running))

    def pushed_again(self, build: Build, digest_before: str) -> tuple[Line, ...]:
        """That a tag which was announced names another image now."""
        members = built_from(self.catalogue, build.project, build.image)
        if not members:
            return ()
        told = replace(build, tag=in_git(members, build.tag))
        return self.voice.lines(TagPushedAgain(told, members, digest_before))

    async def _running(self, member: Member) -> dict[str, str]:
        """Environment -> tag that runs there, as far as the cluster answers quickly."""
        environments = tuple(self.catalogue.environments)
        situation = await self.surveyor.survey(Subject((member,)), environments, SURVEY_WITHIN)
        return {environment: situation.running(environment) for environment in situation.serving}


def _event_of(
    news: str, build: Build, members: tuple[Member, ...], announced: Sequence[Build], running: Mapping[str, str]
) -> BuildEvent:
    match news:
        case "failed":
            return BuildFailed(build, members)
        case "silent":
            return BuildSilent(build, members)
    return ImageReady(build, members, commits_since(build, announced, running), builds.fixes(build, announced))


def commits_since(build: Build, in_ledger: Sequence[Build], running: Mapping[str, str]) -> dict[str, int]:
    """Environment -> merged changes between what it runs and this build; only where the ledger knows both."""
    merged = {other.tag: other.merged for other in in_ledger if other.tag}
    counts = {}
    for environment, tag in running.items():
        if tag in merged:
            between = {other.change for other in in_ledger if merged[tag] < other.merged <= build.merged}
            counts[environment] = len(between)
    return counts


def _worth_saying(
    build: Build, event: str, members: Sequence[Member], in_ledger: Sequence[Build], running: Mapping[str, str]
) -> bool:
    if event != "ready":  # a change may come in several images
        return all(other.said != event for other in in_ledger if other.change == build.change)
    tags = {tag for tag in running.values() if tag}
    why_not = builds.worth_saying(
        build, [member.service for member in members], running=tags, announced=in_ledger
    ) or _announced_with_another(build, members, in_ledger)
    if why_not:
        log.info("%s:%s is not announced: %s", build.image, build.tag, why_not)
    return not why_not


def _announced_with_another(build: Build, members: Sequence[Member], in_ledger: Sequence[Build]) -> str:
    """Why not, where the announcement of another image of its part was for this one too."""
    beside = {name for member in members for name in member.images} - {build.image}
    for other in in_ledger:
        if other.image in beside and other.tag == build.tag and other.said == "ready":
            return "announced with the other images of its part"
    return ""
