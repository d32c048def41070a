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

from quarterdeck.core.charts.keys import classify
from quarterdeck.core.charts.reading import template
from quarterdeck.core.charts.reading.document import BOM, LOADER

#: what a helmfile reads that says nothing of its layers
USUAL = ("values.yaml", "values-{{ .Environment.Name }}.yaml", "values-{{ .Release.Name }}.yaml",
         "values-{{ .Release.Name }}-{{ .Environment.Name }}.yaml")  # fmt: skip

_KEY = re.compile(r"""^(?P<indent> *)(?P<quote>["']?)(?P<key>[A-Za-z0-9][\w.-]*)(?P=quote) *:(?: |$)""")
_RELEASE = re.compile(r"""^ *- *name: *["']?(?P<name>[A-Za-z0-9][\w.-]*)["']? *(?:#.*)?$""")
_LIST = re.compile(r"\breleases: *\[(?P<names>[^\[\]{}]*)\]")


#: a list's entry that is a file's name
_ITEM = re.compile(r"""^( *- +["']?)(?=[^\s"'#][^#]*\.(?:ya?ml|gotmpl)\b)""")
_ENTRY = re.compile(r"^ *- *name *:")
_DECIDES = re.compile(r"^ *(?:- +)?(?:values|valuesTemplate|set|setTemplate|inherit|<<) *:")
_DEPTH = 60
_GLOB = re.compile(r"[*?\[]")
#: in a file's name; blanks come of a condition that stands on a line with the next entry
_ODD = re.compile(r"[*?\[\s]")


@dataclass(frozen=True)
class Doubt:
    """Why it is not certain which files a release reads, and the helmfile's line (0 where no one line is to blame)."""

    reason: str
    line: int = 0


