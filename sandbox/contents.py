"""Say what stands in the sandbox's repositories, which images are there from the start, and which secrets."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_CHARTS = _HERE / "contents" / "charts-repository"
_SERVICE = _HERE / "contents" / "service-repository"
CATALOGUE = _HERE / "catalogue.yaml"

CHARTS_PROJECT = "operations/deployment-charts"
BRANCH = "master"

_ALL = ("staging", "codfw", "eqiad")
_IMAGES = "wikimedia/mediawiki-services-"

# Secrets planted where a deployment comes by them. No program of ours may write one of these anywhere; each
# is distinct, so that a hit says where it leaked from. `canaries()` has those of the deploy host too.
CANARY_CHART_APP = "CANARY-SECRET-chart-app-x9Kq42"
CANARY_CHART_SHELLBOX = "CANARY-SECRET-chart-shellbox-B7m3wd"
CANARY_DEPLOY_TOKEN = "CANARY-SECRET-deploy-token-Zt81nV"
"""Handed to helm by `--set`: a failing `helmfile apply` of failoid prints it among helm's arguments."""


@dataclass(frozen=True)
class Build:
    """One image that a project's CI publishes; the stage is the end of its tag."""

    image: str
    stage: str
    first: str
    """The timestamp of the image that is there from the start."""

    def tag(self, stamp: str, fault: str | None = None) -> str:
        """The tag of a build begun at this time."""
        return f"{stamp}-{fault}-{self.stage}" if fault else f"{stamp}-{self.stage}"


@dataclass(frozen=True)
class Project:
    """A code repository in Gerrit and what is built from it."""

    name: str
    builds: tuple[Build, ...]
    services: tuple[str, ...]
    """The service directories that run its images."""
    fault: str | None = None
    """What is wrong with every image of it, unless the CI is told otherwise."""

    @property
    def short(self) -> str:
        """The last part of its name."""
        return self.name.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Service:
    """A directory under helmfile.d/services: which releases stand in which environment."""

    name: str
    releases: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def environments(self) -> tuple[str, ...]:
        """Its environments in the order of a rollout."""
        return tuple(environment for environment, _ in self.releases)


@dataclass(frozen=True)
class Release:
    """One release, installed by `helmfile -e ENVIRONMENT -l name=NAME apply` in the service's directory."""

    service: str
    environment: str
    name: str

    @property
    def namespace(self) -> str:
        """Where it stands in the cluster."""
        return f"{self.service}-{self.environment}"


def _project(
    short: str,
    first: str,
    services: tuple[str, ...] = (),
    builds: tuple[tuple[str, str], ...] = (("", "production"),),
    fault: str | None = None,
) -> Project:
    """A project; `builds` are the end of the image's name and the stage."""
    made = tuple(Build(_IMAGES + short + end, stage, first) for end, stage in builds)
    return Project(f"mediawiki/services/{short}", made, services or (short,), fault)


PROJECTS = (
    _project("citoid", "2026-08-06-230932"),
    _project("cxserver", "2026-07-16-140518"),
    _project("mobileapps", "2026-08-04-052415"),
    _project("wikifeeds", "2026-08-18-121339"),
    _project("failoid", "2026-08-01-101500", fault="crash"),
    _project("function-orchestrator", "2026-08-11-210638", ("wikifunctions",)),
    _project(
        "function-evaluator",
        "2026-08-11-201322",
        ("wikifunctions",),
        builds=(("-javascript", "production"), ("-python", "production")),
    ),
    _project(
        "shellbox",
        "2026-07-15-095645",
        ("shellbox", "shellbox-constraints"),
        builds=(("", "score"), ("", "constraints")),
    ),
)

_PARTS = ("main-orchestrator", "javascript-evaluator", "python-evaluator")
_CANARY = ("canary", "production")

SERVICES = (
    *(
        Service(name, tuple((environment, ("main",)) for environment in _ALL))
        for name in ("citoid", "cxserver", "wikifeeds", "shellbox", "shellbox-constraints")
    ),
    Service("mobileapps", (("staging", ("staging",)), ("codfw", _CANARY), ("eqiad", _CANARY))),
    Service("wikifunctions", tuple((environment, _PARTS) for environment in _ALL)),
    Service("failoid", (("staging", ("main",)),)),
)


