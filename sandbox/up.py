"""Bring up the whole sandbox, tell where it is, and take it down again."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandbox import contents, endpoints
from sandbox import world as worlds
from sandbox.build import tools
from sandbox.ci import server as ci
from sandbox.servers import cluster, deploy_host, gerrit, gerrit_rest, registry, sal
from sandbox.servers import irc_network as chat
from sandbox.servers.supervisor import SandboxError, Stopped, Supervisor, World

CHANNELS = ("#deploy", "#ops")
_MEGABYTES = 700
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Clock:
    """Tells what happened how long after the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._lock = threading.Lock()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """Print a line; a terminal that has gone stops nothing."""
        with self._lock:
            try:
                print(f"[{self.seconds:5.1f} s] {text}", flush=True)
            except OSError:
                pass


def people() -> list[dict[str, Any]]:
    """The accounts of people and the groups the catalogue puts them in."""
    section = re.search(r"^people:\n((?: .*\n)+)", contents.CATALOGUE.read_text(), re.MULTILINE)
    found = re.findall(r"^ +(\w+):.*?groups: \[(.*?)\]", section[1] if section else "", re.MULTILINE)
    known = [{"account": name, "groups": re.findall(r"[\w-]+", groups)} for name, groups in found]
    return [*known, {"account": "mallory", "groups": []}]


class Parts:
    """The servers of one sandbox, each started in a thread of its own as soon as what it needs is there."""

    def __init__(self, world: World, supervisor: Supervisor, clock: Clock) -> None:
        self._world = world
        self._supervisor = supervisor
        self._clock = clock

    def start(self, pool: ThreadPoolExecutor) -> "dict[str, Future[Any]]":
        """Start everything; the futures are done when the parts are ready."""
        world, supervisor = self._world, self._supervisor
        images = registry.endpoint(world)
        relay = sal.endpoint(world)
        accounts = {name: secrets.token_hex(8) for name in (chat.BOT, *(p["account"] for p in people()))}

        def after(*needed: "Future[Any]") -> list[Any]:
            return [future.result() for future in needed]

        def go(what: str, function: Any) -> "Future[Any]":
            return pool.submit(self._part, what, function)

        parts: dict[str, Future[Any]] = {}
        parts["gerrit"] = go("Gerrit", lambda: gerrit.start(world, supervisor))
        parts["registry"] = go("registry", lambda: registry.start(world, supervisor))
        parts["cluster"] = go("cluster", lambda: cluster.start(world, supervisor, images))
        parts["irc"] = go("chat", lambda: chat.start(world, supervisor, CHANNELS, accounts))
        parts["sal"] = go("SAL relay", lambda: sal.start(world, supervisor, world.port("chat")))
        parts["host"] = go("deploy host", lambda: deploy_host.start(world, supervisor, images, relay))

        def first_images() -> None:
            found, _ = after(parts["gerrit"], parts["registry"])
            ci.push_initial_images(found, images.http)

        def charts() -> None:
            found, host = after(parts["gerrit"], parts["host"])
            deploy_host.follow_charts(world, supervisor, host, found.http)

        def control() -> str:
            found, _ = after(parts["gerrit"], parts["registry"])
            return ci.start(world, supervisor, found, images.http)

        parts["images"] = go("first images", first_images)
        parts["charts"] = go("charts checkout", charts)
        parts["ci"] = go("CI", control)

        def releases() -> None:
            host, *_ = after(parts["host"], parts["images"], parts["charts"], parts["cluster"])
            self._install(pool, host)

        parts["releases"] = go("first releases", releases)
        return parts

    def _part(self, what: str, function: Any) -> Any:
        done = function()
        self._clock.say(f"{what} ready")
        return done

    def _install(self, pool: ThreadPoolExecutor, host: deploy_host.DeployHostEndpoint) -> None:
        """Install what must run from the start, each environment by itself at the same time."""
        found = contents.initial_releases()
        targets = sorted({(release.service, release.environment) for release in found})

        def install(service: str, environment: str) -> None:
            arguments = f"-e {environment} apply --suppress-diff --skip-diff-on-install"
            command = host.helmfile(service, arguments, SUPPRESS_SAL="true")
            self._world.run(command, seconds=120)

        for future in [pool.submit(install, *target) for target in targets]:
            future.result()


