"""Decides which tag an intent means: the one said, the newest, the one staging proves, or the one that ran before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.environment import EnvironmentKind
from quarterdeck.core.model.errors import NotFoundError, RequestError, TemporaryError
from quarterdeck.core.orders.order import Surveyed
from quarterdeck.core.orders.refusals import NothingAnnounced, RegistrySilent, SeveralNewest
from quarterdeck.core.orders.said_tag import said_tag
from quarterdeck.core.orders.staging_proof import proven_tag
from quarterdeck.core.orders.way_back import WayBack
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.ports.store import Store
from quarterdeck.core.rollout.intent import Intent
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rollout.subject import Member, Subject, built_from, in_git


class Tagging:
    """Reads ledger, registry and store; what git and cluster say is given."""

    def __init__(self, catalogue: Catalogue, registry: Registry, store: Store) -> None:
        self.catalogue, self.registry, self.store = catalogue, registry, store
        self.way_back = WayBack(store)

    async def choose(self, surveyed: Surveyed) -> str:
        """The whole tag, as it shall stand in git; empty for an apply of several.

        Raises:
            RequestError: none can be told, or it is not to be deployed.
        """
        targeted, situation = surveyed.targeted, surveyed.situation
        intent, subject, places = targeted.intent, targeted.subject, targeted.places
        if targeted.kind == Kind.APPLY:
            tags = {situation.git.get(place, "") for place in places}
            return tags.pop() if len(tags) == 1 else ""
        if intent.tag:
            return await self._said(intent.tag, subject)
        if targeted.kind == Kind.ROLLBACK:
            return await self.way_back.tag(intent.environment, subject, places, situation)
        environments = self.catalogue.environments
        kinds = {environments[subject.at(place)[1]].kind for place in places}
        if EnvironmentKind.STAGING in kinds:
            return await self._newest(intent, subject, surveyed.around.members)
        return proven_tag(subject, situation, self._staging(subject))

    async def newest(self, member: Member, sharers: Sequence[Member] = ()) -> str:
        """The newest announced tag of a member, as it would stand in git; empty if there is none.

        Of an image in several flavours one is announced, once all are there: it may be a sharer's.
        """
        announced: list[Build] = []
        for image in member.images:
            ready = await self.store.builds(image=image, states={BuildState.READY})
            alike = (member, *sharers, *built_from(self.catalogue, "", image))
            for build in ready:
                tag = in_git(alike, build.tag)
                flavour_is_unknown = tag == build.tag and bool(member.registry_suffixes)  # it cannot be taken off
                if build.said and not flavour_is_unknown:
                    announced.append(replace(build, tag=tag))
        announced.sort(key=lambda build: build.merged, reverse=True)
        return builds.latest(announced) if announced else ""

    async def _said(self, word: str, subject: Subject) -> str:
        """The one tag of the registry that a word means."""
        own = subject.own
        in_registry: set[str] = set()
        try:
            for image in own.images:
                in_registry.update(await self.registry.tags(image))
        except TemporaryError as error:
            raise RequestError(RegistrySilent(str(error))) from error
        return said_tag(word, {own.in_git(tag) for tag in in_registry} - {""}, own.service.suffix)

    async def _newest(self, intent: Intent, subject: Subject, sharers: Sequence[Member]) -> str:
        """The newest announced tag, where all that is meant has the same one."""
        newest = {member.title: await self.newest(member, sharers) for member in subject.own.meant}
        tags = set(newest.values()) - {""}
        if len(tags) == 1:
            return tags.pop()
        title, verb, word = subject.title, intent.verb, intent.environment
        if not tags:
            raise NotFoundError(NothingAnnounced(title, verb, word))
        raise RequestError(SeveralNewest(title, verb, word, subject.service.suffix, newest))

    def _staging(self, subject: Subject) -> str:
        """The environment whose tag goes to production; empty if no member has a staging."""
        environments = self.catalogue.environments
        for member in subject.members:
            for name in member.environments:
                if name in environments and environments[name].kind is EnvironmentKind.STAGING:
                    return name
        return ""
