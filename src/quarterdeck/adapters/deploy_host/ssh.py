"""The deploy host's runner over SSH: named jobs that outlive the connection, and short questions.

What asyncssh 2.23 does and this file guards against: a connection lost while a command runs gives
`exit_status None`, also with `check=True` and after a keepalive timeout; a command over its deadline goes on
running on the host; output that is not UTF-8 ends a text channel; `known_hosts=None` verifies nothing.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import math
import re
import shlex
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import NoReturn

import asyncssh

from quarterdeck.core.model.errors import AbsentError, PermanentError, TemporaryError
from quarterdeck.core.ports.runner import JobState, JobStatus

_CHUNK = 65536
_JOB = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")
_FILE = re.compile(r"[a-z0-9_-][a-z0-9._-]*")
_PLAIN_PATH = re.compile(r"~?/[A-Za-z0-9._/@+-]+")
_HELLO = re.compile(rb"quarterdeck-runner ([0-9a-f]{64}) (open|forced)\s*")
#: exit statuses of runner.sh and of the shell that should have run it
_NOT_FOUND, _CUT_SHORT, _CANNOT_WRITE = 66, 65, 73
_NO_RUNNER = frozenset({2, 127})
_OVER_DEADLINE = frozenset({124, 137})  #: of timeout(1): ended, or killed two seconds later


def runner_text() -> bytes:
    """The runner that belongs to this version, as it must stand on the host."""
    return resources.files(__package__).joinpath("runner.sh").read_bytes()


class SshRunner:
    """Jobs on a deploy host reached by SSH (implements `quarterdeck.core.ports.Runner`).

    On first use of each connection the runner on the host is compared with ours by SHA-256. It is installed,
    whole and under a name that carries its hash, when the account may write; with a forced-command key it is
    only compared. All requests share one connection; OpenSSH allows 10 at a time on it (MaxSessions).
    """

    def __init__(  # noqa: PLR0913  one keyword for each setting of the deploy host
        self,
        *,
        host: str,
        port: int = 22,
        user: str,
        key: Path,
        known_hosts: Path,
        jobs_dir: str,
        runner: str = "~/.quarterdeck/runner",
        connect_timeout: float = 10.0,
        call_timeout: float = 20.0,
        keepalive_interval: float = 5.0,
        keepalive_count_max: int = 3,
        away_limit: float = 300.0,
    ) -> None:
        """Check what can be checked without the network.

        Args:
            host: name or address.
            port: TCP port.
            user: login name; an ordinary account.
            key: file of the private key, without passphrase.
            known_hosts: OpenSSH known_hosts file; host keys are always verified.
            jobs_dir: folder for jobs on the host; absolute or from `~/`.
            runner: path on the host; `-<12 digits of its hash>.sh` is added unless it ends in `.sh`.
            connect_timeout: seconds for TCP, key exchange and login.
            call_timeout: seconds for one request that does not follow a job.
            keepalive_interval: seconds between signs of life.
            keepalive_count_max: unanswered signs of life after which the connection counts as lost.
            away_limit: seconds without the host after which `follow` gives up.

        Raises:
            PermanentError: known_hosts or key is missing, or a path on the host is not of plain characters.
        """
        if not known_hosts.is_file():
            raise PermanentError(f"no known_hosts file at {known_hosts}: {host} is never trusted unseen")
        if not key.is_file():
            raise PermanentError(f"no SSH key at {key}")
        digest = hashlib.sha256(runner_text()).hexdigest()
        path = runner if runner.endswith(".sh") else f"{runner}-{digest[:12]}.sh"
        self._host, self._port, self._user = host, port, user
        self._key, self._known_hosts = key, known_hosts
        self._prefix = f"exec sh {_plain(path)} {_plain(jobs_dir)}"
        self._path, self._digest, self._away_limit = path, digest, away_limit
        self._connect_timeout, self._call_timeout = connect_timeout, call_timeout
        self._keepalive = (keepalive_interval, keepalive_count_max)
        self._connection: asyncssh.SSHClientConnection | None = None
        self._connecting = asyncio.Lock()
        self._failures, self._attempts = 0, 0

    async def start(self, job: str, script: str) -> JobStatus:
        """Start a script detached, or attach to the job of that name; see the port.

        Raises:
            PermanentError: a job of that name exists with another script; bad job name.
            TemporaryError: the host is away, or could not begin the job (disk full, say): ask again.
        """
        data = script.encode()
        request = f"start {_job(job)} {hashlib.sha256(data).hexdigest()}"
        status = _parse_status(await self._ask(request, data, self._call_timeout))
        if status.state is JobState.ABSENT:
            raise TemporaryError(f"{self._host} could not begin {job}: is its disk full?", retry_after=2.0)
        return status

    async def status(self, job: str) -> JobStatus:
        """What the host says of the job; ABSENT also for one that was claimed and provably never begun."""
        return _parse_status(await self._ask(f"status {_job(job)}", b"", self._call_timeout))

    async def follow(self, job: str, offset: int, on_output: Callable[[int, bytes], Awaitable[None]]) -> JobStatus:
        """Hand on the job's log from a byte offset until the job ended; see the port.

        Raises:
            TemporaryError: the host stayed away longer than the limit, or knows no such job.
        """
        loop = asyncio.get_running_loop()
        away_since: float | None = None
        while True:
            try:
                async with aclosing(self._tail(job, offset)) as chunks:
                    async for chunk in chunks:
                        away_since = None
                        if chunk:
                            await _handed(on_output, offset, chunk)
                            offset += len(chunk)
                status = await self.status(job)
            except TemporaryError as error:
                now = loop.time()
                pause = 0.1 if away_since is None else error.retry_after
                away_since = now if away_since is None else away_since
                if now - away_since >= self._away_limit:
                    away = now - away_since
                    raise TemporaryError(f"{self._host} has been away for {away:.0f} s: {error}") from error
                await asyncio.sleep(min(pause, self._away_limit))
                continue
            except _OutputError as error:
                raise error.inner from None
            away_since = None
            if status.state is JobState.ABSENT:
                raise TemporaryError(f"{self._host} knows no job {job}")
            if status.state is not JobState.RUNNING:
                return status

    async def read(self, job: str, name: str) -> bytes:
        """A file of the job's folder.

        Raises:
            AbsentError: it is not there.
        """
        if not _FILE.fullmatch(name):
            raise PermanentError(f"bad file name {name!r}")
        return await self._ask(f"read {_job(job)} {name}", b"", 3 * self._call_timeout)

    async def stop(self, job: str) -> None:
        """SIGINT to the job's process group. The end is proven by its status only."""
        await self._ask(f"stop {_job(job)}", b"", self._call_timeout)

    async def query(self, command: str, timeout: float = 20.0, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a short command that only reads; the host ends it at the deadline (seconds).

        Raises:
            TemporaryError: no answer in time, or the connection was lost.
        """
        words = f"query {math.ceil(timeout)} {base64.b64encode(command.encode()).decode()}"
        status, out, err = await self._call(words, stdin, math.ceil(timeout) + 5.0)
        if status in _OVER_DEADLINE:
            raise TemporaryError(f"no answer on {self._host} within {math.ceil(timeout)} s")
        if status in _NO_RUNNER and self._path.rpartition("/")[2].encode() in err:
            self._refused("query", status, _last_line(err))
        return status, out, err

    async def reap(self, days: int) -> tuple[str, ...]:
        """Delete jobs that ended more than that many days ago; their names."""
        out = await self._ask(f"reap {days:d}", b"", 10 * self._call_timeout)
        return tuple(out.decode(errors="replace").split())

    async def close(self) -> None:
        """Close the connection; jobs go on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            with suppress(OSError, asyncssh.Error):
                await connection.wait_closed()

    # requests

    async def _ask(self, words: str, stdin: bytes, deadline: float) -> bytes:
        status, out, err = await self._call(words, stdin, deadline)
        if status != 0:
            self._refused(words, status, _last_line(err))
        return out

    def _refused(self, words: str, status: int, said: str) -> NoReturn:
        if status == _NOT_FOUND:
            raise AbsentError(said)
        if status in (_CUT_SHORT, _CANNOT_WRITE):
            raise TemporaryError(f"{self._host}: {said}", retry_after=2.0)
        if status in _NO_RUNNER or status >= 128:
            # taken away under our feet, or killed: look at it again on the next call
            self._drop()
            raise TemporaryError(f"the runner on {self._host} gave no answer: {said or status}")
        raise PermanentError(f"{self._host} refuses `{words.split(' ', 2)[0]}`: {said or status}")

    async def _call(self, words: str, stdin: bytes, deadline: float) -> tuple[int, bytes, bytes]:
        connection = await self._ready()
        return await self._execute(connection, f"{self._prefix} {words}", stdin, deadline)

    async def _execute(
        self, connection: asyncssh.SSHClientConnection, command: str, stdin: bytes, deadline: float
    ) -> tuple[int, bytes, bytes]:
        async with self._translated(), asyncio.timeout(deadline):
            process = await connection.create_process(
                command, stdin=asyncssh.PIPE if stdin else asyncssh.DEVNULL, encoding=None
            )
            try:
                out, err = await process.communicate(stdin)
            finally:
                process.close()
        if process.exit_status is None:
            raise TemporaryError(f"the connection to {self._host} was lost")
        # a signal comes as exit status -1; as a shell would say it: 128 and more
        return process.exit_status if process.exit_status >= 0 else 128, bytes(out), bytes(err)

    async def _tail(self, job: str, offset: int) -> AsyncGenerator[bytes, None]:
        connection = await self._ready()
        async with self._translated():
            process = await connection.create_process(
                f"{self._prefix} tail {_job(job)} {offset:d}", stdin=asyncssh.DEVNULL, encoding=None
            )
            try:
                yield b""  # attached: a silent job is no absent host
                while chunk := await process.stdout.read(_CHUNK):
                    yield chunk
                await process.wait_closed()
                said = _last_line(await process.stderr.read())
            finally:
                process.close()
        if process.exit_status is None:
            raise TemporaryError(f"the connection to {self._host} was lost")
        if process.exit_status != 0:
            raise TemporaryError(f"{self._host}: {said or process.exit_status}")

    # the connection

    async def _ready(self) -> asyncssh.SSHClientConnection:
        attempts = self._attempts
        async with self._connecting:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            if self._attempts != attempts:  # failed while we waited: do not queue up time-outs
                raise TemporaryError(f"{self._host}:{self._port} cannot be reached")
            try:
                async with self._translated(), asyncio.timeout(self._connect_timeout):
                    connection = await asyncssh.connect(
                        self._host,
                        self._port,
                        username=self._user,
                        client_keys=[str(self._key)],
                        known_hosts=str(self._known_hosts),
                        config=None,
                        agent_path=None,
                        preferred_auth="publickey",
                        keepalive_interval=self._keepalive[0],
                        keepalive_count_max=self._keepalive[1],
                    )
                try:
                    await self._compare(connection)
                except BaseException:
                    connection.abort()
                    raise
            except TemporaryError as error:
                error.retry_after = min(0.25 * 2**self._failures, 10.0)
                self._failures, self._attempts = min(self._failures + 1, 10), self._attempts + 1
                raise
            self._connection, self._failures = connection, 0
            return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        where = f"{self._host}:{self._port}"
        try:
            yield
        except asyncssh.HostKeyNotVerifiable as error:
            raise PermanentError(f"the host key of {where} is not the one in {self._known_hosts}") from error
        except asyncssh.PermissionDenied as error:
            raise PermanentError(f"{where} refuses the key {self._key} for {self._user}") from error
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
            raise PermanentError(f"{self._key} is no private key we can use") from error
        except TimeoutError as error:
            raise TemporaryError(f"no answer from {where} in time") from error
        except (OSError, asyncssh.Error) as error:
            raise TemporaryError(f"{where} cannot be reached or broke off: {error}") from error

    # the runner on the host

    async def _compare(self, connection: asyncssh.SSHClientConnection) -> None:
        status, found, said = await self._hello(connection)
        if found and found[1] == self._digest:
            return
        if (found and found[2] == "open") or (not found and status in _NO_RUNNER):
            said = await self._install(connection)
            _, found, after = await self._hello(connection)
            if found and found[1] == self._digest:
                return
            said = said or after
        raise PermanentError(
            f"the runner on {self._host} is not the one of this version: {said or 'it is another one'}. "
            f"Install it: {self.install_line()}"
        )

    def install_line(self) -> str:
        """The line a person runs, from where Quarterdeck is installed, to put the runner on the host.

        With a forced-command key, that key's line in authorized_keys then names
        `command="sh PATH JOBS forced"`.
        """
        source = shlex.quote(str(resources.files(__package__).joinpath("runner.sh")))
        target = f"{self._user}@{self._host}"
        return f"ssh -p {self._port} {target} {shlex.quote(self._installing())} < {source}"

    def _installing(self) -> str:
        folder = self._path.rpartition("/")[0]
        return (
            f"umask 077; mkdir -p {folder} && new=$(mktemp {folder}/.runner.XXXXXXXX) && "
            f'cat >"$new" && mv "$new" {self._path}'
        )

    async def _hello(self, connection: asyncssh.SSHClientConnection) -> tuple[int, tuple[str, str, str] | None, str]:
        status, out, err = await self._execute(connection, f"{self._prefix} hello", b"", self._call_timeout)
        match = _HELLO.fullmatch(out)
        found = ("", match[1].decode(), match[2].decode()) if match else None
        return status, found, _last_line(err)

    async def _install(self, connection: asyncssh.SSHClientConnection) -> str:
        command = f"exec sh -c {shlex.quote(self._installing())}"
        status, _, err = await self._execute(connection, command, runner_text(), self._call_timeout)
        return "" if status == 0 else _last_line(err) or f"installing ended with {status}"


class _OutputError(Exception):
    """What the receiver of a chunk raised, kept apart from errors of the connection."""

    def __init__(self, inner: BaseException) -> None:
        super().__init__(str(inner))
        self.inner = inner


async def _handed(on_output: Callable[[int, bytes], Awaitable[None]], offset: int, chunk: bytes) -> None:
    try:
        await on_output(offset, chunk)
    except Exception as error:
        raise _OutputError(error) from error


def _plain(path: str) -> str:
    if not _PLAIN_PATH.fullmatch(path):
        raise PermanentError(f"{path!r}: give an absolute path, or one from ~/, of plain characters")
    return path


def _job(name: str) -> str:
    if not _JOB.fullmatch(name):
        raise PermanentError(f"bad job name {name!r}")
    return name


def _last_line(text: bytes) -> str:
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("runner: ")[:200] if lines else ""


def _parse_status(out: bytes) -> JobStatus:
    words = out.decode(errors="replace").split()
    try:
        state, code, boot, digest = words
        return JobStatus(
            state=JobState(state),
            host=boot,
            status=None if code == "-" else int(code),
            digest="" if digest == "-" else digest,
        )
    except ValueError as error:
        raise TemporaryError("the runner's answer makes no sense") from error
