"""The store in memory: the same promises, kept by swapping whole tables at the end of each transaction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.errors import NotFoundError, StaleError
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.audit import AuditRow
from quarterdeck.core.ports.outbox import OutboxRow
from quarterdeck.core.rollout import holding, packing
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER, State


@dataclass
class _Said:
    row: OutboxRow
    claimed_by: str = ""
    sent: bool = False


@dataclass
class Tables:
    """Everything a `MemoryStore` knows; tests may look."""

    rollouts: dict[int, Rollout] = field(default_factory=dict)
    targets: dict[tuple[str, str], int] = field(default_factory=dict)
    write_sets: dict[tuple[str, str], int] = field(default_factory=dict)
    outbox: dict[int, _Said] = field(default_factory=dict)
    inbox: set[tuple[str, str]] = field(default_factory=set)
    builds: dict[tuple[str, int, str], Build] = field(default_factory=dict)
    debts: dict[tuple[str, str, str], Debt] = field(default_factory=dict)
    audit: list[AuditRow] = field(default_factory=list)
    cursors: dict[str, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    """Number -> why, of rollouts that are to be taken for written by a newer version."""


def _kept(rollout: Rollout, pipelines: Pipelines) -> Rollout:
    """The rollout as it comes back from a disk, so that what JSON cannot hold is refused here too."""
    steps = [packing.pack_step(step) for step in rollout.steps]
    return packing.unpack(packing.pack(rollout), steps, rollout.stop, pipelines)


class MemoryStore:
    """`ports.Store` in dictionaries.

    Args:
        incarnation: word of this "process".
        now: the clock, aware UTC.
        pipelines: the kinds of rollout that can be read.

    Attributes:
        tables: what is stored; `reborn` shares it, as a new process would find it.
    """

    def __init__(self, incarnation: str, now: Callable[[], datetime], pipelines: Pipelines = PIPELINES) -> None:
        self._pipelines = pipelines
        self._incarnation = incarnation
        self._now = now
        self._shared = [Tables()]

    @property
    def tables(self) -> Tables:
        """What is stored."""
        return self._shared[0]

    def reborn(self, incarnation: str) -> MemoryStore:
        """The store as the next process finds it."""
        store = MemoryStore(incarnation, self._now, self._pipelines)
        store._shared = self._shared
        return store

    def close(self) -> None:
        """Nothing to let go."""

    @contextmanager
    def _transaction(self) -> Iterator[Tables]:
        draft = copy.copy(self.tables)
        for name, table in vars(draft).items():
            setattr(draft, name, copy.copy(table))
        yield draft
        self._shared[0] = draft

    async def accept(
        self, rollout: Rollout, takeover: Sequence[int], lines: Callable[[Rollout], Sequence[Line]]
    ) -> Rollout:
        """See `ports.Store.accept`."""
        holding.check_steps(rollout.steps)
        with self._transaction() as t:
            if any(known.id == rollout.id for known in t.rollouts.values()):
                raise StaleError(f"rollout {rollout.id} was accepted before")
            rollout = replace(rollout, number=max(t.rollouts, default=0) + 1, stop="")
            t.rollouts[rollout.number] = _kept(rollout, self._pipelines)
            for other in takeover:
                ended = holding.taken_over(t.rollouts.get(other), other, rollout, self._now())
                t.rollouts[other] = ended
                self._hold(t, ended, ())
                self._note(t, rollout.actor, "taken over", ended.note, other)
            self._hold(t, rollout, None)
            self._say(t, lines(rollout))
            self._note(t, rollout.actor, "accept", holding.accepted_detail(rollout), rollout.number)
        return rollout

    async def save(
        self,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Rollout:
        """See `ports.Store.save`."""
        holding.check_steps(new.steps)
        with self._transaction() as t:
            now = t.rollouts.get(old.number)
            if now is None or now.version != old.version:
                raise StaleError(f"#{old.number} was moved by somebody else first")
            version = max(new.version, old.version + 1)
            new = replace(new, number=old.number, version=version, stop=now.stop)
            t.rollouts[new.number] = _kept(new, self._pipelines)
            self._hold(t, new, write_set)
            self._say(t, lines)
            verb = holding.move_between(old.state, new.state)
            detail = holding.audit_detail(old, new)
            self._note(t, holding.who_moved(old, new), verb, detail, new.number)
        return new

    @staticmethod
    def _hold(t: Tables, rollout: Rollout, write_set: Sequence[tuple[str, str]] | None) -> None:
        number, wanted = rollout.number, holding.targets(rollout)
        for target in [k for k, holder in t.targets.items() if holder == number and k not in wanted]:
            del t.targets[target]
        for target in sorted(wanted):
            other = t.targets.setdefault(target, number)
            if other != number:
                raise holding.busy(" ".join(target), t.rollouts.get(other), other)
        if not wanted:
            write_set = ()
        if write_set is None:
            return
        for scalar in [k for k, holder in t.write_sets.items() if holder == number]:
            del t.write_sets[scalar]
        for scalar in sorted(set(write_set)):
            other = t.write_sets.setdefault(scalar, number)
            if other != number:
                raise holding.busy(" ".join(scalar), t.rollouts.get(other), other)

    async def raise_stop(self, number: int, who: str) -> None:
        """See `ports.Store.raise_stop`; the first to raise it stays named, an empty *who* lowers it."""
        with self._transaction() as t:
            rollout = t.rollouts.get(number)
            if rollout and not (who and rollout.stop):
                t.rollouts[number] = replace(rollout, stop=who)
                self._note(t, who or "worker", "stop", "raised" if who else "lowered", number)

    async def get(self, number: int) -> Rollout | None:
        """See `ports.Store.get`."""
        if number in self.tables.unreadable:
            raise NotFoundError(NotReadable(number, self.tables.unreadable[number]))
        return self.tables.rollouts.get(number)

    async def find(self, states: Collection[State] = (), service: str = "", limit: int = 50) -> tuple[Rollout, ...]:
        """See `ports.Store.find`."""
        newest_first = sorted(self.tables.rollouts.values(), key=lambda rollout: -rollout.number)
        wanted = [
            rollout
            for rollout in newest_first
            if (not states or rollout.state in states)
            and (not service or service in rollout.services)
            and rollout.number not in self.tables.unreadable
        ]
        return tuple(wanted[:limit])

    async def unreadable(self) -> tuple[NotReadable, ...]:
        """See `ports.Store.unreadable`."""
        numbers = sorted(n for n in self.tables.unreadable if self.tables.rollouts[n].state not in OVER)
        return tuple(NotReadable(number, self.tables.unreadable[number]) for number in numbers)

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """See `ports.Store.debts`."""
        found = [d for d in self.tables.debts.values() if service in ("", d.service)]
        return tuple(sorted(found, key=lambda d: (d.since, d.service, d.environment, d.part)))

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """See `ports.Store.set_debts`."""
        with self._transaction() as t:
            for key in paid:
                t.debts.pop(key, None)
            t.debts.update({(d.service, d.environment, d.part): d for d in add})

    async def say(self, lines: Sequence[Line]) -> None:
        """See `ports.Store.say`."""
        with self._transaction() as t:
            self._say(t, lines)

    def _say(self, t: Tables, lines: Sequence[Line]) -> None:
        for line in lines:
            number = len(t.outbox) + 1
            t.outbox[number] = _Said(OutboxRow(number, line, self._now()))

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """See `ports.Store.claim_lines`."""
        with self._transaction() as t:
            due = [
                said
                for said in t.outbox.values()
                if said.row.line.room.network == network and not said.sent and said.claimed_by != self._incarnation
            ]
            due = sorted(due, key=lambda s: (s.row.line.urgency.may_wait, s.row.id))[:limit]
            for said in due:
                t.outbox[said.row.id] = replace(said, claimed_by=self._incarnation)
        return tuple(replace(said.row, again=said.row.again or bool(said.claimed_by)) for said in due)

    async def sent(self, row: int) -> None:
        """See `ports.Store.sent`."""
        with self._transaction() as t:
            t.outbox[row] = replace(t.outbox[row], sent=True)

    async def unsent(self, row: int) -> None:
        """See `ports.Store.unsent`."""
        with self._transaction() as t:
            t.outbox[row] = _Said(replace(t.outbox[row].row, again=True))

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """See `ports.Store.heard`."""
        del room, account, text
        with self._transaction() as t:
            new = (network, msgid) not in t.inbox
            t.inbox.add((network, msgid))
        return new

    async def add_builds(self, builds: Sequence[Build]) -> tuple[Build, ...]:
        """See `ports.Store.add_builds`."""
        new = []
        with self._transaction() as t:
            for build in builds:
                images = {i for p, n, i in t.builds if (p, n) == (build.project, build.change)}
                if build.image not in images if build.image else not images:
                    self._put(t, build)
                    new.append(build)
        return tuple(new)

    async def set_build(self, build: Build, lines: Sequence[Line] = ()) -> None:
        """See `ports.Store.set_build`."""
        with self._transaction() as t:
            self._put(t, build)
            self._say(t, lines)

    @staticmethod
    def _put(t: Tables, build: Build) -> None:
        if build.image:
            t.builds.pop((build.project, build.change, ""), None)
        t.builds[build.project, build.change, build.image] = build

    async def builds(
        self, project: str = "", image: str = "", states: Collection[BuildState] = (), limit: int = 200
    ) -> tuple[Build, ...]:
        """See `ports.Store.builds`."""
        found = [
            b
            for b in sorted(self.tables.builds.values(), key=lambda b: b.image)
            if project in ("", b.project) and image in ("", b.image) and (not states or b.state in states)
        ]
        return tuple(sorted(found, key=lambda b: (b.merged, b.change), reverse=True))[:limit]

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """See `ports.Store.note`."""
        with self._transaction() as t:
            self._note(t, who, verb, detail, number)

    def _note(self, t: Tables, who: str, verb: str, detail: str, number: int) -> None:
        t.audit.append(AuditRow(self._now(), who, verb, detail, number))

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """See `ports.Store.audit`."""
        rows = [row for row in reversed(self.tables.audit) if number in (0, row.number)]
        return tuple(rows[:limit])

    async def cursor(self, name: str) -> str:
        """See `ports.Store.cursor`."""
        return self.tables.cursors.get(name, "")

    async def set_cursor(self, name: str, value: str) -> None:
        """See `ports.Store.set_cursor`."""
        with self._transaction() as t:
            t.cursors[name] = value
