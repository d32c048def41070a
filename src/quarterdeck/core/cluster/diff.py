"""Reads the full-context text of `helmfile diff` and says, field by field, what would change.

helm-diff prints per release a line `Comparing release=…`, per object a header at column 0, then the whole
object, each line prefixed by `+ `, `- ` or two blanks. So both documents of an object can be rebuilt and
compared; a ConfigMap whose text looks like a header stays unambiguous because it is prefixed. What cannot be
rebuilt is one surprise, "unreadable", never an expected change. Values of Secrets are dropped while reading.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import yaml

from quarterdeck.core.cluster.documents import Path, UnreadableError, compare, parse, replicas, scalar, text_of, type_of

Images = Mapping[str, str | tuple[str, str]]

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob")
_COMPARING = re.compile(r"^Comparing release=(?P<name>[^,]+), chart=(?P<chart>[^,]*)(?:, namespace=(?P<ns>\S*))?")
_HEADER = re.compile(
    r"^(?P<ns>[^,\s]*), (?P<name>[^,\s]+), (?P<kind>[A-Za-z]\w*) \((?P<group>[^()\s]*)\) "
    r"(?P<verb>has changed, but diff is empty after suppression|has changed|has been added|has been removed"
    r"|changed ownership)[.:]?\s*$"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: what helmfile's hooks may print between the objects
_NOISE = re.compile(r"^(hook\[|helmfile\.yaml:|\.{3,}|\s*$)")


class Verb(StrEnum):
    """What helm-diff says happens to an object."""

    CHANGED = "has changed"
    ADDED = "has been added"
    REMOVED = "has been removed"
    OWNERSHIP = "changed ownership"
    SUPPRESSED = "has changed, but diff is empty after suppression"


class Klass(StrEnum):
    """Whether a change follows from the new image, or somebody should look at it."""

    IMAGE = "image"  #: follows: the expected image at the expected tag
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
    klass: Klass

    @property
    def key(self) -> str:
        """The last part of the path."""
        return re.split(r"\.(?![^\[]*\])", self.path)[-1]


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
        who = f"{self.kind} {self.name}"
        if self.verb is Verb.ADDED:
            return (f"+ {who}",)
        if self.verb is Verb.REMOVED:
            return (f"- {who}",)
        if self.verb is Verb.OWNERSHIP:
            return (f"{who} changes its owning release",)
        if self.unreadable:
            return (f"{who} unreadable ({self.unreadable})",)
        return tuple(f"{who}: {_words(f)}" for f in self.fields if f.klass is Klass.SURPRISE)

    @property
    def restarts_pods(self) -> bool:
        """Whether pods are replaced: something in the pod template changes, or nobody can say."""
        if self.kind not in WORKLOADS:
            return False
        return (
            self.verb is not Verb.CHANGED
            or bool(self.unreadable)
            or any(f.path.startswith("spec.template") for f in self.fields)
        )


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
        return tuple(o for r in self.releases for o in r.objects)

    def of(self, names: Collection[str]) -> tuple[Diff, list[str]]:
        """The diff of some releases, with all stray text, and the names of changed ones that are not among them."""
        mine = tuple(release for release in self.releases if release.name in names)
        left = [release.name for release in self.releases if release.objects and release.name not in names]
        return Diff(mine, self.stray), left

    @property
    def empty(self) -> bool:
        """Whether nothing at all would change."""
        return not self.objects and not self.stray

    @property
    def surprises(self) -> tuple[str, ...]:
        """Short texts, one for each thing to count in `with N`."""
        found = tuple(text for o in self.objects for text in o.surprises)
        return (*found, "unreadable: text that belongs to no object") if self.stray else found

    @property
    def image_only(self) -> bool:
        """Whether the image changes as expected, and nothing else but what follows from it."""
        images = any(f.klass is Klass.IMAGE for o in self.objects for f in o.fields)
        return images and not self.surprises

    def workloads(self) -> tuple[tuple[str, int], ...]:
        """How many of each workload kind would change, e.g. (("Deployment", 2),)."""
        counts = ((kind, sum(1 for o in self.objects if o.kind == kind)) for kind in WORKLOADS)
        return tuple((kind, count) for kind, count in counts if count)

    @property
    def pods(self) -> int:
        """How many pods would be replaced, as far as the objects say how many they want."""
        return sum(o.replicas or 0 for o in self.objects if o.restarts_pods and o.verb is not Verb.REMOVED)

    def changed_lines(self, limit: int = 4) -> tuple[str, ...]:
        """`- image …/citoid:OLD`, `+ image …/citoid:NEW` for chat; empty when it takes more than *limit*."""
        lines: dict[str, None] = {}
        for o in self.objects:
            if o.verb is not Verb.CHANGED or o.unreadable:
                lines.update(dict.fromkeys(o.surprises))
            for f in o.fields:
                if f.klass is not Klass.FOLLOWS:
                    lines.update(dict.fromkeys(_signed(f, o.kind)))
        if self.stray:
            lines["unreadable text"] = None
        return tuple(lines) if len(lines) <= limit else ()

    def summary(self, limit: int = 2) -> str:
        """E.g. "1 Deployment, image only" or "image + 2 surprises: …; …"; *limit* surprises by name."""
        if self.empty:
            return "no change"
        surprises = self.surprises
        image = any(f.klass is Klass.IMAGE for o in self.objects for f in o.fields)
        if not surprises:
            what = "image only" if image else "checksums and chart labels only"
            counts = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in self.workloads())
            return f"{counts}, {what}" if counts else what
        count = f"{len(surprises)} surprise{'s' if len(surprises) > 1 else ''}"
        more = f"; {len(surprises) - limit} more" if len(surprises) > limit else ""
        return f"{'image + ' if image else ''}{count}: {'; '.join(surprises[:limit])}{more}"


def read(text: str, images: Images | None = None) -> Diff:
    """Read helm-diff's text; whatever it is, nothing is raised.

    Args:
        text: stdout of `helmfile diff`, full context (no `--context`).
        images: repository name -> tag afterwards, or (tag before, tag afterwards) of the expected change;
            "" for a tag means any.
    """
    reader = _Reader(images or {})
    for line in _ANSI.sub("", text).split("\n"):
        reader.take(line.rstrip("\r"))
    return reader.end()


def of_releases(text: str, names: Collection[str]) -> str:
    """The parts of a diff's text that are of some releases, and what stands before the first."""
    kept, on = [], True
    for line in text.splitlines(keepends=True):
        if match := _COMPARING.match(_ANSI.sub("", line)):
            on = match["name"] in names
        if on:
            kept.append(line)
    return "".join(kept)


