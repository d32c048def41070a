"""Everything there is to tell about one rollout, gathered for its page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.cluster.pods import Pod
from quarterdeck.core.cluster.pods import pods as pods_of
from quarterdeck.core.desk.queries.rollouts import log_names
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.audit import AuditRow
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.store import Store
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER
from quarterdeck.core.rollout.step import StepName
from quarterdeck.core.steps.evidence import evidence_name

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
        pods: environment -> pods now; an environment that could not be seen is in `blind` with why.
        logs: file name -> (text, offset behind it).
        by_hand: environment -> the lines a person types on the deploy host.
    """

    rollout: Rollout
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


class Dossiers:
    """Gathers dossiers: what the store and the files keep, and what the cluster shows now."""

    def __init__(self, store: Store, files: Files, host: Host) -> None:
        self.store, self.files, self.host = store, files, host

    async def gather(self, number: int) -> Dossier | None:
        """The dossier of a rollout, None if there is none of that number.

        Raises:
            NotFoundError: it is there, and cannot be read.
        """
        rollout = await self.store.get(number)
        if rollout is None:
            return None
        pods, blind = await self._pods(rollout)
        return Dossier(
            rollout=rollout,
            diffs=await self._diffs(rollout),
            pods=pods,
            blind=blind,
            evidence=await self._evidence(rollout),
            logs=await self._logs(rollout),
            by_hand={place: self._by_hand(rollout, place) for place in rollout.environments},
            audit=await self.store.audit(number),
        )

    async def _pods(self, rollout: Rollout) -> tuple[dict[str, tuple[Pod, ...]], dict[str, str]]:
        """Place -> its pods now, and place -> why they cannot be seen."""
        pods: dict[str, tuple[Pod, ...]] = {}
        blind: dict[str, str] = {}

        async def look(place: str) -> None:
            member, _ = rollout.subject.at(place)
            try:
                async with asyncio.timeout(PATIENCE):
                    objects = await self.host.objects(*rollout.target(place))
                pods[place] = pods_of(objects, member.images, member.registry_suffixes, only=member.is_part)
            except (QuarterdeckError, TimeoutError) as error:
                blind[place] = str(error) or f"no answer within {PATIENCE:.0f} s"

        await asyncio.gather(*map(look, rollout.environments))
        return {place: pods[place] for place in rollout.environments if place in pods}, blind

    async def _diffs(self, rollout: Rollout) -> dict[str, str]:
        diffs: dict[str, str] = {}
        for place in rollout.environments:
            diff, _ = await self._text(rollout, f"{slug(place)}.diff", DIFF_BYTES)
            if diff:
                diffs[place] = diff
        return diffs

    async def _evidence(self, rollout: Rollout) -> dict[str, str]:
        """Place and stage, as people say it -> what its bad pods looked like."""
        kept: dict[str, str] = {}
        for step in rollout.steps:
            if step.name != StepName.CHECK:
                continue
            evidence, _ = await self._text(rollout, evidence_name(step))
            if evidence:
                kept[f"{rollout.spoken(step.environment)} {step.stage}"] = evidence
        return kept

    async def _logs(self, rollout: Rollout) -> dict[str, tuple[str, int]]:
        logs = {name: await self._text(rollout, name) for name in log_names(rollout)}
        return {name: (text, end) for name, (text, end) in logs.items() if text}

    def _by_hand(self, rollout: Rollout, place: str) -> tuple[str, ...]:
        return self.host.by_hand(*rollout.target(place), _narrowed(rollout, place))

    async def _text(self, rollout: Rollout, name: str, most: int = LOG_BYTES) -> tuple[str, int]:
        """At most so many bytes from the end of a file, and the offset behind it."""
        data, end = await self.files.read(rollout.number, name)
        while more := (await self.files.read(rollout.number, name, end))[0]:
            data, end = (data + more)[-most:], end + len(more)
        return data[-most:].decode("utf-8", "replace"), end


def _narrowed(rollout: Rollout, place: str) -> tuple[str, ...]:
    """The releases of a part, none where the whole place is meant."""
    diffed = rollout.records.diffed
    if diffed is None or place not in diffed.places or not rollout.subject.own.is_part:
        return ()
    return tuple(diffed.places[place].shown.releases)
