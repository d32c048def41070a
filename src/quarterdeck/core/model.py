"""Nouns that several rooms share: who asks, what is deployed, where, and where we got it from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True)
class Person:
    """Somebody the catalogue knows: one human on all networks.

    Attributes:
        name: the catalogue's key, also how we address him in text for people.
        shell: login name on the deploy host; named in SAL lines and commit footers.
        groups: names used by a service's `deployers`.
        accounts: network name -> services account (IRC) or MXID (Matrix).
        email: for the commit's author; empty if unknown.
    """

    name: str
    shell: str
    groups: frozenset[str] = frozenset()
    accounts: Mapping[str, str] = field(default_factory=dict)
    email: str = ""


@dataclass(frozen=True)
class Actor:
    """Who says a command, as the transport vouches for it; no argument can set it.

    Attributes:
        network: transport's name, e.g. "irc".
        room: room it was said in, lower case; empty in private.
        nick: the name shown just now; never an identity.
        account: authenticated account, None when the network vouches for none.
        person: the catalogue's person for that account, None for strangers.
        accounts_shown: whether the network shows accounts at all just now.
    """

    network: str
    room: str
    nick: str
    account: str | None
    person: Person | None
    accounts_shown: bool = True

    @property
    def name(self) -> str:
        """The person's name, else the nick marked as unproven."""
        return self.person.name if self.person else f"{self.nick}?"


class EnvironmentKind(StrEnum):
    """What an environment is for; decides order and when we ask."""

    STAGING = "staging"
    PRODUCTION = "production"


@dataclass(frozen=True)
class Environment:
    """One helmfile environment.

    Attributes:
        name: as in helmfile.yaml.
        kind: staging or production.
        primary: the data centre that comes last.
    """

    name: str
    kind: EnvironmentKind
    primary: bool = False


class MergeMode(StrEnum):
    """Who submits a charts change."""

    GATE = "gate"  #: we vote, CI verifies and submits
    SUBMIT = "submit"  #: we vote, CI verifies, we submit


@dataclass(frozen=True)
class ChartsRepository:
    """Where the helmfile values live in Gerrit."""

    project: str
    branch: str = "master"
    services_dir: str = "helmfile.d/services"
    merge: MergeMode = MergeMode.GATE


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
        rooms: "network/room" where it may be deployed and is announced.
        deployers: groups whose people may deploy it.
        canaries: Helm releases that go before the others of their environment.
    """

    name: str
    project: str
    image: str
    branch: str = "master"
    suffix: str = "-production"
    rooms: tuple[str, ...] = ()
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


@dataclass(frozen=True)
class Catalogue:
    """Everything the bot knows beforehand: charts, environments, people, services."""

    charts: ChartsRepository
    environments: Mapping[str, Environment]
    people: Mapping[str, Person]
    services: Mapping[str, Service]

    def person(self, network: str, account: str | None) -> Person | None:
        """The person behind an authenticated account, compared without case; None for a stranger."""
        if account is None:
            return None
        wanted = account.casefold()
        for person in self.people.values():
            if person.accounts.get(network, "").casefold() == wanted:
                return person
        return None

    @property
    def groups(self) -> tuple[str, ...]:
        """What may be said after `@`: the groups, and every service, whose shared file may make one."""
        return tuple(dict.fromkeys((*(s.group for s in self.services.values() if s.group), *self.services)))

    def group(self, name: str) -> tuple[Service, ...]:
        """The services that say they are in a group, in the catalogue's order."""
        return tuple(s for s in self.services.values() if s.group == name and name)


@dataclass(frozen=True)
class Image:
    """An image in the registry.

    Attributes:
        name: repository, e.g. "wikimedia/mediawiki-services-citoid".
        tag: e.g. "2026-08-17-094555-production".
        digest: "sha256:…" of the manifest the tag names; empty when not looked up.
    """

    name: str
    tag: str
    digest: str = ""


def short_tag(tag: str, suffix: str) -> str:
    """The tag as people say it: without its usual suffix."""
    return tag.removesuffix(suffix) if suffix and tag != suffix else tag


class ChangeStatus(StrEnum):
    """Gerrit's states of a change."""

    NEW = "NEW"
    MERGED = "MERGED"
    ABANDONED = "ABANDONED"


@dataclass(frozen=True)
class Vote:
    """One label vote on a change."""

    label: str
    value: int
    who: str
    at: datetime | None = None


def blob_id(content: bytes) -> str:
    """The id git gives a file with that content, in a repository of SHA-1."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Change:
    """A Gerrit change as we last read it.

    Attributes:
        number: Gerrit's `_number`.
        change_id: `I…` footer.
        revision: sha of the current patch set; after a merge the commit on the branch.
        parent: first parent of that commit.
        files: path -> (status letter, git blob id, octal mode), without `/COMMIT_MSG`.
        submittable: Gerrit's own word, with every submit requirement counted.
        submitted: when it was merged, aware UTC.
        uploader: account name of the current patch set's uploader.
    """

    number: int
    change_id: str
    project: str
    branch: str
    subject: str
    status: ChangeStatus
    revision: str
    parent: str = ""
    message: str = ""
    files: Mapping[str, tuple[str, str, int]] = field(default_factory=dict)
    submittable: bool = False
    votes: tuple[Vote, ...] = ()
    submitted: datetime | None = None
    uploader: str = ""
    owner: str = ""
    work_in_progress: bool = False


@dataclass(frozen=True)
class Draft:
    """A change we want to exist.

    Attributes:
        change_id: derived from rollout, step and attempt, so that asking twice finds the same change.
        base: commit the contents were read from; the change's parent.
        message: whole commit message, Change-Id footer included.
        files: path -> new bytes.
    """

    project: str
    branch: str
    change_id: str
    base: str
    message: str
    files: Mapping[str, bytes]
    topic: str = ""
    author: tuple[str, str] | None = None


@dataclass(frozen=True)
class Comment:
    """One message on a change.

    Attributes:
        author: account's username, or its name where Gerrit gives no username.
        at: aware UTC.
    """

    id: str
    author: str
    text: str
    at: datetime
    patch_set: int = 0


@dataclass(frozen=True)
class Line:
    """One line for one room, to be written to the outbox.

    Attributes:
        urgent: verdicts and questions go before chatter.
    """

    network: str
    room: str
    text: str
    urgent: bool = False
