"""Reads environments, releases and values layers out of a helmfile, which is a Go template and often no YAML.

Whole-line directives are dropped, expressions within lines become marks, and what is left is read as YAML; a part
that is none even then is read by indentation. Nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from . import template
from .document import BOM, LOADER

NAMES = ("helmfile.yaml", "helmfile.yaml.gotmpl")
#: what a helmfile reads that says nothing of its layers
USUAL = ("values.yaml", "values-{{ .Environment.Name }}.yaml", "values-{{ .Release.Name }}.yaml",
         "values-{{ .Release.Name }}-{{ .Environment.Name }}.yaml")  # fmt: skip

_KEY = re.compile(r"""^(?P<indent> *)(?P<quote>["']?)(?P<key>[A-Za-z0-9][\w.-]*)(?P=quote) *:(?: |$)""")
_RELEASE = re.compile(r"""^ *- *name: *["']?(?P<name>[A-Za-z0-9][\w.-]*)["']? *(?:#.*)?$""")
_LIST = re.compile(r"\breleases: *\[(?P<names>[^\[\]{}]*)\]")


@dataclass(frozen=True)
class Layer:
    """A values file as the helmfile names it for one release in one environment.

    Attributes:
        path: relative to the helmfile's folder, or absolute: then it exists on the deploy host only.
        per_environment: the name holds the environment's.
        per_release: the name holds the release's.
        known: every expression in the name was understood; else the name holds `*`.
    """

    path: str
    per_environment: bool = False
    per_release: bool = False
    known: bool = True

    @property
    def on_server(self) -> bool:
        """It is not in this repository."""
        return self.path.startswith("/")


@dataclass(frozen=True)
class Helmfile:
    """What a helmfile says, as far as it can be read without running it.

    Attributes:
        environments: in the order they stand there; none in the old layout.
        installed: environment -> names of the releases it lists; an environment that lists none is left out.
        releases: the `releases:` entries.
        state: plain values of the helmfile's own state, for conditions.
        held: the expressions behind the marks.
    """

    environments: tuple[str, ...]
    installed: Mapping[str, tuple[str, ...]]
    releases: tuple[Mapping[str, Any], ...]
    state: Mapping[str, object] = field(default_factory=dict)
    held: tuple[str, ...] = ()

    def names(self, environment: str) -> tuple[str, ...]:
        """The releases of an environment."""
        found: list[str] = []
        listed = self.installed.get(environment)
        some = any(entry.get("installedTemplate") for entry in self.releases)
        for entry in self.releases:
            name = self._text(entry.get("name"), environment, "")
            off = self._text(entry.get("installed"), environment, name).lower() == "false"
            gated = bool(entry.get("installedTemplate"))  # decides if there is one: it asks the environment's list
            there = listed is None or name in listed or (some and not gated)
            if name and name != template.UNKNOWN and (gated or not off) and there:
                found.append(name)
        if not self.releases and listed:
            return tuple(listed)
        return tuple(dict.fromkeys(found))

    def chart(self, environment: str, release: str) -> str:
        """The chart of a release, "" where it is not said."""
        return self._text(self._entry(environment, release).get("chart"), environment, release)

    def layers(self, environment: str, release: str) -> tuple[Layer, ...]:
        """The values files of a release in an environment, the last wins."""
        entry = self._entry(environment, release)
        held = list(self.held)
        named = entry.get("values")
        if not entry or entry.get("unread"):
            named = [template.hold(usual, held) for usual in USUAL]
        elif not isinstance(named, list):
            named = []
        layers = []
        for text in named:
            if not isinstance(text, str):
                continue
            path = template.fill(
                text, held, template.Names(environment, release, str(entry.get("namespace", "")), self.state)
            )
            layers.append(
                Layer(
                    path,
                    template.mentions(text, held, ".Environment.Name"),
                    template.mentions(text, held, ".Release.Name"),
                    template.UNKNOWN not in path,
                )
            )
        return tuple(layers)

    def guessed(self, environment: str, release: str) -> bool:
        """The layers could not be read: they are what is usual."""
        entry = self._entry(environment, release)
        return not entry or bool(entry.get("unread"))

    def _entry(self, environment: str, release: str) -> Mapping[str, Any]:
        for entry in self.releases:
            if self._text(entry.get("name"), environment, release) == release:
                return entry
        return {}

    def _text(self, value: object, environment: str, release: str) -> str:
        if value is None:
            return ""
        names = template.Names(environment, release, "", self.state)
        return template.fill(str(value), list(self.held), names)


def read(raw: bytes) -> Helmfile:
    """Read a helmfile; what cannot be understood is left out, nothing is raised."""
    text = raw.decode("utf-8", "replace").removeprefix(BOM).replace("\r\n", "\n").replace("\t", "  ")
    text = template.replaced(text, lambda whole, words: "" if words.startswith("/*") else whole)
    lines = list(_kept(text.split("\n")))
    held: list[str] = []
    environments: dict[str, Any] = {}
    releases: list[Mapping[str, Any]] = []
    state: dict[str, object] = {}
    for part in re.split(r"(?m)^---.*$", template.hold("\n".join(lines), held)):
        document = _load(part)
        environments |= document.get("environments") or {}
        templates = document.get("templates") if isinstance(document.get("templates"), dict) else {}
        releases += [_inherited(e, templates or {}) for e in document.get("releases") or () if isinstance(e, dict)]
        for item in document.get("values") or ():
            if isinstance(item, dict):
                state |= item
    names = tuple(str(n) for n in environments if template.OPEN not in str(n))
    installed = {n: found for n in names if (found := _installed(environments[n], held, state, n)) is not None}
    return Helmfile(names, installed, tuple(releases), state, tuple(held))


def _kept(lines: Iterable[str]) -> Iterator[str]:
    """The lines without those that are directives only, and without what stands in loops."""
    depth = 0
    for line in lines:
        actions = [words.split(" ")[0] for _, _, words in template.actions(line)]
        whole = template.directive(line)
        if depth or (whole and "range" in actions):
            depth += sum(word in template.OPENERS for word in actions) - actions.count("end")
        elif not whole:
            yield line


def _load(part: str) -> dict[str, Any]:
    try:
        document = yaml.load(part, Loader=LOADER)  # noqa: S506 - a SafeLoader, in C where there is one
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError, LookupError):
        return _by_indentation(part.split("\n"))
    if not isinstance(document, dict):
        return {}
    for key, kind in (("environments", dict), ("releases", list), ("values", list)):
        if not isinstance(document.get(key), kind):
            document.pop(key, None)
    return document