def project(name: str) -> Project:
    """The project of this name, or a KeyError."""
    for candidate in PROJECTS:
        if candidate.name == name:
            return candidate
    raise KeyError(name)


def initial_images() -> tuple[tuple[str, str, str], ...]:
    """What the registry must hold at the start, as (project, image repository, tag)."""
    return tuple(
        (entry.name, build.image, build.tag(build.first, entry.fault)) for entry in PROJECTS for build in entry.builds
    )


def initial_releases() -> tuple[Release, ...]:
    """The releases that must run before the sandbox is ready: citoid's. Others follow when wanted."""
    return releases("citoid")


def releases(service: str) -> tuple[Release, ...]:
    """All releases of a service in the order of a rollout."""
    (found,) = (entry for entry in SERVICES if entry.name == service)
    return tuple(Release(service, environment, name) for environment, names in found.releases for name in names)


def merge_mode() -> str:
    """How charts changes are merged, `gate` or `submit`: SANDBOX_MERGE, else what the catalogue says."""
    mode = os.environ.get("SANDBOX_MERGE", "")
    if not mode:
        told = re.search(r"^charts:\n(?:[ #].*\n)*?  merge: *(\w+)", CATALOGUE.read_text(), re.MULTILINE)
        mode = told[1] if told else "gate"
    if mode not in {"gate", "submit"}:
        raise ValueError(f"merge is {mode!r}; it must be gate or submit")
    return mode


def private_canary(service: str, environment: str) -> str:
    """The secret in the deploy host's private values of a service."""
    return f"CANARY-SECRET-private-{service}-{environment}-Hq5"


def canaries() -> tuple[str, ...]:
    """Every planted secret."""
    private = (
        private_canary(service.name, environment) for service in SERVICES for environment in service.environments
    )
    return (CANARY_CHART_APP, CANARY_CHART_SHELLBOX, CANARY_DEPLOY_TOKEN, *private)


def host_files(registry: str) -> dict[str, str]:
    """The deploy host's own values: paths under HELMFILE_DEFAULTS and texts; `registry` is host:port."""
    files = {
        f"general-{environment}.yaml": f"environment: {environment}\ndocker:\n  registry: {registry}\n"
        for environment in _ALL
    }
    for service in SERVICES:
        key = "shellbox" if service.name.startswith("shellbox") else "main_app"
        for environment in service.environments:
            secret = private_canary(service.name, environment)
            path = f"private/main_services/{service.name}/{environment}.yaml"
            files[path] = f"{key}:\n  private:\n    api_key: {secret}\n"
    files["deploy-token-staging.yaml"] = f"deploy_token: {CANARY_DEPLOY_TOKEN}\n"
    return files


def write_charts(folder: Path) -> None:
    """Lay out the charts repository in a folder, symlinks as symlinks."""
    shutil.copytree(_CHARTS, folder, symlinks=True, dirs_exist_ok=True)


def write_service(entry: Project, folder: Path) -> None:
    """Lay out the code repository of a project in a folder."""
    shutil.copytree(_SERVICE, folder, dirs_exist_ok=True)
    for path in (folder / "README.md", folder / "server.js"):
        path.write_text(path.read_text().replace("@NAME@", entry.short))
    (folder / ".pipeline" / "config.yaml").write_text(_pipeline(entry))


def _pipeline(entry: Project) -> str:
    """The CI's orders for a project, in the form of the Wikimedia pipeline."""
    lines = ["pipelines:", "  test:", "    blubberfile: blubber.yaml", "    stages:"]
    lines += ["      - name: test", "        build: build", "        run: true"]
    lines += ["  publish:", "    blubberfile: blubber.yaml", "    stages:"]
    for number, build in enumerate(entry.builds):
        lines += [f"      - name: {build.stage}", "        build: production", "        publish:"]
        lines += [f"          image: {{name: {build.image}, tag: '${{setup.timestamp}}-{build.stage}'}}"]
        if number == len(entry.builds) - 1:
            lines += ["        promote:", *(f"          - chart: {service}" for service in entry.services)]
    return "\n".join(lines) + "\n"
