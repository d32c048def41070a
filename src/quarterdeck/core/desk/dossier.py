"""Everything there is to tell about one rollout, gathered for its page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.cluster.pods import pods as pods_of
from quarterdeck.core.desk.answers import log_names, next_commands
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.store import AuditRow
from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.rollout.subject import Subject
from quarterdeck.core.steps.evidence import evidence_name
from quarterdeck.core.world import World

#: seconds the page waits for the cluster
PATIENCE = 4.0
#: bytes from the end of each text that the page itself carries; all of it is read from an offset
LOG_BYTES = 64 * 1024
#: the same for a diff, which is read whole and shown in hunks
DIFF_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Dossier:
    """What the page shows.

    Attributes:
        next: commands that make sense now, ready to paste.
        pods: environment -> pods now; an environment that could not be seen is in `blind` with why.
        logs: file name -> (text, offset behind it).
        by_hand: environment -> the lines a person types on the deploy host.
    """

    rollout: Rollout
    next: tuple[str, ...]
    diffs: Mapping[str, str] = field(default_factory=dict)
    pods: Mapping[str, tuple[Pod, ...]] = field(default_factory=dict)
    blind: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    by_hand: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    audit: tuple[AuditRow, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.rollout.state in OVER


async def gather(world: World, number: int) -> Dossier | None:
    """The dossier of a rollout, None if there is none of that number."""
    rollout = await world.store.get(number)
    if rollout is None:
        return None

    async def text(name: str, most: int = LOG_BYTES) -> tuple[str, int]:
        data, end = await world.files.read(number, name)
        while len(more := (await world.files.read(number, name, end))[0]):
            data, end = (data + more)[-most:], end + len(more)
        return data[-most:].decode("utf-8", "replace"), end

    blind: dict[str, str] = {}

    subject = rollout.subject

    async def pods(place: str) -> tuple[Pod, ...]:
        try:
            async with asyncio.timeout(PATIENCE):
                objects = await world.host.objects(*rollout.target(place))
                member, _ = subject.at(place)
                return pods_of(objects, member.images, member.registry_suffixes, only=member.is_part)
        except (QuarterdeckError, TimeoutError) as error:
            blind[place] = str(error) or f"no answer within {PATIENCE:.0f} s"
            return ()

    seen = dict(zip(rollout.environments, await asyncio.gather(*map(pods, rollout.environments)), strict=True))
    diffs = {e: (await text(f"{slug(e)}.diff", DIFF_BYTES))[0] for e in rollout.environments}
    checks = [s for s in rollout.steps if s.name == StepName.CHECK]
    evidence = {f"{rollout.spoken(s.environment)} {s.stage}": (await text(evidence_name(s)))[0] for s in checks}
    logs = {name: await text(name) for name in log_names(rollout)}
    return Dossier(
        rollout=rollout,
        next=next_commands(rollout),
        diffs={e: d for e, d in diffs.items() if d},
        pods={e: p for e, p in seen.items() if e not in blind},
        blind=blind,
        evidence={k: v for k, v in evidence.items() if v},
        logs={name: found for name, found in logs.items() if found[0]},
        by_hand={
            e: world.host.by_hand(*rollout.target(e), _narrowed(subject, rollout, e)) for e in rollout.environments
        },
        audit=await world.store.audit(number),
    )


def _narrowed(subject: Subject, rollout: Rollout, place: str) -> tuple[str, ...]:
    """The releases of a part, none where the whole place is meant."""
    diffed = rollout.records.diffed
    if diffed is None or place not in diffed.places or not subject.own.is_part:
        return ()
    return tuple(diffed.places[place].shown.releases)


def as_json(dossier: Dossier) -> dict[str, Any]:
    """The same as data: what `/42.json` gives."""
    rollout = dossier.rollout
    return {
        "number": rollout.number,
        "id": rollout.id,
        "kind": rollout.kind,
        "state": rollout.state,
        "service": rollout.service,
        "part": rollout.part,
        "group": rollout.group,
        "environments": list(rollout.environments),
        "tag": rollout.tag,
        "before": dict(rollout.before),
        "actor": rollout.actor,
        "account": rollout.account,
        "created": rollout.created.isoformat(),
        "updated": rollout.updated.isoformat() if rollout.updated else None,
        "ended": rollout.ended.isoformat() if rollout.ended else None,
        "note": rollout.note,
        "pending": list(rollout.pending),
        "next": list(dossier.next),
        "steps": [
            {
                "name": s.name,
                "environment": s.environment,
                "stage": s.stage,
                "attempt": s.attempt,
                "state": s.state,
                "started": s.started.isoformat() if s.started else None,
                "ended": s.ended.isoformat() if s.ended else None,
                "result": {**(codec.plain(s.result) or {}), **({"why": s.why} if s.why else {})},
            }
            for s in rollout.steps
        ],
        "pods": {
            e: [{"name": p.name, "tag": p.tag, "ready": p.ready, "words": p.words} for p in found]
            for e, found in dossier.pods.items()
        },
        "by_hand": {e: list(lines) for e, lines in dossier.by_hand.items()},
    }
