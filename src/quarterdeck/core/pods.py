"""Every pod with its tag and a few words on how it does; and what serves users, counted by tag."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .workloads import Object, get, is_ready, items, name_of, number, same_repository, split_image, text


@dataclass(frozen=True)
class Pod:
    """One pod as people look at it.

    Attributes:
        tag: of its container that runs the service's image, else of its first one.
        words: "ready", "CrashLoopBackOff (exit 1), 5 restarts", "leaving" …
    """

    name: str
    tag: str
    ready: bool
    words: str
    leaving: bool = False


def pods(objects: Sequence[Object], image: str = "") -> tuple[Pod, ...]:
    """All pods, by name."""
    return tuple(sorted((_pod(o, image) for o in objects if text(o, "kind") == "Pod"), key=lambda p: p.name))


def serving(objects: Sequence[Object], image: str) -> Mapping[str, tuple[int, int]]:
    """Tag -> (ready pods, all pods) among those that run the repository *image* and are not leaving."""
    counts: dict[str, tuple[int, int]] = {}
    for o in objects:
        if text(o, "kind") != "Pod" or get(o, "metadata", "deletionTimestamp") is not None:
            continue
        for tag in {t for name, t in map(split_image, _images(o)) if same_repository(name, image)}:
            ready, of_all = counts.get(tag, (0, 0))
            counts[tag] = (ready + is_ready(o), of_all + 1)
    return counts


def _images(pod: Object) -> list[str]:
    return [text(c, "image") for c in items(pod, "spec", "containers")]


def _pod(o: Object, image: str) -> Pod:
    refs = [split_image(ref) for ref in _images(o)]
    mine = [tag for name, tag in refs if image and same_repository(name, image)]
    tag = (mine or [tag for _, tag in refs] or [""])[0]
    leaving = get(o, "metadata", "deletionTimestamp") is not None
    ready = is_ready(o) and not leaving
    return Pod(name_of(o), tag, ready, "leaving" if leaving else "ready" if ready else _trouble(o), leaving)


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
