"""Reads environments, releases and values layers out of a helmfile, which is a Go template and often no YAML.

Whole-line directives are dropped, expressions within lines become marks, and what is left is read as YAML; a document
that is none even then is read by indentation. Nothing is executed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from quarterdeck.core.charts.conventions import MAIN_BLOCKS, USUAL_LAYERS
from quarterdeck.core.charts.keys import classify
from quarterdeck.core.charts.reading import template
from quarterdeck.core.charts.reading.document import BOM, LOADER

#: a document of a helmfile, or a part of it, as YAML gives it
Loaded = Mapping[str, Any]

_KEY = re.compile(r"""^(?P<indent> *)(?P<quote>["']?)(?P<key>[A-Za-z0-9][\w.-]*)(?P=quote) *:(?: |$)""")
_RELEASE = re.compile(r"""^ *- *name: *["']?(?P<name>[A-Za-z0-9][\w.-]*)["']? *(?:#.*)?$""")
_LIST = re.compile(r"\breleases: *\[(?P<names>[^\[\]{}]*)\]")
#: an entry of a list that is a file's name
_FILE_ITEM = re.compile(r"""^( *- +["']?)(?=[^\s"'#][^#]*\.(?:ya?ml|gotmpl)\b)""")
#: the first line of an entry of `releases:`
_ENTRY = re.compile(r"^ *- *name *:")
#: lines that decide which values a release gets
_DECIDING = re.compile(r"^ *(?:- +)?(?:values|valuesTemplate|set|setTemplate|inherit|<<) *:")
_DOCUMENT_MARK = re.compile(r"(?m)^---.*$")
_DEEPEST = 60  #: keys on a path
_GLOB = re.compile(r"[*?\[]")
#: in a file's name; blanks come of a condition that stands on a line with the next entry
_ODD_NAME = re.compile(r"[*?\[\s]")
_TIMEOUT = re.compile(r"^ +timeout: *(?P<seconds>[0-9]{1,6}) *(?:#.*)?$")
#: seconds that helm waits for a release where nothing is said (Helm's own default)
_HELM_TIMEOUT = 300


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
        certain: every expression in the name was understood; else the name holds `*`.
    """

    path: str
    per_environment: bool = False
    per_release: bool = False
    certain: bool = True

    @property
    def on_server(self) -> bool:
        """Whether it is not in this repository."""
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
        timeout: seconds that helm waits for a release.
    """

    environments: tuple[str, ...]
    installed: Mapping[str, tuple[str, ...]]
    releases: tuple[Loaded, ...]
    state: Mapping[str, object] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    timeout: int = _HELM_TIMEOUT

    def names(self, environment: str) -> tuple[str, ...]:
        """The releases of an environment."""
        listed = self.installed.get(environment)
        if not self.releases and listed:
            return listed
        names: dict[str, None] = {}
        for entry in self.releases:
            name = self._text(entry.get("name"), environment, "")
            if name and name != template.UNKNOWN and self._is_installed(entry, name, environment):
                names[name] = None
        return tuple(names)

    def _is_installed(self, entry: Loaded, name: str, environment: str) -> bool:
        """Whether an environment has a release: by its own list, and by what the entry says of itself.

        An `installedTemplate` decides where there is one: in the real charts it asks the environment's list.
        """
        listed = self.installed.get(environment)
        asks_the_list = bool(entry.get("installedTemplate"))
        switched_off = self._text(entry.get("installed"), environment, name).lower() == "false"
        if switched_off and not asks_the_list:
            return False
        if listed is None or name in listed:
            return True
        others_ask = any(other.get("installedTemplate") for other in self.releases)
        return others_ask and not asks_the_list

    def chart(self, environment: str, release: str) -> str:
        """The chart of a release, "" where it is not said."""
        return self._text(self._entry(environment, release).get("chart"), environment, release)

    def layers(self, environment: str, release: str) -> tuple[NamedLayer, ...]:
        """The values files of a release in an environment, the last wins."""
        entry = self._entry(environment, release)
        held = list(self.held)
        named = entry.get("values")
        if not entry or entry.get("unread"):
            named = [template.hold(usual, held) for usual in USUAL_LAYERS]
        layers: list[NamedLayer] = []
        for text in named if isinstance(named, list) else ():
            if not isinstance(text, str):
                continue
            path = template.fill(text, held, self._names(entry, environment, release))
            if not path:
                continue  # a condition that does not hold here
            per_environment = template.mentions(text, held, ".Environment.Name")
            per_release = template.mentions(text, held, ".Release.Name")
            layers.append(NamedLayer(path, per_environment, per_release, not _GLOB.search(path)))
        return tuple(layers)

    def doubt(self, environment: str, release: str) -> Doubt | None:
        """Why the layers of a release in an environment are not certain, None if they are."""
        if self.doubts:
            return self.doubts[0]
        entry = self._entry(environment, release)
        reason = self._doubtful_entry(entry, environment, release) or self._doubtful_file(entry, environment, release)
        return Doubt(reason, self.lines.get(release, 0)) if reason else None

    def _doubtful_entry(self, entry: Loaded, environment: str, release: str) -> str:
        """What in the entry itself leaves a release's values open, "" if nothing does."""
        if not entry or entry.get("unread"):
            return "the helmfile cannot be read"
        same_name = [other for other in self.releases if self._text(other.get("name"), environment, release) == release]
        if any(other.get("values") != entry.get("values") for other in same_name):
            return f"release {release} stands there twice"
        settings = _listed(entry, "set", "setTemplate", "setString")
        if entry.get("valuesTemplate") or any(_sets_a_tag(setting) for setting in settings):
            return f"release {release} sets values of its own"
        return ""

    def _doubtful_file(self, entry: Loaded, environment: str, release: str) -> str:
        """Which of the files that a release reads is not certain, "" if all are."""
        names = self._names(entry, environment, release)
        for item in _listed(entry, "values"):
            if not isinstance(item, str):
                if _holds_a_tag(item):
                    return f"release {release} has a tag in the helmfile itself"
                continue
            path = template.fill(item, list(self.held), names)
            certain = template.sure(item, self.held, names) and not _ODD_NAME.search(path)
            named_by_host = path.startswith(("/", "*")) and template.mentions(item, self.held, "requiredEnv")
            if not certain and not path.startswith("/") and not named_by_host:
                return f"which files {path or 'a condition'} of release {release} means is not certain"
        return ""

    def _names(self, entry: Loaded, environment: str, release: str) -> template.Names:
        return template.Names(environment, release, str(entry.get("namespace", "")), self.state)

    def _entry(self, environment: str, release: str) -> Loaded:
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
    lines = template.replaced(text, _without_comment).split("\n")
    directives = _Directives()
    kept = "\n".join(directives.kept(lines))
    held: list[str] = []
    environments: dict[str, Any] = {}
    releases: list[Loaded] = []
    state: dict[str, object] = {}
    for part in _DOCUMENT_MARK.split(template.hold(kept, held)):
        document = _load(part)
        environments |= document.get("environments") or {}
        templates = document.get("templates")
        bases = templates if isinstance(templates, dict) else {}
        releases += [_inherited(entry, bases) for entry in document.get("releases") or () if isinstance(entry, dict)]
        for item in document.get("values") or ():
            if isinstance(item, dict):
                state |= item
    names = tuple(str(name) for name in environments if template.OPEN not in str(name))
    return Helmfile(
        environments=names,
        installed=_installed(names, environments, held, state),
        releases=tuple(releases),
        state=state,
        held=tuple(held),
        doubts=tuple(directives.doubts),
        lines=_lines_of_releases(lines),
        timeout=_timeout(raw),
    )


def _without_comment(whole: str, words: str) -> str:
    """An expression as it stands; of a comment only its line ends, so that lines keep their numbers."""
    return "\n" * whole.count("\n") if words.startswith("/*") else whole


def _lines_of_releases(lines: Iterable[str]) -> dict[str, int]:
    """Release -> the line where its (last) entry stands, from 1."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        match = _RELEASE.match(line)
        if match:
            found[match["name"]] = number
    return found


def _timeout(raw: bytes) -> int:
    """Seconds of `helmDefaults.timeout`."""
    for line in block(raw.decode("utf-8", "replace").splitlines(), "helmDefaults"):
        match = _TIMEOUT.match(line)
        if match:
            return int(match["seconds"])
    return _HELM_TIMEOUT


class _Directives:
    """Takes directives and loops out of a helmfile; a file named under a condition is given the condition.

    Attributes:
        doubts: conditions and loops that decide what cannot be read without them.
    """

    def __init__(self) -> None:
        self.doubts: list[Doubt] = []
        self._conditions: list[tuple[str, ...]] = []  # one for each open `if`: what must hold in its present branch
        self._section = ""  # the top-level key that the lines are below
        self._open_loops = 0
        self._depth_of_entry = 0  # how many conditions were open where the entry of a release began
        self._depth_of_values = 0  # and where its list of files began

    def kept(self, lines: Iterable[str]) -> Iterator[str]:
        """The lines that are left."""
        for number, line in enumerate(lines, 1):
            expressions = [words for _, _, words in template.actions(line)]
            heads = [words.split(" ")[0] for words in expressions]
            is_directive = template.directive(line)
            if self._open_loops or (is_directive and "range" in heads):
                self._open_loops += sum(head in template.OPENERS for head in heads) - heads.count("end")
                if self._section == "environments" or _FILE_ITEM.match(line) or self._begins_release(line):
                    self._doubt(f"a loop makes some of its {self._section or 'lines'}", number)
            elif is_directive:
                for words in expressions:
                    self._follow(words)
                if self._section == "environments" and any(head in template.CONTROL for head in heads):
                    self._doubt("its environments hang on a condition", number)
            else:
                yield self._guarded(line, number)

    def _begins_release(self, line: str) -> bool:
        return self._section == "releases" and _ENTRY.match(line) is not None

    def _doubt(self, reason: str, line: int) -> None:
        self.doubts.append(Doubt(f"the helmfile cannot be read for certain: {reason}", line))

    def _follow(self, words: str) -> None:
        """Open, turn or close a condition."""
        head, _, rest = words.partition(" ")
        if head in template.OPENERS:
            self._conditions.append((f"when {rest}" if head == "if" else "when ?",))
        elif head == "else" and self._conditions:
            *before, last = self._conditions.pop()
            otherwise = f"when {rest[3:]}" if rest.startswith("if ") else "when true"
            self._conditions.append((*before, f"unless {last.partition(' ')[2]}", otherwise))
        elif head == "end" and self._conditions:
            self._conditions.pop()

    def _guarded(self, line: str, number: int) -> str:
        """The line; a file's name with the conditions before it that hold for this entry of the list alone."""
        match, depth = _KEY.match(line), len(self._conditions)
        in_releases = self._section in ("releases", "templates")
        if line.startswith("---"):
            self._begin_section("")
        elif match and not match["indent"]:
            self._begin_section(match["key"])
        elif self._begins_release(line) or (self._section == "templates" and match and len(match["indent"]) <= 2):
            self._depth_of_entry = depth
        elif in_releases and _DECIDING.match(line):
            if depth > self._depth_of_entry:
                self._doubt("what a release reads hangs on a condition", number)
            self._depth_of_values = depth
        elif in_releases and depth > self._depth_of_values:
            marks = "".join(map(_marks, self._conditions[self._depth_of_values :]))
            return _FILE_ITEM.sub(lambda item: item[1] + marks, line)
        return line

    def _begin_section(self, key: str) -> None:
        self._section = key
        self._depth_of_entry = self._depth_of_values = len(self._conditions)


def _marks(conditions: Iterable[str]) -> str:
    """Conditions as expressions."""
    return "".join(f"{{{{ {condition} }}}}" for condition in conditions)


def _listed(entry: Loaded, *keys: str) -> list[Any]:
    """The items of some lists of a release's entry."""
    items: list[Any] = []
    for key in keys:
        if isinstance(entry.get(key), list):
            items += entry[key]
    return items


def _sets_a_tag(setting: Any) -> bool:
    """Whether an item of `set:` decides a tag."""
    name = str(setting.get("name", "")) if isinstance(setting, dict) else ""
    path = tuple(name.split("."))
    if not name:
        return False
    return _is_main_block(path) or classify(path, "x", frozenset({"image"}), False) is not None


def _is_main_block(path: tuple[str, ...]) -> bool:
    """Whether a value takes the place of a whole main block, and so hides the tag that files have below it."""
    return len(path) == 1 and path[0] in MAIN_BLOCKS


def _holds_a_tag(
    value: Any, path: tuple[str, ...] = (), siblings: frozenset[str] = frozenset(), in_list: bool = False
) -> bool:
    """Whether values that stand in the helmfile decide a tag, or hide one."""
    if len(path) > _DEEPEST:
        return True
    if isinstance(value, dict):
        keys = frozenset(map(str, value))
        return any(_holds_a_tag(item, (*path, str(key)), keys, in_list) for key, item in value.items())
    if isinstance(value, list):
        return any(_holds_a_tag(item, (*path, str(number)), in_list=True) for number, item in enumerate(value))
    if _is_main_block(path):
        return True
    return bool(path) and classify(path, str(value), siblings, in_list) is not None


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


def _inherited(entry: dict[str, Any], templates: Loaded) -> Loaded:
    """A release with what it inherits by `inherit: [{template: NAME}]`."""
    for item in entry.get("inherit") or ():
        base = templates.get(str(item.get("template"))) if isinstance(item, dict) else None
        if isinstance(base, dict):
            own_values, base_values = entry.get("values") or [], base.get("values") or []
            entry = {**base, **entry, "values": [*base_values, *own_values]}
    return entry


def _installed(
    names: Iterable[str], environments: Loaded, held: list[str], state: Mapping[str, object]
) -> dict[str, tuple[str, ...]]:
    """Environment -> the releases that it lists in its values, for those that list some."""
    installed: dict[str, tuple[str, ...]] = {}
    for name in names:
        listed = _releases_listed(environments[name])
        if listed is not None:
            releases = [template.fill(str(release), held, template.Names(name, "", "", state)) for release in listed]
            installed[name] = tuple(dict.fromkeys(releases))
    return installed


def _releases_listed(environment: Any) -> list[Any] | None:
    """The list `releases` in an environment's values, None if there is none."""
    values = environment.get("values") if isinstance(environment, dict) else None
    for item in values if isinstance(values, list) else ():
        releases = item.get("releases") if isinstance(item, dict) else None
        if isinstance(releases, list):
            return releases
    return None


def _by_indentation(lines: list[str]) -> dict[str, Any]:
    """Environments and releases of a document that is no YAML."""
    document: dict[str, Any] = {}
    environments = _environments_by_indentation(block(lines, "environments"))
    if environments:
        document["environments"] = environments
    releases = _lines_of_releases(block(lines, "releases"))
    if releases:
        document["releases"] = [{"name": name, "unread": True} for name in releases]
    return document


def _environments_by_indentation(lines: list[str]) -> dict[str, Any]:
    """Environments with the releases that they list, out of the lines below `environments:`."""
    keys = [match for line in lines if (match := _KEY.match(line)) and match["indent"]]
    depth = min((len(match["indent"]) for match in keys), default=0)
    environments: dict[str, Any] = {}
    last = ""
    for line in lines:
        match = _KEY.match(line)
        if match and len(match["indent"]) == depth:
            last = match["key"]
            environments[last] = None
        elif last and (listed := _LIST.search(line)):
            names = [name.strip(" \"'") for name in listed["names"].split(",")]
            environments[last] = {"values": [{"releases": [name for name in names if name]}]}
    return environments


def block(lines: list[str], key: str) -> list[str]:
    """The lines below a top-level key, of all its occurrences."""
    below: list[str] = []
    inside = False
    for line in lines:
        match = _KEY.match(line)
        if match and not match["indent"]:
            inside = match["key"] == key
        elif inside and line.strip() and not line.lstrip().startswith("#"):
            below.append(line)
    return below
