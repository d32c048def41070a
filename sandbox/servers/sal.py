"""Relay lines of the server admin log: from TCP to a file and, as the nick logmsgbot, to a channel."""

import asyncio
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from sandbox.servers.supervisor import Supervisor, World

NICK = "logmsgbot"
CHANNEL = "#ops"
_MAX_BYTES = 425
_KEPT_LINES = 1000
_RETRY_SECONDS = 2
_SILENCE_SECONDS = 300


@dataclass(frozen=True)
class SalEndpoint:
    """Where lines are taken, one per line of TCP, and where they end up."""

    host: str
    port: int
    log: Path
    """Each line after its time and a blank."""


def endpoint(world: World) -> SalEndpoint:
    """Where the relay is or will be."""
    return SalEndpoint("127.0.0.1", world.port("sal"), world.root / "sal.log")


def start(world: World, supervisor: Supervisor, chat_port: int) -> SalEndpoint:
    """Start the relay; the chat need not be there yet, nor ever."""
    made = endpoint(world)
    world.write(made.log, "")
    arguments = (str(made.port), made.log, str(chat_port))
    child = supervisor.spawn_module("sal", "sandbox.servers.sal", *arguments)
    supervisor.wait_ready(child, lambda: _listens(made.port), 10)
    return made


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


class Relay:
    """Takes lines from anybody on loopback; those for the channel wait while the chat is away."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._waiting: deque[str] = deque(maxlen=_KEPT_LINES)
        self._news = asyncio.Event()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one sender until it hangs up."""
        try:
            while raw := await reader.readline():
                self._add(raw)
        except (ValueError, OSError):
            pass  # a line beyond all measure, or a broken connection: drop the sender
        finally:
            writer.close()

    def _add(self, raw: bytes) -> None:
        # What is beyond the limit is lost, as with the relay this one stands for.
        text = raw.rstrip(b"\r\n")[:_MAX_BYTES].decode(errors="ignore")
        line = "".join(letter if letter.isprintable() else " " for letter in text).strip()
        if not line:
            return
        with self._log.open("a") as out:
            out.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")
        self._waiting.append(line)
        self._news.set()

    async def speak(self, port: int) -> None:
        """Be in the channel for ever, and say there what waits."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await self._session(reader, writer)
                finally:
                    writer.close()
            except (OSError, ValueError, TimeoutError) as error:
                print(f"chat: {error!r}", flush=True)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"NICK {NICK}\r\nUSER {NICK} 0 * :Server admin log\r\n".encode())
        sender: asyncio.Task[None] | None = None
        try:
            while raw := await asyncio.wait_for(reader.readline(), _SILENCE_SECONDS):
                words = raw.decode(errors="replace").split()
                if words[:1] == ["PING"]:
                    writer.write(f"PONG {words[-1]}\r\n".encode())
                elif words[1:2] == ["001"]:
                    writer.write(f"JOIN {CHANNEL}\r\n".encode())
                elif words[1:2] == ["366"] and sender is None:
                    sender = asyncio.create_task(self._send(writer))
        finally:
            if sender is not None:
                sender.cancel()

    async def _send(self, writer: asyncio.StreamWriter) -> None:
        while True:
            while self._waiting:
                writer.write(f"PRIVMSG {CHANNEL} :{self._waiting[0]}\r\n".encode())
                await writer.drain()
                self._waiting.popleft()
            self._news.clear()
            await self._news.wait()


async def _serve(port: int, log: Path, chat_port: int) -> None:
    relay = Relay(log)
    server = await asyncio.start_server(relay.take, "127.0.0.1", port)
    async with server:
        await relay.speak(chat_port)


def main() -> None:
    """Serve until killed; arguments: port, log file, the chat's port."""
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))


if __name__ == "__main__":
    main()