def _inherited(entry: dict[str, Any], templates: Mapping[str, Any]) -> Mapping[str, Any]:
    """A release with what it inherits by `inherit: [{template: NAME}]`."""
    for item in entry.get("inherit") or ():
        base = templates.get(str(item.get("template"))) if isinstance(item, dict) else None
        if isinstance(base, dict):
            own, theirs = entry.get("values") or [], base.get("values") or []
            entry = {**base, **entry, "values": [*theirs, *own]}
    return entry


def _installed(environment: Any, held: list[str], state: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    """The releases an environment lists in its values."""
    values = environment.get("values") if isinstance(environment, dict) else None
    for item in values if isinstance(values, list) else ():
        found = item.get("releases") if isinstance(item, dict) else None
        if isinstance(found, list):
            names = template.Names(name, "", "", state)
            return tuple(dict.fromkeys(template.fill(str(r), held, names) for r in found))
    return None


def _by_indentation(lines: list[str]) -> dict[str, Any]:
    """Environments and releases of a part that is no YAML."""
    document: dict[str, Any] = {}
    inner = block(lines, "environments")
    keys = [m for line in inner if (m := _KEY.match(line)) and m["indent"]]
    depth = min((len(m["indent"]) for m in keys), default=0)
    environments: dict[str, Any] = {}
    for line in inner:
        match = _KEY.match(line)
        if match and len(match["indent"]) == depth:
            environments[match["key"]] = None
        elif environments and (found := _LIST.search(line)):
            names = [name.strip(" \"'") for name in found["names"].split(",")]
            environments[list(environments)[-1]] = {"values": [{"releases": [n for n in names if n]}]}
    releases = [{"name": m["name"]} for line in block(lines, "releases") if (m := _RELEASE.match(line))]
    if environments:
        document["environments"] = environments
    if releases:
        document["releases"] = [{**release, "unread": True} for release in releases]
    return document


def block(lines: list[str], key: str) -> list[str]:
    """The lines below a top-level key, of all its occurrences."""
    found: list[str] = []
    inside = False
    for line in lines:
        match = _KEY.match(line)
        if match and not match["indent"]:
            inside = match["key"] == key
        elif inside and line.strip() and not line.lstrip().startswith("#"):
            found.append(line)
    return found
