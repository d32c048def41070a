"""Give tests a real InspIRCd with Atheme, and people with raw clients on it."""

import asyncio
import base64
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.build.cache import which
from sandbox.build.tools import Tools
from sandbox.servers import irc_network as chat
from sandbox.servers.supervisor import Child, Supervisor
from sandbox.world import World, prepare, unprivileged_user

ACCOUNTS = {name: f"{name}-password" for name in ("quarterdeck", "qd2", "qd3", "alice", "bob", "sre1")}
CHANNELS = ("#deploy", "#ops")
NEEDED = ("inspircd", "atheme-services", "openssl", "setpriv")


class IrcServer:
    """A network of its own, in a folder of its own."""

    def __init__(self) -> None:
        missing = [name for name in NEEDED if which(name) is None]
        if missing and os.geteuid() != 0:
            pytest.skip(f"not installed: {', '.join(missing)} (apt-get install inspircd atheme-services)")
        assert not missing, f"{', '.join(missing)} must be installed: make tools"
        found = {name: which(name) for name in NEEDED}
        tools = SimpleNamespace(
            inspircd=found["inspircd"],
            atheme=found["atheme-services"],
            openssl=found["openssl"],
            setpriv=found["setpriv"],
        )
        self._folder = Path(tempfile.mkdtemp(prefix="quarterdeck-irc-"))
        self._folder.chmod(0o755)
        user, _ = unprivileged_user()
        prepare(self._folder / "world", user)
        self._world = World("test", self._folder / "world", cast(Tools, tools), user)
        self._supervisor = Supervisor(self._world)
        try:
            self.endpoint = chat.start(self._world, self._supervisor, CHANNELS, ACCOUNTS)
        except BaseException:
            self.close()
            raise

    def child(self, name: str) -> Child:
        """The running server of that name."""
        return next(c for c in reversed(self._supervisor.children) if c.name == name and c.alive())

    def kill(self, name: str) -> None:
        """End a server without warning."""
        child = self.child(name)
        child.process.kill()
        child.process.wait()

    def start_ircd(self) -> None:
        """Start InspIRCd again."""
        chat.start_ircd(self._world, self._supervisor)

    def start_services(self) -> None:
        """Start Atheme again."""
        chat.start_services(self._world, self._supervisor)

    def close(self) -> None:
        """End everything and leave nothing."""
        for child in self._supervisor.children:
            child.process.kill()
            child.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


_shared: list[IrcServer] = []


def shared_server(config: pytest.Config) -> IrcServer:
    """The one network of this test run; ends with it."""
    if not _shared:
        _shared.append(IrcServer())
        config.add_cleanup(_shared[0].close)
    return _shared[0]


class Person:
    """A human's client: what comes is kept, what goes is raw."""

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.lines: list[str] = []
        self.raw: list[bytes] = []
        self._writer: asyncio.StreamWriter
        self._task: asyncio.Task[None]
        self._pulse = asyncio.Event()

    @classmethod
    async def arrive(
        cls,
        server: IrcServer,
        nick: str,
        *rooms: str,
        account: str = "",
        caps: str = "message-tags account-tag server-time batch",
    ) -> "Person":
        """Connect, log in if there is an account, and join."""
        self = cls(nick)
        reader, self._writer = await asyncio.open_connection(server.endpoint.host, server.endpoint.port)
        self._task = asyncio.create_task(self._listen(reader))
        self.send(f"CAP REQ :{caps}", f"NICK {nick}", "USER u 0 * :Person")
        if account:
            blob = base64.b64encode(f"{account}\0{account}\0{ACCOUNTS[account]}".encode()).decode()
            self.send("CAP REQ :sasl")
            await self.sees(r"ACK :sasl")
            self.send("AUTHENTICATE PLAIN")
            await self.sees(r"AUTHENTICATE :?\+")
            self.send(f"AUTHENTICATE {blob}")
            await self.sees(r" 903 ")
        self.send("CAP END")
        await self.sees(r" 001 ")
        for room in rooms:
            self.send(f"JOIN {room}")
            await self.sees(rf" 366 {nick} {room} ")
        return self

    @classmethod
    async def arrive_when_open(cls, server: IrcServer, nick: str, *rooms: str) -> "Person":
        """Come as soon as a server that is starting listens."""
        while True:
            try:
                return await cls.arrive(server, nick, *rooms)
            except OSError:
                await asyncio.sleep(0.02)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while raw := await reader.readline():
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            if line.startswith("PING"):
                self.send(line.replace("PING", "PONG", 1))
            self.raw.append(raw)
            self.lines.append(line)
            self._pulse.set()
            self._pulse.clear()

    def send(self, *lines: str | bytes) -> None:
        """Write raw lines."""
        for line in lines:
            self._writer.write((line if isinstance(line, bytes) else line.encode()) + b"\r\n")

    def say(self, target: str, text: str) -> None:
        """Say something."""
        self.send(f"PRIVMSG {target} :{text}")

    async def sees(self, pattern: str, seconds: float = 20, since: int = 0) -> str:
        """Wait for a line that matches, now or already seen after line `since`."""
        line: str | None = None

        def found() -> bool:
            nonlocal line
            line = next((at for at in self.lines[since:] if re.search(pattern, at)), None)
            return line is not None

        try:
            async with asyncio.timeout(seconds):
                while not found():
                    await self._pulse.wait()
        except TimeoutError:
            raise AssertionError(f"{self.nick} did not see {pattern!r}; {self.lines[since:][-15:]}") from None
        assert line is not None
        return line

    def said(self, nick: str, since: int = 0) -> list[str]:
        """What somebody said, in order, as texts."""
        found = (re.match(rf"(?:@\S+ )?:{re.escape(nick)}!\S+ PRIVMSG \S+ :(.*)", at) for at in self.lines[since:])
        return [match[1] for match in found if match]

    async def leave(self) -> None:
        """Close the connection."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


async def until(holds: Callable[[], Any], seconds: float = 20, what: str = "") -> None:
    """Wait for something that no event announces."""
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"did not come true within {seconds} s: {what or holds}") from None
