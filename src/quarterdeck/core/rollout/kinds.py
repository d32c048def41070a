"""The kinds of step there are, and the types of what each intends and finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from quarterdeck.core.rollout import records
from quarterdeck.core.rollout.step import StepName


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    Attributes:
        intent: type of the record that is saved before its effect; None where it saves none.
        result: type of the record of what it finds.
    """

    name: str
    intent: type | None
    result: type


def by_name(kinds: Iterable[StepKind]) -> dict[str, StepKind]:
    """Name -> kind."""
    return {str(kind.name): kind for kind in kinds}


STEP_KINDS: Mapping[str, StepKind] = by_name(
    (
        StepKind(StepName.EDIT, records.EditIntent, records.Edited),
        StepKind(StepName.MERGE, records.MergeIntent, records.Merged),
        StepKind(StepName.SYNC, records.SyncIntent, records.Synced),
        StepKind(StepName.DIFF, records.DiffIntent, records.Diffed),
        StepKind(StepName.GATE, records.GateIntent, records.GatePassed),
        StepKind(StepName.APPLY, records.ApplyIntent, records.Applied),
        StepKind(StepName.CHECK, None, records.Checked),
    )
)
