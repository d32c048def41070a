"""Jobs on the deploy host as a step uses them: run to their end, their logs kept with the rollout's files."""

from __future__ import annotations

import asyncio
import contextlib

from quarterdeck.core.model.errors import AbsentError, PermanentError, StopRequested, TemporaryError
from quarterdeck.core.ports.files import Files
from quarterdeck.core.ports.runner import JobState, JobStatus, Runner
from quarterdeck.core.redaction.redactor import Redactor
from quarterdeck.core.steps.run import Run


class HostJobs:
    """Follows jobs; what they print is redacted before it is kept."""

    def __init__(self, runner: Runner, files: Files, redactor: Redactor) -> None:
        self.runner, self.files, self.redactor = runner, files, redactor

    async def run_reading(self, run: Run, job: str, script: str, log: str, seconds: float) -> JobStatus:
        """Run a job that only reads: start (or find) it, keep its log, wait for its end.

        Raises:
            PermanentError: it ended without an exit status, or it took longer than *seconds*.
        """
        late = ""

        async def attempt() -> JobStatus:
            nonlocal late
            try:
                await self.runner.start(job, script)
            except TemporaryError as error:
                late = str(error)
                raise
            late = ""
            return await self._followed_or_stopped(run, job, log)

        try:
            async with asyncio.timeout(seconds):
                status = await run.patiently("the deploy host", attempt, seconds)
        except TimeoutError:
            if late:  # it never began
                raise PermanentError(f"the deploy host: no use after {seconds:.0f} s: {late}") from None
            with contextlib.suppress(TemporaryError, PermanentError):
                await self.runner.stop(job)
            raise PermanentError(f"job {job} on the deploy host did not end within {seconds:.0f} s") from None
        if status.state is not JobState.DONE:
            raise PermanentError(f"job {job} on the deploy host ended without an exit status")
        return status

    async def _followed_or_stopped(self, run: Run, job: str, log: str) -> JobStatus:
        """How it ended; a stop ends it, and its end need not be awaited, since it only reads."""
        following = asyncio.ensure_future(self.follow(run, job, log))
        flag = asyncio.ensure_future(run.interrupted.wait())
        try:
            await asyncio.wait({following, flag}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await self.runner.stop(job)
                raise StopRequested
            return following.result()
        finally:
            for task in (following, flag):
                task.cancel()
            await asyncio.gather(following, flag, return_exceptions=True)

    async def follow(self, run: Run, job: str, log: str) -> JobStatus:
        """Follow a job to its end, appending its redacted log to our file; re-attaches where the file ends."""
        number, files = run.rollout.number, self.files
        mark = f"{job}.offset"  # by job: a new attempt has a log of its own on the host and shares ours
        kept, _ = await files.read(number, mark)
        offset = int(kept or b"0")
        stream = self.redactor.stream()

        async def keep(at: int, chunk: bytes) -> None:
            await files.append(number, log, stream.feed(chunk))
            await files.write(number, mark, str(at + len(chunk)).encode())

        try:
            return await self.runner.follow(job, offset, keep)
        finally:
            await files.append(number, log, stream.flush())

    async def result(self, run: Run, job: str, name: str, seconds: float) -> bytes:
        """A file that a job left; empty if there is none. Waits as `Run.patiently` does."""

        async def read() -> bytes:
            try:
                return await self.runner.read(job, name)
            except AbsentError:
                return b""

        return await run.patiently("the deploy host", read, seconds)

    async def log_text(self, run: Run, log: str) -> str:
        """What a job printed, as it is kept."""
        data, _ = await self.files.read(run.rollout.number, log)
        return data.decode("utf-8", "replace")

    async def log_lines(self, run: Run, log: str) -> list[str]:
        """Its lines that are not blank, trimmed."""
        lines = (line.strip() for line in (await self.log_text(run, log)).splitlines())
        return [line for line in lines if line]
