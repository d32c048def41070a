"""Tells which services reach a file: by their folder, by a symlink in it, or because their helmfile names it."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.reading import template

_WORD = re.compile(r"[^\s\"'`]+")
#: bases are parts of the helmfile, no values: sharing one is sharing no tag
_BASES = re.compile(r"^bases:.*\n(?:(?:[ \t].*|- .*|#.*)?\n)*", re.MULTILINE)
_WILD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Folders:
    """Whose folder a path is in.

    Attributes:
        services_dir: folder whose entries are the services, or (old layout) environments that hold services.
        paths: real paths of all files, from the root.
        links: path of a symlink, or below one -> real path of a file.
    """

    services_dir: str
    paths: Collection[str]
    links: Mapping[str, str]

    @cached_property
    def all_paths(self) -> frozenset[str]:
        """Every path that leads to a file."""
        return frozenset((*self.paths, *self.links))

    def owner(self, path: str) -> str:
        """The service whose folder a path is in, "" if it is in none; folders called `_…_` are no services."""
        parts = path.removeprefix(f"{self.services_dir}/").split("/")
        if not path.startswith(f"{self.services_dir}/") or len(parts) < 2:
            return ""
        deep = len(parts) > 2 and any(
            f"{self.services_dir}/{parts[0]}/{parts[1]}/{name}" in self.all_paths for name in HELMFILE_NAMES
        )
        name = parts[1] if deep else parts[0]
        return "" if name.startswith("_") else name

    @cached_property
    def helmfiles(self) -> Mapping[str, str]:
        """Path of a service's helmfile -> its real path."""
        helmfiles = (path for path in self.all_paths if path.rpartition("/")[2] in HELMFILE_NAMES)
        return {path: self.links.get(path, path) for path in helmfiles if self.owner(path)}

    @cached_property
    def below(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a folder below services_dir, or of a service in it -> the paths there."""
        paths_by_name: dict[str, dict[str, None]] = {}
        start = f"{self.services_dir}/"
        for path in self.all_paths:
            first, slash, _ = path.removeprefix(start).partition("/")
            if slash and path.startswith(start):
                for name in {first, self.owner(path)} - {""}:
                    paths_by_name.setdefault(name, {})[path] = None
        return {name: tuple(paths) for name, paths in paths_by_name.items()}


class Sharers(Mapping[str, tuple[str, ...]]):
    """Real path -> services that reach it, in order, found when asked for.

    Args:
        folders: all paths.
        contents: real path -> content; only helmfiles are looked at.
    """

    def __init__(self, folders: Folders, contents: Mapping[str, bytes]) -> None:
        self.folders = folders
        self._contents = contents

    def __getitem__(self, path: str) -> tuple[str, ...]:
        paths = (path, *self._links_to.get(path, ()))
        names = {self.folders.owner(one) for one in paths}
        for owner, named in self._named_outside:
            if named in paths or (_WILD.search(named) and any(self._meant(owner, named, one) for one in paths)):
                names.add(owner)
        return tuple(sorted(names - {""}))

    def __iter__(self) -> Iterator[str]:
        return iter(self.folders.paths)

    def __len__(self) -> int:
        return len(self.folders.paths)

    def reach(self, service: str) -> tuple[frozenset[str], dict[str, str]]:
        """The real files that a service's folder and its helmfile reach, and the links on the way there."""
        paths = dict.fromkeys(self.folders.below.get(service, ()))
        for owner, named in self._named_outside:
            if owner == service:
                paths |= dict.fromkeys(self._matching(owner, named))
        links = {path: self.folders.links[path] for path in paths if path in self.folders.links}
        return frozenset(links.get(path, path) for path in paths), links

    def around(self, service: str) -> tuple[frozenset[str], dict[str, str]]:
        """The same with what those services reach who share one of the files: all that an edit may have an effect on.

        What they in turn share with others cannot be changed by an edit for this service, and is not followed.
        """
        files, links = self.reach(service)
        others: set[str] = set()
        for path in files:
            others.update(self[path])
        for other in sorted(others - {service}):
            files_of_other, links_of_other = self.reach(other)
            files, links = files | files_of_other, links | links_of_other
        return files, dict(sorted(links.items()))

    def _meant(self, owner: str, named: str, path: str) -> bool:
        """Whether a pattern means a path; another service's own folder it means only by that folder's name."""
        owner_of_path = self.folders.owner(path)
        in_reach = owner_of_path in ("", owner) or owner_of_path in named.split("/")
        return in_reach and fnmatch.fnmatchcase(path, named)

    def _matching(self, owner: str, named: str) -> Collection[str]:
        if not _WILD.search(named):
            return (named,) if named in self.folders.all_paths else ()
        fits = re.compile(fnmatch.translate(named)).match
        return [path for path in self.folders.all_paths if fits(path) and self._meant(owner, named, path)]

    @cached_property
    def _links_to(self) -> Mapping[str, tuple[str, ...]]:
        """Real path -> the links that lead to it."""
        links: dict[str, list[str]] = {}
        for link, real in self.folders.links.items():
            links.setdefault(real, []).append(link)
        return {real: tuple(leading) for real, leading in links.items()}

    @cached_property
    def _named_outside(self) -> tuple[tuple[str, str], ...]:
        """(service, path or pattern of paths outside its folder that its helmfile names)."""
        named_by: dict[tuple[str, str], None] = {}
        for path, real in self.folders.helmfiles.items():
            owner, folder = self.folders.owner(path), posixpath.dirname(path)
            for named in _relative_files(self._contents.get(real, b"")):
                named_by[owner, posixpath.normpath(posixpath.join(folder, named))] = None
        return tuple(named_by)


def _relative_files(helmfile: bytes) -> Iterator[str]:
    """The values files outside its folder that a helmfile names, as it names them; `*` for what it leaves open."""
    text = template.plain(helmfile.decode("utf-8", "replace").replace("\r\n", "\n"))
    text = _BASES.sub("", template.replaced(text, lambda _, words: _wild(words)))
    for word in _WORD.findall(text):
        named = word.lstrip("[").rstrip("],")
        if "../" in named and named.endswith((".yaml", ".yml", ".gotmpl")):
            yield named


def _wild(words: str) -> str:
    """An expression's text with `*` for every name in it, `*` where it is not understood."""
    value = template.evaluate(words, template.Names("*", "*", "*"))
    return value if isinstance(value, str) and value else "*"


def flat(ends: Mapping[str, str], files: Collection[str]) -> dict[str, str]:
    """Links as `Folders` has them: one to a file as it is, one to a folder as a link to each file there.

    Args:
        ends: path of a symlink -> real path of a file or folder.
        files: real paths of all files.
    """
    links = {link: end for link, end in ends.items() if end in files}
    real, linked = sorted(files), sorted(links)
    for link, end in ends.items():
        if link not in links:
            for path in (*_within(real, end), *_within(linked, end)):
                links[f"{link}{path[len(end) :]}"] = links.get(path, path)
    return dict(sorted(links.items()))


def _within(ordered: list[str], folder: str) -> list[str]:
    first = bisect_left(ordered, f"{folder}/")
    return ordered[first : bisect_left(ordered, f"{folder}0", first)]
