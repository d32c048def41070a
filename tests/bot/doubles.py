"""An app with transports and no deployments, in place of the one that wiring builds."""

import asyncio
import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from quarterdeck.chat import Heard, IrcTransport, Transport
from quarterdeck.chat.commands import said_to
from quarterdeck.core.model.line import Line, Utterance
from quarterdeck.core.model.room import Room

ROOT = Path(__file__).parents[2]


class MemoryTransport:
    """A network that only remembers."""

    repeats_show = True
    words = IrcTransport.words

    def __init__(self, network: str, nick: str, rooms: Sequence[str]) -> None:
        self.network = network
        self.nick = nick
        self.rooms = tuple(map(self.room, rooms))
        self.up = True
        self.accounts_shown = True
        self.said: list[tuple[str, str]] = []

    def room(self, name: str) -> Room:
        """As IRC does."""
        return Room(self.network, name.lower())

    def account(self, name: str) -> str:
        """As IRC does."""
        return name.casefold()

    async def run(self) -> None:
        """Stay."""
        await asyncio.Event().wait()

    async def flush(self, seconds: float) -> bool:
        """Nothing ever waits."""
        return True

    def fit(self, line: Line) -> str:
        """All of it."""
        return line.whole

    def say(self, utterance: Utterance, *, max_age: float = 120.0) -> Any:
        """Remember it."""
        self.said.append((utterance.to, utterance.text))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


class AppDouble:
    """The small surface that the backend knows, with an engine of its own."""

    never_waiting = frozenset({"stop"})

    def __init__(self, make: Callable[[Callable[[Heard], None]], Sequence[Transport]]) -> None:
        self._callback: Callable[[Heard], None] = lambda _: None
        self.transports = {it.network: it for it in make(self.hear)}
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)

    async def _run(self) -> None:
        tasks = [asyncio.create_task(transport.run()) for transport in self.transports.values()]
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self) -> None:
        """Start the engine."""
        self._thread.start()

    def stop(self) -> None:
        """End the engine."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()

    def submit(self, coro: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run on the engine."""
        return asyncio.run_coroutine_threadsafe(coro, self._loop)

    def on_heard(self, callback: Callable[[Heard], None]) -> None:
        """Keep whom to tell."""
        self._callback = callback

    def hear(self, heard: Heard) -> None:
        """Tell what was heard."""
        self._callback(heard)


_numbers = itertools.count()


def heard(text: str, room: str = "#deploy", account: str | None = "alice", **more: str) -> Heard:
    """A line as a transport would hand it over."""
    network = more.get("network", "irc")
    return Heard(
        network=network,
        room=Room(network, room.lower()) if room else None,
        nick=more.get("nick", "ali"),
        account=account,
        mask=more.get("mask", "u@host"),
        text=text,
        msgid=f"m{next(_numbers)}",
        at=datetime.now(UTC),
        addressed=said_to({"irc": "qd", "matrix": "qd_"}.get(network, "qd"), text),
    )


def settings(data: Path, **changes: Any) -> SimpleNamespace:
    """Errbot's configuration."""
    return SimpleNamespace(
        **{
            "BACKEND": "Quarterdeck",
            "BOT_EXTRA_BACKEND_DIR": str(ROOT / "backends"),
            "BOT_EXTRA_PLUGIN_DIR": str(ROOT / "tests" / "bot" / "plugins_probe"),
            "BOT_DATA_DIR": str(data),
            "BOT_LOG_FILE": None,
            "BOT_LOG_LEVEL": logging.INFO,
            "BOT_IDENTITY": {},
            "BOT_ADMINS": ("irc:sre1",),
            "BOT_ADMINS_NOTIFICATIONS": (),
            "BOT_PREFIX": "!",
            "BOT_PLUGIN_INDEXES": (),
            "BOT_PREFIX_OPTIONAL_ON_CHAT": False,
            "CHATROOM_PRESENCE": (),
            "STORAGE": "Memory",
            "CORE_PLUGINS": ("ACLs",),
            "AUTOINSTALL_DEPS": False,
            "SUPPRESS_CMD_NOT_FOUND": True,
            "ACCESS_CONTROLS": {
                "only_sre": {"allowusers": ("irc:sre1", "irc:bob[m]")},
                "not_in_ops": {"denyrooms": ("irc/#ops",)},
                "admin": {"allowmuc": True},
            },
            "QUARTERDECK": {},
        }
        | changes
    )
