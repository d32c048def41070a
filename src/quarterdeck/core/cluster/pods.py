"""Every pod with its tag and a few words on how it does; and what serves users, counted by tag."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.cluster.objects import (
    Object,
    get,
    is_pod,
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
    shown = [item for item in objects if is_pod(item) and (not only or _running(item, images))]
    return tuple(sorted((_pod(item, images, suffixes) for item in shown), key=lambda pod: pod.name))


def serving(
    objects: Sequence[Object], images: Collection[str], suffixes: Collection[str] = ()
) -> Mapping[str, tuple[int, int]]:
    """Tag -> (ready pods, all pods) among those that are not leaving; a pod counts once for each tag it runs.

    Args:
        objects: items as `kubectl get -o json` gives them.
        images: repositories that count, without host and tag; of none nothing counts.
        suffixes: what a tag in the registry has beyond the one in git; the longest that fits is cut off.
    """
    counts: dict[str, tuple[int, int]] = {}
    for pod in objects:
        if not is_pod(pod) or get(pod, "metadata", "deletionTimestamp") is not None:
            continue
        for tag in {_in_git(registry_tag, suffixes) for _, registry_tag in _running(pod, images)}:
            ready, in_all = counts.get(tag, (0, 0))
            counts[tag] = (ready + is_ready(pod), in_all + 1)
    return counts


def _container_images(pod: Object) -> list[tuple[str, str]]:
    """(repository, tag) of each container."""
    return [split_image(text(container, "image")) for container in items(pod, "spec", "containers")]


def _running(pod: Object, images: Collection[str]) -> list[tuple[str, str]]:
    """(repository, tag) of the containers that run one of these repositories."""
    running = []
    for repository, tag in _container_images(pod):
        if any(same_repository(repository, image) for image in images):
            running.append((repository, tag))
    return running


def _in_git(tag: str, suffixes: Collection[str]) -> str:
    """The tag as git has it; one that is nothing but a suffix stays."""
    fitting = [suffix for suffix in suffixes if tag.endswith(suffix) and tag != suffix]
    return tag.removesuffix(max(fitting, key=len, default=""))


def _pod(pod: Object, images: Collection[str], suffixes: Collection[str]) -> Pod:
    shown_images = _running(pod, images) or _container_images(pod) or [("", "")]
    _, tag = shown_images[0]
    leaving = get(pod, "metadata", "deletionTimestamp") is not None
    ready = is_ready(pod) and not leaving
    if leaving:
        words = "leaving"
    elif ready:
        words = "ready"
    else:
        words = _trouble(pod)
    return Pod(name_of(pod), _in_git(tag, suffixes), ready, words, leaving)


def _trouble(pod: Object) -> str:
    """Why a pod is not ready, container by container."""
    reasons: list[str] = []
    for status in items(pod, "status", "containerStatuses"):
        reason = text(status, "state", "waiting", "reason") or text(status, "state", "terminated", "reason")
        exit_code = get(status, "lastState", "terminated", "exitCode")
        if exit_code is None:
            exit_code = get(status, "state", "terminated", "exitCode")
        if reason:
            reasons.append(reason if exit_code is None else f"{reason} (exit {exit_code})")
        if restart_count := number(status, "restartCount"):
            reasons.append(f"{restart_count} restarts")
    return ", ".join(reasons) or f"{text(pod, 'status', 'phase') or 'Pending'}, not ready"
