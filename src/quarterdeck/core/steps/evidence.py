"""Keeps what bad pods looked like, captured while they were there: helm's way back removes them within a second."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from quarterdeck.core.cluster import health
from quarterdeck.core.model.place import slug
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run


async def keep_evidence(run: Run, step: Step, verdict: health.Verdict, objects: Sequence[Mapping[str, Any]]) -> None:
    """Write reasons, exit codes and the pods' own statuses to the rollout's files, redacted."""
    now = run.world.clock.now()
    names = {e.pod for e in verdict.evidence}
    pods = [o for o in objects if o.get("kind") == "Pod" and o.get("metadata", {}).get("name") in names]
    kept = {
        "captured": now.isoformat(),
        "environment": step.environment,
        "attempt": step.attempt,
        "text": verdict.text,
        "evidence": [asdict(e) for e in verdict.evidence],
        "pods": [{"name": p["metadata"]["name"], "status": p.get("status", {})} for p in pods],
    }
    text = run.world.redactor.text(json.dumps(kept, indent=1, default=str))
    await run.world.files.write(run.rollout.number, evidence_name(step), text.encode())


def evidence_name(step: Step) -> str:
    """The file that has it."""
    return f"{slug(step.environment)}.{step.stage}.evidence.json"


async def evidence_text(run: Run, step: Step) -> str:
    """What the watcher saw of this attempt's pods, in a few words; empty if they never looked bad."""
    data, _ = await run.world.files.read(run.rollout.number, evidence_name(step))
    try:
        kept = json.loads(data)
    except ValueError:
        return ""
    return str(kept["text"]) if kept.get("attempt") == step.attempt else ""
