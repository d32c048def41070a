"""Tries the SSH runner against all that a real sshd, a dying connection and a full disk do to it."""

import asyncio
import hashlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from quarterdeck.adapters.deploy_host.ssh import SshRunner, runner_text
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.ports.runner import JobState
from tests.servers.runner_jobs import PATIENT, THREE, Log, connect, finish, new_job
from tests.servers.ssh_server import SshServer


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    """One sshd for all tests here."""
    server = SshServer()
    yield server
    server.close()


@pytest.fixture
async def runner(server: SshServer) -> AsyncIterator[SshRunner]:
    """The SSH runner alone."""
    runner = connect(server)
    yield runner
    await runner.close()


async def test_a_dropped_connection_loses_nothing(server: SshServer, runner: SshRunner) -> None:
    """Law 6: the session's process is killed twice; the log goes on at the byte where it was, complete."""
    job, log = new_job(), Log()
    script = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done; exit 7\n"
    await runner.start(job, script)
    following = asyncio.create_task(finish(runner, job, log))
    for size in (20, 120):
        await log.reaches(size)
        assert server.drop() >= 1
    ended = await following
    assert (ended.state, ended.status) == (JobState.DONE, 7)
    assert log.data == b"".join(b"line %d\n" % i for i in range(30))


async def test_a_host_that_is_away_for_a_while_is_waited_for(runner: SshRunner, server: SshServer) -> None:
    """The host's sshd ends and comes back while a job runs: the follower re-attaches, the job did not notice."""
    job, log = new_job(), Log()
    await runner.start(job, "echo begun; sleep 1.5; echo over\n")
    following = asyncio.create_task(finish(runner, job, log))
    await log.reaches(6)
    server.end()
    try:
        with pytest.raises(TemporaryError):
            await runner.status(job)
    finally:
        server.begin()
    assert (await following).status == 0
    assert log.data == b"begun\nover\n"


async def test_a_host_that_stays_away_is_given_up(server: SshServer) -> None:
    """After the limit, following ends as "away", not as an exit status."""
    runner = connect(server, away_limit=0.5)
    job, log = new_job(), Log()
    await runner.start(job, "echo begun; sleep 2\n")
    following = asyncio.create_task(runner.follow(job, 0, log))
    await log.reaches(6)
    server.end()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(TemporaryError, match="away for"):
                await following
    finally:
        server.begin()
        await runner.close()


async def test_a_silent_job_is_no_absent_host(server: SshServer) -> None:
    """A job that says nothing for longer than the limit is followed on through a drop and to its end."""
    runner = connect(server, away_limit=0.4)
    job, log = new_job(), Log()
    await runner.start(job, "sleep 2; echo over\n")
    following = asyncio.create_task(finish(runner, job, log))
    for _ in range(2):
        await asyncio.sleep(0.6)
        assert server.drop() >= 1
    assert (await following).status == 0
    assert log.data == b"over\n"
    await runner.close()


async def test_a_lost_connection_is_never_an_exit_status(server: SshServer, runner: SshRunner) -> None:
    """Where asyncssh says `exit_status None` for a lost connection, we say TemporaryError."""
    asking = asyncio.create_task(runner.query("echo x; sleep 20", 30))
    await runner.query("true")
    assert server.drop() >= 1
    async with asyncio.timeout(10):
        with pytest.raises(TemporaryError):
            await asking


async def test_a_question_has_a_deadline_on_both_sides(server: SshServer, runner: SshRunner) -> None:
    """A command over its deadline is ended on the host, and said to be late."""
    mark = server.home / "late"
    async with asyncio.timeout(10):
        with pytest.raises(TemporaryError, match="no answer"):
            await runner.query(f"sleep 2; touch {mark}", 1)
    await runner.query("sleep 1.5", 5)
    assert not mark.exists()


async def test_much_output_arrives_whole(runner: SshRunner) -> None:
    """Some megabytes, in a log, a file and an answer."""
    job, size = new_job(), 3_000_000
    await runner.start(job, f"head -c {size} /dev/zero | tr '\\0' x | tee result\n")
    log = Log()
    assert (await finish(runner, job, log)).status == 0
    assert log.data == b"x" * size == await runner.read(job, "result")
    assert len((await runner.query(f"head -c {size} /dev/zero"))[1]) == size


