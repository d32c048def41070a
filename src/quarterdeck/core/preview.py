"""`!preview`: the same as a deploy or an apply up to the diff, with our edited files laid over an export. Changes nothing."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from . import diff as reader
from . import policy
from . import releases as listing
from .errors import PermanentError, RequestError, TemporaryError
from .model import Actor, short_tag
from .orders import Order, Orders
from .ports import JobState
from .rollout import Kind
from .steps.describe import describe, expected
from .world import World


class Preview:
    """Reads git, registry and cluster, and diffs in a job of its own on the deploy host."""

    def __init__(self, world: World, orders: Orders) -> None:
        self.world, self.orders = world, orders

    async def preview(self, actor: Actor, text: str) -> str:
        """`!preview [deploy|apply] SERVICE ENV [TAG]`."""
        first, _, rest = text.strip().partition(" ")
        kind = Kind.APPLY if first.lower() == "apply" else Kind.DEPLOY
        request = self.orders.parse("preview", rest if first.lower() in ("apply", "deploy") else text)
        order = await self.orders.check(request, kind)
        try:
            found = await asyncio.gather(*(self._diff(order, environment) for environment in order.environments))
        except TimeoutError as error:
            raise RequestError(
                f"preview of {order.service.name} had no end within {self.world.limits.diff:.0f} s. Nothing was changed"
            ) from error
        except (PermanentError, TemporaryError) as error:
            raise RequestError(f"preview of {order.service.name} failed: {error}. Nothing was changed") from error
        return self._words(order, kind, dict(zip(order.environments, found, strict=True)))

    async def _diff(self, order: Order, environment: str) -> dict[str, Any]:
        world, limits = self.world, self.world.limits
        job = f"preview-{secrets.token_hex(8)}-{environment}"
        script = world.host.diff_script(order.service.name, environment, order.tree.commit, order.plan.files)
        kept = bytearray()

        async def keep(_: int, chunk: bytes) -> None:
            kept.extend(chunk)

        async with asyncio.timeout(limits.diff):
            while not await world.host.has_commit(order.tree.commit):
                await world.clock.sleep(limits.poll)
            await world.runner.start(job, script)
            status = await world.runner.follow(job, 0, keep)
        if status.state is not JobState.DONE or status.status != 0:
            last = world.redactor.text(bytes(kept).decode("utf-8", "replace")).strip().splitlines()[-1:]
            raise PermanentError(f"helmfile diff failed in {environment}: {' '.join(last) or 'no output'}")
        raw = await world.runner.read(job, "diff")
        names = listing.releases(
            await world.runner.read(job, "releases.json"), await world.runner.read(job, "revisions.json")
        )
        text = raw.decode("utf-8", "replace")
        old = order.situation.running(environment)
        images = expected(order.service.image, old, order.tag)
        return describe(await asyncio.to_thread(reader.read, text, images), names, world.redactor)

    def _words(self, order: Order, kind: Kind, found: Mapping[str, Mapping[str, Any]]) -> str:
        suffix = order.service.suffix
        before = {short_tag(order.situation.running(e), suffix) for e in order.environments} - {""}
        move = f"{' or '.join(sorted(before))} → {short_tag(order.tag, suffix)}" if order.tag else "as git says"
        files = len(order.plan.files)
        edits = (
            f"{files} file{'s' if files != 1 else ''}, {len(order.plan.write_set)} line{'s' if len(order.plan.write_set) != 1 else ''}"
            if files
            else "git has it already"
        )
        said = "; ".join(f"{e}: {f['summary']}" for e, f in found.items() if f["changes"]) or "nothing would change"
        asked = policy.ask(
            kind=kind,
            environments=[self.world.catalogue.environments[e] for e in order.environments],
            found=found,
            first=False,
            digest="0" * 64,
        )
        would = f"would ask ({asked.text})" if asked else "would not ask"
        pending = [
            e
            for e, (a, b) in order.plan.effect.items()
            if a != b and e not in order.environments and order.situation.running(e) != b
        ]
        late = f" {', '.join(pending)} would become pending." if pending else ""
        return f"preview {order.service.name} {' then '.join(order.environments)} {move}: {edits}; {said}; {would}.{late} Nothing was changed"
