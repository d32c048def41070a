"""Whether a lost rollout still applies on the deploy host."""

from __future__ import annotations

from quarterdeck.core.desk.refusals import HostSilent, StillApplies
from quarterdeck.core.model.errors import BusyError, RequestError, TemporaryError
from quarterdeck.core.ports.runner import JobState, Runner
from quarterdeck.core.rollout.naming import job_name
from quarterdeck.core.rollout.pipeline import Pipelines
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import State
from quarterdeck.core.rollout.step import StepState

_NOT_KNOWN_TO_HAVE_ENDED = frozenset({StepState.LOST, StepState.INTENDED})


class ApplyJobs:
    """Asks the deploy host."""

    def __init__(self, runner: Runner, pipelines: Pipelines) -> None:
        self.runner, self.pipelines = runner, pipelines

    async def runs(self, rollout: Rollout) -> bool:
        """Whether the job of the step that a rollout was lost in still runs.

        Raises:
            RequestError: the deploy host does not answer.
        """
        for step in rollout.steps:
            if self.pipelines.outlives_us(step) and step.state in _NOT_KNOWN_TO_HAVE_ENDED:
                break
        else:
            return False
        try:
            status = await self.runner.status(job_name(rollout, step))
        except TemporaryError as error:
            raise RequestError(HostSilent(rollout.number, str(error))) from error
        return status.state is JobState.RUNNING

    async def refuse_while_at_work(self, rollout: Rollout) -> None:
        """As long as helm works on the host nobody lets the target go: BusyError."""
        if rollout.state is State.UNKNOWN and await self.runs(rollout):
            raise BusyError(StillApplies(rollout.number))
