"""The watcher: judges the new pods while APPLY still runs, keeps evidence, and warns long before helm gives up."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from quarterdeck.core.cluster import health
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.rollout.events import PodsLookBad, StillBusy
from quarterdeck.core.rollout.records import ApplyIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.evidence import EvidenceKeeper
from quarterdeck.core.steps.expected_pods import expected_pods
from quarterdeck.core.steps.run import Run

log = logging.getLogger(__name__)


class Watcher:
    """Looks at the pods while something is applied; decides nothing."""

    def __init__(self, host: Host, registry: Registry, evidence: EvidenceKeeper, limits: Limits) -> None:
        self.host, self.registry, self.evidence, self.limits = host, registry, evidence, limits

    async def watch(self, run: Run, step: Step) -> None:
        """For ever, until cancelled: one warning at most, one "still" line every few minutes, evidence whenever bad."""
        limits, clock = self.limits, run.clock
        begun = clock.now()
        told, warned = begun, False
        memory = health.Memory()
        expected = None
        while True:
            try:
                expected = expected or await self._expected(run, step)
                objects = await self.host.objects(*run.at(step.environment))
            except QuarterdeckError as error:
                log.info("the watcher of #%s cannot see the pods: %s", run.rollout.number, error)
                await clock.sleep(limits.poll)
                continue
            now = clock.now()
            verdict = health.judge(objects, expected, memory, now)
            memory = verdict.memory
            if verdict.health is health.Health.BAD:
                await self.evidence.keep(run, step, verdict, objects)
                if verdict.terminal and not warned:
                    warned = True
                    gives_up = _gives_up(run, step, begun, now)
                    await run.tell(PodsLookBad(run.rollout, step, verdict.text, gives_up))
            if (now - told).total_seconds() > limits.still:
                told = now
                await run.tell(StillBusy(run.rollout, step.environment, verdict.text))
            await clock.sleep(limits.poll)

    async def _expected(self, run: Run, step: Step) -> health.Expected:
        expected = await expected_pods(run, step, self.registry, self.limits, applied=False)
        return replace(expected, ignored_templates=_templates_before(step))


def _gives_up(run: Run, step: Step, begun: datetime, now: datetime) -> datetime | None:
    """When helm gives up; None where nobody knows, and where it is at it already."""
    timeout = run.rollout.briefing.timeouts.get(step.environment)
    gives_up = begun + timedelta(seconds=float(timeout)) if timeout else None
    return gives_up if gives_up and gives_up > now else None


def _templates_before(step: Step) -> frozenset[str]:
    """The pod templates that were there before the apply."""
    return frozenset(step.intent.templates if isinstance(step.intent, ApplyIntent) else ())
