"""Decides which tag a intent means: the one said, the newest, the one staging proves, or the one that ran before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quarterdeck.core.builds import ledger as builds
from quarterdeck.core.charts import facade
from quarterdeck.core.desk.grammar import NOTHING
from quarterdeck.core.model.build import BuildState
from quarterdeck.core.model.errors import NotFoundError, RequestError, TemporaryError
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import joined
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.rollout.intent import Intent
from quarterdeck.core.rollout.records import Merged
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepName, StepState
from quarterdeck.core.situation import Serving, Situation
from quarterdeck.core.subject import Member, Subject, built_from, in_git
from quarterdeck.core.world import World

#: so many parts' commands are spelled out
_NAMED = 3


class Tagging:
    """Reads ledger, registry and store; the cluster is given as a situation."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def choose(
        self,
        intent: Intent,
        kind: Kind,
        subject: Subject,
        places: Sequence[str],
        situation: Situation,
        sharers: Sequence[Member] = (),
    ) -> str:
        """The whole tag, as it shall stand in git; empty for an apply of several.

        Args:
            sharers: whose flavour of an image may be the one that was announced.

        Raises:
            RequestError: none can be told, or it is not to be deployed.
        """
        if kind is Kind.APPLY:
            tags = {situation.git.get(place, "") for place in places}
            return tags.pop() if len(tags) == 1 else ""
        if intent.tag:
            return await self._said(intent.tag, subject)
        if kind is Kind.ROLLBACK:
            return await self._ran_before(intent.environment, subject, places, situation)
        kinds = {self.world.catalogue.environments[subject.at(place)[1]].kind for place in places}
        if "staging" in kinds:
            return await self._newest(intent, subject, sharers)
        return self._staging_tag(subject, situation)

    async def newest(self, member: Member, sharers: Sequence[Member] = ()) -> str:
        """The newest announced tag of a member, as it would stand in git; empty if there is none.

        Of an image in several flavours one is announced, once all are there: it may be a sharer's.
        """
        announced = []
        for image in member.images:
            ready = await self.world.store.builds(image=image, states={BuildState.READY})
            alike = (member, *sharers, *built_from(self.world.catalogue, "", image))
            for build in (build for build in ready if build.said):
                told = in_git(alike, build.tag)
                if told != build.tag or not member.ends:  # a flavour that nobody knows cannot be taken off
                    announced.append(replace(build, tag=told))
        announced.sort(key=lambda build: build.merged, reverse=True)
        return builds.latest(announced) if announced else ""

    async def _said(self, said: str, subject: Subject) -> str:
        own = subject.own
        try:
            there = {tag for image in own.images for tag in await self.world.registry.tags(image)}
        except TemporaryError as error:
            raise silent(error) from error
        return builds.resolve(said, {own.in_git(tag) for tag in there} - {""}, own.service.suffix)

    async def _newest(self, intent: Intent, subject: Subject, sharers: Sequence[Member]) -> str:
        found = {each.title: await self.newest(each, sharers) for each in subject.own.meant}
        tags = set(found.values()) - {""}
        if len(tags) == 1:
            return tags.pop()
        title, suffix, verb, word = subject.title, subject.service.suffix, intent.verb, intent.environment
        if not tags:
            way = f"!{verb} {title} {word} TAG"
            raise NotFoundError(f"no image of {title} was announced yet: say the tag, {way}. {NOTHING}")
        shown = ", ".join(f"{name} {short_tag(tag, suffix) or 'none'}" for name, tag in found.items())
        ways = ", then ".join(f"!{verb} {name} {word}" for name in found)
        raise RequestError(f"not one image is the newest of all: {shown}. Say a TAG, or {ways}. {NOTHING}")

    def _staging_tag(self, subject: Subject, situation: Situation) -> str:
        kinds = {e.name: e.kind for e in self.world.catalogue.environments.values()}
        staging = [e for m in subject.members for e in m.environments if kinds.get(e) == "staging"][:1]
        title, suffix = subject.title, subject.service.suffix
        if not staging:
            raise RequestError(f"{title} has no staging to take the tag from: say the tag. {NOTHING}")
        proven: dict[str, list[str]] = {}
        for place in subject.places(staging):
            if place in situation.problems:
                raise RequestError(
                    f"I cannot see what {subject.spoken(place)} runs: {situation.problems[place]}. {NOTHING}"
                )
            tags = situation.serving.get(place, {})
            apart = [seen.serving.get(place, {}) for seen in situation.meant(subject) if place in seen.git]
            if not all(map(_settled, apart or [tags])):
                shown = ", ".join(f"{short_tag(t, suffix)} {up}/{n}" for t, (up, n) in tags.items()) or "nothing"
                raise RequestError(
                    f"{subject.spoken(place)} is no proof just now: it runs {shown}. Mend it, or say the tag: "
                    f"!deploy {title} production TAG. {NOTHING}"
                )
            for tag in (tag for tag, (up, _) in tags.items() if up):
                proven.setdefault(tag, []).append(subject.at(place)[0].service.name)
        if len(proven) > 1:
            ways = _ways("deploy", subject, "production")
            if not subject.group:
                shown = joined(short_tag(tag, suffix) for tag in proven)
                raise RequestError(f"staging runs {shown}: say the tag: {ways}. {NOTHING}")
            shown = ", ".join(f"{joined(names)} runs {short_tag(tag, suffix)}" for tag, names in proven.items())
            raise RequestError(f"staging differs: {shown}. Say the tag: {ways}. {NOTHING}")
        return next(iter(proven))

    async def _ran_before(self, word: str, subject: Subject, places: Sequence[str], situation: Situation) -> str:
        """The tag our last rollout there replaced; one for all places, or we ask which.

        Rollbacks do not count, or going back twice would go forward; neither does what never touched the place.
        """
        found: dict[str, frozenset[str]] = {}
        suffix = subject.service.suffix
        for member in subject.members:
            rollouts = await self._of(member)
            mine = [place for place in places if subject.at(place)[0] is member]
            _refuse_if_back_already(rollouts, subject, mine, situation)
            for rollout in rollouts:
                for place in mine:
                    there = rollout.place(*_target(subject, place))
                    ran, now = rollout.ran(there, member.part), {situation.running(place)}
                    stands = ran == now == {situation.git.get(place, "")}
                    if place in found or ran <= {rollout.tag} or stands or rollout.kind is Kind.ROLLBACK:
                        continue
                    if touched(rollout, there):
                        found[place] = ran
        if found:  # where it was never begun, what runs is what ran
            behind = {p: situation.running(p) for p in places if situation.running(p) != situation.git.get(p, "")}
            found = {**{place: frozenset({tag}) for place, tag in behind.items() if tag}, **found}
        tags = frozenset[str]().union(*found.values())
        if len(tags) == 1 and len(found) == len(places):
            return next(iter(tags))
        names = {place: joined(sorted(short_tag(tag, suffix) for tag in ran)) for place, ran in found.items()}
        shown = "; ".join(f"{subject.spoken(place)} ran {text}" for place, text in names.items()) or "I have no record"
        raise RequestError(f"back to what? {shown}. Say the tag: {_ways('rollback', subject, word)}. {NOTHING}")

    async def _of(self, member: Member) -> list[Rollout]:
        """Rollouts of a member, newest first: of its part, or of all parts."""
        found = await self.world.store.find(service=member.service.name, limit=200)
        return [r for r in found if r.part in ("", facade.ALL, member.part)]


