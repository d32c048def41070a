"""What `helmfile diff` would change: releases, objects and fields, what of it is a surprise, and short words for all.

`diff_reader` reads it from helm-diff's text. Values of Secrets are never kept.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")


class Verb(StrEnum):
    """What helm-diff says happens to an object."""

    CHANGED = "has changed"
    ADDED = "has been added"
    REMOVED = "has been removed"
    OWNERSHIP = "changed ownership"
    SUPPRESSED = "has changed, but diff is empty after suppression"


class Cause(StrEnum):
    """Whether a field's change follows from the new image, or somebody should look at it."""

    IMAGE = "image"  #: the expected image at the expected tag
    FOLLOWS = "follows"  #: a checksum annotation or the chart's label
    SURPRISE = "surprise"


@dataclass(frozen=True)
class Field:
    """One changed field of an object.

    Attributes:
        path: e.g. `spec.template.spec.containers[main].image`; list items by name where all have one.
        old: the value before as one text, None when it was not there; None in Secrets.
        new: the value afterwards, likewise.
    """

    path: str
    old: str | None
    new: str | None
    cause: Cause

    @property
    def key(self) -> str:
        """The last part of the path."""
        return re.split(r"\.(?![^\[]*\])", self.path)[-1]

    @property
    def words(self) -> str:
        """The change in a few words."""
        if self.old is None and self.new is None:
            return f"{self.path} changed"
        if self.old is None:
            return f"+ {self.path} {_short(self.new, 40)}"
        if self.new is None:
            return f"- {self.path} {_short(self.old, 40)}"
        return f"{self.path} {_short(self.old, 40)} → {_short(self.new, 40)}"


@dataclass(frozen=True)
class ObjectDiff:
    """One object that would change.

    Attributes:
        group: API group as helm-diff prints it ("apps", "v1" for core).
        unreadable: why its fields are not known; empty when they are.
        replicas: pods it asks for afterwards; None when it does not say.
    """

    release: str
    namespace: str
    name: str
    kind: str
    group: str
    verb: Verb
    fields: tuple[Field, ...] = ()
    unreadable: str = ""
    replicas: int | None = None

    @property
    def surprises(self) -> tuple[str, ...]:
        """One short text for each thing that does not follow from the image."""
        title = f"{self.kind} {self.name}"
        if self.verb is Verb.ADDED:
            return (f"+ {title}",)
        if self.verb is Verb.REMOVED:
            return (f"- {title}",)
        if self.verb is Verb.OWNERSHIP:
            return (f"{title} changes its owning release",)
        if self.unreadable:
            return (f"{title} unreadable ({self.unreadable})",)
        return tuple(f"{title}: {field.words}" for field in self.fields if field.cause is Cause.SURPRISE)

    @property
    def has_expected_image(self) -> bool:
        """Whether one of its containers gets the expected image."""
        return any(field.cause is Cause.IMAGE for field in self.fields)

    @property
    def restarts_pods(self) -> bool:
        """Whether pods are replaced: something in the pod template changes, or nobody can say."""
        if self.kind not in WORKLOADS:
            return False
        if self.verb is not Verb.CHANGED or self.unreadable:
            return True
        return any(field.path.startswith("spec.template") for field in self.fields)

    def changed_lines(self) -> Iterator[str]:
        """What changes, a short line for each thing: `- image …/citoid:OLD`, `+ image …/citoid:NEW`."""
        if self.verb is not Verb.CHANGED or self.unreadable:
            yield from self.surprises
        for field in self.fields:
            if field.cause is not Cause.FOLLOWS:
                yield from _signed_lines(field, self.kind)


@dataclass(frozen=True)
class ReleaseDiff:
    """What would change in one Helm release; no objects means nothing would."""

    name: str
    chart: str
    namespace: str
    objects: tuple[ObjectDiff, ...] = ()


