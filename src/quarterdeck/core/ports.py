"""What the core asks of the world. Each promise here is a contract test that adapter and fake both pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from .model import Change, Comment, Draft, Line
from .rollout import Rollout, State


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Aware UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        ...


class Review(Protocol):
    """Gerrit. Every call raises TemporaryError when the server is late or away, PermanentError when it refuses."""

    async def find(self, project: str, branch: str, change_id: str) -> Change | None:
        """The change with that Change-Id, whatever its status; None if there is none."""
        ...

    async def get(self, project: str, number: int) -> Change:
        """The change as NoteDb has it now (not from the index), files, votes and message included."""
        ...

    async def propose(self, draft: Draft) -> Change:
        """Make the change exist, and prove it: files, blob ids, message and parent as drafted.

        Asking twice with the same Change-Id gives the same change, also after a time-out in the middle.

        Raises:
            ConflictError: a change with our Change-Id exists and is not what we drafted.
        """
        ...

    async def approve(self, change: Change, message: str) -> Change:
        """Vote Code-Review +2 on exactly `change.revision`; refused if another patch set is current."""
        ...

    async def submit(self, change: Change) -> Change:
        """Submit exactly that revision; already merged is success.

        Raises:
            ConflictError: it no longer merges; compute it again.
        """
        ...

    async def submitted_together(self, change: Change) -> tuple[int, ...]:
        """Numbers of other changes that this submit would take along."""
        ...

    async def abandon(self, change: Change, message: str) -> None:
        """Abandon an open change; already closed is success."""
        ...

    async def comments(self, project: str, number: int) -> tuple[Comment, ...]:
        """All messages on a change, oldest first."""
        ...

    async def merged_since(self, project: str, branch: str, since: datetime) -> tuple[Change, ...]:
        """Changes merged at or after *since*, oldest first (sorted by `submitted`), paged to the end."""
        ...

    async def whoami(self) -> str:
        """Username the server knows us by."""
        ...


class EventStream(Protocol):
    """Gerrit's stream-events: a doorbell, not the truth."""

    async def run(self, ring: Callable[[str, str], Awaitable[None] | None]) -> None:
        """Call `ring(event type, project)` for each event, and `ring("connected", "")` on every connect.

        Also `ring("dropped-output", "")` after a gap. Reconnects for ever until cancelled.
        """
        ...

    @property
    def up(self) -> bool:
        """Whether the stream stands just now."""
        ...


@dataclass(frozen=True)
class Tree:
    """The text files of a service's directory at one commit, what they lead to, and the directories that share it.

    "Lead to" is by symlink, or by a path that the helmfile names; whoever reaches one of those files too is a sharer,
    and its directory is there as well, so that the effect of an edit on it can be computed.

    Attributes:
        commit: sha.
        files: path from the repository's root -> bytes.
        links: path of a symlink, or of a file in a linked folder -> real path of the file, both from the root.
        sharers: real path -> services that reach it.
    """

    commit: str
    files: Mapping[str, bytes]
    links: Mapping[str, str] = field(default_factory=dict)
    sharers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class Charts(Protocol):
    """The charts repository, read at a pinned commit."""

    async def tip(self) -> str:
        """Fetch, and return the branch's newest commit."""
        ...

    async def tree(self, commit: str, service: str) -> Tree:
        """The directory of a service at a commit.

        Raises:
            NotFoundError: no such directory there.
        """
        ...

    async def contains(self, commit: str, ancestor: str) -> bool:
        """Whether *ancestor* is *commit* or one of its ancestors."""
        ...


class Registry(Protocol):
    """The image registry."""

    async def digest(self, image: str, tag: str) -> str | None:
        """The manifest digest a tag names ("sha256:…"); None if the tag is not there."""
        ...

    async def tags(self, image: str) -> tuple[str, ...]:
        """All tags of a repository; empty if there is none."""
        ...

    async def revision(self, image: str, tag: str) -> str | None:
        """The commit an image says it was built from (org.opencontainers.image.revision), if it says so."""
        ...


class JobState(StrEnum):
    """What the runner on the deploy host says of a job."""

    ABSENT = "absent"
    RUNNING = "running"
    DONE = "done"
    LOST = "lost"  #: its lock is free and it left no exit status


@dataclass(frozen=True)
class JobStatus:
    """A job on the deploy host.

    Attributes:
        status: exit status, only when DONE.
        host: incarnation of the host (boot id); another one means it was restarted in between.
        digest: sha256 of the script the job was started with; empty when ABSENT.
    """

    state: JobState
    host: str
    status: int | None = None
    digest: str = ""


