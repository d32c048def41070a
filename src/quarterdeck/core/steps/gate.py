"""GATE: ask a person once, over everything that will happen, where the rules say so."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from quarterdeck.core.model.environment import EnvironmentKind
from quarterdeck.core.model.errors import EditRefusedError, NotFoundError, PermanentError, TemporaryError
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import Move, State
from quarterdeck.core.rollout.step import Step, StepName, StepState
from quarterdeck.core.rules import policy
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
    known = run.world.catalogue.environments
    places = {place: known[run.at(place)[1]] for place in run.rollout.environments}
    kinds = [e.kind for e in places.values()]
    if step.stage == BEFORE:
        found: Mapping[str, Any] = {}
        digest = hashlib.sha256(f"{run.rollout.id} {run.rollout.facts['ask_first']}".encode()).hexdigest()
        code = policy.code(digest, policy.where(places.values()))
        asked: policy.Ask | None = policy.Ask(code, 0, str(run.rollout.facts["ask_first"]))
    else:
        found = run.rollout.result(StepName.DIFF)["environments"]
        digest = plan_digest(run.rollout)
        first = await is_beginner(run)
        asked = policy.ask(
            kind=run.rollout.kind, places=places, own=run.service.name, found=found, first=first, digest=digest
        )
    if asked is None:
        return {"asked": False}
    limits = run.world.limits
    seconds = limits.ask_production if EnvironmentKind.PRODUCTION in kinds else limits.ask_staging
    deadline = run.world.clock.now() + timedelta(seconds=seconds)
    opened = replace(step, state=StepState.INTENDED, intent={"asked": asked.text}, started=run.world.clock.now())
    rollout = replace(run.rollout, code=asked.code, code_count=asked.count, deadline=deadline)
    lines = run.world.voice.lines("ask", rollout, asked=asked, found=found)
    await run.move(
        Move.PAUSE,
        lines,
        steps=run.rollout.with_step(opened).steps,
        code=asked.code,
        code_count=asked.count,
        deadline=deadline,
        digest=digest,
        note=asked.text,
    )
    raise Paused


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
