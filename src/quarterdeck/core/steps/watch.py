"""The watcher: judges the new pods while APPLY still runs, keeps evidence, and warns long before helm gives up."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from quarterdeck.core.cluster import health
from quarterdeck.core.model.errors import QuarterdeckError
from quarterdeck.core.rollout.records import ApplyIntent
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.check import wanted_pods
from quarterdeck.core.steps.evidence import keep_evidence
from quarterdeck.core.steps.run import Run

log = logging.getLogger(__name__)


async def watch(run: Run, step: Step) -> None:
    """For ever, until cancelled: one warning at most, one "still" line every few minutes, evidence whenever bad."""
    world, limits = run.world, run.world.limits
    begun = world.clock.now()
    told, warned = begun, False
    memory = health.Memory()
    wanted = None
    while True:
        try:
            wanted = wanted or replace(
                await wanted_pods(run, step, applied=False), ignored_templates=_templates_before(step)
            )
            objects = await world.host.objects(*run.at(step.environment))
        except QuarterdeckError as error:
            log.info("the watcher of #%s cannot see the pods: %s", run.rollout.number, error)
            await world.clock.sleep(limits.poll)
            continue
        now = world.clock.now()
        verdict = health.judge(objects, wanted, memory, now)
        memory = verdict.memory
        if verdict.health is health.Health.BAD:
            await keep_evidence(run, step, verdict, objects)
            if verdict.terminal and not warned:
                warned = True
                timeout = run.rollout.briefing.timeouts.get(step.environment)
                gives_up = begun + timedelta(seconds=float(timeout)) if timeout else None
                gives_up = gives_up if gives_up and gives_up > now else None  # helm is at it already
                await run.say("bad", step=step, words_=verdict.text, gives_up=gives_up)
        if (now - told).total_seconds() > limits.still:
            told = now
            await run.say("still", words_=f"{run.rollout.spoken(step.environment)} {verdict.text}")
        await world.clock.sleep(limits.poll)


def _templates_before(step: Step) -> frozenset[str]:
    """The pod templates that were there before the apply."""
    return frozenset(step.intent.templates if isinstance(step.intent, ApplyIntent) else ())
