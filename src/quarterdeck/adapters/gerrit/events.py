"""Listen to Gerrit's stream-events over SSH: a doorbell that says when to look, never what is true.

Nothing is replayed after a gap, and a reader that stalls is cut off with exit status 0. So the stream is always
drained, and any end, unreadable line or `dropped-output` rings "dropped-output": catch up by REST.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import shlex
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import asyncssh

from quarterdeck.core.model.errors import PermanentError

log = logging.getLogger(__name__)

Ring = Callable[[str, str], Awaitable[None] | None]

EVENTS = ("change-merged", "comment-added", "ref-updated", "patchset-created", "change-abandoned")
GAP = "dropped-output"  #: Gerrit's own name for events it threw away
CONNECTED = "connected"
_QUEUE = 10_000
_LINE = 4 << 20
_STEADY = 30.0  #: seconds a stream has to stand before its next loss is waited out from the start again


class GerritEvents:
    """`ports.EventStream` on a real Gerrit.

    Args:
        host: name or address of Gerrit's SSH.
        port: usually 29418.
        user: the bot's account; needs the capability Stream Events.
        key: file with its private key.
        known_hosts: file with Gerrit's host keys; nothing is ever connected without one.
        events: types to subscribe to.
        keepalive: seconds between two questions whether the other side lives; three without answer are a loss.
        connect_timeout: seconds until the stream must stand.
        backoff: shortest and longest wait in seconds before connecting again.

    Raises:
        PermanentError: there is no known_hosts file, or no key.
    """

    def __init__(  # noqa: PLR0913  one argument for each setting of the event stream
        self,
        host: str,
        port: int,
        user: str,
        key: Path,
        known_hosts: Path,
        *,
        events: Sequence[str] = EVENTS,
        keepalive: float = 15.0,
        connect_timeout: float = 20.0,
        backoff: tuple[float, float] = (0.5, 30.0),
    ) -> None:
        for what, path in (("known_hosts file", known_hosts), ("SSH key", key)):
            if not path.is_file():
                raise PermanentError(f"no {what} for Gerrit's SSH at {path}")
        self._host, self._port, self._user = host, port, user
        self._key, self._known_hosts = key, known_hosts
        subscribed = " ".join(f"-s {shlex.quote(event)}" for event in events)
        self._command = f"gerrit stream-events {subscribed}".rstrip()
        self._keepalive = keepalive
        self._timeout = connect_timeout
        self._backoff = backoff
        self._up = False
        self.problem = ""  #: why the stream is down, in words; empty while it stands

    @property
    def up(self) -> bool:
        """Whether the stream stands just now."""
        return self._up

    async def run(self, ring: Ring) -> None:
        """Ring for each event, on every connect and after every gap. Reconnects for ever until cancelled."""
        bell = _Bell(ring)
        ringer = asyncio.create_task(bell.work(), name="gerrit-events-ring")
        try:
            wait = self._backoff[0]
            loop = asyncio.get_running_loop()
            while True:
                began = loop.time()
                why = await self._listen(bell)
                if self._up:
                    self._up = False
                    bell.push(GAP, "")
                if loop.time() - began > _STEADY:
                    wait = self._backoff[0]
                if why != self.problem:
                    log.warning("Gerrit's event stream is down: %s", why)
                self.problem = why
                await asyncio.sleep(wait)
                wait = min(wait * 2, self._backoff[1])
        finally:
            self._up = False
            ringer.cancel()
            with suppress(asyncio.CancelledError):
                await ringer

    async def _listen(self, bell: _Bell) -> str:
        """Connect and read until the end; returns why it ended."""
        try:
            async with asyncio.timeout(self._timeout):
                connection = await asyncssh.connect(
                    self._host,
                    self._port,
                    username=self._user,
                    client_keys=[str(self._key)],
                    known_hosts=str(self._known_hosts),
                    agent_path=None,
                    config=None,
                    keepalive_interval=self._keepalive,
                    keepalive_count_max=3,
                )
        except (OSError, asyncssh.Error, ValueError) as error:
            return _why(error)
        try:
            return await self._read(connection, bell)
        except (OSError, asyncssh.Error) as error:
            return _why(error)
        finally:
            connection.abort()

    async def _read(self, connection: asyncssh.SSHClientConnection, bell: _Bell) -> str:
        async with asyncio.timeout(self._timeout):
            process = await connection.create_process(
                self._command, encoding=None, stdin=asyncssh.DEVNULL, stderr=asyncssh.PIPE
            )
        # Gerrit says nothing when it accepts: a refusal ends the command at once, so look whether it lives.
        refused = asyncio.ensure_future(process.wait_closed())
        done, _ = await asyncio.wait({refused}, timeout=0.2)
        if not done:
            self._up, self.problem = True, ""
            bell.push(CONNECTED, "")
        refused.cancel()
        async with aclosing(_lines(process.stdout)) as lines:
            async for line in lines:
                bell.push(*_event(line))
        said = (await process.stderr.read(2000)).decode(errors="replace").strip()
        return said.splitlines()[-1] if said else "the stream ended"


async def _lines(stdout: Any) -> Any:
    """Lines as bytes; one longer than 4 MiB is cut, and then reads as a gap."""
    rest = b""
    while chunk := await stdout.read(1 << 16):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
        if len(rest) > _LINE:
            yield rest[:_LINE]
            rest = b""
    if rest.strip():
        yield rest


def _event(line: bytes) -> tuple[str, str]:
    """Type and project of an event; what cannot be read is a gap. Any field may be missing."""
    try:
        event = json.loads(line)
    except ValueError:
        return GAP, ""
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return GAP, ""
    for holder in (event, event.get("change"), event.get("refUpdate")):
        project = holder.get("project") if isinstance(holder, dict) else None
        if isinstance(project, dict):
            project = project.get("name")
        if isinstance(project, str):
            return event["type"], project
    return event["type"], ""


class _Bell:
    """Rings in order without ever holding up the reader; what is too much becomes one gap."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._waiting: deque[tuple[str, str]] = deque()
        self._some = asyncio.Event()

    def push(self, kind: str, project: str) -> None:
        if len(self._waiting) >= _QUEUE:
            self._waiting.clear()
            kind, project = GAP, ""
        self._waiting.append((kind, project))
        self._some.set()

    async def work(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                kind, project = self._waiting.popleft()
                try:
                    rung = self._ring(kind, project)
                    if inspect.isawaitable(rung):
                        await rung
                except Exception:
                    log.exception("nobody could be told of Gerrit's %s", kind)


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return "its host key is not the one in known_hosts"
    if isinstance(error, asyncssh.PermissionDenied):
        return "it does not accept the bot's SSH key"
    return str(error) or type(error).__name__