@dataclass(frozen=True)
class Diff:
    """What `helmfile diff` would do to one environment.

    Attributes:
        releases: every release that was compared, also unchanged ones.
        stray: lines that belong to no object; any of them is one surprise.
    """

    releases: tuple[ReleaseDiff, ...] = ()
    stray: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[ObjectDiff, ...]:
        """The changed objects of all releases."""
        return tuple(changed for release in self.releases for changed in release.objects)

    def of(self, names: Collection[str]) -> tuple[Diff, list[str]]:
        """The diff of some releases, with all stray text, and the names of changed ones that are not among them."""
        chosen = tuple(release for release in self.releases if release.name in names)
        left_out = [release.name for release in self.releases if release.objects and release.name not in names]
        return Diff(chosen, self.stray), left_out

    @property
    def empty(self) -> bool:
        """Whether nothing at all would change."""
        return not self.objects and not self.stray

    @property
    def surprises(self) -> tuple[str, ...]:
        """Short texts, one for each thing to count in `with N`."""
        surprises = tuple(surprise for changed in self.objects for surprise in changed.surprises)
        return (*surprises, "unreadable: text that belongs to no object") if self.stray else surprises

    @property
    def has_expected_image(self) -> bool:
        """Whether some object gets the expected image."""
        return any(changed.has_expected_image for changed in self.objects)

    @property
    def image_only(self) -> bool:
        """Whether the image changes as expected, and nothing else but what follows from it."""
        return self.has_expected_image and not self.surprises

    def workloads(self) -> tuple[tuple[str, int], ...]:
        """How many of each workload kind would change, e.g. (("Deployment", 2),)."""
        kinds = [changed.kind for changed in self.objects]
        return tuple((kind, kinds.count(kind)) for kind in WORKLOADS if kind in kinds)

    @property
    def pods(self) -> int:
        """How many pods would be replaced, as far as the objects say how many they want."""
        restarted = [o for o in self.objects if o.restarts_pods and o.verb is not Verb.REMOVED]
        return sum(workload.replicas or 0 for workload in restarted)

    def changed_lines(self, limit: int = 4) -> tuple[str, ...]:
        """`- image …/citoid:OLD`, `+ image …/citoid:NEW` for chat; empty when it takes more than *limit*."""
        lines: dict[str, None] = {}
        for changed in self.objects:
            lines.update(dict.fromkeys(changed.changed_lines()))
        if self.stray:
            lines["unreadable text"] = None
        return tuple(lines) if len(lines) <= limit else ()

    def summary(self, limit: int = 2) -> str:
        """E.g. "1 Deployment, image only" or "image + 2 surprises: …; …"; *limit* surprises by name."""
        if self.empty:
            return "no change"
        surprises = self.surprises
        if not surprises:
            what = "image only" if self.has_expected_image else "checksums and chart labels only"
            counts = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in self.workloads())
            return f"{counts}, {what}" if counts else what
        image = "image + " if self.has_expected_image else ""
        plural = "s" if len(surprises) > 1 else ""
        more = f"; {len(surprises) - limit} more" if len(surprises) > limit else ""
        return f"{image}{len(surprises)} surprise{plural}: {'; '.join(surprises[:limit])}{more}"


def _signed_lines(field: Field, kind: str) -> Iterator[str]:
    if field.old is None and field.new is None:
        yield f"± {kind} {field.path}"
        return
    for sign, value in (("-", field.old), ("+", field.new)):
        if value is None:
            continue
        if field.key == "image":
            yield f"{sign} image {_image_without_registry(value)}"
        else:
            yield f"{sign} {field.path} {_short(value)}"


def _image_without_registry(reference: str) -> str:
    """An image without the registry and the path before its last element."""
    return f"…/{reference.rpartition('/')[2]}" if "/" in reference else reference


def _short(value: str | None, limit: int = 80) -> str:
    """One line of at most *limit* characters."""
    line = " ".join((value or "").split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
