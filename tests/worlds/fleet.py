"""A world with a service in parts, a group that shares one tag, and a group with a tag each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from quarterdeck.core.charts import members
from quarterdeck.core.charts.reading.images import ReleaseImage
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.catalogue import Catalogue
from quarterdeck.core.model.room import Room
from quarterdeck.core.model.service import Part, Service
from quarterdeck.core.ports.host import Position, Release
from quarterdeck.testing.host import FakeHost
from quarterdeck.testing.registry import FakeRegistry
from quarterdeck.testing.repository import FakeRepository
from quarterdeck.testing.runner import FakeJob
from quarterdeck.views.chat import ChatVoice
from tests.worlds.charts_questions import release_images
from tests.worlds.cluster import EMPTY, ENVIRONMENTS, NEW, NEWER, OLD, deployment, pods
from tests.worlds.world import _CLOCK, PAGE, TEMPLATES, Deck, catalogue

HOME = "helmfile.d/services"
ORCHESTRATOR, JS, PY = (f"wikimedia/function-{name}" for name in ("orchestrator", "js", "py"))
BOX, KASK = "wikimedia/shellbox", "wikimedia/kask"
FLAVOURS = {"shellbox": "score", "shellbox-media": "media", "shellbox-video": "video"}
#: tags of the group that shares one
OLD_BOX, NEW_BOX = "2026-07-15-095645", "2026-08-20-090000"

_HEAD = """\
helmDefaults:
  timeout: 10
environments:
  staging:
    values: &here
      - releases: [{names}]
  codfw:
    values: *here
  eqiad:
    values: *here
---
templates:
  default: &default
    values:
{layers}releases:
"""


def helmfile(names: Sequence[str], layers: Sequence[str]) -> bytes:
    """One like those of the real charts: every release with the same layers."""
    text = _HEAD.format(names=", ".join(names), layers="".join(f'      - "{layer}"\n' for layer in layers))
    return (text + "".join(f"  - name: {name}\n    <<: *default\n" for name in names)).encode()


def tagged(image: str, tag: str) -> bytes:
    """A values file that names an image and its tag."""
    return f"main_app:\n  image: {image}\n  version: {tag}\n".encode()


def files(flavours: Mapping[str, str]) -> dict[str, bytes]:
    """The charts at the start, with a service for each flavour of one image."""
    release = "values-{{`{{ .Release.Name }}`}}.yaml"
    parted, found = f"{HOME}/wikifunctions", dict[str, bytes]()
    found[f"{parted}/helmfile.yaml"] = helmfile(("main", "js", "py"), ("values.yaml", release))
    found[f"{parted}/values.yaml"] = b"resources:\n  replicas: 1\n"
    for name, image in (("main", ORCHESTRATOR), ("js", JS), ("py", PY)):
        found[f"{parted}/values-{name}.yaml"] = tagged(image, OLD)
    for name, flavour in flavours.items():
        found[f"{HOME}/{name}/helmfile.yaml"] = helmfile(("main",), ("global.yaml", "values.yaml"))
        found[f"{HOME}/{name}/values.yaml"] = f"shellbox:\n  flavour: {flavour}\n".encode()
    found[f"{HOME}/shellbox/global.yaml"] = f'# for all\nshellbox:\n  version: "{OLD_BOX}"\n'.encode()
    for name in ("echostore", "sessionstore"):
        found[f"{HOME}/{name}/helmfile.yaml"] = helmfile(("main",), ("values.yaml",))
        found[f"{HOME}/{name}/values.yaml"] = tagged(KASK, "v1.0.19")
    return found


def links(flavours: Mapping[str, str]) -> dict[str, str]:
    """The symlinks at the start: every flavour reads the file of the first."""
    return {f"{HOME}/{name}/global.yaml": f"{HOME}/shellbox/global.yaml" for name in flavours if name != "shellbox"}


def fleet() -> Catalogue:
    """The catalogue: wikifunctions in parts, shellbox as a group by its file, kask as a declared group.

    shellbox-video shares the file and is not in the catalogue.
    """
    plain, rooms = catalogue(), (Room("irc", "#deploy"),)
    parts = {
        "orchestrator": Part("wikifunctions/orchestrator", images={"main": ORCHESTRATOR}),
        "evaluators": Part("wikifunctions/evaluator", images={"js": JS, "py": PY}),
    }
    services = [
        Service("wikifunctions", "", "", rooms=rooms, parts=parts),
        *(Service(name, "shellbox", BOX, suffix="", rooms=rooms) for name in ("shellbox", "shellbox-media")),
        *(Service(name, "kask", KASK, suffix="", rooms=rooms, group="kask") for name in ("echostore", "sessionstore")),
    ]
    return replace(plain, services={service.name: service for service in services})


#: what files were found to make a service run; many worlds begin with the same files
_WANTED: dict[tuple[object, ...], dict[str, ReleaseImage]] = {}


class Fleet(FakeHost):
    """A deploy host on which each release runs what git said at its last apply.

    Attributes:
        refs: (service, environment, release) -> the image it runs, `name:tag`.
        broken: images whose pods crash.
        failing: (service, environment) where helm fails.
        applied: (service, environment, releases) of every apply that helm began, in order.
        replicas: pods of a release.
    """

    def __init__(self, repository: FakeRepository, registry: FakeRegistry, known: Catalogue) -> None:
        super().__init__()
        self.repository, self.registry, self.known = repository, registry, known
        self.refs: dict[tuple[str, str, str], str] = {}
        self.broken: set[str] = set()
        self.failing: set[tuple[str, str]] = set()
        self.applied: list[tuple[str, str, tuple[str, ...]]] = []
        self.replicas = 1
        self.scripts: dict[str, dict[str, Any]] = {}
        for service in (*known.services, "shellbox-video"):
            for environment in ENVIRONMENTS:
                self.install(service, environment)
        self.applying, self.on_applied = self._helm, self._follow

    async def position(self) -> Position:
        """The checkout follows the branch."""
        return Position(self.repository.head, self.boot, self.problem)

    async def has_commit(self, commit: str) -> bool:
        """Whether the checkout has it."""
        return self.repository.contains(self.repository.head, commit)

    def install(self, service: str, environment: str) -> None:
        """Let what git says run there."""
        wanted = self.wanted(service, environment, self.repository.files)
        self.live[service, environment] = [Release(name, service, "app-1", 7, "deployed") for name in wanted]
        for name, image in wanted.items():
            self.refs[service, environment, name] = image.reference
        self._show(service, environment)

    def wanted(self, service: str, environment: str, contents: Mapping[str, bytes]) -> dict[str, ReleaseImage]:
        """Release -> the image that the files make it run."""
        described = self.known.services.get(service) or Service(service, "", BOX)
        images_known, links = members.component(described).catalogued, self.repository.links
        question = (service, environment, repr(images_known), tuple(contents.items()), tuple(links.items()))
        if question not in _WANTED:
            tree = replace(EMPTY, files=contents, links=links)
            images = release_images(tree, service, environment, images_known)
            _WANTED[question] = {name: of_release[0] for name, of_release in images.items()}
        return _WANTED[question]

    def tags(self, service: str, environment: str) -> dict[str, str]:
        """Release -> tag of its image."""
        return {
            name: ref.rpartition(":")[2] for (s, e, name), ref in self.refs.items() if (s, e) == (service, environment)
        }

    async def play(self, job: FakeJob) -> int:
        """Diff what git says at the job's commit against what runs, then as FakeHost does."""
        order = json.loads(job.script)
        self.scripts[job.name] = order
        place = service, environment = order["service"], order["environment"]
        source = self.scripts[order["facts"]["export"]] if order["do"] == "apply" else order
        contents = dict(self.repository.commits[source["commit"]].files)
        contents |= {path: text.encode("latin-1") for path, text in source["overlay"].items()}
        self._next = {name: image.reference for name, image in self.wanted(service, environment, contents).items()}
        self.bodies[place] = {}
        for name, ref in self._next.items():
            old = self.refs[service, environment, name]
            (repository, _, was), now = old.rpartition(":"), ref.rpartition(":")[2]
            self.bodies[place][name] = deployment(was, now, self.replicas, name, repository) if ref != old else ""
        return await super().play(job)

    async def _helm(self, job: FakeJob, wanted: Sequence[str]) -> int:
        order = json.loads(job.script)
        place = (order["service"], order["environment"])
        self.applied.append((*place, tuple(wanted)))
        if place in self.failing:
            await job.write("Error: UPGRADE FAILED: context deadline exceeded\n")
            return 1
        return 0

    def _follow(self, service: str, environment: str, wanted: Sequence[str]) -> None:
        for name in wanted:
            self.refs[service, environment, name] = self._next[name]
        self._show(service, environment)

    def _show(self, service: str, environment: str) -> None:
        shown: list[Mapping[str, Any]] = []
        for release in self.live[service, environment]:
            ref = self.refs[service, environment, release.name]
            repository, _, tag = ref.rpartition(":")
            digest = self.registry.images.get(repository, {}).get(tag, "")
            shown += pods(tag, self.replicas, digest, ref not in self.broken, release.name, repository)
        self.pods[service, environment] = shown


