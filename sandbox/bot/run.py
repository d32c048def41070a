"""Join a running sandbox with the bot, say where it can be met, and stay until it ends or Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from sandbox import endpoints
from sandbox.bot import config as botconfig
from sandbox.story.irc_client import IrcClient, IrcError
from sandbox.world import HERE, SandboxError, unprivileged_user

ROOM = "#deploy"
_READY_SECONDS = 60
_STOP_SECONDS = 20
_WATCHER = "botwatcher"


class Bot:
    """The bot's process in one sandbox."""

    def __init__(
        self, name: str, found: Mapping[str, Any], environment: Mapping[str, str] | None = None, **overrides: Any
    ) -> None:
        """Start it; overrides are keys of its QUARTERDECK block, the environment is added to its small own one."""
        self.name, self._found = name, found
        self._environment = dict(environment or {})
        root = Path(found["sandbox"]["root"])
        self.folder = root / "bot"
        self.log = root / "log" / "bot.log"
        self.web = f"http://127.0.0.1:{_free_port()}"
        owner = _owner()
        port = int(self.web.rpartition(":")[2])
        self.config = botconfig.write(found, self.folder, port, owner, **overrides)
        self.started = time.time()
        self.process = self._start(owner)

    def _start(self, owner: tuple[int, int] | None) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "errbot.cli", "-c", str(self.config)]
        with self.log.open("ab") as out:
            return subprocess.Popen(
                [*_as(owner), *argv],
                cwd=self.folder,
                env=_environment(self.folder) | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_ready(self, seconds: float = _READY_SECONDS) -> float:
        """Wait until it is in its channel and its page answers; gives the seconds since its start.

        Raises:
            SandboxError: it ended, or the time passed; with the tail of its log.
        """
        deadline = time.monotonic() + seconds
        irc = self._found["irc"]
        try:
            with IrcClient(irc["host"], irc["port"], _WATCHER) as watcher:
                while not (botconfig.NICK in watcher.names(ROOM) and _answers(self.web)):
                    if self.process.poll() is not None:
                        raise SandboxError(f"The bot ended with status {self.process.returncode}:\n{self.tail()}")
                    if time.monotonic() > deadline:
                        raise SandboxError(f"The bot was not ready within {seconds:.0f} s:\n{self.tail()}")
                    time.sleep(0.05)
        except IrcError as error:
            raise SandboxError(f"The chat cannot be seen: {error}") from error
        took = time.time() - self.started
        endpoints.update_endpoints(self.name, "web", {"http": self.web})
        endpoints.update_endpoints(self.name, "bot", self._endpoint())
        return took

    def _endpoint(self) -> dict[str, Any]:
        data = self.folder / "data"
        return {"pid": self.process.pid, "nick": botconfig.NICK, "log": str(self.log), "data": str(data)}

    def stop(self) -> int:
        """Ask it to end, at last force it; gives its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        with suppress(SandboxError):  # the sandbox may have ended before
            for key in ("bot", "web"):
                endpoints.update_endpoints(self.name, key, None)
        return status

    def tail(self) -> str:
        """The last lines of its log, marked as such."""
        lines = self.log.read_text(errors="replace").splitlines()[-25:]
        return "\n".join(f"  | {line[:300]}" for line in lines) or "  | (it printed nothing)"


def how_to_join(found: Mapping[str, Any]) -> str:
    """What to tell a person who wants to be in the channel with an IRC client of his own."""
    irc = found["irc"]
    accounts = ", ".join(f"{nick} {password}" for nick, password in irc["accounts"].items() if nick != botconfig.NICK)
    who = "alice and bob deploy, sre1 is of group sre, mallory may only look"
    return (
        f"Join {' and '.join(irc['channels'])} with any IRC client:\n"
        f"  TLS    {irc['host']} port {irc['tls_port']}, authority to trust: {irc['ca']}\n"
        f"  plain  {irc['host']} port {irc['port']}\n"
        f"  log in with SASL PLAIN or /msg NickServ IDENTIFY, account and password: {accounts}\n"
        f"  ({who})\n"
        f"  e.g.   irssi -c {irc['host']} -p {irc['port']} -n alice, and in it:"
        f"  /msg NickServ IDENTIFY {irc['accounts']['alice']}  and  /join {irc['channels'][0]}"
    )


def _environment(folder: Path) -> dict[str, str]:
    """Little, so that nothing of whoever starts it gets in."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    places = {"HOME": str(folder), "PYTHONPATH": str(HERE.parent / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return kept | places | {"PYTHONUNBUFFERED": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _as(owner: tuple[int, int] | None) -> list[str]:
    """The beginning of a command line that makes the rest run as that user, and die with us."""
    user = [f"--reuid={owner[0]}", f"--regid={owner[1]}", "--clear-groups"] if owner else []
    return ["setpriv", *user, "--pdeathsig", "TERM", "--"]


def _owner() -> tuple[int, int] | None:
    """Whom the bot runs as; ourselves if the sandbox's user cannot read the clone or its interpreter."""
    user, _ = unprivileged_user()
    if user is None:
        return None
    probe = [*_as(user), sys.executable, "-c", "import errbot, quarterdeck"]
    done = subprocess.run(probe, cwd="/", env=_environment(Path("/")), capture_output=True, check=False, timeout=60)
    if done.returncode == 0:
        return user
    print(f"The sandbox's user cannot read {HERE.parent} or {sys.executable}: the bot runs as root", flush=True)
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/", timeout=5) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def running(name: str) -> dict[str, Any]:
    """The endpoints of a sandbox that runs and has no bot yet.

    Raises:
        SandboxError: it does not run, or has one.
    """
    found = endpoints.read(name)
    if found is None:
        say = f"SANDBOX={name} make sandbox" if name else "make sandbox"
        raise SandboxError(f"No sandbox is running: say `{say}` in another terminal, and wait until it is up")
    bot = found.get("bot")
    if bot and Path(f"/proc/{bot['pid']}").exists():
        raise SandboxError(f"A bot is in this sandbox already (pid {bot['pid']}, log {bot['log']})")
    return found


class _Told(BaseException):
    """A signal asked us to end."""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    raise _Told


def serve(name: str) -> int:
    """Start the bot, stay while it lives, take it out again; gives the exit status.

    Raises:
        SandboxError: there is no sandbox, or the bot does not come up.
    """
    found = running(name)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    bot: Bot | None = None
    try:
        bot = Bot(name, found)
        took = bot.wait_ready()
        print(f"The bot is in {ROOM} after {took:.1f} s (pid {bot.process.pid}, log {bot.log})", flush=True)
        print(f"Its pages: {bot.web}/\n{how_to_join(found)}\nCtrl-C stops it", flush=True)
        while bot.process.poll() is None and endpoints.read(name) is not None:
            time.sleep(0.3)
        if bot.process.poll() is None:
            print("The sandbox has ended, and so does the bot", flush=True)
            return bot.stop()
        raise SandboxError(f"The bot ended with status {bot.process.returncode}; its log: {bot.log}")
    except _Told:
        return bot.stop() if bot else 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if bot:
            bot.stop()


def main() -> int:
    """`python -m sandbox.bot.run`."""
    try:
        return serve(endpoints.sandbox_name())
    except (SandboxError, OSError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