def content(world: World, parts: "dict[str, Future[Any]]") -> dict[str, Any]:
    """What endpoints.json says."""
    found = {name: future.result() for name, future in parts.items()}
    plain = {
        "gerrit": found["gerrit"].as_dict(),
        "irc": asdict(found["irc"]),
        "deploy_host": asdict(found["host"]),
        "registry": asdict(found["registry"]),
        "cluster": asdict(found["cluster"]),
        "ci": {"control": found["ci"]},
        "sal": asdict(found["sal"]),
        "people": people(),
        "sandbox": {"name": world.name, "pid": os.getpid(), "root": world.root, "started": time.time()},
    }
    return dict(_plain(plain))


def _plain(value: Any) -> Any:
    """The same in the types of JSON."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def serve(name: str) -> int:
    """Bring the sandbox up, stay until told to stop, take it down; gives the exit status.

    Raises:
        SandboxError: it cannot be started.
        ToolError: the tools cannot be had.
    """
    clock = Clock()
    kit = tools.ensure(clock.say)
    user, puller = _users(clock)
    root = worlds.place(name, user)
    root.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root.parent).free // 2**20
    if free < _MEGABYTES:
        raise SandboxError(f"{root.parent} has {free} MB left; the sandbox needs {_MEGABYTES}")
    with worlds.claimed(root):
        worlds.prepare(root, user)
        if root.parent != worlds.HERE / "run":
            clock.say(f"The servers' user cannot enter {worlds.HERE}; they keep their files in {root}")
        world = World(name, root, kit, user, puller)
        return _run(world, clock)


def _users(clock: Clock) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    user, made = worlds.unprivileged_user()
    puller, also = worlds.unprivileged_user(worlds.PULLER)
    for new, which, why in ((made, worlds.USER, "the servers"), (also, worlds.PULLER, "the charts checkout")):
        if new:
            clock.say(f"Made the system user {which} for {why}")
    return user, puller


def _run(world: World, clock: Clock) -> int:
    supervisor = Supervisor(world, alone=True)
    for number in _SIGNALS:
        signal.signal(number, lambda *_: supervisor.stopping.set())
    pool = ThreadPoolExecutor(32)
    status = 1
    try:
        _come_up(world, supervisor, pool, clock)
        supervisor.watch()
        status = 0
    except Stopped:
        status = 0
    except (SandboxError, gerrit_rest.GerritError, tools.ToolError, OSError) as error:
        clock.say(f"Stopping everything: {error}")
    finally:
        clock.say("Stopping")
        endpoints.remove(world.name)
        supervisor.stop()
        pool.shutdown(wait=True, cancel_futures=True)
        supervisor.stop()
        _clear(world, status, clock)
    return status


def _come_up(world: World, supervisor: Supervisor, pool: ThreadPoolExecutor, clock: Clock) -> None:
    parts = Parts(world, supervisor, clock).start(pool)
    pending = set(parts.values())
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        if supervisor.stopping.is_set():
            raise Stopped("the sandbox was told to end")
        supervisor.check()
        for future in done:
            future.result()
    endpoints.write(world.name, content(world, parts))
    clock.say(f"The sandbox is up. Where everything is: {endpoints.path(world.name)}. Ctrl-C stops it")


def _clear(world: World, status: int, clock: Clock) -> None:
    """Remove the run folder; after a crash the logs stay."""
    if os.environ.get("KEEP"):
        clock.say(f"Everything is kept in {world.root}")
        return
    if status:
        for path in world.root.iterdir():
            if path.name != "log":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        clock.say(f"The logs are kept in {world.root / 'log'}")
        return
    shutil.rmtree(world.root, ignore_errors=True)


def clean() -> int:
    """Remove what sandboxes of this clone left behind; those that run are left alone and named."""
    for run in worlds.run_folders():
        for root in sorted(run.iterdir()) if run.is_dir() else ():
            if not root.is_dir():
                continue
            try:
                with worlds.claimed(root):
                    shutil.rmtree(root)
                    endpoints.remove("" if root.name == "default" else root.name)
            except SandboxError as error:
                print(f"{root.name}: {error}", file=sys.stderr)
    return 0


def main(arguments: list[str]) -> int:
    """`python3 -m sandbox` starts it and stays; `python3 -m sandbox clean` removes what was left behind."""
    try:
        name = endpoints.sandbox_name()
        if arguments not in ([], ["clean"]):
            raise SandboxError(f"Usage: python3 -m sandbox [clean]; not {' '.join(arguments)!r}")
        return clean() if arguments else serve(name)
    except (SandboxError, tools.ToolError) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
    except subprocess.SubprocessError as error:
        print(f"A command failed: {error}", file=sys.stderr)
    return 1
