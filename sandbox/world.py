"""Say where one sandbox lives: its folder, its ports and the user its servers run as."""

import fcntl
import hashlib
import os
import pwd
import random
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.build.tools import Tools

USER = "quarterdeck-sandbox"
PULLER = "quarterdeck-sandbox-git"
HERE = Path(__file__).resolve().parent

# Below the range the kernel takes for outgoing connections, so nobody grabs a port between choice and use.
_PORTS = range(20000, 32000)


class SandboxError(Exception):
    """The sandbox cannot be had or has broken; the text is for the person at the terminal."""


@dataclass(frozen=True)
class World:
    """Where one sandbox lives and what everybody in it needs."""

    name: str
    """Empty for the default one, else the value of SANDBOX."""
    root: Path
    """The run folder, absolute; everything the servers write is below it."""
    tools: Tools
    user: tuple[int, int] | None
    """uid and gid of the servers when started by root, else None."""
    puller: tuple[int, int] | None = None
    """uid and gid of the deploy host's git pull when started by root: it owns the checkout then."""
    _ports: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def port(self, label: str) -> int:
        """Return a free loopback port, chosen once per label and kept."""
        with self._lock:
            if label not in self._ports:
                self._ports[label] = _free_port(set(self._ports.values()))
            return self._ports[label]

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """Make a command line run as the sandbox's user; for short commands that are no servers."""
        return [*self._setpriv(), *map(str, argv)]

    def server_command(self, argv: Sequence[str | Path], user: tuple[int, int] | None = None) -> list[str]:
        """Like command(), maybe as another user; the kernel kills the process when its supervisor dies."""
        return [*self._setpriv("--pdeathsig", "KILL", user=user), *map(str, argv)]

    def _setpriv(self, *options: str, user: tuple[int, int] | None = None) -> list[str]:
        user = user or self.user
        if user is not None:
            uid, gid = user
            options = (*options, "--reuid", str(uid), "--regid", str(gid), "--clear-groups")
        return [str(self.tools.setpriv), *options, "--"] if options else []

    @property
    def user_name(self) -> str:
        """The login name the servers run as."""
        return pwd.getpwuid(os.getuid() if self.user is None else self.user[0]).pw_name

    def environment(self) -> dict[str, str]:
        """The environment every process of the sandbox starts with: the caller's own does not leak in."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "HOME": str(self.folder("home")),
            "TMPDIR": str(self.folder("tmp")),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
            "USER": self.user_name,
            "LOGNAME": self.user_name,
        }

    def folder(self, *parts: str, mode: int = 0o755) -> Path:
        """Make a folder below the root that the servers own; existing ones are left as they are."""
        path = self.root
        for part in parts:
            path = path / part
            try:
                path.mkdir(mode=mode)
            except FileExistsError:
                continue
            self.give(path)
        return path

    def write(self, path: Path, text: str, mode: int = 0o644) -> Path:
        """Write a file that the servers own."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as out:
            out.write(text)
        path.chmod(mode)
        self.give(path)
        return path

    def give(self, path: Path, user: tuple[int, int] | None = None) -> None:
        """Hand one path over to the servers' user, or to the one named."""
        user = user or self.user
        if user is not None:
            os.chown(path, *user, follow_symlinks=False)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        seconds: float = 60,
        user: tuple[int, int] | None = None,
    ) -> str:
        """Run a short command as the sandbox's user and return its output.

        Raises:
            SandboxError: it failed; with what it printed.
        """
        try:
            done = subprocess.run(
                [*self._setpriv(user=user), *map(str, argv)],
                env=self.environment() | dict(env or {}),
                cwd=cwd or self.root,
                input=stdin,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SandboxError(f"{Path(argv[0]).name} hung for {seconds:.0f} s: {_words(argv)}") from error
        if done.returncode:
            raise SandboxError(
                f"{_words(argv)} ended with status {done.returncode}\n{done.stdout}{done.stderr}".rstrip()
            )
        return done.stdout


def _words(argv: Sequence[str | Path]) -> str:
    return " ".join(map(str, argv))


def _free_port(taken: set[int]) -> int:
    for port in random.sample(_PORTS, len(_PORTS)):
        if port in taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise SandboxError("There is no free port between 20000 and 32000")


def run_folders() -> tuple[Path, Path]:
    """Where the sandboxes of this clone may live: in it, or elsewhere when the servers' user cannot get there."""
    clone = hashlib.sha256(str(HERE).encode()).hexdigest()[:12]
    return HERE / "run", Path("/var/tmp") / f"quarterdeck-{clone}"


def place(name: str, user: tuple[int, int] | None) -> Path:
    """Choose the run folder of a sandbox."""
    inside, outside = run_folders()
    reachable = user is None or all(_may_enter(path, user) for path in (HERE, *HERE.parents))
    return (inside if reachable else outside) / (name or "default")


def _may_enter(path: Path, user: tuple[int, int]) -> bool:
    found = path.stat()
    shift = 6 if found.st_uid == user[0] else 3 if found.st_gid == user[1] else 0
    return bool(found.st_mode >> shift & 1)


def unprivileged_user(name: str = USER) -> tuple[tuple[int, int] | None, bool]:
    """The uid and gid for the servers when root starts them, and whether that user was made just now."""
    if os.geteuid() != 0:
        return None, False
    made = False
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        # A real shell and a folder that exists: the deploy host is entered by ssh as this user.
        account = ["--system", "--user-group", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh"]
        done = subprocess.run(["useradd", *account, name], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SandboxError(f"The user {name} cannot be made: {done.stderr.strip()}") from None
        entry, made = pwd.getpwnam(name), True
    return (entry.pw_uid, entry.pw_gid), made


@contextmanager
def claimed(root: Path) -> Iterator[None]:
    """Hold the run folder alone; the kernel lets go of it if we die.

    Raises:
        SandboxError: another process holds it.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    found = root.parent.lstat()
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise SandboxError(f"{root.parent} is somebody else's; nothing is started there")
    lock = root.parent / f"{root.name}.lock"
    while True:
        handle = lock.open("a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            handle.close()
            raise SandboxError(
                f"This sandbox is running already (pid {holder}). Stop that one, or start another beside it "
                "with SANDBOX=NAME"
            ) from None
        if _same_file(handle.fileno(), lock):
            break
        handle.close()  # the holder removed it between our open and our lock
    with handle:
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            try:
                root.parent.rmdir()
            except OSError:
                pass  # another sandbox or kept logs are in it


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def prepare(root: Path, user: tuple[int, int] | None) -> None:
    """Make an empty run folder; what an earlier run left there goes."""
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(mode=0o755, parents=True)
    if user is not None:
        os.chown(root, *user)