def deleted(stderr: str) -> tuple[str, ...]:
    """Releases that helmfile says on stderr it would delete (`name (chart) DELETED`)."""
    return tuple(re.findall(r"(?m)^\s+(\S+) \([^)]*\) DELETED\s*$", _ANSI.sub("", stderr)))


class _Reader:
    """Sorts lines to releases and objects."""

    def __init__(self, images: Images) -> None:
        self._images = images
        self._releases: list[ReleaseDiff] = []
        self._objects: list[ObjectDiff] = []
        self._header: re.Match[str] | None = None
        self._body: list[str] = []
        self._stray: list[str] = []

    def take(self, line: str) -> None:
        """One line without its end."""
        if match := _COMPARING.match(line):
            self._close_release()
            self._releases.append(ReleaseDiff(match["name"], match["chart"], match["ns"] or ""))
        elif self._releases and (match := _HEADER.match(line)):
            self._close_object()
            self._header = match
        elif self._header and (line[:2] in ("+ ", "- ", "  ") or line in ("+", "-", "")):
            self._body.append(line)
        elif self._releases and not _NOISE.match(line):
            self._stray.append(line[:200])

    def end(self) -> Diff:
        """Everything that was read."""
        self._close_release()
        return Diff(tuple(self._releases), tuple(self._stray))

    def _close_release(self) -> None:
        self._close_object()
        if self._releases:
            last = self._releases[-1]
            self._releases[-1] = ReleaseDiff(last.name, last.chart, last.namespace, tuple(self._objects))
        self._objects = []

    def _close_object(self) -> None:
        if self._header:
            self._objects.append(_object(self._releases[-1].name, self._header, self._body, self._images))
        self._header, self._body = None, []


