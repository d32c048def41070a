"""Judges a rollout from the pods of the newest template: ready, bad and why, or not to be told.

A verdict never comes from missing data. A bad reason counts only after a grace, because the first failed pull
may be a hiccup; success counts only after a soak with unchanged restart counts. What was seen before is handed
in and out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from quarterdeck.core.cluster.findings import (
    Evidence,
    Images,
    findings_of,
    has_come,
    running_digests,
    wrong_images,
)
from quarterdeck.core.cluster.objects import Object, is_pod, is_ready, name_of, number, restarts
from quarterdeck.core.cluster.workloads import Workload, workloads

#: reasons that never mend themselves, so that no grace is given
_HOPELESS = frozenset({"ProgressDeadlineExceeded", "InvalidImageName", "ErrImageNeverPull"})


class Health(StrEnum):
    """What the pods say."""

    OK = "ok"
    WAIT = "wait"
    BAD = "bad"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Expected:
    """What should run.

    Attributes:
        releases: Helm releases whose workloads are judged (by Helm's own annotation); empty means all shown.
        images: full reference, or its end "name:tag" -> acceptable registry digests, none: not compared. Each must
            be run by somebody, and a container of such a repository has one of its tags; empty means that no image
            is compared.
        grace: seconds a bad reason must last.
        soak: seconds all new pods must stay ready.
        applied: False while the apply runs: another image is then not bad, just not yet.
        ignored_templates: those that were there before the apply (see `templates`); not judged until `applied`.
    """

    releases: frozenset[str] = frozenset()
    images: Images = field(default_factory=dict)
    grace: float = 45.0
    soak: float = 20.0
    applied: bool = True
    ignored_templates: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Memory:
    """What earlier looks at the same rollout saw.

    Attributes:
        bad_since: reason and templates -> since when.
        ready_since: since when all new pods are ready with the restarts in *restart_counts*.
        restart_counts: (pod, restarts) of all new pods at that time.
        first_restarts: pod -> its restarts when it was first seen.
    """

    bad_since: Mapping[str, datetime] = field(default_factory=dict)
    ready_since: datetime | None = None
    restart_counts: tuple[tuple[str, int], ...] = ()
    first_restarts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the pods say now.

    Attributes:
        text: a few words for chat.
        ready: new pods that serve.
        wanted: new pods asked for.
        old: old pods that serve.
        terminal: only with BAD: the grace is over.
        stable: seconds all new pods have been ready.
        digest: "match" of all that were asked for, "not shown" if one is not, or "not asked".
    """

    health: Health
    text: str
    memory: Memory
    ready: int = 0
    wanted: int = 0
    old: int = 0
    reason: str = ""
    pod: str = ""
    container: str = ""
    exit_code: int | None = None
    terminal: bool = False
    stable: float = 0.0
    digest: str = "not asked"
    evidence: tuple[Evidence, ...] = ()


def judge(objects: Sequence[Object], expected: Expected, memory: Memory, now: datetime) -> Verdict:
    """Judge Deployments, StatefulSets and DaemonSets with their ReplicaSets and pods.

    Args:
        objects: items as `kubectl get -o json` gives them.
        expected: what should run.
        memory: of the last verdict on the same rollout, `Memory()` at first.
        now: aware UTC.
    """
    shown = [workload for workload in workloads(objects) if _is_judged(workload, expected)]
    if missing := _missing(shown, objects):
        return Verdict(Health.UNKNOWN, f"cannot tell: the cluster shows no {missing}", memory)
    if not expected.applied:
        shown = [workload for workload in shown if workload.template not in expected.ignored_templates]
    first_restarts = _first_restarts(shown, memory)
    counted = _counted(shown, replace(memory, first_restarts=first_restarts))
    fresh_memory = Memory(first_restarts=first_restarts)
    if not expected.applied and not (shown and has_come(shown, expected.images)):
        return replace(counted, memory=fresh_memory)
    evidence = [finding for workload in shown for finding in findings_of(workload, first_restarts)]
    evidence.extend(wrong_images(shown, expected.images, expected.applied))
    if evidence:
        return _bad(counted, shown, evidence, expected, now)
    for workload in shown:
        if workload.waiting:
            return replace(counted, text=f"{workload.kind} {workload.name}: {workload.waiting}", memory=fresh_memory)
    return _without_findings(counted, shown, expected, now)


def templates(objects: Sequence[Object]) -> frozenset[str]:
    """The newest templates that are there now, for `Expected.ignored_templates` while an apply runs."""
    return frozenset(workload.template for workload in workloads(objects) if workload.template)


def _is_judged(workload: Workload, expected: Expected) -> bool:
    return not expected.releases or workload.release in expected.releases


def _missing(shown: Sequence[Workload], objects: Sequence[Object]) -> str:
    """What should be there and is not shown; without it there is no verdict."""
    if not shown:
        return "workload"
    shows_pods = any(is_pod(item) for item in objects)
    has_replicas = any(number(workload.manifest, "status", "replicas") for workload in shown)
    return "pods" if has_replicas and not shows_pods else ""


def _first_restarts(shown: Sequence[Workload], memory: Memory) -> dict[str, int]:
    first: dict[str, int] = {}
    for workload in shown:
        for pod in workload.new:
            first[name_of(pod)] = memory.first_restarts.get(name_of(pod), restarts(pod))
    return first


def _counted(shown: Sequence[Workload], memory: Memory) -> Verdict:
    """The verdict before anything is judged: how many pods there are."""
    return Verdict(
        Health.WAIT,
        "no new pods yet",
        memory,
        ready=sum(_ready_pods(workload.new) for workload in shown),
        wanted=sum(workload.replicas for workload in shown),
        old=sum(_ready_pods(workload.old) for workload in shown),
    )


def _ready_pods(pods: Sequence[Object]) -> int:
    return sum(is_ready(pod) for pod in pods)


def _bad(
    counted: Verdict, shown: Sequence[Workload], evidence: Sequence[Evidence], expected: Expected, now: datetime
) -> Verdict:
    """The worst finding: one whose grace is over, then one that names pods, then the one that hits most of them."""
    keys = {finding.reason: _memory_key(shown, finding) for finding in evidence}
    bad_since = {reason: counted.memory.bad_since.get(key, now) for reason, key in keys.items()}
    grace_over = {reason for reason in keys if _grace_is_over(reason, bad_since[reason], expected, now)}
    pods_hit = Counter(reason for reason, _ in {(finding.reason, finding.pod) for finding in evidence})

    def badness(finding: Evidence) -> tuple[bool, bool, int, bool]:
        has_exit_code = finding.exit_code is not None
        return finding.reason in grace_over, bool(finding.pod), pods_hit[finding.reason], has_exit_code

    worst = max(evidence, key=badness)
    pods = {finding.pod for finding in evidence if finding.reason == worst.reason and finding.pod}
    total = sum(len(workload.new) for workload in shown)
    which_pods = f"{len(pods)}/{total} new pods " if pods else ""
    old_pods = f"; {counted.old}/{counted.wanted} old pods serve" if counted.old else ""
    return replace(
        counted,
        health=Health.BAD,
        text=f"{which_pods}{_in_words(worst)}{old_pods}",
        memory=Memory(
            bad_since={keys[reason]: since for reason, since in bad_since.items()},
            first_restarts=counted.memory.first_restarts,
        ),
        reason=worst.reason,
        pod=worst.pod,
        container=worst.container,
        exit_code=worst.exit_code,
        terminal=worst.reason in grace_over,
        evidence=tuple(evidence),
    )


def _grace_is_over(reason: str, since: datetime, expected: Expected, now: datetime) -> bool:
    return reason in _HOPELESS or (now - since).total_seconds() >= expected.grace


def _memory_key(shown: Sequence[Workload], finding: Evidence) -> str:
    """A reason belongs to the templates it was seen with: another rollout starts its own grace."""
    return "/".join((finding.reason, *sorted(workload.template for workload in shown)))


def _without_findings(counted: Verdict, shown: Sequence[Workload], expected: Expected, now: datetime) -> Verdict:
    """Nothing is bad: are all new pods there, and for how long?"""
    if counted.wanted == 0:
        return replace(counted, health=Health.OK, text="0 replicas wanted: nothing runs")
    fresh_memory = Memory(first_restarts=counted.memory.first_restarts)
    if not _all_replaced(shown):
        still_old = f", {counted.old} old pods still serve" if counted.old else ""
        return replace(counted, text=f"{counted.ready}/{counted.wanted} new pods{still_old}", memory=fresh_memory)
    restart_counts = _restart_counts(shown)
    ready_since = now
    if counted.memory.ready_since is not None and counted.memory.restart_counts == restart_counts:
        ready_since = counted.memory.ready_since
    stable = (now - ready_since).total_seconds()
    soaked = stable >= expected.soak
    digest = _digest_seen(shown, expected.images)
    return replace(
        counted,
        health=Health.OK if soaked else Health.WAIT,
        text=_stable_text(counted, stable, expected.soak, digest),
        memory=replace(fresh_memory, ready_since=ready_since, restart_counts=restart_counts),
        stable=stable,
        digest=digest,
    )


def _all_replaced(shown: Sequence[Workload]) -> bool:
    """Whether every workload has all its new pods ready, and no old one is left."""
    return all(_ready_pods(workload.new) >= workload.replicas and not workload.old for workload in shown)


def _restart_counts(shown: Sequence[Workload]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name_of(pod), restarts(pod)) for workload in shown for pod in workload.new))


