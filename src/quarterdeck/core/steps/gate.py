"""GATE: ask a person once, over everything that will happen, where the rules say so."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from quarterdeck.core.model.environment import Environment, EnvironmentKind
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError, PermanentError, TemporaryError
from quarterdeck.core.model.question import Question
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rules.asking import question
from quarterdeck.core.rules.moments import Difference, PlaceDifference, ShownPlan
from quarterdeck.core.rules.reasons import Together
from quarterdeck.core.rules.ruling import Ask, Refuse, judge
from quarterdeck.core.steps.run import Run

#: stage of a gate that stands before EDIT: nothing is written until somebody says yes
BEFORE = "before"


class Paused(Exception):
    """A question is open."""


async def gate(run: Run, step: Step) -> Mapping[str, Any]:
    """Pass, or open the question and raise Paused. An answered question passes with who answered."""
    if step.intent.get("answered"):
        if step.stage != BEFORE:
            await _refuse_if_undone(run)
        return {"asked": True, "by": step.intent["answered"]}
    asked = await _question(run, step)
    if asked is None:
        return {"asked": False}
    deadline = run.world.clock.now() + timedelta(seconds=_seconds_to_answer(run))
    opened = replace(step, state=StepState.INTENDED, intent={"asked": asked.text}, started=run.world.clock.now())
    rollout = replace(run.rollout, code=asked.code, code_count=asked.count, deadline=deadline)
    found = run.rollout.result(StepName.DIFF).get("environments", {})
    lines = run.world.voice.lines("ask", rollout, asked=asked, found=found)
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
    raise Paused


async def _question(run: Run, step: Step) -> Question | None:
    """The question to open; None where the rules see no need of one.

    Raises:
        PermanentError: a rule refuses what the diffs show.
    """
    if step.stage == BEFORE:  # what the rules asked when the order was accepted
        return Question(**run.rollout.facts["ask_first"])
    plan = ShownPlan(
        requester=run.rollout.actor,
        kind=run.rollout.kind,
        own=run.service.name,
        places=_places(run),
        differences=shown_differences(run.rollout.result(StepName.DIFF)["environments"]),
        beginner=await is_beginner(run),
    )
    voice = run.world.voice
    match judge(plan, run.world.clock.now(), run.world.rules):
        case Refuse(refusal):
            raise PermanentError(voice.refusal(refusal, begun=True))
        case Ask(reasons):
            asking = Together(reasons, plan)
            return question(asking, voice.question(asking), plan_digest(run.rollout))
    return None


def _places(run: Run) -> dict[str, Environment]:
    environments = run.world.catalogue.environments
    return {place: environments[run.at(place)[1]] for place in run.rollout.environments}


def _seconds_to_answer(run: Run) -> float:
    production = any(place.kind is EnvironmentKind.PRODUCTION for place in _places(run).values())
    return run.world.limits.ask_production if production else run.world.limits.ask_staging


def shown_differences(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, Difference]:
    """Place -> what its stored diff says, as far as the rules want to know it."""
    return {
        place: PlaceDifference(diff["changes"], tuple(diff["surprises"]), diff["summary"], diff["pods"])
        for place, diff in stored.items()
    }


async def _refuse_if_undone(run: Run) -> None:
    """A yes is for what git said when it was asked for. A git that does not answer holds nobody up.

    Raises:
        PermanentError: the branch gives a place other images by now: they would be applied and taken back next.
    """
    shown, charts = run.rollout.result(StepName.DIFF), run.world.charts
    moved = []
    try:
        tip = await charts.tip()
        if tip == shown["commit"]:
            return
        for place, found in shown["environments"].items():
            member, environment = run.subject.at(place)
            tree = await charts.tree(tip, member.service.name)
            named = await asyncio.to_thread(member.release_images, tree, environment)
            now = {name: [image.reference for image in images] for name, images in named.items()}
            if now != found.get("images", now):
                moved.append(place)
    except (EditRefusedError, NotFoundError, TemporaryError):
        return
    if moved:
        where = run.rollout.listed(moved)
        raise PermanentError(f"not applied: git gives {where} another image by now than I showed. Say it again")


def plan_digest(rollout: Rollout) -> str:
    """What a code stands for: this rollout, these diffs, at this commit."""
    result = rollout.result(StepName.DIFF)
    plan = {e: (f["digest"], f["releases"]) for e, f in result["environments"].items()}
    text = json.dumps([rollout.id, result["commit"], plan], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


async def is_beginner(run: Run) -> bool:
    """Whether this person has had fewer successful rollouts than the setting wants before it stops asking."""
    if run.world.ask_first <= 0:
        return False
    before = await run.world.store.find({State.SUCCEEDED}, limit=1000)
    return sum(r.actor == run.rollout.actor for r in before) < run.world.ask_first