def _object(release: str, header: re.Match[str], body: Sequence[str], images: Images) -> ObjectDiff:
    """Rebuild and compare one object."""
    verb = Verb(header["verb"])
    plain = ObjectDiff(release, header["ns"], header["name"], header["kind"], header["group"], verb)
    if verb in (Verb.OWNERSHIP, Verb.SUPPRESSED):
        return _with(plain, unreadable="suppressed" if verb is Verb.SUPPRESSED else "")
    old_lines = [line[2:] for line in body if line[:1] != "+"]
    new_lines = [line[2:] for line in body if line[:1] != "-"]
    try:
        old, new = parse(old_lines), parse(new_lines)
    except UnreadableError as why:
        return _with(plain, unreadable=str(why))
    if (old is None) is not (verb is Verb.ADDED) or (new is None) is not (verb is Verb.REMOVED):
        return _with(plain, unreadable="header and body disagree")
    pods = replicas(new)
    if old is None or new is None:
        return _with(plain, replicas=pods)
    changes = list(compare(old, new))
    if not changes and any(_telling(line) for line in body):
        return _with(plain, unreadable="lines differ, documents do not")
    secret = "Secret" in (plain.kind, scalar(old, "kind"), scalar(new, "kind"))
    fields = tuple(_field(path, a, b, secret, images) for path, a, b in changes)
    return _with(plain, fields=fields, replicas=pods)


def _with(
    o: ObjectDiff, fields: tuple[Field, ...] = (), unreadable: str = "", replicas: int | None = None
) -> ObjectDiff:
    return ObjectDiff(o.release, o.namespace, o.name, o.kind, o.group, o.verb, fields, unreadable, replicas)


def _telling(line: str) -> bool:
    """Whether a changed line is more than blanks or a comment."""
    return line[:1] in ("+", "-") and line[2:].strip() != "" and not line[2:].lstrip().startswith("#")


def _field(path: Path, old: yaml.Node | None, new: yaml.Node | None, secret: bool, images: Images) -> Field:
    text = path[0] + "".join(p if p.startswith("[") else f".{p}" for p in path[1:])
    if secret:
        return Field(text, None, None, Klass.SURPRISE)
    a, b = text_of(old), text_of(new)
    if a is not None and a == b:
        a, b = f"{a} ({type_of(old)})", f"{b} ({type_of(new)})"
    return Field(text, a, b, _klass(path, a, b, images))


def _klass(path: Path, old: str | None, new: str | None, images: Images) -> Klass:
    if path[-1] == "image" and any(p in ("containers", "initContainers") for p in path) and old and new:
        return Klass.IMAGE if _expected(old, new, images) else Klass.SURPRISE
    above = path[-3:-1]
    if above == ("metadata", "annotations") and path[-1].startswith("[checksum/") and old and new:
        return Klass.FOLLOWS
    if above == ("metadata", "labels") and path[-1] in ("[helm.sh/chart]", "chart") and old and new:
        return Klass.FOLLOWS
    return Klass.SURPRISE


def _expected(old: str, new: str, images: Images) -> bool:
    """Whether an image goes from the expected tag to the expected tag and nothing else of it changes."""
    old_name, _, old_tag = old.rpartition(":")
    new_name, _, new_tag = new.rpartition(":")
    if old_name != new_name:
        return False
    for name, expected in images.items():
        before, after = ("", expected) if isinstance(expected, str) else expected
        if new_name == name or new_name.endswith(f"/{name}"):
            return before in ("", old_tag) and after in ("", new_tag)
    return False


def _short(value: str | None, limit: int = 80) -> str:
    """One line of at most *limit* characters."""
    line = " ".join((value or "").split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _words(f: Field) -> str:
    if f.old is None and f.new is None:
        return f"{f.path} changed"
    if f.old is None:
        return f"+ {f.path} {_short(f.new, 40)}"
    if f.new is None:
        return f"- {f.path} {_short(f.old, 40)}"
    return f"{f.path} {_short(f.old, 40)} → {_short(f.new, 40)}"


def _signed(f: Field, kind: str) -> Iterator[str]:
    if f.old is None and f.new is None:
        yield f"± {kind} {f.path}"
        return
    for sign, value in (("-", f.old), ("+", f.new)):
        if value is not None and f.key == "image":
            yield f"{sign} image {_image(value)}"
        elif value is not None:
            yield f"{sign} {f.path} {_short(value)}"


def _image(ref: str) -> str:
    """An image without the registry and the path before its last element."""
    return f"…/{ref.rpartition('/')[2]}" if "/" in ref else ref
