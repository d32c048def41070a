"""What is bad about the newest pods of a workload, and about the images they run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from quarterdeck.core.cluster.objects import (
    Object,
    condition,
    containers,
    get,
    items,
    name_of,
    number,
    restarts,
    same_repository,
    split_image,
    text,
)
from quarterdeck.core.cluster.workloads import Workload

#: what Kubernetes calls a failed image pull, first try or later ones
_PULL_REASONS = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError"})
#: so many restarts more than at first sight are no accident
_RISING = 2
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

#: full reference, or its end "name:tag" -> acceptable registry digests; none: digests are not compared
Images = Mapping[str, frozenset[str]]


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
class RunningDigest:
    """A container that runs one of the expected images.

    Attributes:
        image: the expected image.
        digest: of the registry; "" where the container runtime shows no `name@sha256:…`.
    """

    pod: str
    container: str
    image: str
    digest: str


def findings_of(workload: Workload, first_restarts: Mapping[str, int]) -> Iterator[Evidence]:
    """Everything that is bad about a workload's newest template.

    Args:
        first_restarts: pod -> its restarts when it was first seen.
    """
    if get(workload.manifest, "spec", "paused") is True:
        yield Evidence("", "", "Paused")
    if not workload.waiting:
        yield from _failed_conditions(workload)
    for pod in workload.new:
        yield from _pod_findings(pod)
        if restarts(pod) - first_restarts.get(name_of(pod), 0) >= _RISING:
            yield Evidence(name_of(pod), "", "Restarts", "", None, restarts(pod))


def _failed_conditions(workload: Workload) -> Iterator[Evidence]:
    """What the workload's controller says of its own failure."""
    progress = condition(workload.manifest, "Progressing")
    if text(progress, "reason") == "ProgressDeadlineExceeded":
        yield Evidence("", "", "ProgressDeadlineExceeded", text(progress, "message"))
    for holder in (workload.manifest, workload.replica_set or {}):
        failure = condition(holder, "ReplicaFailure")
        if text(failure, "status") == "True":
            yield Evidence("", "", "ReplicaFailure", text(failure, "message"))
            return


def _pod_findings(pod: Object) -> Iterator[Evidence]:
    name = name_of(pod)
    scheduled = condition(pod, "PodScheduled")
    if text(scheduled, "status") == "False" and text(scheduled, "reason") == "Unschedulable":
        yield Evidence(name, "", "Unschedulable", text(scheduled, "message"))
    if text(pod, "status", "phase") == "Failed" and not items(pod, "status", "containerStatuses"):
        yield Evidence(name, "", text(pod, "status", "reason") or "Failed", text(pod, "status", "message"))
    for status in items(pod, "status", "initContainerStatuses"):
        yield from _container_findings(name, status, init=True)
    for status in items(pod, "status", "containerStatuses"):
        yield from _container_findings(name, status, init=False)


def _container_findings(pod: str, status: Object, init: bool) -> Iterator[Evidence]:
    """What is bad about a container; crash loops look different each second, so they all read "Crash"."""
    name, restart_count = text(status, "name"), number(status, "restartCount")
    waiting = get(status, "state", "waiting")
    reason, message = text(waiting, "reason"), text(waiting, "message")
    if reason in _PULL_REASONS:
        yield Evidence(pod, name, "ImagePull", message or reason, None, restart_count)
        return
    crash = _crash(status, init)
    if crash is not None or reason == "CrashLoopBackOff":
        exit_code = number(crash, "exitCode", default=-1)
        kind = "OOMKilled" if text(crash, "reason") == "OOMKilled" else "Crash"
        detail = text(crash, "message") or message
        yield Evidence(pod, name, kind, detail, exit_code if exit_code >= 0 else None, restart_count)
    elif reason.startswith(("Err", "Invalid")) or reason.endswith(("Error", "BackOff")):
        yield Evidence(pod, name, reason, message, None, restart_count)


