"""The main job on real servers, told as a story: starts its own sandbox and bot, plays, verifies, measures, stops all."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any
from urllib.error import URLError

from sandbox import endpoints
from sandbox.bot import run as bots
from sandbox.servers.gerrit_rest import GerritError
from sandbox.story import checks as story_checks
from sandbox.story import figures as story_figures
from sandbox.story.checks import Check, Checks
from sandbox.story.figures import Figure
from sandbox.story.irc_client import IrcClient, IrcError
from sandbox.story.play import Story
from sandbox.story.screen import Screen
from sandbox.world import HERE, SandboxError

NAME = "demo"
_UP_SECONDS = 1800  # without caches everything is fetched and built first
_STOP_SECONDS = 60
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Told(BaseException):
    """A signal asked us to end."""


@dataclass
class Report:
    """What was verified and measured so far."""

    checks: list[Check] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)

    def measure(self, name: str, value: float, unit: str, target: float) -> None:
        """Keep a figure beside its promise."""
        self.figures.append(Figure(name, value, unit, target))


@contextmanager
def sandbox(name: str, screen: Screen) -> Iterator[tuple[dict[str, Any], float]]:
    """A sandbox of our own for as long as this lasts: its endpoints, and the seconds it took to come up.

    Raises:
        SandboxError: one of that name runs already, or it does not come up.
    """
    if endpoints.read(name) is not None:
        raise SandboxError(
            f"The sandbox {name or 'default'} is in use already. SANDBOX=NAME make demo takes another name"
        )
    begun = time.monotonic()
    environment = {key: value for key, value in os.environ.items() if key != "KEEP"} | {"SANDBOX": name}
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "sandbox"],
        cwd=HERE.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    threading.Thread(target=_relay, args=(process, screen), daemon=True).start()
    try:
        yield _up(name, process, begun), time.monotonic() - begun
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _relay(process: "subprocess.Popen[str]", screen: Screen) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        screen.quiet(f"  {line.rstrip()}")


def _up(name: str, process: "subprocess.Popen[str]", begun: float) -> dict[str, Any]:
    while (found := endpoints.read(name)) is None:
        if process.poll() is not None:
            raise SandboxError("The sandbox did not come up; what it said stands above")
        if time.monotonic() - begun > _UP_SECONDS:
            raise SandboxError(f"The sandbox was not up within {_UP_SECONDS} s")
        time.sleep(0.05)
    return found


@contextmanager
def running_bot(name: str, found: Mapping[str, Any]) -> Iterator[tuple[bots.Bot, float]]:
    """The bot, and the seconds until it was ready."""
    bot = bots.Bot(name, found)
    try:
        yield bot, bot.wait_ready()
    finally:
        bot.stop()


class Demo:
    """One showing."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen, self._name = screen, name
        self._report = Report()
        self._begun = time.monotonic()
        self._load = os.getloadavg()[0]

    def show(self) -> int:
        """Everything; gives the exit status: 0 if every effect was verified."""
        self._screen.heading("Quarterdeck's demo: everything below is real and runs on this machine, on loopback.")
        with sandbox(self._name, self._screen) as (found, up):
            self._report.measure("sandbox up", up, "s", 40)
            with running_bot(self._name, found) as (bot, ready):
                self._report.measure("bot in its channel, pages answer", ready, "s", 5)
                self._screen.quiet(f"  The bot is in {bots.ROOM} after {ready:.1f} s; its pages: {bot.web}/")
                try:
                    self._play(endpoints.read(self._name) or found, bot)
                except (SandboxError, IrcError):
                    self._screen.quiet(f"The end of the bot's log:\n{bot.tail()}")
                    raise
                status = self._tell()
                if os.environ.get("KEEP"):
                    self._screen.heading("Everything stays until Ctrl-C.")
                    self._screen.plain(bots.how_to_join(found))
                    self._stay(bot)
        if not os.environ.get("KEEP"):
            self._screen.plain(_HOW_TO)
        return status

    def _play(self, found: dict[str, Any], bot: bots.Bot) -> None:
        screen = self._screen
        with IrcClient.of(found, "alice", hear=screen.heard) as alice:
            story = Story(
                found, alice, screen.caption, screen.pause, screen.note, after=lambda act: self._after(act, story)
            )
            story.play()
            self._measure(story, bot)

    def _after(self, act: str, story: Story) -> None:
        """Look behind the scenes right after a verdict."""
        checks = Checks(story)
        if act in ("staging", "production"):
            added = story_figures.added(story.found, story.played[act])
            self._report.measure(f"the bot adds to gate, pull, helmfile, soak: {act}", added, "s", 3)
        looks = {
            "production": checks.after_production,
            "crash": checks.after_crash,
            "rollback": checks.after_rollback,
        }
        if act in looks:
            self._report.checks += looks[act]()

    def _measure(self, story: Story, bot: bots.Bot) -> None:
        report, pid = self._report, int(story.found["sandbox"]["pid"])
        answers = max(played.answered for played in story.played.values())
        delay = max(merged.delay for merged in story.merged.values())
        report.measure("first line after a command, the slowest of all", answers, "s", 1)
        report.measure("CI's comment to announcement, the slower one, at most", delay, "s", 2)
        whole = time.monotonic() - self._begun
        report.measure("whole story, start of everything included", whole, "s", 240)
        servers = set(story_figures.tree(pid))
        mine = set(story_figures.tree(bot.process.pid))
        report.measure("memory of everything together", story_figures.megabytes(servers | mine), "MB", 3 * 1024)
        report.measure("memory of the bot", story_figures.megabytes(mine), "MB", 150)
        report.measure("the bot when idle, of one core", story_figures.idle_percent(bot.process.pid), "%", 3)

    def _tell(self) -> int:
        screen, report = self._screen, self._report
        screen.heading("Verified, in Gerrit, registry, cluster, admin log and pages themselves:")
        for check in report.checks:
            screen.mark(not check.problem, check.what, check.problem)
        screen.heading(f"Measured, on {os.cpu_count()} cores with a load of {self._load:.1f} before the start:")
        for figure in report.figures:
            screen.mark(figure.good, str(figure))
        failed = story_checks.problems(report.checks)
        missed = [figure.name for figure in report.figures if not figure.good]
        if failed:
            screen.heading(f"NOT as it should be: {'; '.join(failed)}")
        elif missed:
            screen.heading(f"All {len(report.checks)} effects are real. Slower than promised: {'; '.join(missed)}")
        else:
            screen.heading(f"All {len(report.checks)} effects are real, all {len(report.figures)} promises kept.")
        return 1 if failed else 0

    @staticmethod
    def _stay(bot: bots.Bot) -> None:
        with suppress(_Told):
            while bot.process.poll() is None:
                time.sleep(0.3)


_HOW_TO = """
To try it yourself:
  make sandbox      in one terminal: the servers, until Ctrl-C
  make bot          in another: the bot; it prints host, ports, accounts and the authority's file for any IRC client
  KEEP=1 make demo  plays the story and stays, with all of that at its end
"""


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    for number in _SIGNALS:  # once is enough; what follows is the orderly end
        signal.signal(number, signal.SIG_IGN)
    raise _Told


def main() -> int:
    """`python -m sandbox.story.demo`; DEMO_PACE=0 leaves out the pauses for reading, KEEP=1 stays at the end."""
    for number in _SIGNALS:
        signal.signal(number, _on_signal)
    try:
        screen = Screen(pace=float(os.environ.get("DEMO_PACE", "1")))
        return Demo(screen, endpoints.sandbox_name() or NAME).show()
    except _Told:
        print("Stopped", file=sys.stderr)
    except (SandboxError, IrcError, GerritError, URLError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"The demo failed: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
