"""A deploy host's runner in memory: jobs are played by coroutines instead of scripts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from quarterdeck.core.model.errors import AbsentError, PermanentError, TemporaryError
from quarterdeck.core.ports.runner import JobState, JobStatus

_JOB = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")


@dataclass
class FakeJob:
    """One job, for the coroutine that plays it and for tests that look at it.

    Attributes:
        files: what `read` gives, without the log.
        interrupted: set by `stop`; the player decides what follows from it.
        status: exit status, None while it runs or when it is lost.
    """

    name: str
    script: str
    log: bytearray = field(default_factory=bytearray)
    files: dict[str, bytes] = field(default_factory=dict)
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None
    ended: bool = False
    task: asyncio.Task[None] | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, data: bytes | str) -> None:
        """Append to the log."""
        self.log += data.encode() if isinstance(data, str) else data
        await self.tell()

    async def tell(self) -> None:
        """Wake everybody who follows."""
        async with self._changed:
            self._changed.notify_all()

    async def news(self, offset: int) -> bytes:
        """The log from an offset, as soon as there is more of it; empty when the job ended before."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ended or len(self.log) > offset)
        return bytes(self.log[offset:])


Player = Callable[[FakeJob], Awaitable[int]]


async def succeed(_job: FakeJob) -> int:
    """Plays a job that ends well at once."""
    return 0


class FakeRunner:
    """Named jobs in memory (implements `quarterdeck.core.ports.Runner`).

    Attributes:
        player: plays each new job; its return value is the exit status.
        answer: answers `query`: (command, stdin) -> (exit status, stdout, stderr).
        jobs: all jobs by name.
        host: boot id.
        away: while set, every call raises TemporaryError.
        full: while set, no job can begin, for want of room.
    """

    def __init__(
        self,
        player: Player = succeed,
        answer: Callable[[str, bytes], tuple[int, bytes, bytes]] = lambda _command, _stdin: (0, b"", b""),
        host: str = "boot-1",
    ) -> None:
        self.player, self.answer, self.host = player, answer, host
        self.jobs: dict[str, FakeJob] = {}
        self.away = False
        self.full = False

    async def start(self, job: str, script: str) -> JobStatus:
        """Play the script unless a job of that name exists."""
        self._check(job)
        found = self.jobs.get(job)
        if found is None:
            if self.full:
                raise TemporaryError("the fake host could not begin it: is its disk full?", retry_after=2.0)
            found = self.jobs[job] = FakeJob(job, script)
            found.task = asyncio.create_task(self._play(found))
        elif found.script != script:
            raise PermanentError(f"a job {job} exists with another script")
        return self._status(job)

    async def status(self, job: str) -> JobStatus:
        """What there is of the job."""
        self._check(job)
        return self._status(job)

    async def follow(self, job: str, offset: int, on_output: Callable[[int, bytes], Awaitable[None]]) -> JobStatus:
        """Hand on the log from an offset until the job ended."""
        while True:
            self._check(job)
            found = self.jobs.get(job)
            if found is None:
                raise TemporaryError(f"fake host knows no job {job}")
            chunk = await found.news(offset)
            if not chunk:
                return self._status(job)
            await on_output(offset, chunk)
            offset += len(chunk)

    async def read(self, job: str, name: str) -> bytes:
        """A file of the job."""
        self._check(job)
        found = self.jobs.get(job)
        if found is not None and name == "log":
            return bytes(found.log)
        if found is None or name not in found.files:
            raise AbsentError(f"no file {name} of job {job}")
        return found.files[name]

    async def stop(self, job: str) -> None:
        """Set the job's `interrupted`."""
        self._check(job)
        found = self.jobs.get(job)
        if found is not None and not found.ended:
            found.interrupted.set()

    async def query(self, command: str, timeout: float = 20.0, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Ask `answer`."""
        self._check("query")
        return self.answer(command, stdin)

    async def kill(self, job: str) -> None:
        """End a job's processes without an exit status: LOST."""
        found = self.jobs[job]
        if found.task is not None:
            found.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await found.task
        found.ended = True
        await found.tell()

    async def reboot(self, host: str = "boot-2") -> None:
        """Lose what runs, and come back as another incarnation."""
        for name in [job.name for job in self.jobs.values() if not job.ended]:
            await self.kill(name)
        self.host = host

    async def close(self) -> None:
        """End whatever is still played."""
        for name in [job.name for job in self.jobs.values() if not job.ended]:
            await self.kill(name)

    async def _play(self, job: FakeJob) -> None:
        job.status = await self.player(job)
        job.ended = True
        await job.tell()

    def _status(self, name: str) -> JobStatus:
        job = self.jobs.get(name)
        if job is None:
            return JobStatus(JobState.ABSENT, self.host)
        digest = hashlib.sha256(job.script.encode()).hexdigest()
        if not job.ended:
            return JobStatus(JobState.RUNNING, self.host, digest=digest)
        if job.status is None:
            return JobStatus(JobState.LOST, self.host, digest=digest)
        return JobStatus(JobState.DONE, self.host, job.status, digest)

    def _check(self, job: str) -> None:
        if self.away:
            raise TemporaryError("the fake host is away", retry_after=0.01)
        if not _JOB.fullmatch(job):
            raise PermanentError(f"bad job name {job!r}")
