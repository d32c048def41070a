"""What Gerrit's event stream promises: the same for the fake, the adapter at a small SSH server, and on Gerrit."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from quarterdeck.adapters.gerrit.events import GerritEvents
from quarterdeck.core.model.errors import PermanentError
from quarterdeck.core.ports.event_stream import EventStream
from quarterdeck.testing.events import FakeEvents
from tests.servers.real_gerrit import RealGerrit, endpoints, prepare

CONNECTED, GAP = ("connected", ""), ("dropped-output", "")


class Bell:
    """Rung by the stream; remembers, and can be waited for."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, str]] = []
        self._changed = asyncio.Condition()

    async def __call__(self, kind: str, project: str) -> None:
        """It rings."""
        async with self._changed:
            self.rung.append((kind, project))
            self._changed.notify_all()

    async def until(self, enough: Callable[[list[tuple[str, str]]], bool]) -> list[tuple[str, str]]:
        """Wait until what was rung is enough."""
        async with self._changed, asyncio.timeout(15):
            await self._changed.wait_for(lambda: enough(self.rung))
            return list(self.rung)


class SshServer:
    """An SSH server whose one command is `gerrit stream-events`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.streams: list[asyncssh.SSHServerProcess[bytes]] = []
        self.commands: list[str | None] = []
        self.arrived = asyncio.Event()
        self.refuse = ""
        self._connections: list[Any] = []

    async def start(self) -> None:
        """Listen on a free port, with keys and known_hosts in the folder."""
        host, user = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
        user.write_private_key(str(self.folder / "key"))
        user.write_public_key(str(self.folder / "authorized"))
        self._host = host
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host],
            authorized_client_keys=str(self.folder / "authorized"),
            process_factory=self._process,
            encoding=None,
        )
        self.port = self._acceptor.get_port()
        self.trust(host)

    def trust(self, key: asyncssh.SSHKey) -> None:
        """Write known_hosts."""
        line = f"[127.0.0.1]:{self.port} {key.export_public_key().decode()}"
        (self.folder / "known_hosts").write_text(line)

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.commands.append(process.command)
        if self.refuse:
            process.stderr.write(self.refuse.encode())
            process.exit(1)
            return
        self.streams.append(process)
        self._connections.append(process.channel.get_connection())
        self.arrived.set()
        await process.wait_closed()

    async def stream(self) -> "asyncssh.SSHServerProcess[bytes]":
        """The newest stream, when there is one that was not taken yet."""
        async with asyncio.timeout(10):
            await self.arrived.wait()
        self.arrived.clear()
        return self.streams[-1]

    async def stop(self) -> None:
        """End all."""
        self._acceptor.close()
        for connection in self._connections:
            connection.abort()
        await self._acceptor.wait_closed()


@pytest.fixture
async def ssh(tmp_path: Path) -> AsyncIterator[SshServer]:
    """A small SSH server."""
    server = SshServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


def adapter(ssh: SshServer, **more: Any) -> GerritEvents:
    """The adapter there, in a hurry."""
    more = {"backoff": (0.05, 0.2), "connect_timeout": 3.0, **more}
    folder = ssh.folder
    return GerritEvents("127.0.0.1", ssh.port, "bot", folder / "key", folder / "known_hosts", **more)


class Running:
    """A stream that runs while the block lasts."""

    def __init__(self, stream: EventStream, bell: Callable[[str, str], Any]) -> None:
        self._stream, self._bell = stream, bell

    async def __aenter__(self) -> "Running":
        self.task = asyncio.create_task(self._stream.run(self._bell))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.task


def event(kind: str, project: str = "ops/charts", **more: Any) -> bytes:
    """A line as Gerrit writes it."""
    return json.dumps({"type": kind, "project": project, "eventCreatedOn": 1, **more}).encode() + b"\n"


@pytest.mark.parametrize("kind", ["fake", "server"])
async def test_it_rings_for_each_event(kind: str, ssh: SshServer) -> None:
    """Connected first, then every event with its project, in order; a loss is a gap and a new connect."""
    bell = Bell()
    fake = FakeEvents()
    stream: EventStream = fake if kind == "fake" else adapter(ssh)
    assert not stream.up
    async with Running(stream, bell):
        await bell.until(lambda rung: CONNECTED in rung)
        assert stream.up
        if kind == "fake":
            fake.send("change-merged", "ops/charts")
            fake.send("comment-added", "services/citoid")
            fake.cut()
        else:
            process = await ssh.stream()
            process.stdout.write(event("change-merged") + event("comment-added", "services/citoid"))
            await bell.until(lambda rung: len(rung) == 3)
            process.channel.get_connection().abort()
        rung = await bell.until(lambda rung: len(rung) == 5)
    assert rung == [CONNECTED, ("change-merged", "ops/charts"), ("comment-added", "services/citoid"), GAP, CONNECTED]
    assert not stream.up


@pytest.mark.sandbox
async def test_a_real_gerrit_rings(tmp_path: Path) -> None:
    """A change that is merged in Gerrit rings at once."""
    found = endpoints()["gerrit"]
    gerrit: RealGerrit = await asyncio.to_thread(prepare, found)
    key = await asyncssh.get_server_host_key(found["ssh_host"], found["ssh_port"])
    assert key
    known = tmp_path / "known_hosts"
    known.write_text(f"[{found['ssh_host']}]:{found['ssh_port']} {key.export_public_key().decode()}")
    stream = GerritEvents(found["ssh_host"], found["ssh_port"], found["admin"], Path(found["ssh_key"]), known)
    bell = Bell()
    async with Running(stream, bell):
        await bell.until(lambda rung: CONNECTED in rung)
        await asyncio.to_thread(gerrit.push, {"values.yaml": b"tag: rung\n"})
        rung = await bell.until(lambda rung: ("change-merged", gerrit.project) in rung)
    assert ("comment-added", gerrit.project) in rung
    assert GAP not in rung


async def test_the_command_subscribes(ssh: SshServer) -> None:
    """Only the events we want are asked for."""
    bell = Bell()
    async with Running(adapter(ssh, events=("change-merged", "comment-added")), bell):
        await bell.until(lambda rung: CONNECTED in rung)
    assert ssh.commands == ["gerrit stream-events -s change-merged -s comment-added"]


async def test_where_the_project_is_named(ssh: SshServer) -> None:
    """The project may stand in the event, its change, its ref update, or nowhere."""
    bell = Bell()
    lines = [
        b'{"type":"change-merged","change":{"project":"a"}}\n',
        b'{"type":"ref-updated","refUpdate":{"project":"b"}}\n',
        b'{"type":"project-created","project":{"name":"c"}}\n',
        b'{"type":"strange"}\n\n',
        '{"type":"comment-added","project":"ü","comment":"\\u003c ünï"}\n'.encode(),
    ]
    async with Running(adapter(ssh), bell):
        process = await ssh.stream()
        for byte in b"".join(lines):
            process.stdout.write(bytes([byte]))
        rung = await bell.until(lambda rung: len(rung) == 6)
    assert rung[1:] == [
        ("change-merged", "a"),
        ("ref-updated", "b"),
        ("project-created", "c"),
        ("strange", ""),
        ("comment-added", "ü"),
    ]


@pytest.mark.parametrize("line", [b"{half\n", b"[]\n", b'{"type":5}\n', b"\xff\xfe\n", event("dropped-output", "")])
async def test_unreadable_lines_are_gaps(ssh: SshServer, line: bytes) -> None:
    """What cannot be read, and Gerrit's own word for lost events, is a gap; the stream goes on."""
    bell = Bell()
    async with Running(adapter(ssh), bell):
        process = await ssh.stream()
        process.stdout.write(line + event("change-merged"))
        rung = await bell.until(lambda rung: len(rung) == 3)
    assert rung == [CONNECTED, GAP, ("change-merged", "ops/charts")]


