"""A rollout as data: what `/42.json` gives."""

from __future__ import annotations

from typing import Any

from quarterdeck.core.desk.queries.dossier import Dossier
from quarterdeck.core.rollout import codec
from quarterdeck.views.commands import next_commands


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
        "next": list(next_commands(rollout)),
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
