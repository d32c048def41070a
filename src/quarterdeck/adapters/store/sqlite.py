"""The store on SQLite: each method of the ports one transaction, made of the statements that stand beside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from sqlalchemy import Connection, select, update

from quarterdeck.adapters.store import audit as audit_rows
from quarterdeck.adapters.store import builds as build_rows
from quarterdeck.adapters.store import debts as debt_rows
from quarterdeck.adapters.store import outbox as outbox_rows
from quarterdeck.adapters.store import rollouts as rollout_rows
from quarterdeck.adapters.store.database import Database
from quarterdeck.adapters.store.holds import hold
from quarterdeck.adapters.store.schema import cursors, inbox, rollouts
from quarterdeck.adapters.store.upsert import inserted, put
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.errors import NotFoundError, StaleError
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.audit import AuditRow
from quarterdeck.core.ports.outbox import OutboxRow
from quarterdeck.core.rollout import codec, holding
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER, State

P = ParamSpec("P")
R = TypeVar("R")


class SqliteStore:
    """`ports.Store` in one SQLite file; see `database` for what it promises.

    Args:
        path: the file; its folder must exist.
        incarnation: random word of this process; rows another incarnation claimed are due again.
        now: the clock, aware UTC.
        max_pages: SQLite's `max_page_count` (4096 bytes each), to prove what a full disk does; None: none.
        pipelines: the kinds of rollout that can be read.

    Attributes:
        on_lines: called in the store's thread with the networks for which lines have just been committed.

    Raises:
        PermanentError: another process has the store, or it was written by a newer Quarterdeck.
    """

    def __init__(
        self,
        path: Path,
        incarnation: str,
        now: Callable[[], datetime],
        max_pages: int | None = None,
        pipelines: Pipelines = PIPELINES,
    ) -> None:
        self._pipelines = pipelines
        self._incarnation = incarnation
        self._now = now
        self.on_lines: Callable[[frozenset[str]], None] = lambda _: None
        self._networks: set[str] = set()
        self._database = Database(path, max_pages)
        self._database.begun = self._networks.clear
        self._database.committed = self._ring

    def close(self) -> None:
        """Finish what is under way and let the file and its lock go. Twice is once."""
        self._database.close()

    def _ring(self) -> None:
        """Tell for which networks lines were committed."""
        if self._networks:
            self.on_lines(frozenset(self._networks))

    # -- rollouts

    async def accept(
        self, rollout: Rollout, takeover: Sequence[int], lines: Callable[[Rollout], Sequence[Line]]
    ) -> Rollout:
        """See `ports.Store.accept`; a takeover that rests no longer is StaleError."""
        return await self._database.run(self._accept, rollout, takeover, lines)

    def _accept(
        self,
        c: Connection,
        rollout: Rollout,
        takeover: Sequence[int],
        lines: Callable[[Rollout], Sequence[Line]],
    ) -> Rollout:
        holding.check_steps(rollout.steps)
        rollout = replace(rollout, stop="")
        number = rollout_rows.insert_accepted(c, rollout, self._incarnation)
        rollout = replace(rollout, number=number)
        self._update(c, rollout)
        rollout_rows.write_steps(c, number, (), rollout.steps)
        for other in takeover:
            resting = rollout_rows.readable(c, other, self._pipelines)
            ended = holding.taken_over(resting, other, rollout, self._now())
            self._update(c, ended)
            hold(c, ended, (), self._pipelines)
            self._note(c, rollout.actor, "taken over", ended.note, other)
        hold(c, rollout, None, self._pipelines)
        self._say(c, lines(rollout))
        self._note(c, rollout.actor, "accept", holding.accepted_detail(rollout), number)
        return rollout

    async def save(
        self,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line] = (),
        write_set: Sequence[tuple[str, str]] | None = None,
    ) -> Rollout:
        """See `ports.Store.save`; returned is what the store has now, its stop flag included."""
        return await self._database.run(self._save, old, new, lines, write_set)

    def _save(
        self,
        c: Connection,
        old: Rollout,
        new: Rollout,
        lines: Sequence[Line],
        write_set: Sequence[tuple[str, str]] | None,
    ) -> Rollout:
        holding.check_steps(new.steps)
        new = replace(new, number=old.number, version=max(new.version, old.version + 1))
        ours = (rollouts.c.number == old.number) & (rollouts.c.version == old.version)
        if c.execute(update(rollouts).where(ours).values(**rollout_rows.columns(new, self._incarnation))).rowcount != 1:
            raise StaleError(f"#{old.number} was moved by somebody else first")
        if new.steps != old.steps:
            rollout_rows.write_steps(c, new.number, old.steps, new.steps)
        hold(c, new, write_set, self._pipelines)
        self._say(c, lines)
        verb = holding.move_between(old.state, new.state)
        self._note(c, holding.who_moved(old, new), verb, holding.audit_detail(old, new), new.number)
        stop = c.execute(select(rollouts.c.stop).where(rollouts.c.number == new.number)).scalar_one()
        return replace(new, stop=stop)

    def _update(self, c: Connection, rollout: Rollout) -> None:
        row = rollout_rows.columns(rollout, self._incarnation)
        c.execute(update(rollouts).where(rollouts.c.number == rollout.number).values(**row))

    async def raise_stop(self, number: int, who: str) -> None:
        """See `ports.Store.raise_stop`; the first to raise it stays named, an empty *who* lowers it."""
        await self._database.run(self._raise_stop, number, who)

    def _raise_stop(self, c: Connection, number: int, who: str) -> None:
        raised = update(rollouts).where(rollouts.c.number == number)
        if c.execute((raised.where(rollouts.c.stop == "") if who else raised).values(stop=who)).rowcount:
            self._note(c, who or "worker", "stop", "raised" if who else "lowered", number)

    async def get(self, number: int) -> Rollout | None:
        """See `ports.Store.get`."""
        rollout = await self._database.run(rollout_rows.get, number, self._pipelines)
        if isinstance(rollout, NotReadable):
            raise NotFoundError(rollout)
        return rollout

    async def find(self, states: Collection[State] = (), service: str = "", limit: int = 50) -> tuple[Rollout, ...]:
        """See `ports.Store.find`."""
        query = select(rollouts).order_by(rollouts.c.number.desc()).limit(limit)
        if states:
            query = query.where(rollouts.c.state.in_([s.value for s in states]))
        if service:
            query = query.where(rollout_rows.serves(service))
        read = await self._database.run(lambda c: rollout_rows.read(c, c.execute(query).all(), self._pipelines))
        return tuple(rollout for rollout in read if isinstance(rollout, Rollout))

    async def unreadable(self) -> tuple[NotReadable, ...]:
        """See `ports.Store.unreadable`."""
        still_open = rollouts.c.state.not_in([state.value for state in OVER])
        query = select(rollouts).where(still_open).order_by(rollouts.c.number)
        read = await self._database.run(lambda c: rollout_rows.read(c, c.execute(query).all(), self._pipelines))
        return tuple(rollout for rollout in read if isinstance(rollout, NotReadable))

    # -- debts

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """See `ports.Debts.debts`; oldest first."""
        return await self._database.run(debt_rows.read, service)

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """See `ports.Debts.set_debts`."""
        await self._database.run(debt_rows.settle, add, paid)

    # -- lines out, words in

    async def say(self, lines: Sequence[Line]) -> None:
        """See `ports.Outbox.say`."""
        await self._database.run(self._say, lines)

    def _say(self, c: Connection, lines: Sequence[Line]) -> None:
        self._networks.update(line.room.network for line in lines)
        outbox_rows.add(c, lines, self._now())

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """See `ports.Outbox.claim_lines`."""
        return await self._database.run(outbox_rows.claim, network, limit, self._incarnation)

    async def sent(self, row: int) -> None:
        """See `ports.Outbox.sent`."""
        await self._database.run(outbox_rows.mark_sent, row, self._now())

    async def unsent(self, row: int) -> None:
        """See `ports.Outbox.unsent`."""
        await self._database.run(outbox_rows.mark_unsent, row)

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """See `ports.Inbox.heard`."""
        at = codec.instant(self._now())
        line = {"network": network, "msgid": msgid, "room": room, "account": account, "text": text, "at": at}
        return await self._database.run(inserted, inbox, line)

    # -- builds

    async def add_builds(self, added: Sequence[Build]) -> tuple[Build, ...]:
        """See `ports.Builds.add_builds`; a change already known by any image is not new without one."""
        return await self._database.run(build_rows.add, added)

    async def set_build(self, build: Build, lines: Sequence[Line] = ()) -> None:
        """See `ports.Builds.set_build`; the first named image takes the place of the entry without one."""

        def work(c: Connection) -> None:
            build_rows.put(c, build)
            self._say(c, lines)

        await self._database.run(work)

    async def builds(
        self, project: str = "", image: str = "", states: Collection[BuildState] = (), limit: int = 200
    ) -> tuple[Build, ...]:
        """See `ports.Builds.builds`."""
        return await self._database.run(build_rows.read, project, image, states, limit)

    # -- audit and cursors

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """See `ports.Audit.note`."""
        await self._database.run(self._note, who, verb, detail, number)

    def _note(self, c: Connection, who: str, verb: str, detail: str, number: int) -> None:
        audit_rows.append(c, AuditRow(self._now(), who, verb, detail, number))

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """See `ports.Audit.audit`."""
        return await self._database.run(audit_rows.read, number, limit)

    async def cursor(self, name: str) -> str:
        """See `ports.Cursors.cursor`."""
        query = select(cursors.c.value).where(cursors.c.name == name)
        return await self._database.run(lambda c: c.execute(query).scalar() or "")

    async def set_cursor(self, name: str, value: str) -> None:
        """See `ports.Cursors.set_cursor`."""
        await self._database.run(put, cursors, {"name": name}, {"value": value})