async def test_a_clean_end_is_a_gap(ssh: SshServer) -> None:
    """Exit status 0 with half a line, as Gerrit ends a slow reader, is a gap too."""
    bell = Bell()
    async with Running(adapter(ssh), bell):
        process = await ssh.stream()
        await bell.until(lambda rung: CONNECTED in rung)
        process.stdout.write(event("change-merged") + b'{"type":"change-mer')
        process.exit(0)
        rung = await bell.until(lambda rung: rung.count(CONNECTED) == 2)
    assert rung[:2] == [CONNECTED, ("change-merged", "ops/charts")]
    assert set(rung[2:-1]) == {GAP}


async def test_a_slow_listener_never_stalls_the_stream(ssh: SshServer) -> None:
    """Gerrit cuts off who does not read: everything is read while the listener still sleeps."""
    release = asyncio.Event()
    heard: list[str] = []

    async def slow(kind: str, project: str) -> None:
        await release.wait()
        heard.append(kind)

    line = event("comment-added", comment="x" * 5000)
    async with Running(adapter(ssh), slow):
        process = await ssh.stream()
        async with asyncio.timeout(20):
            for _ in range(1000):  # 5 MB, more than the window of 2 MiB and every buffer
                process.stdout.write(line)
                await process.stdout.drain()
        assert heard == []
        release.set()
        async with asyncio.timeout(10):
            while heard.count("comment-added") < 1000:
                await asyncio.sleep(0)


