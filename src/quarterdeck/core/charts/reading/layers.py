"""A service in its files: environments, releases, layers, and which scalar decides each tag of each of them."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import yaml

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.keys import KeyPath, TagKind, dotted, embedded, image_paths
from quarterdeck.core.charts.reading import helmfile as helmfiles
from quarterdeck.core.charts.reading.document import Document, Scalar, child, doubled, is_null, keys_at, parse
from quarterdeck.core.charts.refusals import Obstacle

#: what stands for the content of a symlink that leads nowhere or out of the charts: it is there, and is no YAML
UNREADABLE = b"{a symlink that leads nowhere or out of the checkout"
_ORDER = (TagKind.MAIN, TagKind.IMAGE, TagKind.OTHER)


class FileTree(Protocol):
    """Files at one moment; paths from the root of the charts."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Real path -> content."""
        ...

    @property
    def links(self) -> Mapping[str, str]:
        """Path of a symlink -> real path."""
        ...

    @property
    def sharers(self) -> Mapping[str, tuple[str, ...]]:
        """Real path -> services whose directory reaches it."""
        ...


@dataclass(frozen=True)
class ValuesLayer:
    """A values file of one release in one environment.

    Attributes:
        path: from the root of the charts as the helmfile names it; absolute if it exists on the deploy host only.
        real: where its content is, symlinks followed.
        per_environment: it belongs to this environment alone.
        per_release: it belongs to this release alone.
        known: its name was understood; else it holds `*`.
        secret: one of the old layout's `private/` files, which only the deploy host has.
    """

    path: str
    real: str
    per_environment: bool
    per_release: bool
    known: bool = True
    secret: bool = False

    @property
    def on_server(self) -> bool:
        """It is not in this repository."""
        return self.secret or self.path.startswith("/")


@dataclass(frozen=True)
class HelmfileRelease:
    """A release in an environment.

    Attributes:
        chart: e.g. "wmf-stable/mobileapps", or "".
        layers: the last wins.
        doubt: why the layers are a guess, if they are one.
    """

    environment: str
    name: str
    chart: str
    layers: tuple[ValuesLayer, ...]
    doubt: helmfiles.Doubt | None = None


@dataclass(frozen=True)
class ReleaseTag:
    """Which scalar decides one tag of a release in an environment.

    Attributes:
        path: the keys.
        kind: main, another image's, a helper's.
        image: as the values name it, without registry; "" where only the chart knows.
        scalar: the one that wins.
        depth: number of its layer.
        unseen: layers above it that exist on the deploy host only.
    """

    service: str
    release: HelmfileRelease
    path: KeyPath
    kind: TagKind
    image: str
    scalar: Scalar
    depth: int
    unseen: tuple[str, ...]

    @property
    def holder(self) -> bool:
        """It is but the place where an anchor is defined that feeds tags."""
        return self.kind is TagKind.OTHER and self.path == self.scalar.path and len(self.scalar.paths) > 1

    @property
    def id(self) -> tuple[str, str, str, KeyPath]:
        """Names the row among all rows."""
        return self.service, self.release.environment, self.release.name, self.path


@dataclass
class ParsedFiles:
    """Parsed files, each once; *over* replaces contents (None takes a file away)."""

    tree: FileTree
    over: Mapping[str, bytes | None] = field(default_factory=dict)
    _parsed: dict[str, Document | None] = field(default_factory=dict)

    def real(self, path: str) -> str:
        """A path with its symlink followed."""
        return self.tree.links.get(path, path)

    def raw(self, real: str) -> bytes | None:
        """Content, None if there is no such file."""
        return self.over[real] if real in self.over else self.tree.files.get(real)

    def full(self, real: str) -> Document | None:
        """The parsed file, None if there is none."""
        if real not in self._parsed:
            raw = self.raw(real)
            self._parsed[real] = None if raw is None else parse(real, raw)
        return self._parsed[real]

    def edited(self, over: Mapping[str, bytes | None]) -> ParsedFiles:
        """The shelf with other contents; what is parsed and unchanged is kept."""
        kept = {real: document for real, document in self._parsed.items() if real not in over}
        return ParsedFiles(self.tree, {**self.over, **over}, kept)


@dataclass(frozen=True)
class ServiceFiles:
    """A service's releases and files.

    Attributes:
        name: the directory's.
        base: what `--key FILE:` is relative to.
        homes: environment -> folder in the old layout; {"": folder} in today's.
        environments: all, in the helmfile's order.
        releases: every release in every environment.
        values: real paths of all values files, read by a release or not.
    """

    name: str
    base: str
    homes: Mapping[str, str]
    environments: tuple[str, ...]
    releases: tuple[HelmfileRelease, ...]
    values: tuple[str, ...]

    @property
    def old_layout(self) -> bool:
        """One folder for each environment."""
        return "" not in self.homes