async def test_what_a_job_started_keeps_it_running(runner: SshRunner, server: SshServer) -> None:
    """Law 10: the end is the lock being free; a child that outlives the killed leader holds it by inheritance."""
    job = new_job()
    gate = server.home / f"{job}.fifo"
    await runner.query(f"mkfifo {gate}")
    await runner.start(job, f"setsid cat {gate} & wait\n")
    await runner.query(f"until [ -s {server.home}/jobs/{job}/pid ]; do sleep 0.02; done; sleep 0.2")
    os.killpg(int((server.home / "jobs" / job / "pid").read_text()), signal.SIGKILL)
    assert (await runner.status(job)).state is JobState.RUNNING
    await runner.query(f": >{gate}")
    assert (await finish(runner, job)).state is JobState.LOST


async def test_a_claim_that_never_began_is_started_by_the_next(runner: SshRunner, server: SshServer) -> None:
    """Law 7: a crash between claim and start leaves "absent", and the same start completes it."""
    job = new_job()
    digest = hashlib.sha256(THREE.encode()).hexdigest()
    folder = f"{server.home}/jobs/{job}"
    made = f"mkdir -p {folder}/tmp && cd {folder} && cat >script && echo {digest} >digest && : >lock && : >log"
    more = f"{made} && echo x >.started && echo '          ' >pid && echo '   ' >.rc"
    assert (await runner.query(more, stdin=THREE.encode()))[0] == 0
    assert (await runner.status(job)).state is JobState.ABSENT
    await runner.start(job, THREE)
    assert (await finish(runner, job)).status == 3


async def test_a_script_cut_short_is_not_run(runner: SshRunner, server: SshServer) -> None:
    """What came in does not have the digest that was announced: nothing is claimed."""
    job = new_job()
    path = next((server.home / ".quarterdeck").glob("runner-*.sh"))
    status, _, err = await runner.query(f"sh {path} {server.home}/jobs start {job} {'0' * 64}", stdin=b"echo")
    assert status == 65
    assert b"incomplete" in err
    assert (await runner.status(job)).state is JobState.ABSENT


async def test_a_job_has_its_own_folder_for_temporary_files(runner: SshRunner, server: SshServer) -> None:
    """TMPDIR is the job's, and stdin is empty."""
    job = new_job()
    await runner.start(job, 'echo "$TMPDIR"; cat; pwd\n')
    log = Log()
    await finish(runner, job, log)
    folder = f"{server.home}/jobs/{job}"
    assert log.data.decode().split() == [f"{folder}/tmp", folder]


async def test_a_full_disk_still_ends_with_a_true_status() -> None:
    """Neither log nor files can grow: the job's own exit status is told."""
    server = SshServer(blocks=64)
    runner = connect(server)
    try:
        job = new_job()
        await runner.start(job, "head -c 100000 /dev/zero; head -c 100000 /dev/zero >big && exit 0; exit 9\n")
        ended = await finish(runner, job)
        assert ended.state is JobState.DONE
        # the limit kills by signal, also the script's shell when it says so in the full log
        assert ended.status in {9, 128 + signal.SIGXFSZ}
        with pytest.raises(TemporaryError):
            await runner.start(new_job(), f"# {'x' * 100000}\n")
    finally:
        await runner.close()
        server.close()


async def test_old_jobs_are_deleted_and_running_ones_kept(runner: SshRunner, server: SshServer) -> None:
    """Only what ended long ago goes."""
    old, fresh, running = new_job(), new_job(), new_job()
    for job in (old, fresh):
        await runner.start(job, THREE)
        await finish(runner, job)
    await runner.start(running, PATIENT)
    for job in (old, running):
        os.utime(server.home / "jobs" / job, (0, 0))
    assert await runner.reap(7) == (old,)
    assert (await runner.status(old)).state is JobState.ABSENT
    assert (await runner.status(fresh)).state is JobState.DONE
    await runner.stop(running)
    await finish(runner, running)


async def test_errors_of_the_receiver_are_its_own(runner: SshRunner) -> None:
    """What `on_output` raises comes out as it is, and is not taken for a lost connection."""
    job = new_job()
    await runner.start(job, THREE)

    async def full(_offset: int, _chunk: bytes) -> None:
        raise TemporaryError("our own disk is full")

    async with asyncio.timeout(10):
        with pytest.raises(TemporaryError, match="our own disk"):
            await runner.follow(job, 0, full)