def _crash(status: Object, init: bool) -> Object | None:
    """How a container ended that should have stayed, just now or the last time; None if it did not."""
    ended = get(status, "state", "terminated")
    if ended is not None and not (init and number(ended, "exitCode") == 0):
        return ended if isinstance(ended, Mapping) else {}
    last_end = get(status, "lastState", "terminated")
    if last_end is None or get(status, "ready") is True or (init and ended):
        return None
    return last_end if isinstance(last_end, Mapping) else {}


# -- images ----------------------------------------------------------------------------------------------------


def has_come(workloads: Sequence[Workload], images: Images) -> bool:
    """While an apply runs: whether all that is shown has the expected tags, and some expected image is among it."""
    if not images:
        return True
    some_expected = False
    for _, container in _new_containers(workloads):
        same_images, exact_images = _expected_for(text(container, "image"), images)
        if same_images and not exact_images:
            return False
        some_expected = some_expected or bool(same_images)
    return some_expected


def wrong_images(workloads: Sequence[Workload], images: Images, applied: bool) -> Iterator[Evidence]:
    """Templates, pods and digests that are not what is expected, and once applied the images that nobody runs."""
    unseen = set(images)
    for pod, container in _new_containers(workloads):
        reference = text(container, "image")
        same_images, exact_images = _expected_for(reference, images)
        unseen -= exact_images or same_images
        if same_images and not exact_images:
            tags = " or ".join(sorted(split_image(image)[1] for image in same_images))
            message = f"{split_image(reference)[1]} instead of {tags}"
            yield Evidence(pod, text(container, "name"), "AnotherImage", message)
    if applied:
        for image in sorted(unseen):
            yield Evidence("", "", "AnotherImage", f"no container runs {image}")
    for running in running_digests(workloads, images):
        if running.digest and running.digest not in images[running.image]:
            yield Evidence(running.pod, running.container, "AnotherDigest", running.digest)


def running_digests(workloads: Sequence[Workload], images: Images) -> Iterator[RunningDigest]:
    """The digests that the new pods run, of the images for which a digest is expected."""
    for workload in workloads:
        for pod in workload.new:
            yield from _pod_digests(pod, images)


def _pod_digests(pod: Object, images: Images) -> Iterator[RunningDigest]:
    expected_by_container: dict[str, frozenset[str]] = {}
    for container in containers(get(pod, "spec")):
        expected_by_container[text(container, "name")] = _expected_for(text(container, "image"), images)[1]
    statuses = (*items(pod, "status", "initContainerStatuses"), *items(pod, "status", "containerStatuses"))
    for status in statuses:
        name = text(status, "name")
        digest = _digest_of(text(status, "imageID"))
        for image in sorted(expected_by_container.get(name, ())):
            if images[image]:
                yield RunningDigest(name_of(pod), name, image, digest)


def _digest_of(image_id: str) -> str:
    """The registry's digest in a container status's `imageID`, "" where the runtime shows another kind of id."""
    _, at, digest = image_id.rpartition("@")
    return digest if at and _DIGEST.fullmatch(digest) else ""


def _expected_for(reference: str, images: Images) -> tuple[frozenset[str], frozenset[str]]:
    """The expected images of a container's repository, and those among them whose tag it runs."""
    repository, tag = split_image(reference)
    same_images = frozenset(image for image in images if same_repository(repository, split_image(image)[0]))
    exact_images = frozenset(image for image in same_images if split_image(image)[1] == tag)
    return same_images, exact_images


def _new_containers(workloads: Sequence[Workload]) -> Iterator[tuple[str, Object]]:
    """(pod, container) of each newest template, where the pod is "", and of each new pod."""
    for workload in workloads:
        for container in containers(get(workload.manifest, "spec", "template", "spec")):
            yield "", container
        for pod in workload.new:
            for container in containers(get(pod, "spec")):
                yield name_of(pod), container
