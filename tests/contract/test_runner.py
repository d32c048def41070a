"""Holds the SSH runner and its fake to one contract."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest

from quarterdeck.core.model.errors import AbsentError, PermanentError
from quarterdeck.core.ports.runner import JobState, Runner
from quarterdeck.testing.runner import FakeRunner
from tests.servers.runner_jobs import BYTES, PATIENT, SCRIPTS, THREE, Log, connect, finish, new_job
from tests.servers.ssh_server import SshServer


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    """One sshd for all tests here."""
    server = SshServer()
    yield server
    server.close()


@dataclass
class Place:
    """One runner under test."""

    runner: Runner
    kill: Callable[[str], Awaitable[None]]


@pytest.fixture(params=["fake", "ssh"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The fake and the real one, one after the other."""
    if request.param == "fake":

        def answer(command: str, stdin: bytes) -> tuple[int, bytes, bytes]:
            return 4, stdin, b"no\n"

        fake = FakeRunner(lambda job: SCRIPTS[job.script](job), answer)
        yield Place(fake, fake.kill)
        await fake.close()
        return
    server: SshServer = request.getfixturevalue("server")
    runner = connect(server)

    async def kill(job: str) -> None:
        leader = int((server.home / "jobs" / job / "pid").read_text())
        os.killpg(leader, signal.SIGKILL)

    yield Place(runner, kill)
    await runner.close()


async def test_a_job_leaves_its_log_its_files_and_its_exit_status(place: Place) -> None:
    """Everything a job says and leaves can be read after it ended, under its name."""
    job, log = new_job(), Log()
    assert (await place.runner.status(job)).state is JobState.ABSENT
    started = await place.runner.start(job, THREE)
    ended = await finish(place.runner, job, log)
    assert (ended.state, ended.status) == (JobState.DONE, 3)
    assert ended.digest == started.digest == hashlib.sha256(THREE.encode()).hexdigest()
    assert ended.host == started.host != ""
    assert log.data == b"one\ntwo\n" == await place.runner.read(job, "log")
    assert await place.runner.read(job, "result") == b"kept\n"
    with pytest.raises(AbsentError):
        await place.runner.read(job, "nothing")


async def test_the_log_is_followed_from_any_byte(place: Place) -> None:
    """Following from an offset gives the rest, once."""
    job, log = new_job(), Log()
    await place.runner.start(job, THREE)
    log.data = b"one\n"
    await finish(place.runner, job, log)
    assert log.data == b"one\ntwo\n"


async def test_the_same_name_starts_nothing_again(place: Place) -> None:
    """Two starts at once of one name and one script are one job, and so is a third after its end."""
    job = new_job()
    await asyncio.gather(*(place.runner.start(job, THREE) for _ in range(4)))
    await finish(place.runner, job)
    again = await place.runner.start(job, THREE)
    assert (again.state, again.status) == (JobState.DONE, 3)
    assert await place.runner.read(job, "log") == b"one\ntwo\n"


async def test_another_script_under_the_same_name_is_refused(place: Place) -> None:
    """A job found with another script is not ours: nothing runs."""
    job = new_job()
    await place.runner.start(job, THREE)
    with pytest.raises(PermanentError, match="another script"):
        await place.runner.start(job, BYTES)
    await finish(place.runner, job)
    assert await place.runner.read(job, "log") == b"one\ntwo\n"


async def test_any_bytes_pass(place: Place) -> None:
    """Output that is no UTF-8 comes through as it is."""
    job, log = new_job(), Log()
    await place.runner.start(job, BYTES)
    assert (await finish(place.runner, job, log)).status == 0
    assert log.data == b"\xff\xfe\x00\n"


async def test_a_silent_job_is_stopped(place: Place) -> None:
    """Stop reaches a command that says nothing, returns at once, and does nothing to what ended."""
    job = new_job()
    assert (await place.runner.start(job, PATIENT)).state is JobState.RUNNING
    await place.runner.stop(job)
    ended = await finish(place.runner, job)
    assert (ended.state, ended.status) == (JobState.DONE, 130)
    await place.runner.stop(job)
    await place.runner.stop(new_job())


async def test_a_killed_job_is_lost(place: Place) -> None:
    """Without an exit status and with a free lock a job is LOST, never done."""
    job = new_job()
    await place.runner.start(job, PATIENT)
    following = asyncio.create_task(finish(place.runner, job))
    await asyncio.sleep(0)
    await place.kill(job)
    assert ((await following).state, (await following).status) == (JobState.LOST, None)
    assert (await place.runner.start(job, PATIENT)).state is JobState.LOST


async def test_a_question_gets_status_and_both_outputs(place: Place) -> None:
    """Exit status, stdout, stderr and stdin of a short command arrive apart."""
    assert await place.runner.query("cat; echo no >&2; exit 4", 10, b"\x00in") == (4, b"\x00in", b"no\n")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "$(id)", "x" * 121, "ä"])
async def test_odd_job_names_are_refused(place: Place, name: str) -> None:
    """A name is letters, digits, dot, hyphen and underscore, or nothing happens."""
    with pytest.raises(PermanentError, match="bad job name"):
        await place.runner.start(name, THREE)
