"""Deadlines and waits."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Deadlines and waits, all in seconds.

    Attributes:
        gate: from our vote to the merge.
        sync: from the merge until the deploy host's checkout has it.
        diff: for one host job that diffs.
        apply_extra: beyond twice the helmfile's own timeout (once for the upgrade, once for helm's way back).
        check: from the end of an apply until all new pods are ready.
        grace: how long a bad reason may last before it counts.
        soak: how long all new pods must stay ready with unchanged restarts.
        poll: between two looks at something that changes by itself.
        ask_production: how long a question about production stays open.
        ask_staging: how long any other question stays open.
        still: between two "still at it" lines.
    """

    gate: float = 1800.0
    sync: float = 900.0
    diff: float = 300.0
    apply_extra: float = 60.0
    check: float = 600.0
    grace: float = 45.0
    soak: float = 20.0
    poll: float = 0.5
    ask_production: float = 1800.0
    ask_staging: float = 600.0
    still: float = 300.0
