"""Finds workloads and the pods of their newest template in what `kubectl get -o json` shows.

Objects are untrusted: a field that is missing or of another type reads as empty, nothing raises.
Newest means, for a Deployment, the ReplicaSet whose `deployment.kubernetes.io/revision` is the Deployment's
own; for a StatefulSet `status.updateRevision`; for a DaemonSet its template generation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
REVISION = "deployment.kubernetes.io/revision"
RELEASE = "meta.helm.sh/release-name"
_GENERATION = "deprecated.daemonset.template.generation"


@dataclass(frozen=True)
class Group:
    """A workload, and its pods divided into new and old.

    Attributes:
        wanted: pods it asks for.
        hash: what tells its newest template from others; empty while nobody knows.
        waiting: why its pods cannot be judged yet; empty when they can.
        replica_set: the newest ReplicaSet, Deployments only.
        new: pods of the newest template that are not being deleted.
        old: its other pods that are not being deleted.
    """

    kind: str
    name: str
    workload: Object
    wanted: int
    hash: str = ""
    waiting: str = ""
    replica_set: Object | None = None
    new: tuple[Object, ...] = ()
    old: tuple[Object, ...] = ()


def groups(objects: Sequence[Object]) -> tuple[Group, ...]:
    """All workloads among *objects*, each with its pods."""
    return tuple(_group(o, objects) for o in objects if text(o, "kind") in KINDS)


def get(value: Any, *keys: str) -> Any:
    """A field below mappings, None when it is not there."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text(value: Any, *keys: str) -> str:
    """A text field, "" when it is not there or no text."""
    found = get(value, *keys)
    return found if isinstance(found, str) else ""


def number(value: Any, *keys: str, default: int = 0) -> int:
    """An integer field."""
    found = get(value, *keys)
    return found if isinstance(found, int) and not isinstance(found, bool) else default


def items(value: Any, *keys: str) -> tuple[Object, ...]:
    """A list field's mappings."""
    found = get(value, *keys)
    return tuple(i for i in found if isinstance(i, Mapping)) if isinstance(found, list | tuple) else ()


def name_of(o: Object) -> str:
    """`metadata.name`."""
    return text(o, "metadata", "name")


def condition(o: Object, kind: str) -> Object:
    """The condition of that type, empty when there is none."""
    return next((c for c in items(o, "status", "conditions") if text(c, "type") == kind), {})


def is_ready(pod: Object) -> bool:
    """Whether Kubernetes sends traffic to the pod."""
    return text(condition(pod, "Ready"), "status") == "True" and not get(pod, "metadata", "deletionTimestamp")


def containers(spec: Any) -> Iterator[Object]:
    """Init containers, then containers of a pod spec."""
    yield from items(spec, "initContainers")
    yield from items(spec, "containers")


def pods_of(workload: Object, objects: Sequence[Object]) -> tuple[Object, ...]:
    """All pods a workload controls, new and old, also those being deleted."""
    owners = [workload]
    if text(workload, "kind") == "Deployment":
        owners = [o for o in objects if text(o, "kind") == "ReplicaSet" and _owned(o, workload)]
    pods = (o for o in objects if text(o, "kind") == "Pod")
    return tuple(p for p in pods if any(_owned(p, owner) for owner in owners))


def _group(workload: Object, objects: Sequence[Object]) -> Group:
    kind, name = text(workload, "kind"), name_of(workload)
    wanted = number(workload, "spec", "replicas", default=1)
    if kind == "DaemonSet":
        wanted = number(workload, "status", "desiredNumberScheduled")
    plain = Group(kind, name, workload, wanted)
    if number(workload, "metadata", "generation") > number(workload, "status", "observedGeneration"):
        return Group(kind, name, workload, wanted, waiting="the controller has not seen the change yet")
    if kind == "Deployment":
        return _deployment(plain, objects)
    mine = pods_of(workload, objects)
    if kind == "StatefulSet":
        return _divided(plain, mine, "controller-revision-hash", text(workload, "status", "updateRevision"))
    generation = text(workload, "metadata", "annotations", _GENERATION)
    return _divided(plain, mine, "pod-template-generation", generation)


def _deployment(group: Group, objects: Sequence[Object]) -> Group:
    sets = [o for o in objects if text(o, "kind") == "ReplicaSet" and _owned(o, group.workload)]
    revision = text(group.workload, "metadata", "annotations", REVISION)
    newest = next((s for s in sets if revision and text(s, "metadata", "annotations", REVISION) == revision), None)
    if newest is None:
        return Group(group.kind, group.name, group.workload, group.wanted, waiting="no new ReplicaSet yet")
    pods = [p for p in objects if text(p, "kind") == "Pod" and not get(p, "metadata", "deletionTimestamp")]
    return Group(
        group.kind,
        group.name,
        group.workload,
        group.wanted,
        hash=text(newest, "metadata", "labels", "pod-template-hash") or name_of(newest),
        replica_set=newest,
        new=tuple(p for p in pods if _owned(p, newest)),
        old=tuple(p for p in pods if any(_owned(p, s) for s in sets if s is not newest)),
    )


def _divided(group: Group, pods: Sequence[Object], label: str, newest: str) -> Group:
    """Divide by a label of the pods."""
    if not newest:
        return Group(group.kind, group.name, group.workload, group.wanted, waiting="no revision yet")
    alive = [p for p in pods if not get(p, "metadata", "deletionTimestamp")]
    new = tuple(p for p in alive if text(p, "metadata", "labels", label) == newest)
    old = tuple(p for p in alive if text(p, "metadata", "labels", label) != newest)
    return Group(group.kind, group.name, group.workload, group.wanted, newest, new=new, old=old)


def _owned(o: Object, owner: Object) -> bool:
    """Whether *owner* controls *o*: by uid, or by kind and name where there is no uid."""
    uid = text(owner, "metadata", "uid")
    for reference in items(o, "metadata", "ownerReferences"):
        if uid and text(reference, "uid"):
            if text(reference, "uid") == uid:
                return True
        elif (text(reference, "kind"), text(reference, "name")) == (text(owner, "kind"), name_of(owner)):
            return True
    return False


def split_image(reference: str) -> tuple[str, str]:
    """Repository and tag of an image reference; a digest behind it is cut off."""
    reference = reference.partition("@")[0]
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "")


def same_repository(repository: str, name: str) -> bool:
    """Whether a repository, with or without its registry's host, is the one of that name."""
    return repository == name or repository.endswith(f"/{name}")