async def test_too_many_for_the_listener_is_one_gap(ssh: SshServer) -> None:
    """What piles up beyond measure becomes a gap, not memory."""
    release = asyncio.Event()
    bell = Bell()

    async def slow(kind: str, project: str) -> None:
        await release.wait()
        await bell(kind, project)

    async with Running(adapter(ssh), slow):
        process = await ssh.stream()
        async with asyncio.timeout(20):
            for _ in range(105):
                process.stdout.write(event("comment-added") * 100)
                await process.stdout.drain()
            process.stdout.write(event("change-merged"))
            await process.stdout.drain()
        release.set()
        rung = await bell.until(lambda rung: ("change-merged", "ops/charts") in rung)
    assert GAP in rung
    assert len(rung) < 10_500


async def test_a_listener_that_fails_ends_nothing(ssh: SshServer) -> None:
    """An exception of the listener costs one event."""
    bell = Bell()

    def plain(kind: str, project: str) -> Any:
        if kind == "ref-updated":
            raise RuntimeError("no")
        return bell(kind, project)

    async with Running(adapter(ssh), plain):
        process = await ssh.stream()
        process.stdout.write(event("ref-updated") + event("change-merged"))
        rung = await bell.until(lambda rung: len(rung) == 2)
    assert rung == [CONNECTED, ("change-merged", "ops/charts")]


async def test_a_refused_stream_is_never_up(ssh: SshServer) -> None:
    """Without the capability the stream is not connected, says why, and tries again."""
    ssh.refuse = "stream events not permitted\n"
    bell = Bell()
    stream = adapter(ssh)
    async with Running(stream, bell):
        async with asyncio.timeout(10):
            while len(ssh.commands) < 3:
                await asyncio.sleep(0.01)
        assert not stream.up
        assert stream.problem == "stream events not permitted"
        assert bell.rung == []
        ssh.refuse = ""
        await bell.until(lambda rung: rung == [CONNECTED])
        assert stream.problem == ""


async def test_a_wrong_host_key_is_never_accepted(ssh: SshServer) -> None:
    """Another host key than the known one: no stream, and a word why."""
    right = ssh._host
    ssh.trust(asyncssh.generate_private_key("ssh-ed25519"))
    bell = Bell()
    stream = adapter(ssh)
    async with Running(stream, bell):
        async with asyncio.timeout(10):
            while not stream.problem:
                await asyncio.sleep(0.01)
        assert "host key" in stream.problem
        assert ssh.commands == []
        ssh.trust(right)
        await bell.until(lambda rung: rung == [CONNECTED])


async def test_without_known_hosts_it_does_not_start(ssh: SshServer) -> None:
    """No known_hosts file, no adapter."""
    (ssh.folder / "known_hosts").unlink()
    with pytest.raises(PermanentError, match="known_hosts"):
        adapter(ssh)


async def test_a_dead_peer_is_noticed(ssh: SshServer) -> None:
    """A peer that stops answering without closing is a loss after three unanswered questions."""
    gate = await _Pipe(ssh.port).start()
    ssh_port, ssh.port = ssh.port, gate.port
    ssh.trust(ssh._host)
    bell = Bell()
    stream = adapter(ssh, keepalive=0.1)
    async with Running(stream, bell):
        await bell.until(lambda rung: CONNECTED in rung)
        gate.frozen = True
        await bell.until(lambda rung: GAP in rung)
        assert not stream.up
    ssh.port = ssh_port
    await gate.stop()


class _Pipe:
    """A TCP relay that can be frozen."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.frozen = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> "_Pipe":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            self._tasks.add(asyncio.create_task(self._copy(source, sink)))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            if not self.frozen:
                sink.write(data)

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()
