"""CHECK: the verdict comes from the new pods; they run the image, are ready, and stay so."""

from __future__ import annotations

from quarterdeck.core.cluster import health
from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.host import Host
from quarterdeck.core.ports.registry import Registry
from quarterdeck.core.rollout.events import ApplyProven, StillBusy
from quarterdeck.core.rollout.records import Checked
from quarterdeck.core.rollout.step import Step, StepName
from quarterdeck.core.steps.debts import DebtBook
from quarterdeck.core.steps.evidence import EvidenceKeeper
from quarterdeck.core.steps.expected_pods import expected_pods
from quarterdeck.core.steps.run import Run


class CheckStep:
    """Looks at the pods until they are proven or hopeless."""

    def __init__(
        self, host: Host, registry: Registry, debts: DebtBook, evidence: EvidenceKeeper, limits: Limits
    ) -> None:
        self.host, self.registry, self.debts, self.evidence, self.limits = host, registry, debts, evidence, limits

    async def perform(self, run: Run, step: Step) -> Checked:
        """Prove a place and stage; where it was the last of its place, the place owes nothing more.

        Raises:
            PermanentError: they are bad for longer than the grace, or not ready within the deadline.
        """
        step = await run.intend(step)
        verdict = await self._proof(run, step)
        checked = Checked((verdict.ready, verdict.wanted), verdict.text, verdict.stable, verdict.digest)
        await run.done(step, checked, _sal_lines(run, step, verdict))
        if step.environment in run.rollout.served:
            await self.debts.pay(run.rollout, [step.environment])
        return checked

    async def _proof(self, run: Run, step: Step) -> health.Verdict:
        limits, clock = self.limits, run.clock
        expected = await expected_pods(run, step, self.registry, limits, applied=True)
        memory, begun, told = health.Memory(), clock.now(), clock.now()
        while True:
            objects = await run.patiently(
                "the cluster", lambda: self.host.objects(*run.at(step.environment)), limits.check
            )
            now = clock.now()
            verdict = health.judge(objects, expected, memory, now)
            memory = verdict.memory
            if verdict.health is health.Health.OK:
                return verdict
            if verdict.health is health.Health.BAD:
                await self.evidence.keep(run, step, verdict, objects)
            if verdict.health is health.Health.BAD and verdict.terminal:
                raise PermanentError(verdict.text)
            if (now - begun).total_seconds() > limits.check:
                raise PermanentError(f"no verdict after {limits.check:.0f} s: {verdict.text}")
            if (now - told).total_seconds() > limits.still:
                told = now
                await run.tell(StillBusy(run.rollout, step.environment, verdict.text))
            await run.pause(limits.poll)


def _sal_lines(run: Run, step: Step, verdict: health.Verdict) -> tuple[Line, ...]:
    """DONE closes a START, so only where something was applied."""
    if run.rollout.step(StepName.APPLY, step.environment, step.stage) is None:
        return ()
    return run.voice.lines(ApplyProven(run.rollout, step, (verdict.ready, verdict.wanted)))
