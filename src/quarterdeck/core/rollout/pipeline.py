"""The kinds of rollout as data: which steps each has, in which order, and where a retry begins.

A new kind is an entry in `PIPELINES`, and for each new step a function in `steps`. Driver, drafting, retry, store and
page read what stands here; none of them asks for a step or a kind by its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.rollout import records
from quarterdeck.core.rollout.rollout import Kind, Rollout
from quarterdeck.core.rollout.step import Step, StepName, StepState

#: stage of a question that stands before the first step: nothing is written until somebody says yes
BEFORE = "before"


@dataclass(frozen=True)
class StepKind:
    """A kind of step.

    Attributes:
        intent: type of the record that is saved before its effect; None where it saves none.
        result: type of the record of what it finds.
        outlives_us: its effect is a job on a host, which goes on when the bot dies: it is found, and interrupted by
            a stop, before anything else is decided.
        shown: what the page calls it, where its name would mislead.
    """

    name: str
    intent: type | None
    result: type
    outlives_us: bool = False
    shown: str = ""


EDIT = StepKind(StepName.EDIT, records.EditIntent, records.Edited)
MERGE = StepKind(StepName.MERGE, records.MergeIntent, records.Merged)
SYNC = StepKind(StepName.SYNC, records.SyncIntent, records.Synced)
DIFF = StepKind(StepName.DIFF, records.DiffIntent, records.Diffed)
GATE = StepKind(StepName.GATE, records.GateIntent, records.GatePassed, shown="ask")  # the page's gate is CI's
APPLY = StepKind(StepName.APPLY, records.ApplyIntent, records.Applied, outlives_us=True)
CHECK = StepKind(StepName.CHECK, None, records.Checked)


@dataclass(frozen=True)
class Pipeline:
    """The steps of one kind of rollout.

    Attributes:
        once: those that serve all places, in their order.
        at_each_place: those that come for each place and stage; a step of *once* lays them out when it knows where
            there is work.
        retry_points: names of the steps where a person's retry may begin: the last one that was reached.
        proof: name of the step that has to end well at every place; empty where none must.
    """

    once: tuple[StepKind, ...]
    at_each_place: tuple[StepKind, ...] = ()
    retry_points: frozenset[str] = frozenset()
    proof: str = ""

    @property
    def steps(self) -> tuple[StepKind, ...]:
        """All its kinds of step."""
        return (*self.once, *self.at_each_place)


_TO_THE_CLUSTER = (SYNC, DIFF, GATE)
_IN_THE_CLUSTER = (APPLY, CHECK)
_EDITED = Pipeline(
    once=(EDIT, MERGE, *_TO_THE_CLUSTER),
    at_each_place=_IN_THE_CLUSTER,
    retry_points=frozenset({StepName.EDIT, StepName.SYNC}),
    proof=StepName.CHECK,
)
_AS_GIT_SAYS = Pipeline(
    once=_TO_THE_CLUSTER,
    at_each_place=_IN_THE_CLUSTER,
    retry_points=frozenset({StepName.SYNC}),
    proof=StepName.CHECK,
)


@dataclass(frozen=True)
class Pipelines:
    """The kinds of rollout there are, by name, and the kinds of step that they are made of."""

    kinds: Mapping[str, Pipeline]
    steps: Mapping[str, StepKind] = field(init=False)

    def __post_init__(self) -> None:
        steps = {str(step.name): step for pipeline in self.kinds.values() for step in pipeline.steps}
        object.__setattr__(self, "steps", steps)

    def of(self, rollout: Rollout) -> Pipeline:
        """The pipeline of a rollout's kind."""
        return self.kinds[rollout.kind]

    def outlives_us(self, step: Step) -> bool:
        """Whether the effect of a step may go on when the bot dies."""
        return self.steps[step.name].outlives_us

    def in_flight(self, rollout: Rollout) -> bool:
        """Whether a job of the rollout may be running on a host."""
        step = rollout.current
        return step is not None and self.outlives_us(step) and step.state is StepState.INTENDED

    def first_steps(self, kind: str, asks_first: bool = False) -> tuple[Step, ...]:
        """The steps that a new rollout begins with.

        Args:
            asks_first: a person is asked before anything is written.
        """
        question = (Step(GATE.name, stage=BEFORE),) if asks_first else ()
        return (*question, *(Step(step.name) for step in self.kinds[kind].once))

    def retried(self, rollout: Rollout) -> tuple[Step, ...]:
        """The steps as a person's retry begins them: from the last retry point that was reached.

        All from there are new attempts, so that nothing finds an old job or change and takes it for its own. What
        has been done already shows itself: an edit that is in git is "already", a place that has it diffs empty. The
        answered question of a stage stays answered.
        """
        begin = self._retry_point(rollout)
        shared_steps = [step for step in rollout.steps[begin:] if not step.environment]
        return (*rollout.steps[:begin], *(step if step.stage else _again(step) for step in shared_steps))

    def begun_anew(self, rollout: Rollout) -> tuple[Step, ...]:
        """The steps where somebody was faster: new attempts from the last retry point up to where it stands."""
        begin, at = self._retry_point(rollout), _position(rollout)
        return tuple(_again(step) if begin <= index <= at else step for index, step in enumerate(rollout.steps))

    def retry_attempt(self, rollout: Rollout) -> int:
        """Which attempt the step is at where a retry would begin."""
        begin = self._retry_point(rollout)
        return rollout.steps[begin].attempt if begin < len(rollout.steps) else 1

    def _retry_point(self, rollout: Rollout) -> int:
        """Index of the last retry point up to where the rollout stands, else of the first one there is."""
        points = [i for i, step in enumerate(rollout.steps) if step.name in self.of(rollout).retry_points]
        reached = [index for index in points if index <= _position(rollout)]
        return max(reached, default=min(points, default=0))


PIPELINES = Pipelines({Kind.DEPLOY: _EDITED, Kind.ROLLBACK: _EDITED, Kind.APPLY: _AS_GIT_SAYS})


def _position(rollout: Rollout) -> int:
    """Index of the first step that is not done; of the last one where all are."""
    for index, step in enumerate(rollout.steps):
        if step.state is not StepState.DONE:
            return index
    return len(rollout.steps) - 1


def _again(step: Step) -> Step:
    return Step(step.name, step.environment, step.stage, step.attempt + 1)
