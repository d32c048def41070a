"""Every pod with its tag and a few words on how it does; and what serves users, counted by tag."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.cluster.workloads import (
    Object,
    get,
    is_ready,
    items,
    name_of,
    number,
    same_repository,
    split_image,
    text,
)


@dataclass(frozen=True)
class Pod:
    """One pod as people look at it.

    Attributes:
        tag: of its first container that runs one of the images asked for, else of its first one; as git has it.
        words: "ready", "CrashLoopBackOff (exit 1), 5 restarts", "leaving" …
    """

    name: str
    tag: str
    ready: bool
    words: str
    leaving: bool = False


def pods(
    objects: Sequence[Object], images: Collection[str] = (), suffixes: Collection[str] = (), only: bool = False
) -> tuple[Pod, ...]:
    """All pods, by name, or *only* those that run one of the images; *images* and *suffixes* as in `serving`."""
    shown = (o for o in objects if text(o, "kind") == "Pod" and (not only or _running(o, images)))
    found = (_pod(o, images, suffixes) for o in shown)
    return tuple(sorted(found, key=lambda p: p.name))


def serving(
    objects: Sequence[Object], images: Collection[str], suffixes: Collection[str] = ()
) -> Mapping[str, tuple[int, int]]:
    """Tag -> (ready pods, all pods) among those that are not leaving; a pod counts once for each tag it runs.

    Args:
        objects: items as `kubectl get -o json` gives them.
        images: repositories that count, without host and tag; of none nothing counts.
        suffixes: ends that a tag in the registry has beyond the one in git; the longest that fits is cut off.
    """
    counts: dict[str, tuple[int, int]] = {}
    for o in objects:
        if text(o, "kind") != "Pod" or get(o, "metadata", "deletionTimestamp") is not None:
            continue
        for tag in {_in_git(t, suffixes) for _, t in _running(o, images)}:
            ready, of_all = counts.get(tag, (0, 0))
            counts[tag] = (ready + is_ready(o), of_all + 1)
    return counts


def _containers(pod: Object) -> list[tuple[str, str]]:
    return [split_image(text(c, "image")) for c in items(pod, "spec", "containers")]


def _running(pod: Object, images: Collection[str]) -> list[tuple[str, str]]:
    """(repository, tag) of the containers that run one of these repositories."""
    return [(name, tag) for name, tag in _containers(pod) if any(same_repository(name, image) for image in images)]


def _in_git(tag: str, suffixes: Collection[str]) -> str:
    """The tag as git has it; one that is nothing but a suffix stays."""
    return tag.removesuffix(max((s for s in suffixes if tag.endswith(s) and tag != s), key=len, default=""))


def _pod(o: Object, images: Collection[str], suffixes: Collection[str]) -> Pod:
    _, tag = (_running(o, images) or _containers(o) or [("", "")])[0]
    leaving = get(o, "metadata", "deletionTimestamp") is not None
    ready = is_ready(o) and not leaving
    return Pod(
        name_of(o), _in_git(tag, suffixes), ready, "leaving" if leaving else "ready" if ready else _trouble(o), leaving
    )


def _trouble(o: Object) -> str:
    said: list[str] = []
    for status in items(o, "status", "containerStatuses"):
        reason = text(status, "state", "waiting", "reason") or text(status, "state", "terminated", "reason")
        code = get(status, "lastState", "terminated", "exitCode")
        if code is None:
            code = get(status, "state", "terminated", "exitCode")
        if reason:
            said.append(f"{reason}{f' (exit {code})' if code is not None else ''}")
        if restarts := number(status, "restartCount"):
            said.append(f"{restarts} restarts")
    return ", ".join(said) or f"{text(o, 'status', 'phase') or 'Pending'}, not ready"