def _stable_text(counted: Verdict, stable: float, soak: float, digest: str) -> str:
    plural = "s" if counted.wanted > 1 else ""
    new_pods = f"{counted.ready}/{counted.wanted} new pod{plural}"
    if stable < soak:
        return f"{new_pods}, stable {stable:.0f} of {soak:.0f} s"
    unseen = ", image digest not shown" if digest == "not shown" else ""
    return f"{new_pods}, stable {stable:.0f} s{unseen}"


def _digest_seen(shown: Sequence[Workload], images: Images) -> str:
    asked_images = {image for image, digests in images.items() if digests}
    if not asked_images:
        return "not asked"
    running = list(running_digests(shown, images))
    all_seen = asked_images == {one.image for one in running} and all(one.digest for one in running)
    return "match" if all_seen else "not shown"


def _in_words(finding: Evidence) -> str:
    """A reason in a few words, after "2/2 new pods"."""
    exit_code = f" (exit {finding.exit_code})" if finding.exit_code is not None else ""
    message = f": {' '.join(finding.message.split())[:120]}" if finding.message else ""
    sentences = {
        "Crash": f"crash{exit_code}",
        "OOMKilled": "run out of memory (OOMKilled)",
        "Restarts": "keep restarting",
        "ImagePull": "cannot pull their image",
        "Unschedulable": "find no node",
        "Paused": "the Deployment is paused",
        "ProgressDeadlineExceeded": "no progress within the Deployment's own deadline",
        "ReplicaFailure": f"pods cannot be created{message}",
        "AnotherImage": f"another image{message}",
        "AnotherDigest": f"run another digest{message}",
    }
    return sentences.get(finding.reason, f"cannot start ({finding.reason})")
