"""GATE: ask a person once, over everything that will happen, where the rules say so."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from quarterdeck.core.charts.members import component_of
from quarterdeck.core.charts.snapshots import Snapshots
from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import AbsentError, EditRefusedError, PermanentError, TemporaryError
from quarterdeck.core.model.limits import Limits
from quarterdeck.core.model.question import Question
from quarterdeck.core.ports.rollouts import Rollouts
from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.events import QuestionOpened
from quarterdeck.core.rollout.pipeline import BEFORE
from quarterdeck.core.rollout.records import Diffed, GateIntent, GatePassed, PlaceDiff
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepState
from quarterdeck.core.rules.asking import question
from quarterdeck.core.rules.moments import ShownPlan
from quarterdeck.core.rules.reasons import Grounds
from quarterdeck.core.rules.ruling import Ask, Refuse, Rule, judge
from quarterdeck.core.steps.describe import references
from quarterdeck.core.steps.run import Run


class Paused(Exception):
    """A question is open."""


class GateStep:
    """Opens the question that the rules want, and passes where there is none, or once it was answered.

    Args:
        ask_first: successful rollouts that a person needs before he is no longer asked as a beginner.
    """

    def __init__(
        self, charts: Snapshots, store: Rollouts, rules: Sequence[Rule], limits: Limits, ask_first: int
    ) -> None:
        self.charts, self.store, self.rules = charts, store, rules
        self.limits, self.ask_first = limits, ask_first

    async def perform(self, run: Run, step: Step) -> GatePassed:
        """Pass, or open the question and raise Paused. An answered question passes with who answered."""
        if isinstance(step.intent, GateIntent) and step.intent.answered:
            if step.stage != BEFORE:
                await self._refuse_if_undone(run)
            return GatePassed(asked=True, by=step.intent.answered)
        asked = await self._question(run, step)
        if asked is None:
            return GatePassed(asked=False)
        await self._open(run, step, asked)
        raise Paused

    async def _open(self, run: Run, step: Step, asked: Question) -> None:
        now = run.clock.now()
        deadline = now + timedelta(seconds=self._seconds_to_answer(run))
        opened = replace(step, state=StepState.INTENDED, intent=GateIntent(asked.text), started=now)
        waiting = replace(run.rollout, code=asked.code, code_count=asked.count, deadline=deadline)
        diffed = run.rollout.records.diffed
        differences: Mapping[str, PlaceDiff] = diffed.places if diffed else {}
        lines = run.voice.lines(QuestionOpened(waiting, asked, differences))
        await run.move(
            Move.PAUSE,
            lines,
            steps=run.rollout.with_step(opened).steps,
            code=asked.code,
            code_count=asked.count,
            deadline=deadline,
            digest=asked.digest,
            note=asked.text,
        )

    async def _question(self, run: Run, step: Step) -> Question | None:
        """The question to open; None where the rules see no need of one.

        Raises:
            PermanentError: a rule refuses what the diffs show.
        """
        if step.stage == BEFORE:  # what the rules asked when the order was accepted
            return run.rollout.briefing.ask_first
        diffed = run.rollout.records.diffed
        assert diffed is not None, "DIFF comes before"
        plan = ShownPlan(
            requester=run.rollout.actor,
            kind=run.rollout.kind,
            own=run.service.name,
            places=_places(run),
            differences={place: diff.shown for place, diff in diffed.places.items()},
            beginner=await self._is_beginner(run.rollout.actor),
        )
        match judge(plan, run.clock.now(), self.rules):
            case Refuse(refusal):
                raise PermanentError(run.voice.refusal(refusal, begun=True))
            case Ask(reasons):
                asking = Grounds(reasons, plan)
                return question(asking, run.voice.question(asking), plan_digest(run.rollout.id, diffed))
        return None

    async def _is_beginner(self, person: str) -> bool:
        """Whether a person has had fewer successful rollouts than the setting wants before it stops asking."""
        if self.ask_first <= 0:
            return False
        succeeded = await self.store.find({State.SUCCEEDED}, limit=1000)
        return sum(rollout.actor == person for rollout in succeeded) < self.ask_first

    def _seconds_to_answer(self, run: Run) -> float:
        production = any(place.kind is EnvironmentKind.PRODUCTION for place in _places(run).values())
        return self.limits.ask_production if production else self.limits.ask_staging

    async def _refuse_if_undone(self, run: Run) -> None:
        """A yes is for what git said when it was asked for. A git that does not answer holds nobody up.

        Raises:
            PermanentError: the branch gives a place other images by now: they would be applied and taken back next.
        """
        shown = run.rollout.records.diffed
        assert shown is not None, "DIFF comes before"
        moved = []
        try:
            tip = await self.charts.tip()
            if tip == shown.commit:
                return
            for place, diff in shown.places.items():
                member, environment = run.subject.at(place)
                snapshot = await self.charts.at(tip, (member.service.name,))
                images = await asyncio.to_thread(snapshot.release_images, component_of(member), environment)
                if references(images) != diff.images:
                    moved.append(place)
        except (EditRefusedError, AbsentError, TemporaryError):
            return
        if moved:
            where = run.rollout.listed(moved)
            raise PermanentError(f"not applied: git gives {where} another image by now than I showed. Say it again")


def _places(run: Run) -> dict[str, Environment]:
    return {place: run.subject.environment(place) for place in run.rollout.environments}


def plan_digest(rollout_id: str, diffed: Diffed) -> str:
    """What a code stands for: this rollout, these diffs, at this commit."""
    plan = {place: (diff.digest, codec.plain(diff.shown.releases)) for place, diff in diffed.places.items()}
    text = json.dumps([rollout_id, diffed.commit, plan], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