async def test_a_silent_host_costs_one_time_out_not_one_for_each_caller(server: SshServer) -> None:
    """Callers that wait for the same connection share its failure."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        runner = connect(server, port=mute.getsockname()[1], connect_timeout=0.5)
        async with asyncio.timeout(2):
            answers = await asyncio.gather(*(runner.query("true") for _ in range(8)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {TemporaryError}


# whom we trust, and what we install


async def test_another_host_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    """A host key other than the known one ends it, with a word that says so."""
    known = tmp_path / "known_hosts"
    other = (server.folder / "other_key.pub").read_text().split()[:2]
    known.write_text(f"[127.0.0.1]:{server.port} {' '.join(other)}\n")
    runner = connect(server, known_hosts=known)
    with pytest.raises(PermanentError, match="host key"):
        await runner.status(new_job())
    known.write_text("")
    with pytest.raises(PermanentError, match="host key"):
        await runner.status(new_job())


def test_without_known_hosts_or_key_there_is_no_runner(server: SshServer, tmp_path: Path) -> None:
    """Host keys are always verified: a missing file is refused before anything is connected."""
    with pytest.raises(PermanentError, match="known_hosts"):
        connect(server, known_hosts=tmp_path / "none")
    with pytest.raises(PermanentError, match="SSH key"):
        connect(server, key=tmp_path / "none")
    for path in ("relative/jobs", "/with space", "/$(id)"):
        with pytest.raises(PermanentError, match="plain"):
            connect(server, jobs_dir=path)


async def test_no_error_of_asyncssh_comes_out(server: SshServer, tmp_path: Path) -> None:
    """Refused key, refused port, broken key: each is one of our own errors, in words."""
    broken = tmp_path / "broken"
    broken.write_text("no key")
    cases: list[tuple[dict[str, Any], type[Exception]]] = [
        ({"key": server.folder / "other_key"}, PermanentError),
        ({"key": broken}, PermanentError),
        ({"port": 1}, TemporaryError),
        ({"host": "host.invalid"}, TemporaryError),
    ]
    for changes, kind in cases:
        runner = connect(server, **changes)
        with pytest.raises(kind) as caught:
            await runner.query("true")
        assert not isinstance(caught.value, asyncssh.Error | OSError)
        assert str(caught.value)


async def test_the_runner_is_installed_once_and_mended(server: SshServer) -> None:
    """A missing or changed runner is put there whole; an old one of another version stays for its jobs."""
    folder = server.home / "elsewhere"
    words = {"runner": f"{folder}/runner"}
    digest = hashlib.sha256(runner_text()).hexdigest()
    path = folder / f"runner-{digest[:12]}.sh"
    for before in (None, b"echo I am another\n", runner_text() + b"# changed\n"):
        if before is not None:
            path.write_bytes(before)
        runner = connect(server, **words)
        if before and before.startswith(b"echo"):
            with pytest.raises(PermanentError, match="Install it: ssh"):
                await runner.status(new_job())
            path.unlink()
        assert (await runner.status(new_job())).state is JobState.ABSENT
        assert path.read_bytes() == runner_text()
        assert [p.name for p in folder.iterdir()] == [path.name]
        await runner.close()


async def test_a_forced_command_key_is_compared_only(server: SshServer) -> None:
    """With a key that only calls the runner, jobs work; another runner is refused with the line that installs it."""
    path = server.folder / "forced.sh"
    path.write_bytes(runner_text())
    server.authorize(f'restrict,command="sh {path} {server.home}/jobs forced"')
    try:
        runner, job = connect(server), new_job()
        await runner.start(job, THREE)
        assert (await finish(runner, job)).status == 3
        assert (await runner.query("echo 'a  b'"))[1] == b"a  b\n"
        await runner.close()
        path.write_bytes(runner_text() + b"# older\n")
        runner = connect(server)
        with pytest.raises(PermanentError, match="Install it: ssh") as caught:
            await runner.status(job)
        assert "runner.sh" in str(caught.value)
        assert path.read_bytes().endswith(b"# older\n")
        await runner.close()
    finally:
        server.authorize()
