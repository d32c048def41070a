"""`!preview`: the same as a deploy or an apply up to the diff, with our edited files laid over an export. Changes nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from quarterdeck.core.charts.members import component_of, plain_images
from quarterdeck.core.cluster import diff_reader as reader
from quarterdeck.core.cluster import releases as listing
from quarterdeck.core.desk import grammar
from quarterdeck.core.model.errors import EditRefusedError, PermanentError, RequestError, TemporaryError
from quarterdeck.core.model.person import Actor
from quarterdeck.core.model.place import environments as environments_of
from quarterdeck.core.model.place import listed, slug, told
from quarterdeck.core.model.tag import short_tag
from quarterdeck.core.orders.order import Order
from quarterdeck.core.orders.orders import Orders
from quarterdeck.core.ports.runner import JobState
from quarterdeck.core.rollout.intent import ALL
from quarterdeck.core.rollout.records import ShownDiff
from quarterdeck.core.rollout.rollout import Kind
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.rules.ruling import permitted
from quarterdeck.core.steps.describe import describe, expected
from quarterdeck.core.world import World


class Preview:
    """Reads git, registry and cluster, and diffs in a job of its own on the deploy host."""

    def __init__(self, world: World, orders: Orders) -> None:
        self.world, self.orders = world, orders

    async def preview(self, actor: Actor, text: str) -> str:
        """`!preview [deploy|apply] SERVICE ENV [TAG]`."""
        first, _, rest = text.strip().partition(" ")
        kind = Kind.APPLY if first.lower() == "apply" else Kind.DEPLOY
        request = grammar.parse_intent(
            self.world.catalogue, "preview", rest if first.lower() in ("apply", "deploy") else text
        )
        order = await self.orders.check(request, kind, actor.name)
        try:
            found = await asyncio.gather(*(self._diff(order, place) for place in order.places))
        except TimeoutError as error:
            raise RequestError(
                f"preview of {order.subject.title} had no end within {self.world.limits.diff:.0f} s. Nothing was changed"
            ) from error
        except (PermanentError, TemporaryError) as error:
            raise RequestError(f"preview of {order.subject.title} failed: {error}. Nothing was changed") from error
        return self._words(actor, order, kind, dict(zip(order.places, found, strict=True)))

    async def _diff(self, order: Order, place: str) -> ShownDiff:
        world, limits = self.world, self.world.limits
        member, environment = order.subject.at(place)
        name, commit = member.service.name, order.snapshot.commit
        job = f"preview-{secrets.token_hex(8)}-{slug(place)}"
        script = world.host.diff_script(name, environment, commit, order.plan.files)
        kept = bytearray()

        async def keep(_: int, chunk: bytes) -> None:
            kept.extend(chunk)

        async with asyncio.timeout(limits.diff):
            while not await world.host.has_commit(commit):
                await world.clock.sleep(limits.poll)
            await world.runner.start(job, script)
            status = await world.runner.follow(job, 0, keep)
        if status.state is not JobState.DONE or status.status != 0:
            last = world.redactor.text(bytes(kept).decode("utf-8", "replace")).strip().splitlines()[-1:]
            raise PermanentError(
                f"helmfile diff failed in {order.subject.spoken(place)}: {' '.join(last) or 'no output'}"
            )
        raw = await world.runner.read(job, "diff")
        names = listing.releases(
            await world.runner.read(job, "releases.json"), await world.runner.read(job, "revisions.json")
        )
        text = raw.decode("utf-8", "replace")
        edited = order.snapshot.edited(order.plan)
        try:
            images = await asyncio.to_thread(edited.release_images, component_of(member), environment)
        except EditRefusedError:  # as in a rollout: what the catalogue says
            images = {release.name: plain_images(member, order.tag) for release in names}
        if member.is_part:
            names = tuple(release for release in names if release.name in images)
        before = "" if member.part == ALL else order.situation.running(place)  # its parts may run several
        wanted = expected([x for named in images.values() for x in named], before, order.tag)
        read, _ = (await asyncio.to_thread(reader.read, text, wanted)).of({release.name for release in names})
        return describe(read, names, world.redactor)

    def _words(self, actor: Actor, order: Order, kind: Kind, diffs: Mapping[str, ShownDiff]) -> str:
        suffix = order.service.suffix
        before = {short_tag(tag, suffix) for tag in order.runs if tag != order.tag or len(order.runs) == 1}
        move = f"{' or '.join(sorted(before))} → {short_tag(order.tag, suffix)}" if order.tag else "as git says"
        files = len(order.plan.files)
        edits = (
            f"{files} file{'s' if files != 1 else ''}, {len(order.plan.write_set)} line{'s' if len(order.plan.write_set) != 1 else ''}"
            if files
            else "git has it already"
        )
        own, known = order.service.name, self.world.catalogue.environments
        said = (
            told({place: diff.summary for place, diff in diffs.items() if diff.changes}, own) or "nothing would change"
        )
        plan = ShownPlan(
            requester=actor.name,
            kind=kind,
            own=own,
            places={place: known[order.subject.at(place)[1]] for place in order.places},
            differences=diffs,
        )
        reasons = permitted(plan, self.world.clock.now(), self.world.rules)
        asked = self.world.voice.question(Grounds(reasons, plan)) if reasons else ""
        would = f"would ask ({asked})" if asked else "would not ask"
        late = f" {listed(order.pending, own)} would become pending." if order.pending else ""
        where = " then ".join(environments_of(order.places))
        return f"preview {order.subject.title} {where} {move}: {edits}; {said}; {would}.{late} Nothing was changed"
