"""Keep what the sandbox fetched or built, each thing made once and there whole or not at all."""

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Report = Callable[[str], None]

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_TAIL_LINES = 15


class ToolError(Exception):
    """Something the sandbox needs could not be had; the text is for the person at the terminal."""


class Stopped(ToolError):
    """A step was ended because another one failed or the person gave up."""


def which(command: str) -> Path | None:
    """Find a command on PATH or in the system folders that an ordinary user's PATH lacks."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    found = shutil.which(command, path=path)
    return Path(found).absolute() if found else None


def serves_others(path: Path) -> bool:
    """Whether a program can be run by the user that root's servers run as; for others' own servers always."""
    real = path.resolve()
    return os.geteuid() != 0 or all(folder.stat().st_mode & stat.S_IXOTH for folder in (real, *real.parents))


def output_of(*command: str, env: Mapping[str, str] | None = None) -> str:
    """What a short command prints on both streams; empty if it cannot run, fails or hangs."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            env=env,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")


class Runner:
    """Runs the commands of the steps, each with a log of its own, and ends them all at once if need be."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._lock = threading.Lock()
        self._children: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self,
        step: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        steady: bool = False,
    ) -> None:
        """Run a command to its end; a `steady` one keeps the terminal (for sudo) and is never cut off."""
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{step.replace(' ', '-').replace('/', '-')}.log"
        with log.open("wb") as out:
            child = self._start(command, out.fileno(), env, cwd, steady)
            try:
                status = child.wait()
            finally:
                with self._lock:
                    self._children.discard(child)
        if self._stopped and not steady:
            raise Stopped(f"{step} was interrupted")
        if status:
            raise ToolError(f"{step} failed: {_verdict(status)} from {command[0]}\n{_tail(log)}\nWhole log: {log}")

    def _start(
        self, command: Sequence[str], out: int, env: Mapping[str, str] | None, cwd: Path | None, steady: bool
    ) -> "subprocess.Popen[bytes]":
        with self._lock:
            if self._stopped:
                raise Stopped(f"{command[0]} was not started")
            try:
                child = subprocess.Popen(
                    command,
                    stdin=None if steady else subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    start_new_session=not steady,
                    umask=0o022,  # other users run what root builds
                )
            except OSError as error:
                raise ToolError(f"{command[0]} cannot be run: {error.strerror}") from error
            if not steady:
                self._children.add(child)
            return child

    def check(self) -> None:
        """Raise if the steps were told to end."""
        if self._stopped:
            raise Stopped("It was interrupted.")

    def stop(self) -> None:
        """End every running command with its children, and let no other one start."""
        with self._lock:
            self._stopped = True
            for child in self._children:
                try:
                    os.killpg(child.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass


def _verdict(status: int) -> str:
    return f"exit status {status}" if status > 0 else f"signal {-status}"


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(f"  | {line}" for line in lines) or "  | (it printed nothing)"


class Cache:
    """One folder per thing and version under the user's cache folder, each put in place by one rename."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_user(cls) -> "Cache":
        """The cache of whoever runs the sandbox, where the XDG rules put it.

        Root's is the machine's own: the servers run as another user, who cannot look into root's home.
        """
        configured = os.environ.get("XDG_CACHE_HOME", "")
        if configured.startswith("/"):
            return cls(Path(configured) / "quarterdeck")
        base = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
        return cls(base / "quarterdeck")

    @property
    def logs(self) -> Path:
        """Where the logs of the last run of each step are."""
        return self.root / "logs"

    def entry(self, name: str, version: str) -> Path:
        """The folder of a thing, whether or not it is there yet."""
        return self.root / f"{name}-{version}"

    @contextmanager
    def making(self, name: str, version: str) -> Iterator[Path]:
        """A fresh folder to build into; it becomes the entry only if the block ends well."""
        stage = Path(tempfile.mkdtemp(prefix=f".making-{name}-", dir=self.root))
        try:
            yield stage
            stage.chmod(0o755)
            entry = self.entry(name, version)
            if entry.exists():
                shutil.rmtree(entry)
            stage.rename(entry)
        finally:
            shutil.rmtree(stage, ignore_errors=True)

    @contextmanager
    def lock(self, report: Report) -> Iterator[None]:
        """Hold the cache alone; a second sandbox waits here until the first has what both need."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = (self.root / ".lock").open("w")
        except OSError as error:
            raise ToolError(f"The cache folder {self.root} cannot be written: {error.strerror}") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("Another sandbox is fetching its tools; waiting for it.")
                fcntl.flock(handle, fcntl.LOCK_EX)
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what a killed run left half made."""
        for left in self.root.glob(".making-*"):
            shutil.rmtree(left, ignore_errors=True)

    def free_megabytes(self) -> int:
        """Free space, for this user, where the cache is or will be."""
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free // 2**20
