"""Reads the full-context text of `helmfile diff` and says, field by field, what would change.

helm-diff prints per release a line `Comparing release=…`, per object a header at column 0, then the whole
object, each line prefixed by `+ `, `- ` or two blanks. So both documents of an object can be rebuilt and
compared; a ConfigMap whose text looks like a header stays unambiguous because it is prefixed. What cannot be
rebuilt is one surprise, "unreadable", never an expected change. Values of Secrets are dropped while reading.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import yaml

from quarterdeck.core.cluster.diff import Cause, Diff, Field, ObjectDiff, ReleaseDiff, Verb
from quarterdeck.core.cluster.documents import Path, UnreadableError, compare, parse, replicas, scalar, text_of, type_of

#: repository name -> tag afterwards, or (tag before, tag afterwards) of the expected change; "" means any tag
Images = Mapping[str, str | tuple[str, str]]

_COMPARING = re.compile(r"^Comparing release=(?P<name>[^,]+), chart=(?P<chart>[^,]*)(?:, namespace=(?P<ns>\S*))?")
_HEADER = re.compile(
    r"^(?P<ns>[^,\s]*), (?P<name>[^,\s]+), (?P<kind>[A-Za-z]\w*) \((?P<group>[^()\s]*)\) "
    r"(?P<verb>has changed, but diff is empty after suppression|has changed|has been added|has been removed"
    r"|changed ownership)[.:]?\s*$"
)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
#: what helmfile's hooks may print between the objects
_NOISE = re.compile(r"^(hook\[|helmfile\.yaml:|\.{3,}|\s*$)")


def read(text: str, images: Images | None = None) -> Diff:
    """Read helm-diff's text; whatever it is, nothing is raised.

    Args:
        text: stdout of `helmfile diff`, full context (no `--context`).
        images: the expected changes.
    """
    reader = _Reader(images or {})
    for line in _ANSI.sub("", text).split("\n"):
        reader.take(line.rstrip("\r"))
    return reader.end()


def of_releases(text: str, names: Collection[str]) -> str:
    """The parts of a diff's text that are of some releases, and what stands before the first."""
    kept: list[str] = []
    keeping = True
    for line in text.splitlines(keepends=True):
        if match := _COMPARING.match(_ANSI.sub("", line)):
            keeping = match["name"] in names
        if keeping:
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
            self._releases[-1] = replace(self._releases[-1], objects=tuple(self._objects))
        self._objects = []

    def _close_object(self) -> None:
        if self._header:
            self._objects.append(_object(self._releases[-1].name, self._header, self._body, self._images))
        self._header = None
        self._body = []


def _object(release: str, header: re.Match[str], body: Sequence[str], images: Images) -> ObjectDiff:
    """Rebuild and compare one object."""
    verb = Verb(header["verb"])
    plain = ObjectDiff(release, header["ns"], header["name"], header["kind"], header["group"], verb)
    if verb is Verb.OWNERSHIP:
        return plain
    if verb is Verb.SUPPRESSED:
        return replace(plain, unreadable="suppressed")
    try:
        old = parse([line[2:] for line in body if line[:1] != "+"])
        new = parse([line[2:] for line in body if line[:1] != "-"])
    except UnreadableError as why:
        return replace(plain, unreadable=str(why))
    if (old is None) is not (verb is Verb.ADDED) or (new is None) is not (verb is Verb.REMOVED):
        return replace(plain, unreadable="header and body disagree")
    counted = replace(plain, replicas=replicas(new))
    if old is None or new is None:
        return counted
    changes = list(compare(old, new))
    if not changes and any(_changes_more_than_blanks(line) for line in body):
        return replace(plain, unreadable="lines differ, documents do not")
    secret = "Secret" in (plain.kind, scalar(old, "kind"), scalar(new, "kind"))
    fields = tuple(_field(path, before, after, secret, images) for path, before, after in changes)
    return replace(counted, fields=fields)


def _changes_more_than_blanks(line: str) -> bool:
    """Whether a line is marked as changed and holds more than blanks or a comment."""
    content = line[2:].strip()
    return line[:1] in ("+", "-") and content != "" and not content.startswith("#")


def _field(path: Path, old: yaml.Node | None, new: yaml.Node | None, secret: bool, images: Images) -> Field:
    written_path = path[0] + "".join(part if part.startswith("[") else f".{part}" for part in path[1:])
    if secret:
        return Field(written_path, None, None, Cause.SURPRISE)
    before, after = text_of(old), text_of(new)
    if before is not None and before == after:  # "1" became 1: the types tell them apart
        before, after = f"{before} ({type_of(old)})", f"{after} ({type_of(new)})"
    return Field(written_path, before, after, _cause(path, before, after, images))


def _cause(path: Path, old: str | None, new: str | None, images: Images) -> Cause:
    if not old or not new:
        return Cause.SURPRISE
    if path[-1] == "image" and ("containers" in path or "initContainers" in path):
        return Cause.IMAGE if _is_expected(old, new, images) else Cause.SURPRISE
    parent = path[-3:-1]
    if parent == ("metadata", "annotations") and path[-1].startswith("[checksum/"):
        return Cause.FOLLOWS
    if parent == ("metadata", "labels") and path[-1] in ("[helm.sh/chart]", "chart"):
        return Cause.FOLLOWS
    return Cause.SURPRISE


def _is_expected(old: str, new: str, images: Images) -> bool:
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
