"""Give tests a real OpenSSH sshd of an ordinary user, in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox.world import unprivileged_user

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SshServer:
    """An sshd on loopback with one key for its own account."""

    def __init__(self, path: str = "", blocks: int = 0) -> None:
        if not Path(SSHD).exists():
            pytest.skip("not installed: sshd (apt-get install openssh-server)")
        ids, _ = unprivileged_user()
        self.uid, self.gid = ids or (os.getuid(), os.getgid())
        self.user = subprocess.check_output(["id", "-un", str(self.uid)], text=True).strip()
        self.folder = Path(tempfile.mkdtemp(prefix="quarterdeck-ssh-"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        self.home.mkdir()
        for name in ("host_key", "key", "other_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        self.key = self.folder / "key"
        self.port = free_port()
        public = (self.folder / "host_key.pub").read_text().split()[:2]
        self.known_hosts = self._write("known_hosts", f"[127.0.0.1]:{self.port} {' '.join(public)}\n")
        self.authorize()
        path = ":".join(part for part in (path, "/usr/local/bin:/usr/bin:/bin") if part)
        self._write(
            "sshd_config",
            f"""\
ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
MaxStartups 100
MaxSessions 50
LogLevel ERROR
SetEnv "PATH={path}" "HOME={self.home}"
""",
        )
        for entry in (self.folder, *self.folder.rglob("*")):
            os.chown(entry, self.uid, self.gid)
        self._blocks = blocks
        self._child: subprocess.Popen[bytes] | None = None
        self.begin()

    def _write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def authorize(self, options: str = "") -> None:
        """Let the key in, with options in front (a forced command, say)."""
        public = (self.folder / "key.pub").read_text()
        self._write("authorized_keys", f"{options} {public}".lstrip())

    def begin(self) -> None:
        """Listen."""
        command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        limit = f"ulimit -f {self._blocks}; " if self._blocks else ""
        ids = {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}
        with (self.folder / "sshd.log").open("ab") as log:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", f'{limit}exec "$@"', "sh", *command],
                stdin=subprocess.DEVNULL,
                stderr=log,
                cwd="/",
                **ids,
            )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self._child.poll() is None, (self.folder / "sshd.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def drop(self) -> int:
        """Kill the process of each session; jobs live on. How many there were."""
        assert self._child is not None
        sessions = _descendants(self._child.pid)
        for pid in sessions:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(sessions)

    def end(self) -> None:
        """Stop listening and drop everybody."""
        if self._child is not None:
            self.drop()
            self._child.terminate()
            self._child.wait(10)
            self._child = None

    def close(self) -> None:
        """Leave nothing behind."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def _descendants(pid: int) -> list[int]:
    """The sshd processes below one: a monitor for each connection, and the user's own process below that."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            head, _, rest = stat.read_text().rpartition(")")
            if "(sshd" in head:
                parents[int(stat.parent.name)] = int(rest.split()[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]
