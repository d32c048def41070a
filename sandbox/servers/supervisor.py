"""Keep the sandbox's processes: start them, notice a death and name it, and leave none behind."""

import ctypes
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from sandbox.world import HERE, SandboxError, World

__all__ = ["Child", "SandboxError", "Stopped", "Supervisor", "World"]

_TAIL_LINES = 20
_PR_SET_CHILD_SUBREAPER = 36
_REAP_SECONDS = 1


class Stopped(SandboxError):
    """Somebody asked the sandbox to end while it was starting."""


@dataclass(frozen=True)
class Child:
    """One server process."""

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path
    stop_by: signal.Signals = signal.SIGTERM

    @property
    def pid(self) -> int:
        """Its process id, which is also its process group's."""
        return self.process.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def tail(self) -> str:
        """The last lines of its log, marked as such."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            lines = []
        return "\n".join(f"  | {line[:300]}" for line in lines) or "  | (it printed nothing)"


class Supervisor:
    """Starts servers from any thread; ends them all, with everything they started."""

    def __init__(self, world: World, *, alone: bool = False) -> None:
        """Begin with no child.

        Args:
            world: where the sandbox lives.
            alone: this process does nothing else, so whatever is below it is the sandbox's, and what a server
                leaves behind (a detached job of the deploy host) becomes our child: stop() ends all of that.
        """
        self._world = world
        self._alone = alone
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[tuple[Callable[[], Child], Future[Child]]] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self._logs = world.folder("log")
        if alone:
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        # The kernel kills a child when the *thread* that started it ends; this thread never does.
        threading.Thread(target=self._starter, name="starter", daemon=True).start()

    @property
    def children(self) -> tuple[Child, ...]:
        """Everything started so far, in that order."""
        with self._lock:
            return tuple(self._children)

    def _starter(self) -> None:
        while True:
            start, answer = self._orders.get()
            try:
                answer.set_result(start())
            except Exception as error:
                answer.set_exception(error)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log: Path | None = None,
        user: tuple[int, int] | None = None,
        stop_by: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Start a server in a session of its own, unprivileged when we are root.

        Args:
            name: what to call it, also its log's name.
            argv: the command line.
            env: added to the sandbox's own small environment.
            cwd: where it starts; the run folder unless given.
            log: where both its output streams go; `log/<name>.log` unless given.
            user: uid and gid, of use for root only; the sandbox's own unless given.
            stop_by: the signal it is asked to end with.

        Raises:
            Stopped: the sandbox is ending.
            SandboxError: the program cannot be run.
        """
        path = log or self._logs / f"{name}.log"
        command = self._world.server_command(argv, user)
        environment = self._world.environment() | dict(env or {})

        def start() -> Child:
            if self.stopping.is_set():
                raise Stopped(f"{name} was not started: the sandbox is ending")
            process = self._popen(name, command, environment, cwd or self._world.root, path)
            child = Child(name, process, path, stop_by)
            with self._lock:
                self._children.append(child)
            return child

        answer: Future[Child] = Future()
        self._orders.put((start, answer))
        return answer.result()

    def _popen(
        self, name: str, command: list[str], environment: Mapping[str, str], cwd: Path, log: Path
    ) -> "subprocess.Popen[bytes]":
        try:
            with log.open("ab") as out:
                self._world.give(log)
                return subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    cwd=cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise SandboxError(f"{name} cannot be started: {error}") from error

    def spawn_module(
        self, name: str, module: str, *arguments: str | Path, env: Mapping[str, str] | None = None
    ) -> Child:
        """Start `python3 -m module` of this package as a server.

        It runs from a copy below the run folder: the servers' user may not be able to read the clone.
        """
        library = self._library()
        argv = [self._python(), "-m", module, *arguments]
        return self.spawn(
            name, argv, env={"PYTHONPATH": str(library), "PYTHONUNBUFFERED": "1", **(env or {})}, cwd=library
        )

    def _python(self) -> str:
        """The interpreter for the servers' user: ours, or the system's if ours lies where that user cannot go."""
        ours = os.path.realpath(sys.executable)
        probe = [*self._world.command([ours]), "-c", ""]
        try:
            may = subprocess.run(probe, cwd="/", capture_output=True, timeout=30, check=False).returncode == 0
        except subprocess.SubprocessError:
            may = False
        return ours if may else "/usr/bin/python3"

    def _library(self) -> Path:
        library = self._world.folder("lib")
        with self._lock:
            if not (library / "sandbox").exists():
                ignore = shutil.ignore_patterns("run", "__pycache__", "go", "maven", "*.json", "*.lock")
                shutil.copytree(HERE, library / "sandbox", ignore=ignore, symlinks=True)
                for path in (library / "sandbox", *(library / "sandbox").rglob("*")):
                    if not path.is_symlink():
                        path.chmod(0o755 if path.is_dir() else 0o644)
                    self._world.give(path)
        return library

    def wait_ready(self, child: Child, check: Callable[[], bool], seconds: float) -> None:
        """Return when the check holds; it is asked every 50 ms, and an OSError in it means "not yet".

        Raises:
            SandboxError: the child died or the time passed; it names the child with the tail of its log.
            Stopped: the sandbox is ending.
        """
        deadline = time.monotonic() + seconds
        while not _holds(check):
            if not child.alive():
                raise SandboxError(_obituary(child))
            if time.monotonic() > deadline:
                raise SandboxError(f"{child.name} was not ready within {seconds:.0f} s\n{child.tail()}")
            if self.stopping.wait(0.05):
                raise Stopped(f"{child.name} was not waited for: the sandbox is ending")

    def watch(self) -> None:
        """Block until somebody asks us to stop or a child dies.

        Raises:
            SandboxError: a child died; it names the child with the tail of its log.
        """
        orphans: set[int] = set()
        looked = time.monotonic()
        while not self.stopping.wait(0.2):
            self.check()
            if self._alone and time.monotonic() - looked > _REAP_SECONDS:
                orphans, looked = self._reap(orphans), time.monotonic()

    def check(self) -> None:
        """Look whether all children live.

        Raises:
            SandboxError: one died; it names the child with the tail of its log.
        """
        for child in self.children:
            if not child.alive():
                raise SandboxError(_obituary(child))

    def _reap(self, before: set[int]) -> set[int]:
        """Bury orphans that became ours, if they were dead at the last look too: no wait of ours is disturbed."""
        ours = {child.pid for child in self.children}
        found = _processes().items()
        dead = {pid for pid, its in found if its.parent == os.getpid() and its.state == "Z"} - ours
        for pid in dead & before:
            _bury(pid)
        return dead - before

    def stop(self, seconds: float = 10) -> None:
        """End every child, the last one first, and whatever they started; what resists is killed."""
        self.stopping.set()
        deadline = time.monotonic() + seconds
        mine = self._below()
        for child in reversed(self.children):
            if child.alive():
                _signal(child.pid, child.stop_by)
        while time.monotonic() < deadline and any(child.alive() for child in self.children):
            time.sleep(0.02)
        while left := _still_there(mine := mine | self._below()):
            for pid in left:
                _signal(pid, signal.SIGKILL)
            for child in self.children:
                child.alive()
            for pid in left:
                _bury(pid)
            time.sleep(0.02)

    def _below(self) -> dict[int, int]:
        """Our children and all below them, with the time each started, for a process id may be used again."""
        found = _processes()
        roots = [os.getpid()] if self._alone else [child.pid for child in self.children if child.alive()]
        below = _descendants(roots, found) | ({*roots} - {os.getpid()})
        return {pid: found[pid].start for pid in below if pid in found}


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except OSError:
        return False


def _obituary(child: Child) -> str:
    status = child.process.returncode
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return f"{child.name} (pid {child.pid}) died with {how}. The end of {child.log}:\n{child.tail()}"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _bury(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


@dataclass(frozen=True)
class _Process:
    """What proc(5) says of a process."""

    parent: int
    state: str
    start: int
    """In clock ticks since the machine started."""


def _processes() -> dict[int, _Process]:
    """Every process there is."""
    found: dict[int, _Process] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                # The name, in parentheses, may hold blanks and parentheses itself.
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = _Process(int(rest[1]), rest[0], int(rest[19]))
    return found


def _descendants(roots: list[int], processes: Mapping[int, _Process]) -> set[int]:
    found: set[int] = set()
    frontier = list(roots)
    while frontier:
        parent = frontier.pop()
        below = [pid for pid, its in processes.items() if its.parent == parent]
        found |= set(below)
        frontier += below
    return found


def _still_there(mine: Mapping[int, int]) -> list[int]:
    """Those of these that still are; the dead of other parents are theirs to bury."""
    now = _processes()
    there = [(pid, now[pid]) for pid, start in mine.items() if pid in now and now[pid].start == start]
    return [pid for pid, its in there if its.state != "Z" or its.parent == os.getpid()]
