"""A service in its files: its environments, and for each release there the values files that helm merges."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from quarterdeck.core.charts.conventions import HELMFILE_NAMES
from quarterdeck.core.charts.reading.files import FileTree, ParsedFiles
from quarterdeck.core.charts.reading.helmfile import Doubt, NamedLayer


@dataclass(frozen=True)
class ValuesLayer:
    """A values file of one release in one environment.

    Attributes:
        path: from the root of the charts as the helmfile names it; absolute if it exists on the deploy host only.
        real: where its content is, symlinks followed.
        per_environment: it belongs to this environment alone.
        per_release: it belongs to this release alone.
        certain: its name was understood; else the name holds `*`.
        secret: one of the old layout's `private/` files, which only the deploy host has.
    """

    path: str
    real: str
    per_environment: bool
    per_release: bool
    certain: bool = True
    secret: bool = False

    @property
    def on_server(self) -> bool:
        """Whether it is not in this repository."""
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
    doubt: Doubt | None = None


@dataclass(frozen=True)
class ServiceFiles:
    """A service's releases and files.

    Attributes:
        name: the folder's.
        base: what `--key FILE:` is relative to.
        homes: environment -> folder in the old layout; {"": folder} in today's.
        environments: all, in the helmfile's order.
        releases: every release in every environment.
        values: real paths of all values files, whether a release reads them or not.
    """

    name: str
    base: str
    homes: Mapping[str, str]
    environments: tuple[str, ...]
    releases: tuple[HelmfileRelease, ...]
    values: tuple[str, ...]

    @property
    def old_layout(self) -> bool:
        """Whether it has one folder for each environment."""
        return "" not in self.homes


def service_names(tree: FileTree, services_dir: str) -> tuple[str, ...]:
    """All services below a folder, both layouts; folders called `_…_` are none."""
    folders: set[str] = set()
    for path in (*tree.files, *tree.links):
        if not path.startswith(f"{services_dir}/"):
            continue
        folder, _, name = path.removeprefix(f"{services_dir}/").rpartition("/")
        if name in HELMFILE_NAMES and folder:
            folders.add(folder)
    of_environments = {folder.split("/")[0] for folder in folders if folder.count("/") == 1}
    services = {folder for folder in folders if folder not in of_environments and not folder.startswith("_")}
    return tuple(sorted({folder.rpartition("/")[2] for folder in services}))


def read_service(files: ParsedFiles, services_dir: str, name: str) -> ServiceFiles | None:
    """A service by its folder's name, None if there is none."""
    homes = _homes(files.tree, services_dir, name)
    if not homes:
        return None
    environments: list[str] = []
    releases: list[HelmfileRelease] = []
    for own_environment, home in homes.items():
        for environment in (own_environment,) if own_environment else files.helmfile(home).environments:
            environments.append(environment)
            releases += _releases(files, home, own_environment, environment)
    values: list[str] = []
    for home in homes.values():
        values += _values_files(files, home)
    for release in releases:
        values += [layer.real for layer in release.layers if files.content(layer.real) is not None]
    return ServiceFiles(
        name=name,
        base=homes.get("", services_dir),
        homes=homes,
        environments=tuple(environments),
        releases=tuple(releases),
        values=tuple(dict.fromkeys(values)),
    )


def _releases(files: ParsedFiles, home: str, own_environment: str, environment: str) -> Iterator[HelmfileRelease]:
    """The releases of an environment; *own_environment* is that of the folder in the old layout, else empty."""
    helmfile = files.helmfile(home)
    for name in helmfile.names(environment):
        layers = [
            _values_layer(files, home, own_environment, layer, environment)
            for layer in helmfile.layers(environment, name)
        ]
        chart, doubt = helmfile.chart(environment, name), helmfile.doubt(environment, name)
        yield HelmfileRelease(environment, name, chart, tuple(layers), doubt)


def _homes(tree: FileTree, services_dir: str, name: str) -> dict[str, str]:
    """Environment -> folder in the old layout, staging first; {"": folder} in today's; {} if there is no such service."""
    if not name or "/" in name or name.startswith((".", "_")):
        return {}
    home = f"{services_dir}/{name}"
    paths = (*tree.files, *tree.links)
    inside = [path[len(home) + 1 :] for path in paths if path.startswith(f"{home}/")]
    holds_services = any(path.endswith("/helmfile.yaml") and path.count("/") == 1 for path in inside)
    is_service = any("/" not in path for path in inside) and not holds_services
    if is_service and any(path in HELMFILE_NAMES for path in inside):
        return {"": home}
    homes = _old_homes(paths, services_dir, name)
    if is_service and not homes:
        return {"": home}
    return homes


def _old_homes(paths: tuple[str, ...], services_dir: str, name: str) -> dict[str, str]:
    """Environment -> folder in the old layout, staging first."""
    homes: dict[str, str] = {}
    pattern = re.compile(rf"{re.escape(services_dir)}/([^/]+)/{re.escape(name)}/")
    for path in paths:
        match = pattern.match(path)
        if match and match[1] not in homes:
            homes[match[1]] = f"{services_dir}/{match[1]}/{name}"
    return dict(sorted(homes.items(), key=lambda item: (item[0] != "staging", item[0])))


def _values_files(files: ParsedFiles, home: str) -> Iterator[str]:
    """Real paths of what looks like a values file in a folder."""
    links = files.tree.links
    for path in sorted({*files.tree.files, *links}):
        if not path.startswith(f"{home}/") or not path.endswith((".yaml", ".yml")):
            continue
        inside = path[len(home) + 1 :]
        named_so = inside.rpartition("/")[2].startswith("values") or inside.startswith("values/")
        if named_so or path in links:
            yield files.real(path)


def _values_layer(
    files: ParsedFiles, home: str, own_environment: str, layer: NamedLayer, environment: str
) -> ValuesLayer:
    """A file that a helmfile names, found."""
    if layer.on_server:
        return ValuesLayer(layer.path, layer.path, layer.per_environment, layer.per_release, layer.certain)
    path = posixpath.normpath(posixpath.join(home, layer.path))
    stem = posixpath.splitext(posixpath.basename(path))[0]
    in_own_folder = bool(own_environment) and path.startswith(f"{home}/")
    per_environment = layer.per_environment or stem.endswith(f"-{environment}") or in_own_folder
    real = files.real(path)
    secret = layer.path.startswith("private/") and files.content(real) is None
    return ValuesLayer(path, real, per_environment, layer.per_release, layer.certain, secret)
