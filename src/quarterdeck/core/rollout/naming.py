"""Names that one attempt of one step has everywhere: Change-Id and job name."""

from __future__ import annotations

import hashlib

from quarterdeck.core.model import place as places
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.step import Step


def derived(rollout_id: str, step: Step) -> str:
    """40 hex digits that name one attempt of one step everywhere, before the act and after any crash."""
    text = "\0".join((rollout_id, *step.key, str(step.attempt)))
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def change_id(rollout_id: str, step: Step) -> str:
    """Gerrit's Change-Id for one attempt of a step."""
    return f"I{derived(rollout_id, step)}"


def job_name(rollout: Rollout, step: Step) -> str:
    """Name of the host job of one attempt of a step: readable first, unique by rollout id."""
    where = (places.slug(step.environment), step.stage)
    words = (f"r{rollout.number}", rollout.id, str(step.name), *where, f"a{step.attempt}")
    return "-".join(word for word in words if word)
