"""The two deploy hosts under test, with handles on the world behind them: real scripts on sshd, and the fake."""

import asyncio
import os
import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quarterdeck.adapters.deploy_host.helmfile import HelmfileHost
from quarterdeck.adapters.deploy_host.ssh import SshRunner
from quarterdeck.core.cluster import jobs, releases
from quarterdeck.core.ports.host import Host, Release
from quarterdeck.core.ports.runner import JobState, JobStatus, Runner
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.runner import FakeRunner
from tests.servers.host_stubs import lay_out
from tests.servers.ssh_server import SshServer

BODY = "citoid-staging, main, Deployment (apps) has changed:\n-   image: a:1\n+   image: a:2\n"
WHERE = ("citoid", "staging")


def git(checkout: Path, *words: str) -> str:
    """Run git in the checkout."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", f"safe.directory={checkout}"]
    return subprocess.check_output(["git", *identity, "-C", checkout, *words], text=True).strip()


class Stubs:
    """A host of shell scripts: their state is files."""

    def __init__(self, server: SshServer) -> None:
        self.folder = server.folder / uuid.uuid4().hex[:8]
        self.folder.mkdir()
        lay_out(self.folder)
        self.state = self.folder / "state"
        self.charts = self.folder / "charts"
        directory = self.charts / "helmfile.d" / "services" / "citoid"
        directory.mkdir(parents=True)
        subprocess.run(["git", "init", "-q", "-b", "master", self.charts], check=True)
        self.older = self.commit("helmfile.d/services/citoid/helmfile.yaml.gotmpl", "one")
        self.newer = self.commit("charts/app/Chart.yaml", "two")
        for release in ("main", "canary"):
            self.live(release, 4, "deployed")
        self.body("main", BODY)
        # the programs belong to the account, the checkout to us, as where root pulls
        for path in (self.folder, self.state, *self.state.iterdir()):
            os.chown(path, server.uid, server.gid)
        self.runner = SshRunner(
            host="127.0.0.1",
            port=server.port,
            user=server.user,
            key=server.key,
            known_hosts=server.known_hosts,
            jobs_dir=f"{self.folder}/jobs",
            runner=f"{server.home}/.quarterdeck/runner",
        )
        self.host = HelmfileHost(
            self.runner,
            charts=str(self.charts),
            jobs_dir=f"{self.folder}/jobs",
            env={"KUBECONFIG_DIR": "/etc/k8s of ours", "PATH": f"{self.folder}/bin:/usr/bin:/bin"},
        )

    def commit(self, path: str, text: str) -> str:
        """Commit a file to the checkout."""
        (self.charts / path).parent.mkdir(parents=True, exist_ok=True)
        (self.charts / path).write_text(text)
        git(self.charts, "add", ".")
        git(self.charts, "commit", "-q", "-m", text)
        return git(self.charts, "rev-parse", "HEAD")

    def live(self, release: str, revision: int, status: str) -> None:
        """Set what helm reports."""
        (self.state / f"revision.{release}").write_text(f"{revision}\n")
        (self.state / f"status.{release}").write_text(f"{status}\n")

    def body(self, release: str, text: str) -> None:
        """Set what a release's diff shows."""
        (self.state / f"body.{release}").write_text(text)

    def on_apply(self, script: str) -> None:
        """Set what helmfile apply does first."""
        (self.state / "apply.sh").write_text(script)

    def calls(self) -> list[str]:
        """The command lines the programs were called with."""
        return (self.state / "calls").read_text().splitlines()

    async def hold(self) -> str:
        """Let somebody else hold the lock; his name."""
        lock = f"{self.folder}/locks/citoid.staging.lock"
        script = f'mkdir -p {self.folder}/locks; exec 8>>{lock}; flock 8; echo "alice since noon" >{lock}; sleep 30\n'
        await self.runner.start("holder", script)
        status, _, _ = await self.runner.query(f"until [ -s {lock} ]; do sleep 0.02; done", 10)
        assert status == 0
        return "alice"


class Memory:
    """The fake host, with the same handles."""

    def __init__(self) -> None:
        self.host = FakeHost(commit="b" * 40, commits={"a" * 40})
        self.older, self.newer = "a" * 40, "b" * 40
        self.runner = FakeRunner(self.host.play)
        self.host.live[WHERE] = [Release(name, "citoid-staging", "app", 4, "deployed") for name in ("main", "canary")]
        self.host.bodies[WHERE] = {"main": BODY}
        self.host.pods[WHERE] = [{"kind": "Pod"}]

    def live(self, release: str, revision: int, status: str) -> None:
        """Set what helm reports."""
        kept = [r for r in self.host.live[WHERE] if r.name != release]
        self.host.live[WHERE] = [Release(release, "citoid-staging", "app", revision, status), *kept]

    def body(self, release: str, text: str) -> None:
        """Set what a release's diff shows."""
        self.host.bodies[WHERE][release] = text

    async def hold(self) -> str:
        """Let somebody else hold the lock; his name."""
        self.host.holders[WHERE] = "alice since noon"
        return "alice"


@dataclass
class Place:
    """One host under test, its runner and what moves the world behind it."""

    host: Host
    runner: Runner
    world: Any

    async def run(self, job: str, script: str) -> JobStatus:
        """Start a job and wait for its end."""

        async def nowhere(_offset: int, _chunk: bytes) -> None: ...

        async with asyncio.timeout(30):
            await self.runner.start(job, script)
            return await self.runner.follow(job, 0, nowhere)

    async def diff(self, job: str = "diff") -> dict[str, str]:
        """Run the diff job; what an apply is to be pinned to."""
        status = await self.run(job, self.host.diff_script(*WHERE, self.world.newer))
        assert (status.state, status.status) == (JobState.DONE, 0), (await self.runner.read(job, "log")).decode()
        found = releases.releases(
            await self.runner.read(job, "releases.json"), await self.runner.read(job, "revisions.json")
        )
        parts = releases.digests(await self.runner.read(job, "diff.releases"))
        whole = (await self.runner.read(job, "diff.sha256")).decode().strip()
        pins = {f"revision.{r.name}": str(r.revision) for r in found}
        return {"diff": whole, **pins, **{f"diff.{name}": digest for name, digest in parts.items()}}

    async def apply(self, expected: Mapping[str, str], names: tuple[str, ...] = ("main",), job: str = "apply") -> int:
        """Run the apply job; its exit status."""
        script = self.host.apply_script(*WHERE, names, expected, {"export": "diff", "id": "abc"})
        status = await self.run(job, script)
        assert status.state is JobState.DONE
        assert status.status is not None
        return status.status

    async def applied(self, job: str = "apply") -> bool:
        """Whether helmfile was let loose."""
        try:
            await self.runner.read(job, jobs.APPLYING)
        except Exception:
            return False
        return True


@asynccontextmanager
async def stub_place(server: SshServer) -> AsyncIterator[Place]:
    """The real scripts on a real sshd, over stand-in programs."""
    world = Stubs(server)
    try:
        yield Place(world.host, world.runner, world)
        await world.runner.stop("holder")
    finally:
        await world.runner.close()
        shutil.rmtree(world.folder, ignore_errors=True)
