"""Jobs for tests of runners: scripts, the same played for the fake, and what it takes to follow them."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from quarterdeck.adapters.deploy_host.ssh import SshRunner
from quarterdeck.core.ports.runner import JobStatus, Runner
from quarterdeck.testing.runner import FakeJob
from tests.servers.ssh_server import SshServer


def connect(server: SshServer, **changes: Any) -> SshRunner:
    """A runner for it, with some words changed."""
    words: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": server.port,
        "user": server.user,
        "key": server.key,
        "known_hosts": server.known_hosts,
        "jobs_dir": f"{server.home}/jobs",
        "runner": f"{server.home}/.quarterdeck/runner",
        "away_limit": 20.0,
    }
    return SshRunner(**{**words, **changes})


# what a script does, and the same played by a coroutine for the fake


async def _three(job: FakeJob) -> int:
    await job.write("one\ntwo\n")
    job.files["result"] = b"kept\n"
    return 3


async def _bytes(job: FakeJob) -> int:
    await job.write(b"\xff\xfe\x00\n")
    return 0


async def _patient(job: FakeJob) -> int:
    await job.interrupted.wait()
    return 130


SCRIPTS: dict[str, Callable[[FakeJob], Awaitable[int]]] = {
    "echo one; echo two; echo kept >result; exit 3\n": _three,
    "printf '\\377\\376\\000\\n'\n": _bytes,
    "sleep 60\n": _patient,
}
THREE, BYTES, PATIENT = SCRIPTS


def new_job() -> str:
    """A name nobody used yet."""
    return f"r1-{uuid.uuid4().hex[:16]}-diff-a1"


class Log:
    """Collects what is followed, and says so when there is enough."""

    def __init__(self) -> None:
        self.data = b""
        self.more = asyncio.Event()

    async def __call__(self, offset: int, chunk: bytes) -> None:
        """Take a chunk; each must follow the one before."""
        assert offset == len(self.data)
        self.data += chunk
        self.more.set()

    async def reaches(self, size: int) -> None:
        """Wait until that many bytes have come."""
        async with asyncio.timeout(20):
            while len(self.data) < size:
                self.more.clear()
                await self.more.wait()


async def finish(runner: Runner, job: str, log: Log | None = None) -> JobStatus:
    """Follow a job to its end."""
    log = log or Log()
    async with asyncio.timeout(30):
        return await runner.follow(job, len(log.data), log)
