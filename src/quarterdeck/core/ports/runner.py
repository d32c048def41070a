"""Named, detached jobs on the deploy host."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class JobState(StrEnum):
    """What the runner on the deploy host says of a job."""

    ABSENT = "absent"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"  #: its lock is free and it left no exit status


@dataclass(frozen=True)
class JobStatus:
    """A job on the deploy host.

    Attributes:
        status: exit status, only when DONE.
        host: incarnation of the host (boot id); another one means it was restarted in between.
        digest: sha256 of the script the job was started with; empty when ABSENT.
    """

    state: JobState
    host: str
    status: int | None = None
    digest: str = ""


class Runner(Protocol):
    """Named, detached jobs on the deploy host. A lost connection is TemporaryError, never an exit status."""

    async def start(self, job: str, script: str) -> JobStatus:
        """Start a POSIX-sh script under a name, detached. The same name again starts nothing, it attaches.

        Raises:
            PermanentError: a job of that name exists with another script.
        """
        ...

    async def status(self, job: str) -> JobStatus:
        """What the host says of the job now."""
        ...

    async def follow(self, job: str, offset: int, on_output: Callable[[int, bytes], Awaitable[None]]) -> JobStatus:
        """Wait until a job ended, handing on its log from a byte offset; re-attaches after a drop.

        `on_output(offset of the chunk, bytes)`. Returns DONE or LOST. Raises TemporaryError when the host stays
        away longer than the adapter's limit.
        """
        ...

    async def read(self, job: str, name: str) -> bytes:
        """A file of the job's folder; AbsentError if it is not there."""
        ...

    async def stop(self, job: str) -> None:
        """SIGINT to the job's process group; returns at once. Nothing happens if it ended."""
        ...

    async def query(self, command: str, timeout: float = 20.0, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a short read-only command; (exit status, stdout, stderr). Deadline in seconds."""
        ...
