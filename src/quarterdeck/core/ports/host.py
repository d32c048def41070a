"""The deploy host: what it sees of charts and cluster, and the exact commands for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Release:
    """One Helm release as `helm`/helmfile report it.

    Attributes:
        revision: live revision; 0 when it is not installed.
        status: Helm's word: deployed, failed, pending-upgrade …; empty when not installed.
        description: Helm's note on that revision.
    """

    name: str
    namespace: str
    chart: str = ""
    revision: int = 0
    status: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """Where the deploy host's charts checkout stands."""

    commit: str
    host: str
    problem: str = ""


class Host(Protocol):
    """The deploy host: what it sees of charts and cluster, and the exact commands for both (page, by hand)."""

    async def position(self) -> Position:
        """HEAD of the charts checkout, and the host's incarnation."""
        ...

    async def has_commit(self, commit: str) -> bool:
        """Whether the checkout's HEAD is that commit or a descendant of it."""
        ...

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """The releases helmfile would install there, with their live revision and status."""
        ...

    async def objects(self, service: str, environment: str) -> Sequence[Mapping[str, Any]]:
        """Deployments, StatefulSets, DaemonSets, ReplicaSets and Pods of the namespace, as Kubernetes gives them."""
        ...

    def diff_script(self, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = ...) -> str:
        """Job script: export *commit*, lay *overlay* (path -> content) over it, diff it (full context) into `diff`.

        Also writes `releases.json`, `revisions.json`, `diff.sha256` and `diff.releases` (one digest a release).
        """
        ...

    def apply_script(
        self,
        service: str,
        environment: str,
        stage_releases: Sequence[str],
        expected: Mapping[str, str],
        facts: Mapping[str, str],
    ) -> str:
        """Job script: take our host lock, diff again from the same export, compare, apply.

        Exit statuses of its own: 75 the lock is held, 76 the diff is not the one shown, 77 a release is pending or
        at another revision than pinned.
        """
        ...

    def by_hand(self, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
        """The lines a person types on the host for the same; no releases means all."""
        ...