def _settled(tags: Serving) -> bool:
    """Whether all pods are ready, on one tag."""
    ready = [counts for counts in tags.values() if counts[0]]
    return len(ready) == 1 and ready[0][0] == ready[0][1]


def silent(error: TemporaryError) -> RequestError:
    """The refusal where the registry does not answer."""
    return RequestError(f"the registry does not answer, so I cannot check the image: {error}. {NOTHING}")


def touched(rollout: Rollout, place: str) -> bool:
    """Whether a rollout changed git, or began an apply, for a place of its own."""
    merged_record = rollout.records.merged
    wrote = isinstance(merged_record, Merged) and not merged_record.already
    begun = (
        s.name == StepName.APPLY and s.environment == place and s.state is not StepState.TODO for s in rollout.steps
    )
    return wrote or any(begun)


def _ways(verb: str, subject: Subject, word: str) -> str:
    """What to type instead: the whole with a tag, or its parts one by one."""
    each = [f"!{verb} {part.title} {word}" for part in subject.own.meant if part is not subject.own]
    more = [", …"] if len(each) > _NAMED else []
    return f"!{verb} {subject.title} {word} TAG{', or ' if each else ''}{', then '.join(each[:_NAMED])}{''.join(more)}"


def _target(subject: Subject, place: str) -> tuple[str, str]:
    member, environment = subject.at(place)
    return member.service.name, environment


def _refuse_if_back_already(
    rollouts: Sequence[Rollout], subject: Subject, places: Sequence[str], situation: Situation
) -> None:
    """A failure that is mended already must not send a later `!rollback` one image too far."""
    targets = {_target(subject, place): place for place in places}
    failed = next((r for r in rollouts if set(targets) & set(r.targets)), None)
    if failed is None or failed.state is not State.FAILED:
        return
    back = {tag for target in targets for tag in failed.ran(failed.place(*target), subject.part)}
    now = {situation.running(p) for p in places} | {situation.git.get(p, "") for p in places}
    if back == now and len(now) == 1 and "" not in now:
        tag = short_tag(now.pop(), subject.service.suffix)
        where = environments_of(places)
        raise RequestError(
            f"{subject.title} {joined(where)} is back on {tag} already, in git and pods (#{failed.number} "
            f"failed there). To go further back say the tag: !rollback {subject.title} {where[0]} TAG. {NOTHING}"
        )