class Runner(Protocol):
    """Named, detached jobs on the deploy host. A lost connection is TemporaryError, never an exit status."""

    async def start(self, job: str, script: str) -> JobStatus:
        """Start a POSIX-sh script under a name, detached. The same name again starts nothing, it attaches.

        Raises:
            PermanentError: a job of that name exists with another script.
        """
        ...

    async def status(self, job: str) -> JobStatus:
        """What the host says of the job now."""
        ...

    async def follow(self, job: str, offset: int, on_output: Callable[[int, bytes], Awaitable[None]]) -> JobStatus:
        """Wait until a job ended, handing on its log from a byte offset; re-attaches after a drop.

        `on_output(offset of the chunk, bytes)`. Returns DONE or LOST. Raises TemporaryError when the host stays
        away longer than the adapter's limit.
        """
        ...

    async def read(self, job: str, name: str) -> bytes:
        """A file of the job's folder; NotFoundError if it is not there."""
        ...

    async def stop(self, job: str) -> None:
        """SIGINT to the job's process group; returns at once. Nothing happens if it ended."""
        ...

    async def query(self, command: str, timeout: float = 20.0, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """Run a short read-only command; (exit status, stdout, stderr). Deadline in seconds."""
        ...


@dataclass(frozen=True)
class Release:
    """One Helm release as `helm`/helmfile report it.

    Attributes:
        revision: live revision; 0 when it is not installed.
        status: Helm's word: deployed, failed, pending-upgrade …; empty when not installed.
        description: Helm's note on that revision.
    """

    name: str
    namespace: str
    chart: str = ""
    revision: int = 0
    status: str = ""
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Position:
    """Where the deploy host's charts checkout stands."""

    commit: str
    host: str
    problem: str = ""


class Host(Protocol):
    """The deploy host: what it sees of charts and cluster, and the exact commands for both (page, by hand)."""

    async def position(self) -> Position:
        """HEAD of the charts checkout, and the host's incarnation."""
        ...

    async def has_commit(self, commit: str) -> bool:
        """Whether the checkout's HEAD is that commit or a descendant of it."""
        ...

    async def releases(self, service: str, environment: str) -> tuple[Release, ...]:
        """The releases helmfile would install there, with their live revision and status."""
        ...

    async def objects(self, service: str, environment: str) -> Sequence[Mapping[str, Any]]:
        """Deployments, StatefulSets, DaemonSets, ReplicaSets and Pods of the namespace, as Kubernetes gives them."""
        ...

    def diff_script(self, service: str, environment: str, commit: str, overlay: Mapping[str, bytes] = ...) -> str:
        """Job script: export *commit*, lay *overlay* (path -> content) over it, diff it (full context) into `diff`.

        Also writes `releases.json`, `revisions.json`, `diff.sha256` and `diff.releases` (one digest a release).
        """
        ...

    def apply_script(
        self,
        service: str,
        environment: str,
        stage_releases: Sequence[str],
        expected: Mapping[str, str],
        facts: Mapping[str, str],
    ) -> str:
        """Job script: take our host lock, diff again from the same export, compare, apply.

        Exit statuses of its own: 75 the lock is held, 76 the diff is not the one shown, 77 a release is pending or
        at another revision than pinned.
        """
        ...

    def by_hand(self, service: str, environment: str, releases: Sequence[str] = ()) -> tuple[str, ...]:
        """The lines a person types on the host for the same; no releases means all."""
        ...


@dataclass(frozen=True)
class HeldTarget:
    """A target somebody holds."""

    service: str
    environment: str
    number: int
    state: State


@dataclass(frozen=True)
class OutboxRow:
    """A line to be said.

    Attributes:
        again: it was handed to the network before, and we died before we knew: say so.
    """

    id: int
    line: Line
    created: datetime
    again: bool = False


class BuildState(StrEnum):
    """How far a merged change got on its way to an image."""

    AWAITING = "awaiting"
    READY = "ready"  #: the registry has the image
    FAILED = "failed"  #: CI says there is none
    SILENT = "silent"  #: the deadline passed and nobody said anything
    SEEN = "seen"  #: merged before we watched: never announced


@dataclass(frozen=True)
class Build:
    """One merged change of a watched project, and the image that came or did not come of it.

    Attributes:
        change: Gerrit's number.
        commit: sha on the branch.
        image: repository name; empty until CI named one (then one entry per image).
        said: what was announced of it last ("" nothing, "ready", "failed", "silent").
    """

    project: str
    change: int
    commit: str
    subject: str
    owner: str
    merged: datetime
    state: BuildState = BuildState.AWAITING
    image: str = ""
    tag: str = ""
    digest: str = ""
    said: str = ""
    updated: datetime | None = None


@dataclass(frozen=True)
class Debt:
    """Merged, not applied there.

    Attributes:
        part: of the service; empty for all of it.
        tag: what git says there now.
        number: the rollout that made it so.
        owner: person's name.
    """

    service: str
    environment: str
    tag: str
    number: int
    owner: str
    since: datetime
    part: str = ""


@dataclass(frozen=True)
class AuditRow:
    """One line of the append-only audit."""

    at: datetime
    who: str
    verb: str
    detail: str
    number: int


class Store(Protocol):
    """What outlives the process. Each method is one transaction."""

    async def accept(
        self, rollout: Rollout, takeover: Sequence[int], lines: Callable[[Rollout], Sequence[Line]]
    ) -> Rollout:
        """Give the rollout its number, hold its targets, write its lines, and abort the resting ones it takes over.

        Raises:
            BusyError: a target is held by a rollout that is not taken over.
        """
        ...

    async def save(
        self,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Rollout:
        """Replace *old* by *new*, with its steps, lines and write set; frees what a state no longer holds.

        Raises:
            StaleError: somebody moved it first.
            BusyError: a scalar of the write set is held by another rollout.
        """
        ...

    async def raise_stop(self, number: int, who: str) -> None:
        """Raise the stop flag of a rollout. Moves nothing, so it never races with the worker (save never writes it)."""
        ...

    async def get(self, number: int) -> Rollout | None:
        """A rollout by number."""
        ...

    async def find(self, states: Collection[State] = (), service: str = "", limit: int = 50) -> tuple[Rollout, ...]:
        """Rollouts, newest first; no states means all. A group's are found by each of its services."""
        ...

    async def holders(self, service: str) -> tuple[HeldTarget, ...]:
        """Which environments of a service are held, and by whom."""
        ...

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """What is merged and not applied, as far as our own edits made it so."""
        ...

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """Record and clear debts, the *paid* (service, environment, part) first."""
        ...

    async def say(self, lines: Sequence[Line]) -> None:
        """Put lines into the outbox outside of any move."""
        ...

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """The oldest unsent lines of a network, urgent ones first, now marked as handed over.

        A row handed over by an earlier process (or given back by `unsent`) and never marked sent comes with `again`.
        """
        ...

    async def sent(self, row: int) -> None:
        """The network has the line."""
        ...

    async def unsent(self, row: int) -> None:
        """The network lost the line, or may have: it is due again."""
        ...

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """Note a message; True exactly once for each (network, msgid)."""
        ...

    async def add_builds(self, builds: Sequence[Build]) -> tuple[Build, ...]:
        """Add merged changes to the ledger; those already there stay as they are. Returns what was new."""
        ...

    async def set_build(self, build: Build, lines: Sequence[Line] = ()) -> None:
        """Update a ledger entry (key: project, change, image), and say what follows from it, in one transaction."""
        ...

    async def builds(
        self, project: str = "", image: str = "", states: Collection[BuildState] = (), limit: int = 200
    ) -> tuple[Build, ...]:
        """Ledger entries, newest merge first."""
        ...

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """Append to the audit."""
        ...

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """The audit, newest first; of one rollout if a number is given."""
        ...

    async def cursor(self, name: str) -> str:
        """A remembered word ("" at first)."""
        ...

    async def set_cursor(self, name: str, value: str) -> None:
        """Remember a word."""
        ...


class Files(Protocol):
    """A rollout's long texts (logs, diffs, evidence) on our own disk, already redacted by whoever writes them."""

    async def append(self, number: int, name: str, data: bytes) -> int:
        """Append; returns the file's size in bytes."""
        ...

    async def write(self, number: int, name: str, data: bytes) -> None:
        """Replace the file atomically."""
        ...

    async def read(self, number: int, name: str, offset: int = 0, limit: int = 1 << 20) -> tuple[bytes, int]:
        """Bytes from an offset and the next offset; (b"", offset) if there is no such file."""
        ...


class Voice(Protocol):
    """Turns what happened into lines for people."""

    def lines(self, event: str, rollout: Rollout | None, /, **facts: Any) -> tuple[Line, ...]:
        """The lines for an event, for the rollout's home room unless the event belongs elsewhere."""
        ...
