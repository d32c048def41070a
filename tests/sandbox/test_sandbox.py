"""Holds the sandbox to its word: one deployment by hand works, and it stops without leaving anything."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox import endpoints
from sandbox.story.smoke import Smoke
from sandbox.world import place, unprivileged_user
from tests.running import CLONE, Launch, RunningSandbox, launch

pytestmark = pytest.mark.sandbox

_STOP_SECONDS = 20


def processes_of(root: Path) -> list[str]:
    """The command lines of all processes that have anything to do with a run folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if os.fsencode(root) in text:
                found.append(line)
    return found


def assert_gone(started: Launch, root: Path, status: int) -> None:
    """The sandbox ended with this status, and nothing of it is left but, after a failure, its logs."""
    assert started.process.wait(_STOP_SECONDS) == status, started.said()
    assert processes_of(root) == []
    assert not endpoints.path(started.name).exists()
    left = sorted(path.name for path in root.iterdir()) if root.exists() else []
    assert left == (["log"] if status else [])
    assert not (root.parent / f"{root.name}.lock").exists()


def root_of(name: str) -> Path:
    """Where a sandbox of this name has its run folder."""
    return place(name, unprivileged_user()[0])


def children_of(pid: int) -> dict[str, int]:
    """The direct children of a process: program to pid."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    pids = [int(word) for path in listed for word in path.read_text().split()]
    found = {}
    for child in pids:
        with suppress(FileNotFoundError):  # it may end while we look
            found[Path(f"/proc/{child}/comm").read_text().strip()] = child
    return found


def test_every_endpoint_of_the_contract_is_there(sandbox: RunningSandbox) -> None:
    """endpoints.json has every key of the contract, and every file it names exists."""
    found = sandbox.found
    wanted = {
        "gerrit": {"http", "ssh_host", "ssh_port", "admin", "password", "ssh_key"},
        "irc": {"host", "port", "tls_port", "ca", "channels", "accounts"},
        "deploy_host": {"host", "port", "user", "key", "known_hosts", "charts"},
        "registry": {"http"},
        "cluster": {"kubeconfig", "kubectl"},
        "ci": {"control"},
        "sal": {"host", "port", "log"},
    }
    for name, keys in wanted.items():
        assert keys <= set(found[name]), name
    files = [
        found["gerrit"]["ssh_key"],
        found["irc"]["ca"],
        found["deploy_host"]["key"],
        found["deploy_host"]["known_hosts"],
        found["deploy_host"]["charts"],
        found["cluster"]["kubeconfig"],
        found["cluster"]["kubectl"],
        found["sal"]["log"],
    ]
    assert all(Path(path).is_absolute() and Path(path).exists() for path in files)
    groups = {person["account"]: person["groups"] for person in found["people"]}
    assert groups == {
        "alice": ["deployers"],
        "bob": ["deployers"],
        "sre1": ["sre", "deployers"],
        "mallory": [],
    }


def test_a_deployment_by_hand_works(sandbox: RunningSandbox) -> None:
    """A merged service change becomes an image, its tag is edited, merged, applied, and pods run it."""
    Smoke(sandbox.found).run()


def test_a_program_of_the_sandbox_runs_as_no_root(sandbox: RunningSandbox) -> None:
    """No server runs as root, whoever started the sandbox."""
    pids = children_of(sandbox.found["sandbox"]["pid"]).values()
    assert pids
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert "0" not in uids, Path(f"/proc/{pid}/cmdline").read_text()


def test_a_start_in_the_same_place_is_refused(sandbox: RunningSandbox) -> None:
    """A second start of the same sandbox says in words that it runs, and harms nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "sandbox"],
        cwd=CLONE,
        env=os.environ | {"SANDBOX": sandbox.name},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "running already" in done.stderr
    assert "Traceback" not in done.stderr
    assert endpoints.read(sandbox.name) == sandbox.found


def test_sigterm_in_mid_start_leaves_nothing(tmp_path: Path) -> None:
    """A sandbox that is told to end while it starts stops at once and leaves no process and no file."""
    name = f"early-{os.getpid()}"
    with launch(name, tmp_path / "log") as started:
        started.wait_for(lambda: "chat ready" in started.said())
        started.process.send_signal(signal.SIGTERM)
        assert_gone(started, root_of(name), 0)


def test_a_crashed_server_is_named_and_the_rest_is_stopped(tmp_path: Path) -> None:
    """When a server dies the sandbox names it, shows the end of its log, stops the rest and fails."""
    name = f"crash-{os.getpid()}"
    with launch(name, tmp_path / "log") as started:
        started.wait_for(lambda: "chat ready" in started.said())
        os.kill(children_of(started.process.pid)["inspircd"], signal.SIGKILL)
        assert_gone(started, root_of(name), 1)
        assert "inspircd" in started.said()
        assert "died with signal SIGKILL" in started.said()
        assert "  | InspIRCd is now running" in started.said()
        assert "Traceback" not in started.said()
        shutil.rmtree(root_of(name))


def test_a_second_sandbox_runs_beside_the_first_and_ctrl_c_leaves_nothing(
    sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """Another name is another sandbox on other ports; Ctrl-C ends it whole, with jobs that detached on its host."""
    name = f"two-{os.getpid()}"
    with launch(name, tmp_path / "log") as started:
        found = started.wait_up()
        assert found["gerrit"]["http"] != sandbox.found["gerrit"]["http"]
        host = found["deploy_host"]
        ssh = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-i", host["key"], "-p", str(host["port"])]
        ssh += ["-o", f"UserKnownHostsFile={host['known_hosts']}", f"{host['user']}@{host['host']}"]
        detach = "setsid sh -c 'exec sleep 1000' > /dev/null 2>&1 < /dev/null &"
        subprocess.run([*ssh, detach], check=True, timeout=30)
        root = Path(found["sandbox"]["root"])
        assert any("sleep 1000" in line for line in processes_of(root))
        started.process.send_signal(signal.SIGINT)
        assert_gone(started, root, 0)
    assert endpoints.read(sandbox.name) == sandbox.found


def test_nodes_stay_alive(sandbox: RunningSandbox) -> None:
    """At two minutes of age the nodes are Ready, and an apply that replaces no pod takes under 5 s."""
    time.sleep(max(0.0, 120 - sandbox.age))
    smoke = Smoke(sandbox.found)
    smoke.quick_apply()
    cluster = sandbox.found["cluster"]
    command = [cluster["kubectl"], "--kubeconfig", cluster["kubeconfig"], "get", "nodes", "--no-headers"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    assert [line.split()[1] for line in listed.splitlines()] == ["Ready", "Ready"]
