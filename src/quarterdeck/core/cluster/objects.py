"""Reads fields of Kubernetes objects as `kubectl get -o json` gives them.

Objects are untrusted: a field that is missing or of another type reads as empty, nothing raises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Object = Mapping[str, Any]


def get(value: Any, *keys: str) -> Any:
    """A field below mappings, None when it is not there."""
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def text(value: Any, *keys: str) -> str:
    """A text field, "" when it is not there or no text."""
    field = get(value, *keys)
    return field if isinstance(field, str) else ""


def number(value: Any, *keys: str, default: int = 0) -> int:
    """An integer field."""
    field = get(value, *keys)
    return field if isinstance(field, int) and not isinstance(field, bool) else default


def items(value: Any, *keys: str) -> tuple[Object, ...]:
    """A list field's mappings."""
    field = get(value, *keys)
    if not isinstance(field, list | tuple):
        return ()
    return tuple(item for item in field if isinstance(item, Mapping))


def name_of(item: Object) -> str:
    """`metadata.name`."""
    return text(item, "metadata", "name")


def is_pod(item: Object) -> bool:
    """Whether the object is a pod."""
    return text(item, "kind") == "Pod"


def is_leaving(item: Object) -> bool:
    """Whether the object is being deleted."""
    return bool(get(item, "metadata", "deletionTimestamp"))


def condition(item: Object, kind: str) -> Object:
    """The condition of that type, empty when there is none."""
    for entry in items(item, "status", "conditions"):
        if text(entry, "type") == kind:
            return entry
    return {}


def is_ready(pod: Object) -> bool:
    """Whether Kubernetes sends traffic to the pod."""
    return text(condition(pod, "Ready"), "status") == "True" and not is_leaving(pod)


def containers(pod_spec: Any) -> Iterator[Object]:
    """Init containers, then containers of a pod spec."""
    yield from items(pod_spec, "initContainers")
    yield from items(pod_spec, "containers")


def restarts(pod: Object) -> int:
    """How often the pod's containers were restarted, in all."""
    return sum(number(status, "restartCount") for status in items(pod, "status", "containerStatuses"))


def split_image(reference: str) -> tuple[str, str]:
    """Repository and tag of an image reference; a digest behind it is cut off."""
    reference = reference.partition("@")[0]
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "")


def same_repository(repository: str, name: str) -> bool:
    """Whether a repository, with or without its registry's host, is the one of that name."""
    return repository == name or repository.endswith(f"/{name}")