def service_names(tree: FileTree, services_dir: str) -> tuple[str, ...]:
    """All services below a folder, both layouts; folders called `_…_` are none."""
    found: set[str] = set()
    for path in (*tree.files, *tree.links):
        if not path.startswith(f"{services_dir}/"):
            continue
        folder, _, name = path.removeprefix(f"{services_dir}/").rpartition("/")
        if name in HELMFILE_NAMES and folder:
            found.add(folder)
    deep = {folder.split("/")[0] for folder in found if folder.count("/") == 1}
    return tuple(
        sorted({folder.rpartition("/")[2] for folder in found if folder not in deep and not folder.startswith("_")})
    )


def read_service(shelf: ParsedFiles, services_dir: str, name: str) -> ServiceFiles | None:
    """A service by its directory's name, None if there is none."""
    homes = _homes(shelf, services_dir, name)
    if not homes:
        return None
    environments: list[str] = []
    releases: list[HelmfileRelease] = []
    for place, home in homes.items():
        helmfile = helmfiles.read(_helmfile(shelf, home) or b"")
        for environment in (place,) if place else helmfile.environments:
            environments.append(environment)
            for release in helmfile.names(environment):
                chart = helmfile.chart(environment, release)
                layers = tuple(
                    _layer(shelf, home, place, layer, environment) for layer in helmfile.layers(environment, release)
                )
                releases.append(
                    HelmfileRelease(environment, release, chart, layers, helmfile.doubt(environment, release))
                )
    base = homes.get("", services_dir)
    reals = [real for home in homes.values() for real in _values(shelf, home)]
    reals += [layer.real for release in releases for layer in release.layers if shelf.raw(layer.real) is not None]
    return ServiceFiles(name, base, homes, tuple(environments), tuple(releases), tuple(dict.fromkeys(reals)))


def _homes(shelf: ParsedFiles, services_dir: str, name: str) -> dict[str, str]:
    if not name or "/" in name or name.startswith((".", "_")):
        return {}
    home = f"{services_dir}/{name}"
    paths = (*shelf.tree.files, *shelf.tree.links)
    here = [p[len(home) + 1 :] for p in paths if p.startswith(f"{home}/")]
    single = any("/" not in p for p in here) and not any(
        p.endswith("/helmfile.yaml") and p.count("/") == 1 for p in here
    )
    if single and any(p in HELMFILE_NAMES for p in here):
        return {"": home}
    found: dict[str, str] = {}
    pattern = re.compile(rf"{re.escape(services_dir)}/([^/]+)/{re.escape(name)}/")
    for path in paths:
        match = pattern.match(path)
        if match and match[1] not in found:
            found[match[1]] = f"{services_dir}/{match[1]}/{name}"
    if single and not found:
        return {"": home}
    return dict(sorted(found.items(), key=lambda item: (item[0] != "staging", item[0])))


def _helmfile(shelf: ParsedFiles, home: str) -> bytes | None:
    return next((raw for n in HELMFILE_NAMES if (raw := shelf.raw(shelf.real(f"{home}/{n}"))) is not None), None)


def _values(shelf: ParsedFiles, home: str) -> Iterator[str]:
    """Real paths of what looks like a values file in a folder."""
    for path in sorted({*shelf.tree.files, *shelf.tree.links}):
        if path.startswith(f"{home}/") and path.endswith((".yaml", ".yml")):
            inner = path[len(home) + 1 :]
            if inner.rpartition("/")[2].startswith("values") or inner.startswith("values/") or path in shelf.tree.links:
                yield shelf.real(path)


def _layer(shelf: ParsedFiles, home: str, place: str, layer: helmfiles.NamedLayer, environment: str) -> ValuesLayer:
    if layer.on_server:
        return ValuesLayer(layer.path, layer.path, layer.per_environment, layer.per_release, layer.known)
    path = posixpath.normpath(posixpath.join(home, layer.path))
    stem = posixpath.splitext(posixpath.basename(path))[0]
    own = layer.per_environment or stem.endswith(f"-{environment}") or bool(place and path.startswith(f"{home}/"))
    real = shelf.real(path)
    secret = layer.path.startswith("private/") and shelf.raw(real) is None
    return ValuesLayer(path, real, own, layer.per_release, layer.known, secret)


# which scalar wins


