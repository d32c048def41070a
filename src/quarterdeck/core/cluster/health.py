"""Judges a rollout from the pods of the newest template: ready, bad and why, or not to be told.

A verdict never comes from missing data. A bad reason counts only after a grace, because the first failed pull
may be a hiccup; success counts only after a soak with unchanged restart counts. What was seen before is handed
in and out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from quarterdeck.core.cluster.workloads import (
    RELEASE,
    Group,
    Object,
    condition,
    containers,
    get,
    groups,
    is_ready,
    items,
    name_of,
    number,
    same_repository,
    split_image,
    text,
)

_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
#: this many more than at first sight is no accident
_RISING = 2
#: no use waiting for these to mend themselves
_AT_ONCE = frozenset({"ProgressDeadlineExceeded", "InvalidImageName", "ErrImageNeverPull"})
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class State(StrEnum):
    """What the pods say."""

    OK = "ok"
    WAIT = "wait"
    BAD = "bad"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Wanted:
    """What should run.

    Attributes:
        releases: Helm releases whose workloads are judged (by Helm's own annotation); empty means all shown.
        workloads: (kind, name) that must be there, in addition; missing ones are "cannot tell".
        images: full reference, or its end "name:tag" -> acceptable registry digests, none: not compared. Each must
            be run by somebody, and a container of such a repository has one of its tags; empty means that no image
            is compared.
        grace: seconds a bad reason must last.
        soak: seconds all new pods must stay ready.
        applied: False while the apply runs: another image is then not bad, just not yet.
        ignore: template hashes that were there before the apply (see `hashes`); not judged until `applied`.
    """

    releases: frozenset[str] = frozenset()
    workloads: frozenset[tuple[str, str]] = frozenset()
    images: Mapping[str, frozenset[str]] = field(default_factory=dict)
    grace: float = 45.0
    soak: float = 20.0
    applied: bool = True
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Memory:
    """What earlier looks saw.

    Attributes:
        seen: reason and templates -> since when.
        ready_since: since when all new pods are ready with the restarts in *signature*.
        first: pod -> its restarts when it was first seen.
    """

    seen: Mapping[str, datetime] = field(default_factory=dict)
    ready_since: datetime | None = None
    signature: tuple[tuple[str, int], ...] = ()
    first: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """One container that is in a bad way."""

    pod: str
    container: str
    reason: str
    message: str = ""
    exit_code: int | None = None
    restarts: int = 0


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

    state: State
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


def judge(objects: Sequence[Object], wanted: Wanted, before: Memory, now: datetime) -> Verdict:
    """Judge Deployments, StatefulSets and DaemonSets with their ReplicaSets and pods.

    Args:
        objects: items as `kubectl get -o json` gives them.
        wanted: what should run.
        before: the memory of the last verdict on the same rollout, `Memory()` at first.
        now: aware UTC.
    """
    shown = [g for g in groups(objects) if _belongs(g, wanted)]
    if lacking := _lacking(shown, wanted, objects):
        return Verdict(State.UNKNOWN, f"cannot tell: the cluster shows no {lacking}", before)
    if not wanted.applied:
        shown = [g for g in shown if g.hash not in wanted.ignore]
    pods = [p for g in shown for p in g.new]
    first = {name_of(p): before.first.get(name_of(p), _restarts(p)) for p in pods}
    counts = Verdict(
        State.WAIT,
        "no new pods yet",
        replace(before, first=first),
        ready=sum(map(is_ready, pods)),
        wanted=sum(g.wanted for g in shown),
        old=sum(is_ready(p) for g in shown for p in g.old),
    )
    if not wanted.applied and (not shown or not _has_come(shown, wanted)):
        return replace(counts, memory=Memory(first=first))
    findings = [f for g in shown for f in _findings(g, first)] + list(_wrong_images(shown, wanted))
    if findings:
        return _bad(counts, shown, findings, wanted, now)
    waiting = next((g for g in shown if g.waiting), None)
    if waiting is not None:
        return replace(counts, text=f"{waiting.kind} {waiting.name}: {waiting.waiting}", memory=Memory(first=first))
    return _good(counts, shown, wanted, now)


def hashes(objects: Sequence[Object]) -> frozenset[str]:
    """The newest templates that are there now, to be handed back as `Wanted.ignore` while an apply runs."""
    return frozenset(g.hash for g in groups(objects) if g.hash)


def _belongs(group: Group, wanted: Wanted) -> bool:
    if (group.kind, group.name) in wanted.workloads:
        return True
    return not wanted.releases or text(group.workload, "metadata", "annotations", RELEASE) in wanted.releases


def _lacking(shown: Sequence[Group], wanted: Wanted, objects: Sequence[Object]) -> str:
    """What should be there and is not shown; without it there is no verdict."""
    missing = sorted(wanted.workloads - {(g.kind, g.name) for g in shown})
    if missing:
        return " ".join(missing[0])
    if not shown:
        return "workload"
    blind = not any(text(o, "kind") == "Pod" for o in objects)
    return "pods" if blind and any(number(g.workload, "status", "replicas") for g in shown) else ""


def _bad(
    counts: Verdict, shown: Sequence[Group], findings: Sequence[Evidence], wanted: Wanted, now: datetime
) -> Verdict:
    """The worst finding: one whose grace is over, then one that names pods, then the one that hits most of them."""
    seen = {f.reason: counts.memory.seen.get(_key(shown, f), now) for f in findings}
    over = {r for r, since in seen.items() if r in _AT_ONCE or (now - since).total_seconds() >= wanted.grace}
    hit = Counter(r for r, _ in {(f.reason, f.pod) for f in findings})
    worst = max(findings, key=lambda f: (f.reason in over, bool(f.pod), hit[f.reason], f.exit_code is not None))
    pods = {f.pod for f in findings if f.reason == worst.reason and f.pod}
    total = sum(len(g.new) for g in shown)
    old = f"; {counts.old}/{counts.wanted} old pods serve" if counts.old else ""
    who = f"{len(pods)}/{total} new pods " if pods else ""
    return replace(
        counts,
        state=State.BAD,
        text=f"{who}{_words(worst)}{old}",
        memory=Memory({_key(shown, f): seen[f.reason] for f in findings}, first=counts.memory.first),
        reason=worst.reason,
        pod=worst.pod,
        container=worst.container,
        exit_code=worst.exit_code,
        terminal=worst.reason in over,
        evidence=tuple(findings),
    )


def _key(shown: Sequence[Group], finding: Evidence) -> str:
    """A reason belongs to the templates it was seen with: another rollout starts its own grace."""
    return "/".join((finding.reason, *sorted(g.hash for g in shown)))


def _good(counts: Verdict, shown: Sequence[Group], wanted: Wanted, now: datetime) -> Verdict:
    """Nothing is bad: are all new pods there, and for how long?"""
    if counts.wanted == 0:
        return replace(counts, state=State.OK, text="0 replicas wanted: nothing runs")
    empty = Memory(first=counts.memory.first)
    short = any(sum(is_ready(p) for p in g.new) < g.wanted for g in shown)
    left = sum(len(g.old) for g in shown)
    if short or left:
        more = f", {counts.old} old pods still serve" if counts.old else ""
        return replace(counts, text=f"{counts.ready}/{counts.wanted} new pods{more}", memory=empty)
    signature = tuple(sorted((name_of(p), _restarts(p)) for g in shown for p in g.new))
    same = signature == counts.memory.signature and counts.memory.ready_since is not None
    since = counts.memory.ready_since if same and counts.memory.ready_since else now
    stable = (now - since).total_seconds()
    done = stable >= wanted.soak
    digest = _digest_seen(shown, wanted)
    told = ", image digest not shown" if done and digest == "not shown" else ""
    plural = "s" if counts.wanted > 1 else ""
    length = f"{stable:.0f} s" if done else f"{stable:.0f} of {wanted.soak:.0f} s"
    return replace(
        counts,
        state=State.OK if done else State.WAIT,
        text=f"{counts.ready}/{counts.wanted} new pod{plural}, stable {length}{told}",
        memory=replace(empty, ready_since=since, signature=signature),
        stable=stable,
        digest=digest,
    )


def _restarts(pod: Object) -> int:
    return sum(number(s, "restartCount") for s in items(pod, "status", "containerStatuses"))


def _findings(group: Group, first: Mapping[str, int]) -> Iterator[Evidence]:
    """Everything that is bad about a workload's newest template."""
    if get(group.workload, "spec", "paused") is True:
        yield Evidence("", "", "Paused")
    progress = condition(group.workload, "Progressing")
    if not group.waiting and text(progress, "reason") == "ProgressDeadlineExceeded":
        yield Evidence("", "", "ProgressDeadlineExceeded", text(progress, "message"))
    for holder in (group.workload, group.replica_set or {}):
        failure = condition(holder, "ReplicaFailure")
        if not group.waiting and text(failure, "status") == "True":
            yield Evidence("", "", "ReplicaFailure", text(failure, "message"))
            break
    for pod in group.new:
        yield from _pod(pod)
        if _restarts(pod) - first.get(name_of(pod), 0) >= _RISING:
            yield Evidence(name_of(pod), "", "Restarts", "", None, _restarts(pod))


def _pod(pod: Object) -> Iterator[Evidence]:
    name = name_of(pod)
    scheduled = condition(pod, "PodScheduled")
    if text(scheduled, "status") == "False" and text(scheduled, "reason") == "Unschedulable":
        yield Evidence(name, "", "Unschedulable", text(scheduled, "message"))
    if text(pod, "status", "phase") == "Failed" and not items(pod, "status", "containerStatuses"):
        yield Evidence(name, "", text(pod, "status", "reason") or "Failed", text(pod, "status", "message"))
    for init, key in ((True, "initContainerStatuses"), (False, "containerStatuses")):
        for status in items(pod, "status", key):
            if found := _container(name, status, init):
                yield found


def _container(pod: str, status: Object, init: bool) -> Evidence | None:
    """What is bad about a container; crash loops look different each second, so they all read "Crash"."""
    waiting, ended = get(status, "state", "waiting"), get(status, "state", "terminated")
    last = get(status, "lastState", "terminated")
    restarts, name = number(status, "restartCount"), text(status, "name")
    reason, message = text(waiting, "reason"), text(waiting, "message")
    if reason in _PULL:
        return Evidence(pod, name, "ImagePull", message or reason, None, restarts)
    crashed = ended if ended is not None and not (init and number(ended, "exitCode") == 0) else None
    if crashed is None and last is not None and get(status, "ready") is not True and not (init and ended):
        crashed = last
    if crashed is not None or reason == "CrashLoopBackOff":
        code = number(crashed, "exitCode", default=-1)
        what = "OOMKilled" if text(crashed, "reason") == "OOMKilled" else "Crash"
        said = text(crashed, "message") or message
        return Evidence(pod, name, what, said, code if code >= 0 else None, restarts)
    if reason.startswith(("Err", "Invalid")) or reason.endswith(("Error", "BackOff")):
        return Evidence(pod, name, reason, message, None, restarts)
    return None


def _run_by(reference: str, images: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """The wanted images of a container's repository, and those among them whose tag it runs."""
    repository, tag = split_image(reference)
    same = frozenset(i for i in images if same_repository(repository, split_image(i)[0]))
    return same, frozenset(i for i in same if split_image(i)[1] == tag)


def _has_come(shown: Sequence[Group], wanted: Wanted) -> bool:
    """While an apply runs: whether all that is shown has the wanted tags, and some wanted image is among it."""
    if not wanted.images:
        return True
    seen = [_run_by(text(c, "image"), wanted.images) for _, c in _specs(shown)]
    return any(same for same, _ in seen) and all(runs for same, runs in seen if same)


def _wrong_images(shown: Sequence[Group], wanted: Wanted) -> Iterator[Evidence]:
    """Templates, pods and digests that are not what is wanted, and once applied the images that nobody runs."""
    lacking = set(wanted.images)
    for pod, c in _specs(shown):
        same, runs = _run_by(text(c, "image"), wanted.images)
        lacking -= runs or same
        if same and not runs:
            tags = " or ".join(sorted(split_image(i)[1] for i in same))
            yield Evidence(
                pod, text(c, "name"), "AnotherImage", f"{split_image(text(c, 'image'))[1]} instead of {tags}"
            )
    for image in sorted(lacking) if wanted.applied else ():
        yield Evidence("", "", "AnotherImage", f"no container runs {image}")
    for pod, container, image, digest in _digests(shown, wanted):
        if digest and digest not in wanted.images[image]:
            yield Evidence(pod, container, "AnotherDigest", digest)


def _specs(shown: Sequence[Group]) -> Iterator[tuple[str, Object]]:
    """(pod, container) of each template, there without a pod, and of each new pod."""
    for group in shown:
        for c in containers(get(group.workload, "spec", "template", "spec")):
            yield "", c
        for pod in group.new:
            for c in containers(get(pod, "spec")):
                yield name_of(pod), c


def _digest_seen(shown: Sequence[Group], wanted: Wanted) -> str:
    asked = {image for image, digests in wanted.images.items() if digests}
    if not asked:
        return "not asked"
    seen = [(image, digest) for _, _, image, digest in _digests(shown, wanted)]
    return "match" if asked == {image for image, _ in seen} and all(digest for _, digest in seen) else "not shown"


def _digests(shown: Sequence[Group], wanted: Wanted) -> Iterator[tuple[str, str, str, str]]:
    """(pod, container, wanted image it runs, registry digest) where a digest is asked for.

    The digest is "" where the runtime shows no `name@sha256:…`.
    """
    for pod in (p for g in shown for p in g.new):
        mine = {text(c, "name"): _run_by(text(c, "image"), wanted.images)[1] for c in containers(get(pod, "spec"))}
        for key in ("initContainerStatuses", "containerStatuses"):
            for status in items(pod, "status", key):
                _, at, digest = text(status, "imageID").rpartition("@")
                known = bool(at) and _DIGEST.fullmatch(digest) is not None
                for image in sorted(mine.get(text(status, "name"), ())):
                    if wanted.images[image]:
                        yield name_of(pod), text(status, "name"), image, digest if known else ""


def _words(e: Evidence) -> str:
    """A reason in a few words, after "2/2 new pods"."""
    exit_code = f" (exit {e.exit_code})" if e.exit_code is not None else ""
    message = f": {' '.join(e.message.split())[:120]}" if e.message else ""
    return {
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
    }.get(e.reason, f"cannot start ({e.reason})")
