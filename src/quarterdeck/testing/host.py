"""A deploy host in memory: checkout, releases and pods are plain data, and its jobs are played."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from quarterdeck.core.ports.host import Position, Release
from quarterdeck.testing.runner import FakeJob

Place = tuple[str, str]


@dataclass
class FakeHost:
    """Implements `quarterdeck.core.ports.Host`; give `play` to a `FakeRunner` as its player.

    Attributes:
        commit: HEAD of the checkout.
        commits: every commit HEAD has behind it, itself included.
        boot: incarnation.
        problem: why a pull fails.
        live: (service, environment) -> its releases as helm reports them.
        bodies: (service, environment) -> release -> diff text below its heading; empty means no change.
        pods: (service, environment) -> objects as Kubernetes gives them.
        holders: (service, environment) -> who holds the host lock.
        applying: called instead of helmfile apply with the job and the releases; returns the exit status. The
            default writes "UPDATED" lines and succeeds.
        on_applied: called after an apply that succeeded with service, environment and releases: change `pods` here.
    """

    commit: str = "0" * 40
    commits: set[str] = field(default_factory=set)
    boot: str = "boot-1"
    problem: str = ""
    live: dict[Place, list[Release]] = field(default_factory=dict)
    bodies: dict[Place, dict[str, str]] = field(default_factory=dict)
    pods: dict[Place, list[Mapping[str, Any]]] = field(default_factory=dict)
    holders: dict[Place, str] = field(default_factory=dict)
    applying: Callable[[FakeJob, Sequence[str]], Awaitable[int]] | None = None
    on_applied: Callable[[str, str, Sequence[str]], None] | None = None

    async def position(self) -> Position:
        """Where the checkout stands."""
        return Position(self.commit, self.boot, self.problem)

    async def has_commit(self, commit: str) -> bool:
        """Whether HEAD has it."""
        return commit == self.commit or commit in self.commits

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """What helm reports."""
        return tuple(self.live.get((service, environment), ()))

    async def objects(self, service: str, environment: str) -> Sequence[Mapping[str, Any]]:
        """What runs there."""
        return list(self.pods.get((service, environment), ()))

    def diff_script(
        self, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = MappingProxyType({})
    ) -> str:
        """What `play` understands as a diff."""
        words = {"do": "diff", "service": service, "environment": environment, "commit": commit}
        return json.dumps({**words, "overlay": {path: content.decode("latin-1") for path, content in overlay.items()}})

    def apply_script(
        self,
        service: str,
        environment: str,
        stage_releases: Sequence[str],
        expected: Mapping[str, str],
        facts: Mapping[str, str],
    ) -> str:
        """What `play` understands as an apply."""
        words = {"do": "apply", "service": service, "environment": environment, "releases": list(stage_releases)}
        return json.dumps({**words, "expected": dict(expected), "facts": dict(facts)}, sort_keys=True)

    def by_hand(self, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
        """Two lines."""
        narrowed = "".join(f" -l name={release}" for release in releases)
        return (f"cd helmfile.d/services/{service}", f"helmfile -e {environment}{narrowed} apply")

    async def play(self, job: FakeJob) -> int:
        """Play one of our jobs; leaves the files a real one leaves."""
        order = json.loads(job.script)
        place = (order["service"], order["environment"])
        if order["do"] == "diff":
            self._diff(job, place)
            job.files["revisions.json"] = self._revisions(place)
            return 0
        if place in self.holders:
            await job.write(f"quarterdeck: held by {self.holders[place]}\n")
            return 75
        self._diff(job, place)
        wanted = order["releases"] or [release.name for release in self.live.get(place, ())]
        refused = self._compare(job, place, wanted, order["expected"])
        if refused:
            return refused
        return await self._apply(job, place, wanted, order["facts"].get("id", ""))

    def _diff(self, job: FakeJob, place: Place) -> None:
        parts = {release.name: self._part(place, release) for release in self.live.get(place, ())}
        text = "".join(parts.values())
        changed = any(self.bodies.get(place, {}).values())
        lines = "".join(f"{name} {_sha(part)}\n" for name, part in parts.items())
        entries = [
            {"name": r.name, "namespace": r.namespace, "enabled": True, "installed": True, "chart": r.chart}
            for r in self.live.get(place, ())
        ]
        job.files |= {
            "diff": text.encode(),
            "diff.status": b"2\n" if changed else b"0\n",
            "diff.sha256": f"{_sha(text)}\n".encode(),
            "diff.releases": lines.encode(),
            "releases.json": json.dumps(entries).encode(),
        }

    def _part(self, place: Place, release: Release) -> str:
        heading = f"Comparing release={release.name}, chart={release.chart}, namespace={release.namespace}\n"
        return heading + self.bodies.get(place, {}).get(release.name, "")

    def _revisions(self, place: Place) -> bytes:
        entries = [
            {
                "name": r.name,
                "namespace": r.namespace,
                "chart": r.chart,
                "revision": str(r.revision),
                "status": r.status,
            }
            for r in self.live.get(place, ())
            if r.revision
        ]
        return json.dumps(entries).encode()

    def _compare(self, job: FakeJob, place: Place, wanted: Sequence[str], expected: Mapping[str, str]) -> int:
        now = dict(line.split() for line in job.files["diff.releases"].decode().splitlines())
        now = {f"diff.{name}": digest for name, digest in now.items()}
        keys = [f"diff.{name}" for name in wanted]
        if not all(key in expected for key in keys):
            now, keys = {"diff": job.files["diff.sha256"].decode().strip()}, ["diff"]
        if any(now.get(key) != expected.get(key) for key in keys):
            return 76
        for release in self.live.get(place, ()):
            pinned = expected.get(f"revision.{release.name}", str(release.revision))
            if release.name in wanted and (release.status.startswith("pending-") or pinned != str(release.revision)):
                return 77
        return 0

    async def _apply(self, job: FakeJob, place: Place, wanted: Sequence[str], mark: str) -> int:
        job.files["revisions.before"] = self._revisions(place)
        job.files["applying"] = b""
        code = await self.applying(job, wanted) if self.applying else await _updated(job, wanted)
        if code == 0:
            for release in [r for r in self.live.get(place, ()) if r.name in wanted]:
                if self.bodies.get(place, {}).pop(release.name, ""):
                    self._upgrade(place, release, mark)
            if self.on_applied:
                self.on_applied(*place, wanted)
        job.files["revisions.json"] = self._revisions(place)
        return code

    def _upgrade(self, place: Place, release: Release, mark: str) -> None:
        new = replace(
            release,
            revision=release.revision + 1,
            status="deployed",
            description="Upgrade complete",
            labels={"quarterdeck": mark},
        )
        self.live[place] = [new if r is release else r for r in self.live[place]]


async def _updated(job: FakeJob, wanted: Sequence[str]) -> int:
    await job.write("".join(f"  {name} UPDATED\n" for name in wanted))
    return 0


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