@dataclass(frozen=True)
class ServiceTags:
    """All about a service's tags.

    Attributes:
        rows: every release in every environment, every tag path.
        kinds: path -> what it is the tag of.
        broken: files of layers that cannot be read, with the releases concerned.
        untagged: releases of which no main tag is known.
    """

    rows: tuple[ReleaseTag, ...]
    kinds: Mapping[KeyPath, TagKind]
    broken: tuple[Obstacle, ...]


def service_tags(
    shelf: ParsedFiles, service: ServiceFiles, ignored: frozenset[tuple[str, int]] = frozenset(), hollow: bool = False
) -> ServiceTags:
    """The deciding scalar of each tag of each release.

    Args:
        ignored: scalars that count as taken away.
        hollow: a block without content hides nothing, because a pin is about to fill it.
    """
    kinds: dict[KeyPath, TagKind] = {}
    broken: dict[str, Obstacle] = {}
    for real in service.values:
        document = shelf.full(real)
        if document is None:
            continue
        if document.broken:
            broken[real] = document.broken
        for path, scalar in document.scalars().items():
            kind = scalar.kinds[scalar.paths.index(path)] or TagKind.OTHER
            kinds[path] = min(kinds.get(path, kind), kind, key=_ORDER.index)
    for real in service.values:
        document = shelf.full(real)
        double = _doubled(document, kinds) if document is not None and not document.broken else None
        if double is not None:
            broken.setdefault(real, double)
    rows = [
        row
        for release in service.releases
        for path, kind in kinds.items()
        if (row := _row(shelf, service, release, path, kind, ignored, hollow)) is not None
    ]
    return ServiceTags(tuple(rows), kinds, tuple(broken.values()))


def _doubled(document: Document, kinds: Iterable[KeyPath]) -> Obstacle | None:
    """A tag below a key that stands there twice, which is gone for readers that take the last one."""
    for path in kinds:
        if path in document.scalars() or not keys_at(document.root, path):
            continue
        for depth in range(1, len(path)):
            found = keys_at(document.root, path[:depth])
            if len(found) > 1:
                return doubled(document.file, dotted(path), [key.start_mark.line + 1 for key, _ in found])
    return None


def _row(
    shelf: ParsedFiles,
    service: ServiceFiles,
    release: HelmfileRelease,
    path: KeyPath,
    kind: TagKind,
    ignored: frozenset[tuple[str, int]],
    hollow: bool,
) -> ReleaseTag | None:
    unseen: list[str] = []
    for depth in range(len(release.layers) - 1, -1, -1):
        layer = release.layers[depth]
        if layer.on_server:
            unseen.append(layer.path)
            continue
        for document in _documents(shelf, service, layer):
            scalar = document.scalars().get(path)
            if scalar is None:
                if not document.broken and blocks(document.root, path, hollow):
                    return None
                continue
            if scalar.id in ignored:
                continue
            if scalar.null:
                return None
            image = scalar.name or _image(shelf, service, release, path)
            return ReleaseTag(service.name, release, path, kind, plain_image(image), scalar, depth, tuple(unseen))
    return None


def _documents(shelf: ParsedFiles, service: ServiceFiles, layer: ValuesLayer) -> Iterable[Document]:
    reals = (layer.real,) if layer.known else tuple(r for r in service.values if fnmatch.fnmatchcase(r, layer.path))
    return [document for real in reals if (document := shelf.full(real)) is not None]


def blocks(root: yaml.Node | None, path: KeyPath, hollow: bool = False) -> bool:
    """Whether a document that has no tag there has something else, so that what lower layers say there is gone."""
    node = root
    for key in path:
        if node is None:
            return False
        if hollow and is_null(node):
            return False
        if isinstance(node, yaml.ScalarNode) or (isinstance(node, yaml.SequenceNode) and not key.isdigit()):
            return node is not root
        below = child(node, key)
        if below is None and isinstance(node, yaml.SequenceNode):
            return True
        node = below
    return node is not None


def value_at(root: yaml.Node | None, path: KeyPath) -> str:
    """The text of a scalar, "" if there is none."""
    node = root
    for key in path:
        node = child(node, key)
    return node.value if isinstance(node, yaml.ScalarNode) and not is_null(node) else ""


def _image(shelf: ParsedFiles, service: ServiceFiles, release: HelmfileRelease, path: KeyPath) -> str:
    """The image that a release's layers name for a tag."""
    for place in image_paths(path):
        for layer in reversed(release.layers):
            for document in _documents(shelf, service, layer) if not layer.on_server else ():
                found = value_at(document.root, place)
                if found:
                    return found
    return ""


def plain_image(image: str) -> str:
    """An image's name without registry and tag."""
    held = embedded(image)
    name = held[0] if held else image
    host, slash, rest = name.partition("/")
    return rest if slash and ("." in host or ":" in host) else name
