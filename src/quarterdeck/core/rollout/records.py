"""What each step of a rollout intends, saved before its effect, and what it finds; and what the order knew beforehand.

A step that is not here yet has a record of its own type; the store's codec reads and writes them by these types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quarterdeck.core.model.question import Question

#: the stages of an environment, in their order: canary releases everywhere first, then all others
CANARY = "canary"
DEFAULT = "default"
STAGES = (CANARY, DEFAULT)

#: place -> (tag before, tag afterwards); before is "" where several tags are replaced by one
Effect = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Briefing:
    """What the order knew when it became a rollout; later steps and words need it.

    Attributes:
        nick: how the person was called in the room.
        running: place -> tag that ran there; places outside the targets too.
        running_by_part: part -> the same of it alone, where all parts are meant.
        git: place -> tag that git said.
        bad_tag: what a rollback goes away from; empty where it is not known.
        timeouts: place -> seconds helm waits there, by its helmfile.
        absent: (service, environments) of members that are not everywhere where the others are served.
        files: those the edit writes.
        ask_first: the question to ask before anything is written; None if nobody need be asked.
        takeover: numbers of the rollouts that this one closed.
        commits: merged changes between what runs and what is asked for; 0 where nobody can tell.
        usual_gate: seconds the gate took lately; 0 where too little is known.
    """

    nick: str = ""
    running: Mapping[str, str] = field(default_factory=dict)
    running_by_part: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    git: Mapping[str, str] = field(default_factory=dict)
    bad_tag: str = ""
    timeouts: Mapping[str, int] = field(default_factory=dict)
    absent: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    ask_first: Question | None = None
    takeover: tuple[int, ...] = ()
    commits: int = 0
    usual_gate: float = 0.0


@dataclass(frozen=True)
class EditIntent:
    """EDIT is about to propose a change.

    Attributes:
        base: commit that the edit was computed from.
        effect: of the service as a whole.
        parts: part -> its own effect, where all parts move together.
    """

    base: str
    change_id: str
    effect: Effect
    parts: Mapping[str, Effect] = field(default_factory=dict)


@dataclass(frozen=True)
class Edited:
    """What EDIT left.

    Attributes:
        already: git has the tag; nothing was written.
        change: Gerrit's number; 0 where nothing was written.
        revision: sha of the proposed patch set.
        write_set: (file, scalar) that the edit touches.
        lines: `file:line scalar` of each replacement.
        blobs: path -> git's id of the new content.
    """

    base: str
    effect: Effect
    parts: Mapping[str, Effect] = field(default_factory=dict)
    already: bool = False
    change: int = 0
    change_id: str = ""
    revision: str = ""
    files: tuple[str, ...] = ()
    write_set: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()
    blobs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MergeIntent:
    """MERGE is about to vote on exactly this patch set."""

    change: int
    revision: str


@dataclass(frozen=True)
class Merged:
    """Where the edit is on the branch.

    Attributes:
        commit: sha on the branch.
        already: git had it before.
        change: Gerrit's number; 0 where it was there before.
    """

    commit: str
    already: bool = False
    change: int = 0


@dataclass(frozen=True)
class SyncIntent:
    """SYNC waits for this commit."""

    commit: str


@dataclass(frozen=True)
class Synced:
    """Where the deploy host's checkout stands.

    Attributes:
        commit: its HEAD; everything after this step is made from it.
        merged: the commit of MERGE; empty where nothing was merged.
        host: the host's incarnation (boot id).
    """

    commit: str
    merged: str
    host: str


@dataclass(frozen=True)
class DiffIntent:
    """DIFF is about to export and diff this commit."""

    commit: str


@dataclass(frozen=True)
class PinnedRelease:
    """A Helm release as it was when the diff was taken."""

    revision: int
    status: str
    namespace: str


@dataclass(frozen=True)
class ShownDiff:
    """What a diff says, redacted, as chat, page and rules want it.

    Attributes:
        releases: release -> how it stood.
        changed_releases: those with changed objects.
        changes: whether anything changes at all.
        image_only: whether the image changes as expected, and nothing else but what follows from it.
        surprises: short texts, one for each thing to count in `with N`.
        lines: the changed lines for chat; none where there are too many.
        summary: the change in half a line.
        workloads: (kind, how many change).
        pods: how many pods are replaced.
    """

    releases: Mapping[str, PinnedRelease]
    changed_releases: tuple[str, ...]
    changes: bool
    image_only: bool
    surprises: tuple[str, ...]
    lines: tuple[str, ...]
    summary: str
    workloads: tuple[tuple[str, int], ...]
    pods: int


@dataclass(frozen=True)
class PlaceDiff:
    """What would change at one place.

    Attributes:
        job: the host job whose export an apply uses.
        digest: SHA-256 of the whole diff as the host took it.
        parts: release -> SHA-256 of its part of the diff.
        canaries: releases that go before the others.
        images: release -> references (`name:tag`) that git makes it run.
        tags: every tag that an apply of the whole place brings.
        left: changed releases that this rollout leaves alone.
    """

    job: str
    digest: str
    parts: Mapping[str, str]
    canaries: tuple[str, ...]
    images: Mapping[str, tuple[str, ...]]
    tags: tuple[str, ...]
    left: tuple[str, ...]
    shown: ShownDiff

    def stage_releases(self, stage: str) -> tuple[str, ...]:
        """The releases that belong to a stage: the canaries, or all others."""
        return tuple(name for name in self.shown.releases if (name in self.canaries) is (stage == CANARY))


@dataclass(frozen=True)
class Diffed:
    """What DIFF found.

    Attributes:
        commit: that was diffed.
        digests: reference (`name:tag`) -> registry digest when the diff was shown.
    """

    commit: str
    digests: Mapping[str, str]
    places: Mapping[str, PlaceDiff]


@dataclass(frozen=True)
class GateIntent:
    """A question to a person.

    Attributes:
        asked: what would happen, in half a line.
        answered: who said yes; empty while the question is open.
        code: what he said.
        at: when, aware UTC.
    """

    asked: str
    answered: str = ""
    code: str = ""
    at: datetime | None = None


@dataclass(frozen=True)
class GatePassed:
    """Whether a person was asked, and who said yes."""

    asked: bool
    by: str = ""


@dataclass(frozen=True)
class ApplyIntent:
    """APPLY is about to start a host job.

    Attributes:
        host: the host's incarnation (boot id).
        script: SHA-256 of the job's script.
        pinned: release -> the revision it must be at.
        templates: pod templates that were there before.
    """

    host: str
    job: str
    script: str
    pinned: Mapping[str, int]
    templates: tuple[str, ...]


@dataclass(frozen=True)
class Applied:
    """What the host job did.

    Attributes:
        revisions: release -> its new revision.
        seconds: how long it took.
    """

    job: str
    revisions: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class Checked:
    """What the pods proved.

    Attributes:
        pods: (ready, wanted).
        text: the verdict in a few words.
        soak: seconds all new pods stayed ready.
        digest: whether the registry's digest was seen to run.
    """

    pods: tuple[int, int]
    text: str
    soak: float
    digest: str