@dataclass(frozen=True)
class NamedLayer:
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
        doubts: what makes every release's layers uncertain.
        lines: release -> where its entry stands.
    """

    environments: tuple[str, ...]
    installed: Mapping[str, tuple[str, ...]]
    releases: tuple[Mapping[str, Any], ...]
    state: Mapping[str, object] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

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

    def layers(self, environment: str, release: str) -> tuple[NamedLayer, ...]:
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
            if not path:
                continue  # a condition that does not hold here
            of_environment = template.mentions(text, held, ".Environment.Name")
            of_release = template.mentions(text, held, ".Release.Name")
            layers.append(NamedLayer(path, of_environment, of_release, not _GLOB.search(path)))
        return tuple(layers)

    def doubt(self, environment: str, release: str) -> Doubt | None:
        """Why the layers of a release in an environment are not certain, None if they are."""
        if self.doubts:
            return self.doubts[0]
        entry, line = self._entry(environment, release), self.lines.get(release, 0)
        if not entry or entry.get("unread"):
            return Doubt("the helmfile cannot be read", line)
        same = [e for e in self.releases if self._text(e.get("name"), environment, release) == release]
        if any(other.get("values") != entry.get("values") for other in same):
            return Doubt(f"release {release} stands there twice", line)
        if entry.get("valuesTemplate") or any(map(_sets, _items(entry, "set", "setTemplate", "setString"))):
            return Doubt(f"release {release} sets values of its own", line)
        names = template.Names(environment, release, str(entry.get("namespace", "")), self.state)
        for item in _items(entry, "values"):
            if not isinstance(item, str):
                if _tagged(item):
                    return Doubt(f"release {release} has a tag in the helmfile itself", line)
                continue
            path = template.fill(item, list(self.held), names)
            sure = template.sure(item, self.held, names) and not _ODD.search(path)
            on_host = path.startswith(("/", "*")) and template.mentions(item, self.held, "requiredEnv")
            if not sure and not path.startswith("/") and not on_host:
                return Doubt(f"which files {path or 'a condition'} of release {release} means is not certain", line)
        return None

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
    text = template.replaced(text, lambda all_, words: "\n" * all_.count("\n") if words[:2] == "/*" else all_)
    flow = _Flow()
    raw_lines = text.split("\n")
    lines = list(flow.kept(raw_lines))
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
    at = {m["name"]: number for number, line in enumerate(raw_lines, 1) if (m := _RELEASE.match(line))}
    return Helmfile(names, installed, tuple(releases), state, tuple(held), tuple(flow.doubts), at)


class _Flow:
    """Takes directives and loops out of a helmfile; a file named under a condition is given the condition.

    Attributes:
        doubts: conditions and loops that decide what cannot be read without them.
    """

    def __init__(self) -> None:
        self.doubts: list[Doubt] = []
        self._stack: list[tuple[str, ...]] = []
        self._section = ""
        self._loop = self._entry = self._values = 0  # how deep, in conditions, an entry and its list of files began

    def kept(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines that are left."""
        for number, line in enumerate(lines, 1):
            words = [words for _, _, words in template.actions(line)]
            heads = [each.split(" ")[0] for each in words]
            whole = template.directive(line)
            if self._loop or (whole and "range" in heads):
                self._loop += sum(head in template.OPENERS for head in heads) - heads.count("end")
                if self._section == "environments" or _ITEM.match(line) or self._entry_at(line):
                    self._doubt(f"a loop makes some of its {self._section or 'lines'}", number)
            elif whole:
                for each in words:
                    self._directive(each)
                if self._section == "environments" and any(head in template.CONTROL for head in heads):
                    self._doubt("its environments hang on a condition", number)
            else:
                yield self._guarded(line, number)

    def _entry_at(self, line: str) -> bool:
        return self._section == "releases" and _ENTRY.match(line) is not None

    def _doubt(self, reason: str, line: int) -> None:
        self.doubts.append(Doubt(f"the helmfile cannot be read for certain: {reason}", line))

    def _directive(self, words: str) -> None:
        head, _, rest = words.partition(" ")
        if head in template.OPENERS:
            self._stack.append((f"when {rest}" if head == "if" else "when ?",))
        elif head == "else" and self._stack:
            *before, last = self._stack.pop()
            other = (f"when {rest[3:]}",) if rest.startswith("if ") else ("when true",)
            self._stack.append((*before, f"unless {last.partition(' ')[2]}", *other))
        elif head == "end" and self._stack:
            self._stack.pop()

    def _guarded(self, line: str, number: int) -> str:
        match = _KEY.match(line)
        if line.startswith("---"):
            self._section, self._entry, self._values = "", len(self._stack), len(self._stack)
        elif match and not match["indent"]:
            self._section, self._entry, self._values = match["key"], len(self._stack), len(self._stack)
        elif self._entry_at(line) or (self._section == "templates" and match and len(match["indent"]) <= 2):
            self._entry = len(self._stack)
        elif self._section in ("releases", "templates") and _DECIDES.match(line):
            if len(self._stack) > self._entry:
                self._doubt("what a release reads hangs on a condition", number)
            self._values = len(self._stack)
        elif self._section in ("releases", "templates") and len(self._stack) > self._values:
            marks = "".join(f"{{{{ {each} }}}}" for branch in self._stack[self._values :] for each in branch)
            return _ITEM.sub(lambda found: found[1] + marks, line)
        return line


def _items(entry: Mapping[str, Any], *keys: str) -> list[Any]:
    """The entries of some lists of a release."""
    return [item for key in keys if isinstance(entry.get(key), list) for item in entry[key]]


def _sets(item: Any) -> bool:
    """Whether an entry of `set:` decides a tag."""
    name = str(item.get("name", "")) if isinstance(item, dict) else ""
    path = tuple(name.split("."))
    return bool(name) and (
        path in (("main_app",), ("app",)) or classify(path, "x", frozenset({"image"}), False) is not None
    )


def _tagged(value: Any, path: tuple[str, ...] = (), beside: frozenset[str] = frozenset(), listed: bool = False) -> bool:
    """Whether values that stand in the helmfile decide a tag, or hide one."""
    if len(path) > _DEPTH:
        return True
    if isinstance(value, dict):
        keys = frozenset(map(str, value))
        return any(_tagged(each, (*path, str(key)), keys, listed) for key, each in value.items())
    if isinstance(value, list):
        return any(_tagged(each, (*path, str(n)), frozenset(), True) for n, each in enumerate(value))
    if path in (("main_app",), ("app",)):
        return True
    return bool(path) and classify(path, str(value), beside, listed) is not None


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
