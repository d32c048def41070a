"""Keeps what bad pods looked like, captured while they were there: helm's way back removes them within a second."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from quarterdeck.core.cluster import health
from quarterdeck.core.model.place import slug
from quarterdeck.core.ports.files import Files
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.rollout.step import Step
from quarterdeck.core.steps.run import Run


class EvidenceKeeper:
    """Writes to the rollout's files, redacted, and reads from there."""

    def __init__(self, files: Files, redactor: Redactor) -> None:
        self.files, self.redactor = files, redactor

    async def keep(self, run: Run, step: Step, verdict: health.Verdict, objects: Sequence[Mapping[str, Any]]) -> None:
        """Keep reasons, exit codes and the pods' own statuses."""
        names = {finding.pod for finding in verdict.evidence}
        pods = [o for o in objects if o.get("kind") == "Pod" and o.get("metadata", {}).get("name") in names]
        evidence = {
            "captured": run.clock.now().isoformat(),
            "environment": step.environment,
            "attempt": step.attempt,
            "text": verdict.text,
            "evidence": [asdict(finding) for finding in verdict.evidence],
            "pods": [{"name": pod["metadata"]["name"], "status": pod.get("status", {})} for pod in pods],
        }
        text = self.redactor.text(json.dumps(evidence, indent=1, default=str))
        await self.files.write(run.rollout.number, evidence_name(step), text.encode())

    async def text(self, run: Run, step: Step) -> str:
        """What was seen of this attempt's pods, in a few words; empty if they never looked bad."""
        data, _ = await self.files.read(run.rollout.number, evidence_name(step))
        try:
            evidence = json.loads(data)
        except ValueError:
            return ""
        return str(evidence["text"]) if evidence.get("attempt") == step.attempt else ""


def evidence_name(step: Step) -> str:
    """The file that has it."""
    return f"{slug(step.environment)}.{step.stage}.evidence.json"
