"""A Gerrit in memory: changes, votes, a gate that merges, fails or stalls, and everything open to look at."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from quarterdeck.core.model.change import Change, ChangeStatus, Comment, Draft, Vote, blob_id
from quarterdeck.core.model.errors import ConflictError, PermanentError
from quarterdeck.testing.faults import Faults
from quarterdeck.testing.repository import FakeRepository


class Gate(StrEnum):
    """What CI does with a change that got Code-Review +2."""

    STALL = "stall"  #: nothing
    MERGE = "merge"  #: Verified +2, and CI submits
    VERIFY = "verify"  #: Verified +2, and waits for our submit
    FAIL = "fail"  #: Verified -1


@dataclass
class _Record:
    change: Change
    tree: Mapping[str, bytes]
    comments: list[Comment] = field(default_factory=list)
    patch_sets: list[str] = field(default_factory=list)


class FakeReview:
    """`ports.Review` in memory.

    Attributes:
        user: the bot's username.
        ci: username of the one who gates.
        gate: what happens after our +2, at the next look at the change.
        faults: errors to raise, by method name.
        repositories: (project, branch) -> its commits; missing ones are made empty.
        together: change number -> others that its submit would take along.
    """

    def __init__(
        self,
        user: str = "quarterdeck",
        *,
        gate: Gate = Gate.MERGE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.user = user
        self.ci = "jenkins-bot"
        self.gate = gate
        self.faults = Faults()
        self.repositories: dict[tuple[str, str], FakeRepository] = {}
        self.together: dict[int, tuple[int, ...]] = {}
        self._clock = clock
        self._numbers = itertools.count(1001)
        self._records: dict[int, _Record] = {}

    # What a test does and sees.

    def repository(self, project: str, branch: str = "master") -> FakeRepository:
        """The commits of a branch."""
        return self.repositories.setdefault((project, branch), FakeRepository({}))

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes, oldest first."""
        return tuple(record.change for record in self._records.values())

    def vote(self, number: int, label: str, value: int, who: str, text: str = "") -> None:
        """Somebody votes; a new vote of his replaces the old one, 0 takes it away."""
        record = self._records[number]
        others = [v for v in record.change.votes if (v.label, v.who) != (label, who)]
        mine = [Vote(label, value, who, self._clock())] if value else []
        record.change = self._judged(replace(record.change, votes=(*others, *mine)))
        said = f"{label}{value:+d}" if value else f"-{label}"
        self.comment(number, who, f"Patch Set {len(record.patch_sets)}: {said}\n\n{text}".strip())

    def comment(self, number: int, who: str, text: str) -> None:
        """Somebody writes a message on a change."""
        record = self._records[number]
        at = self._clock()
        name = f"{number}-{len(record.comments)}"
        record.comments.append(Comment(name, who, text, at, len(record.patch_sets)))

    def upload(self, number: int, changed: Mapping[str, bytes], who: str) -> None:
        """Somebody uploads another patch set over a change; votes fall away."""
        record = self._records[number]
        repository = self.repository(record.change.project, record.change.branch)
        base = repository.commits[record.change.parent]
        commit = repository.make(record.change.message, {**base.files, **changed}, parent=base.sha)
        record.tree = commit.files
        record.patch_sets.append(commit.sha)
        files = _files(base.files, changed)
        record.change = replace(
            record.change, revision=commit.sha, files=files, votes=(), uploader=who, submittable=False
        )

    def merge(self, number: int) -> None:
        """Submit, whoever does it. Raises ConflictError as Gerrit does."""
        record = self._records[number]
        change = record.change
        repository = self.repository(change.project, change.branch)
        base, head = repository.commits[change.parent], repository.commits[repository.head]
        for path in change.files:
            if head.files.get(path) not in {base.files.get(path), record.tree.get(path)}:
                raise ConflictError(f"change {number} no longer merges: path conflict in {path}")
        revision = change.revision
        if head.sha != base.sha:
            merged = {**head.files, **{path: record.tree[path] for path in change.files}}
            revision = repository.make(change.message, merged).sha
            record.patch_sets.append(revision)
        repository.head = revision
        record.change = replace(
            change,
            status=ChangeStatus.MERGED,
            revision=revision,
            parent=head.sha,
            submitted=self._clock().replace(microsecond=0),
            submittable=False,
        )

    def made(
        self, project: str, changed: Mapping[str, bytes], who: str = "alice", subject: str = "Work",
        branch: str = "master",
    ) -> Change:  # fmt: skip
        """A person's open change on the branch's head."""
        head = self.repository(project, branch).head
        digest = hashlib.sha1(f"{project}{subject}{len(self._records)}".encode(), usedforsecurity=False)
        change_id = f"I{digest.hexdigest()}"
        message = f"{subject}\n\nChange-Id: {change_id}\n"
        return self._make(Draft(project, branch, change_id, head, message, changed), who, ready=True)

    # The port.

    async def whoami(self) -> str:
        """Username the server knows us by."""
        self.faults.check("whoami")
        return self.user

    async def find(self, project: str, branch: str, change_id: str) -> Change | None:
        """The change with that Change-Id, whatever its status; None if there is none."""
        self.faults.check("find")
        record = self._lookup(project, branch, change_id)
        return record.change if record else None

    async def get(self, project: str, number: int) -> Change:
        """The change as it stands, after the gate had its turn."""
        self.faults.check("get")
        record = self._record(project, number)
        self._run_gate(record)
        return record.change

    async def propose(self, draft: Draft) -> Change:
        """Make the change exist, or find it. Raises ConflictError if another content stands there."""
        self.faults.check("propose")
        if not draft.message.rstrip().endswith(f"Change-Id: {draft.change_id}"):
            raise PermanentError("the commit message must end with our Change-Id, and hold no other")
        record = self._lookup(draft.project, draft.branch, draft.change_id)
        if record is None:
            return self._make(draft, self.user, ready=False)
        change = record.change
        if change.status is ChangeStatus.ABANDONED:
            raise ConflictError(f"change {change.number} was abandoned")
        content = {path: record.tree.get(path) for path in change.files}
        first = self.repository(draft.project, draft.branch).commits[record.patch_sets[0]]
        ours = content == dict(draft.files) and first.parent == draft.base and change.message == draft.message
        if not ours:
            raise ConflictError(f"change {change.number} stands with other content than ours")
        return change

    async def approve(self, change: Change, message: str) -> Change:
        """Vote Code-Review +2 on exactly that revision."""
        self.faults.check("approve")
        record = self._current(change)
        if record.change.status is ChangeStatus.NEW and not self._approved(record.change):
            record.change = replace(record.change, work_in_progress=False)
            self.vote(change.number, "Code-Review", 2, self.user, message)
        return record.change

    async def submit(self, change: Change) -> Change:
        """Submit exactly that revision; already merged is success."""
        self.faults.check("submit")
        record = self._current(change)
        self._run_gate(record)
        if record.change.status is ChangeStatus.NEW:
            if not record.change.submittable:
                raise PermanentError(
                    "Gerrit refuses (409: Failed to submit 1 change due to the following problems: "
                    f"Change {change.number}: submit requirement 'Verified' is unsatisfied.)"
                )
            self.merge(change.number)
        return record.change

    async def submitted_together(self, change: Change) -> tuple[int, ...]:
        """Numbers of other changes that this submit would take along."""
        self.faults.check("submitted_together")
        self._record(change.project, change.number)
        return self.together.get(change.number, ())

    async def abandon(self, change: Change, message: str) -> None:
        """Abandon an open change; already closed is success."""
        self.faults.check("abandon")
        record = self._record(change.project, change.number)
        if record.change.status is ChangeStatus.NEW:
            record.change = replace(record.change, status=ChangeStatus.ABANDONED, submittable=False)
            self.comment(change.number, self.user, f"Abandoned\n\n{message}")

    async def comments(self, project: str, number: int) -> tuple[Comment, ...]:
        """All messages on a change, oldest first."""
        self.faults.check("comments")
        return tuple(self._record(project, number).comments)

    async def merged_since(self, project: str, branch: str, since: datetime) -> tuple[Change, ...]:
        """Changes merged at or after *since* (whole seconds), oldest first."""
        self.faults.check("merged_since")
        first = since.replace(microsecond=0)
        mine = (c for c in self.changes if (c.project, c.branch) == (project, branch))
        found = [c for c in mine if c.submitted is not None and first <= c.submitted]
        return tuple(sorted(found, key=lambda c: (c.submitted or first, c.number)))

    # How it does that.

    def _make(self, draft: Draft, who: str, *, ready: bool) -> Change:
        repository = self.repository(draft.project, draft.branch)
        if draft.base not in repository.commits:
            raise PermanentError(f"Gerrit refuses (422: Base {draft.base} doesn't exist)")
        base = repository.commits[draft.base]
        for path, content in draft.files.items():
            if base.files.get(path) == content:
                raise PermanentError(f"{path} has that content already")
        commit = repository.make(draft.message, {**base.files, **draft.files}, parent=base.sha)
        change = Change(
            number=next(self._numbers),
            change_id=draft.change_id,
            project=draft.project,
            branch=draft.branch,
            subject=draft.message.splitlines()[0],
            status=ChangeStatus.NEW,
            revision=commit.sha,
            parent=base.sha,
            message=draft.message,
            files=_files(base.files, draft.files),
            uploader=who,
            owner=who,
            work_in_progress=not ready,
        )
        self._records[change.number] = _Record(change, commit.files, [], [commit.sha])
        self.comment(change.number, who, "Uploaded patch set 1.")
        return change

    def _lookup(self, project: str, branch: str, change_id: str) -> _Record | None:
        if not re.fullmatch(r"I[0-9a-f]{40}", change_id):
            raise PermanentError(f"{change_id[:60]!r} is no Change-Id")
        wanted = (project, branch, change_id)
        for record in self._records.values():
            change = record.change
            if (change.project, change.branch, change.change_id) == wanted:
                return record
        return None

    def _record(self, project: str, number: int) -> _Record:
        record = self._records.get(number)
        if record is None or record.change.project != project:
            raise PermanentError(f"Gerrit has no such thing, or hides it from the bot: change {number}")
        return record

    def _current(self, change: Change) -> _Record:
        record = self._record(change.project, change.number)
        if record.change.status is ChangeStatus.ABANDONED:
            raise ConflictError(f"change {change.number} was abandoned")
        merged = record.change.status is ChangeStatus.MERGED and change.revision in record.patch_sets
        if record.change.revision != change.revision and not merged:
            raise ConflictError(f"change {change.number} has another patch set than ours")
        return record

    def _approved(self, change: Change) -> bool:
        return any((v.label, v.value, v.who) == ("Code-Review", 2, self.user) for v in change.votes)

    @staticmethod
    def _judged(change: Change) -> Change:
        values = {(v.label, v.value) for v in change.votes}
        wanted = {("Code-Review", 2), ("Verified", 2)} <= values and ("Verified", -1) not in values
        return replace(change, submittable=wanted and not change.work_in_progress)

    def _run_gate(self, record: _Record) -> None:
        change = record.change
        judged = any(v.label == "Verified" for v in change.votes)
        if change.status is not ChangeStatus.NEW or not self._approved(change) or judged:
            return
        if self.gate is Gate.FAIL:
            self.vote(change.number, "Verified", -1, self.ci)
        elif self.gate in {Gate.MERGE, Gate.VERIFY}:
            self.vote(change.number, "Verified", 2, self.ci)
            if self.gate is Gate.MERGE:
                try:
                    self.merge(change.number)
                except ConflictError as error:
                    self.vote(change.number, "Verified", -1, self.ci)
                    self.comment(change.number, self.ci, f"This change cannot be merged: {error}")


def _files(base: Mapping[str, bytes], changed: Mapping[str, bytes]) -> dict[str, tuple[str, str, int]]:
    return {path: ("M" if path in base else "A", blob_id(content), 0o100644) for path, content in changed.items()}
