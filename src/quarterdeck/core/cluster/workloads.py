"""Finds workloads and the pods of their newest template in what `kubectl get -o json` shows.

Newest means, for a Deployment, the ReplicaSet whose `deployment.kubernetes.io/revision` is the Deployment's
own; for a StatefulSet `status.updateRevision`; for a DaemonSet its template generation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quarterdeck.core.cluster.objects import Object, is_leaving, is_pod, items, name_of, number, text

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
REVISION = "deployment.kubernetes.io/revision"
RELEASE = "meta.helm.sh/release-name"
_GENERATION = "deprecated.daemonset.template.generation"


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or DaemonSet, and its pods divided into new and old.

    Attributes:
        manifest: the object itself.
        replicas: pods it asks for.
        template: what tells its newest pod template from others; empty while nobody knows.
        waiting: why its pods cannot be judged yet; empty when they can.
        replica_set: the newest ReplicaSet, Deployments only.
        new: pods of the newest template that are not being deleted.
        old: its other pods that are not being deleted.
    """

    kind: str
    name: str
    manifest: Object
    replicas: int
    template: str = ""
    waiting: str = ""
    replica_set: Object | None = None
    new: tuple[Object, ...] = ()
    old: tuple[Object, ...] = ()

    @property
    def release(self) -> str:
        """The Helm release it belongs to, by Helm's own annotation."""
        return text(self.manifest, "metadata", "annotations", RELEASE)


def workloads(objects: Sequence[Object]) -> tuple[Workload, ...]:
    """All workloads among *objects*, each with its pods."""
    return tuple(_workload(manifest, objects) for manifest in objects if text(manifest, "kind") in KINDS)


def pods_of(manifest: Object, objects: Sequence[Object]) -> tuple[Object, ...]:
    """All pods a workload controls, new and old, also those being deleted."""
    controllers = [manifest]
    if text(manifest, "kind") == "Deployment":
        controllers = _replica_sets(manifest, objects)
    pods = [item for item in objects if is_pod(item)]
    return tuple(pod for pod in pods if _controlled_by_any(pod, controllers))


def _workload(manifest: Object, objects: Sequence[Object]) -> Workload:
    kind = text(manifest, "kind")
    replicas = number(manifest, "spec", "replicas", default=1)
    if kind == "DaemonSet":
        replicas = number(manifest, "status", "desiredNumberScheduled")
    undivided = Workload(kind, name_of(manifest), manifest, replicas)
    if number(manifest, "metadata", "generation") > number(manifest, "status", "observedGeneration"):
        return replace(undivided, waiting="the controller has not seen the change yet")
    if kind == "Deployment":
        return _divided_by_replica_set(undivided, objects)
    pods = pods_of(manifest, objects)
    if kind == "StatefulSet":
        revision = text(manifest, "status", "updateRevision")
        return _divided_by_label(undivided, pods, "controller-revision-hash", revision)
    generation = text(manifest, "metadata", "annotations", _GENERATION)
    return _divided_by_label(undivided, pods, "pod-template-generation", generation)


def _divided_by_replica_set(deployment: Workload, objects: Sequence[Object]) -> Workload:
    """A Deployment with the pods of its newest ReplicaSet as new, those of all others as old."""
    replica_sets = _replica_sets(deployment.manifest, objects)
    newest = _newest_replica_set(deployment.manifest, replica_sets)
    if newest is None:
        return replace(deployment, waiting="no new ReplicaSet yet")
    pods = [item for item in objects if is_pod(item) and not is_leaving(item)]
    earlier = [replica_set for replica_set in replica_sets if replica_set is not newest]
    return replace(
        deployment,
        template=text(newest, "metadata", "labels", "pod-template-hash") or name_of(newest),
        replica_set=newest,
        new=tuple(pod for pod in pods if _controlled_by(pod, newest)),
        old=tuple(pod for pod in pods if _controlled_by_any(pod, earlier)),
    )


def _replica_sets(deployment: Object, objects: Sequence[Object]) -> list[Object]:
    replica_sets = [item for item in objects if text(item, "kind") == "ReplicaSet"]
    return [replica_set for replica_set in replica_sets if _controlled_by(replica_set, deployment)]


def _newest_replica_set(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    revision = text(deployment, "metadata", "annotations", REVISION)
    if not revision:
        return None
    for replica_set in replica_sets:
        if text(replica_set, "metadata", "annotations", REVISION) == revision:
            return replica_set
    return None


def _divided_by_label(workload: Workload, pods: Sequence[Object], label: str, newest: str) -> Workload:
    """A StatefulSet or DaemonSet with its pods divided by a label that names their template."""
    if not newest:
        return replace(workload, waiting="no revision yet")
    staying = [pod for pod in pods if not is_leaving(pod)]
    new = tuple(pod for pod in staying if text(pod, "metadata", "labels", label) == newest)
    old = tuple(pod for pod in staying if text(pod, "metadata", "labels", label) != newest)
    return replace(workload, template=newest, new=new, old=old)


def _controlled_by_any(item: Object, owners: Sequence[Object]) -> bool:
    return any(_controlled_by(item, owner) for owner in owners)


def _controlled_by(item: Object, owner: Object) -> bool:
    """Whether *owner* controls *item*: by uid, or by kind and name where there is no uid."""
    uid = text(owner, "metadata", "uid")
    kind_and_name = (text(owner, "kind"), name_of(owner))
    for reference in items(item, "metadata", "ownerReferences"):
        if uid and text(reference, "uid"):
            if text(reference, "uid") == uid:
                return True
        elif (text(reference, "kind"), text(reference, "name")) == kind_and_name:
            return True
    return False
