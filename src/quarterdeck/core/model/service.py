"""Services and their parts, as the catalogue describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quarterdeck.core.model.room import Room


@dataclass(frozen=True)
class Part:
    """Some releases of a service whose images are built and deployed together.

    Attributes:
        project: Gerrit project of its code; empty when the images are built elsewhere.
        branch: branch whose merges build them.
        images: Helm release -> repository name in the registry.
    """

    project: str = ""
    branch: str = "master"
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One deployable service, as the catalogue describes it.

    Attributes:
        name: what people say, and the directory below `services_dir`.
        project: Gerrit project of its code; empty when the image is built elsewhere, or by its parts' projects.
        branch: branch whose merges build images.
        image: repository name in the registry, without host and tag; empty where its parts have images.
        suffix: the usual end of its tags (e.g. "-production"), left out in chat.
        image_suffix: what the tag in the registry has beyond the one in git, where no `flavour` in the values says it.
        parts: name -> part, each deployed alone.
        group: name of the services that are deployed together; empty if it is in none.
        rooms: where it may be deployed and is announced.
        deployers: groups whose people may deploy it.
        canaries: Helm releases that go before the others of their environment.
    """

    name: str
    project: str
    image: str
    branch: str = "master"
    suffix: str = "-production"
    rooms: tuple[Room, ...] = ()
    deployers: frozenset[str] = frozenset({"deployers"})
    canaries: frozenset[str] = frozenset({"canary"})
    image_suffix: str = ""
    parts: Mapping[str, Part] = field(default_factory=dict)
    group: str = ""

    @property
    def projects(self) -> tuple[tuple[str, str], ...]:
        """(Gerrit project, branch) of its own code and its parts'."""
        found = [(self.project, self.branch), *((part.project, part.branch) for part in self.parts.values())]
        return tuple(dict.fromkeys(pair for pair in found if pair[0]))

    @property
    def images(self) -> tuple[str, ...]:
        """Repositories of its own image and its parts'."""
        found = [self.image, *(image for part in self.parts.values() for image in part.images.values())]
        return tuple(dict.fromkeys(filter(None, found)))
