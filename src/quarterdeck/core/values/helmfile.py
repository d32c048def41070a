"""Reads a helmfile's environments and releases by indentation, because it is a Go template and no YAML."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import EditRefusedError
from ..ports import Tree

NAMES = ("helmfile.yaml", "helmfile.yaml.gotmpl")

_KEY = re.compile(r"""^(?P<indent> *)(?P<quote>["']?)(?P<key>[A-Za-z0-9][\w.-]*)(?P=quote) *:(?: |$)""")
_RELEASE = re.compile(r"""^ *- *name: *["']?(?P<name>[A-Za-z0-9][\w.-]*)["']? *(?:#.*)?$""")
_LIST = re.compile(r"\breleases: *\[(?P<names>[^\]{}]*)\]")
_VALUES = re.compile(r"""^ *- *["']?(?P<name>[^"'#\s/][^"'#]*?\.ya?ml)["']? *(?:#.*)?$""")
_TIMEOUT = re.compile(r"^ +timeout: *(?P<seconds>[0-9]{1,6}) *(?:#.*)?$")
_TEMPLATE = re.compile(r"\{\{.*?\}\}")


@dataclass(frozen=True)
class Layout:
    """What a service's helmfile says, as far as it can be read without running its templates.

    Attributes:
        path: the helmfile, from the repository's root.
        environments: in the order they stand there.
        releases: names of all releases.
        shared: values files of this folder that every environment reads, in order, e.g. ("values.yaml",).
    """

    path: str
    environments: tuple[str, ...]
    releases: tuple[str, ...]
    shared: tuple[str, ...]


def home(tree: Tree, directory: str) -> str:
    """The service's folder from the repository's root; *directory* may be its last part only.

    Raises:
        EditRefusedError: there is no helmfile, or several folders could be meant.
    """
    wanted = directory.strip("/")
    folders = {path.rpartition("/")[0] for path in (*tree.files, *tree.links) if path.rpartition("/")[2] in NAMES}
    if wanted in folders:
        return wanted
    found = sorted(f for f in folders if f.rpartition("/")[2] == wanted)
    if len(found) != 1:
        many = f"several folders are called so: {', '.join(found)}" if found else "it has no helmfile.yaml"
        raise EditRefusedError(f"{wanted or 'no folder'}: {many}")
    return found[0]


def layout(tree: Tree, directory: str) -> Layout:
    """What the service's helmfile says.

    Raises:
        EditRefusedError: there is no helmfile, or it names no environments.
    """
    folder = home(tree, directory)
    path = next(p for p in (f"{folder}/{name}" for name in NAMES) if p in tree.files or p in tree.links)
    raw = tree.files.get(tree.links.get(path, path), b"")
    lines = raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    block = _block(lines, "environments")
    names = _children(block)
    if not names:
        raise EditRefusedError(f"{path}: I find no environments in it")
    releases = [m["name"] for line in _block(lines, "releases") if (m := _RELEASE.match(line))]
    for line in block:
        for match in _LIST.finditer(line):
            releases += [name.strip(" \"'") for name in match["names"].split(",")]
    return Layout(path, names, tuple(dict.fromkeys(filter(None, releases))), _shared(lines))


def environments(tree: Tree, directory: str) -> tuple[str, ...]:
    """The environments of a service's helmfile, in its own order; raises like `layout`."""
    return layout(tree, directory).environments


def timeout(tree: Tree, directory: str) -> int:
    """Seconds helm waits for a release (`helmDefaults.timeout`); Helm's own default of 300 where none is named."""
    folder = home(tree, directory)
    path = next(p for p in (f"{folder}/{name}" for name in NAMES) if p in tree.files or p in tree.links)
    raw = tree.files.get(tree.links.get(path, path), b"")
    found = [
        m for line in _block(raw.decode("utf-8", "replace").splitlines(), "helmDefaults") if (m := _TIMEOUT.match(line))
    ]
    return int(found[0]["seconds"]) if found else 300


def _block(lines: list[str], key: str) -> list[str]:
    """The lines below a top-level key, of all its occurrences."""
    found: list[str] = []
    inside = False
    for line in lines:
        match = _KEY.match(line)
        if match and not match["indent"]:
            inside = match["key"] == key
        elif line.startswith("---"):
            inside = False
        elif inside and line.strip() and not line.lstrip().startswith("#"):
            found.append(line)
    return found


def _children(block: list[str]) -> tuple[str, ...]:
    """The keys of the first depth."""
    keys = [m for line in block if (m := _KEY.match(line)) and m["indent"]]
    depth = min((len(m["indent"]) for m in keys), default=0)
    return tuple(dict.fromkeys(m["key"] for m in keys if len(m["indent"]) == depth))


def _shared(lines: list[str]) -> tuple[str, ...]:
    """Values files by plain names; those made by templates, or standing on the server only, are left out."""
    found = [m["name"] for line in lines if not _TEMPLATE.search(line) and (m := _VALUES.match(line))]
    names = [name for name in found if "/" not in name and not name.startswith("values-")]
    return tuple(dict.fromkeys(names)) or ("values.yaml",)