class FleetDeck(Deck):
    """The core on that world."""

    voice = ChatVoice(TEMPLATES, fleet(), PAGE, "deploy1003", lambda: _CLOCK[0].now())  # noqa: PLW0108

    def __init__(self, known: Catalogue | None = None, flavours: Mapping[str, str] = FLAVOURS) -> None:
        known = known or fleet()
        self.registry = FakeRegistry()
        for image in (ORCHESTRATOR, JS, PY):
            for tag in (OLD, NEW, NEWER):
                self.registry.push(image, tag)
        for tag in (OLD_BOX, NEW_BOX):
            for flavour in flavours.values():
                self.registry.push(BOX, f"{tag}-{flavour}")
        for tag in ("v1.0.19", "v1.0.20"):
            self.registry.push(KASK, tag)
        self.repository = FakeRepository(files(flavours), links(flavours))
        self.fleet = Fleet(self.repository, self.registry, known)
        self.furnish(known, self.fleet)

    def built(self, image: str, tag: str, project: str = "", change: int = 501) -> None:
        """Put an announced image into the ledger."""
        build = Build(project or image, change, f"{change:040d}", "Fix", "mvolz", datetime(2026, 8, 17, tzinfo=UTC))
        ready = replace(build, state=BuildState.READY, image=image, tag=tag, said="ready")
        self.store.tables.builds[build.project, change, image] = ready

    def git_says(self, service: str, release: str = "main") -> str:
        """The tag at the tip, for staging."""
        return self.fleet.wanted(service, "staging", self.repository.files)[release].tag

    @property
    def owed(self) -> dict[str, str]:
        """`service/part environment` -> tag that is merged and not applied there."""
        debts = self.store.tables.debts.values()
        return {f"{d.service}{d.part and '/'}{d.part} {d.environment}": d.tag for d in debts}


def announced(deck: FleetDeck) -> FleetDeck:
    """With images of every part in the ledger."""
    for number, image in enumerate((ORCHESTRATOR, JS, PY)):
        deck.built(image, NEW, "wikifunctions", 500 + number)
    return deck
