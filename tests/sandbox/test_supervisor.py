"""Holds the sandbox's supervisor to its word with small programs in place of servers."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sandbox.build.tools import Tools
from sandbox.servers.supervisor import SandboxError, Stopped, Supervisor, World
from sandbox.world import claimed, prepare
from tests.running import CLONE


def small_world(root: Path) -> World:
    """A world with no tools but setpriv, of the user who runs the tests."""
    tools = SimpleNamespace(setpriv=Path(shutil.which("setpriv") or "/usr/bin/setpriv"))
    root.mkdir(exist_ok=True)
    return World("", root, cast(Tools, cast(Any, tools)), None)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor whose children end with the test."""
    made = Supervisor(small_world(tmp_path / "run"))
    yield made
    made.stop(2)


def shell(text: str) -> list[str]:
    """A command line for a line of shell."""
    return ["/bin/sh", "-c", text]


def alive(pid: str) -> bool:
    """Whether a process runs; a dead one that nobody buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_child_that_dies_is_named_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    """watch() ends when a child dies, and says which, how, and what it printed last."""
    supervisor.spawn("good", ["sleep", "100"])
    supervisor.spawn("bad", shell("echo first; echo the last words >&2; exit 3"))
    with pytest.raises(SandboxError) as caught:
        supervisor.watch()
    assert "bad (pid" in str(caught.value)
    assert "exit status 3" in str(caught.value)
    assert "  | the last words" in str(caught.value)


def test_waiting_for_a_child_ends_when_it_dies(supervisor: Supervisor) -> None:
    """A server that dies before it is ready is an error at once, not at the deadline."""
    child = supervisor.spawn("server", shell("echo no port left; exit 1"))
    begun = time.monotonic()
    with pytest.raises(SandboxError, match=r"(?s)server.*no port left"):
        supervisor.wait_ready(child, lambda: False, 60)
    assert time.monotonic() - begun < 10


def test_waiting_for_a_child_has_a_deadline(supervisor: Supervisor) -> None:
    """A server that never gets ready is an error that names it."""
    child = supervisor.spawn("server", ["sleep", "100"])
    with pytest.raises(SandboxError, match="server was not ready within 0 s"):
        supervisor.wait_ready(child, lambda: False, 0.2)


def test_an_os_error_in_the_check_means_not_yet(supervisor: Supervisor, tmp_path: Path) -> None:
    """A connection refused is no answer, so the check is asked again."""
    file = tmp_path / "ready"
    child = supervisor.spawn("server", shell(f"sleep 0.3; echo yes > {file}; sleep 100"))
    supervisor.wait_ready(child, lambda: bool(file.read_text()), 20)
    assert file.read_text() == "yes\n"


def test_stop_leaves_no_process_even_of_children_that_detached(supervisor: Supervisor, tmp_path: Path) -> None:
    """stop() ends the stubborn and the detached too."""
    pids = tmp_path / "pids"
    stubborn = f"trap '' TERM; echo $$ >> {pids}; while :; do sleep 1; done"
    detached = f"setsid sh -c 'echo $$ >> {pids}; sleep 100' & sleep 0.2; echo $$ >> {pids}; sleep 100"
    supervisor.spawn("stubborn", shell(stubborn))
    child = supervisor.spawn("parent", shell(detached))
    supervisor.wait_ready(child, lambda: len(pids.read_text().split()) == 3, 20)
    supervisor.stop(0.5)
    assert [pid for pid in pids.read_text().split() if alive(pid)] == []


def test_nothing_starts_after_stop(supervisor: Supervisor) -> None:
    """A start that comes late does not outlive the sandbox."""
    supervisor.stop()
    with pytest.raises(Stopped):
        supervisor.spawn("late", ["sleep", "100"])


def test_children_start_in_a_small_environment(supervisor: Supervisor, tmp_path: Path) -> None:
    """Nothing of the caller's environment reaches a server but what is handed to it."""
    out = tmp_path / "environment"
    os.environ["QUARTERDECK_TEST_LEAK"] = "1"
    try:
        child = supervisor.spawn("server", shell(f"env > {out}; echo done >> {out}; sleep 100"), env={"A": "b"})
        supervisor.wait_ready(child, lambda: "done" in out.read_text(), 20)
    finally:
        del os.environ["QUARTERDECK_TEST_LEAK"]
    assert "QUARTERDECK_TEST_LEAK" not in out.read_text()
    assert "A=b" in out.read_text()


def test_children_die_with_a_killed_supervisor(tmp_path: Path) -> None:
    """SIGKILL of the sandbox ends its servers too, though they were started from a thread that has ended."""
    pid_file = tmp_path / "pid"
    program = f"""
import threading, time
from pathlib import Path
from sandbox.servers.supervisor import Supervisor
from tests.sandbox.test_supervisor import shell, small_world
made = Supervisor(small_world(Path({str(tmp_path / "run")!r})))
start = threading.Thread(target=made.spawn, args=("server", shell("echo $$ > {pid_file}; exec sleep 100")))
start.start()
start.join()
time.sleep(100)
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=CLONE) as process:
        deadline = time.monotonic() + 20
        while not (pid_file.exists() and pid_file.read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        pid = pid_file.read_text().strip()
        assert alive(pid)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_port_is_kept_per_label_and_shared_with_nobody(tmp_path: Path) -> None:
    """The same label is the same port, two labels are two."""
    world = small_world(tmp_path / "run")
    ports = {label: world.port(label) for label in "abcdefgh"}
    assert ports == {label: world.port(label) for label in "abcdefgh"}
    assert len(set(ports.values())) == len(ports)


def test_a_claim_is_alone_and_leaves_nothing(tmp_path: Path) -> None:
    """A run folder is held by one; the claim names the holder and vanishes with him."""
    root = tmp_path / "runs" / "one"
    with claimed(root):
        prepare(root, None)
        with pytest.raises(SandboxError, match=f"pid {os.getpid()}"), claimed(root):
            pass
        shutil.rmtree(root)
    assert not root.parent.exists()
