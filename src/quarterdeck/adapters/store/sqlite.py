"""The store on SQLite: one file, one thread, one process, and each method one transaction.

WAL with synchronous=FULL: what a method returned from survives SIGKILL and power loss. Transactions begin
IMMEDIATE, so that a read is never overtaken before its write. A second process is refused by a lock that the
kernel frees at death.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, create_engine, event, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import StaticPool

from quarterdeck.adapters.store import rows, schema
from quarterdeck.adapters.store.schema import audit, builds, cursors, debts, inbox, outbox, rollouts, targets
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.model.errors import NotFoundError, PermanentError, StaleError, TemporaryError
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.store import AuditRow, HeldTarget, OutboxRow
from quarterdeck.core.rollout import codec, holding
from quarterdeck.core.rollout.debts import Debt
from quarterdeck.core.rollout.pipeline import PIPELINES, Pipelines
from quarterdeck.core.rollout.refusals import NotReadable
from quarterdeck.core.rollout.rollout import Rollout
from quarterdeck.core.rollout.state import OVER, State

P = ParamSpec("P")
R = TypeVar("R")


def lock_file(path: Path) -> int:
    """Take the store's process lock; returns the descriptor that keeps it until closed or the process dies.

    Raises:
        PermanentError: another process has it; the message names its pid.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise PermanentError(
            f"another Quarterdeck (pid {pid}) has this store: {path.with_suffix('')}. "
            "Stop that one first, or give this one another data_dir"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextmanager
def _translated() -> Iterator[None]:
    """Our errors for the library's: a full disk and a busy file pass, a damaged file does not."""
    try:
        yield
    except DBAPIError as error:
        words = str(error.orig)
        if "full" in words:
            raise TemporaryError(
                "the store's disk is full: free some space, I go on by myself. Nothing was saved", 5.0
            ) from error
        if "locked" in words or "disk I/O" in words or "unable to open" in words:
            raise TemporaryError(f"the store cannot be used just now: {words}") from error
        raise PermanentError(f"the store refuses: {words}") from error


class SqliteStore:
    """`ports.Store` in one SQLite file. Opened by the constructor, which blocks for a moment.

    Args:
        path: the file; its folder must exist. `<path>.lock` beside it is the process lock.
        incarnation: random word of this process; rows another incarnation claimed are due again.
        now: the clock, aware UTC.
        pipelines: the kinds of rollout that can be read.
        max_pages: SQLite's `max_page_count` (4096 bytes each), to prove what a full disk does; None: none.

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
        self._told: set[str] = set()
        self._lock = lock_file(path.with_name(path.name + ".lock"))
        self._executor = ThreadPoolExecutor(1, "store")
        self._engine = create_engine(f"sqlite:///{path}", poolclass=StaticPool)
        event.listen(self._engine, "connect", lambda raw, _: _prepare(raw, max_pages))
        event.listen(self._engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            self._executor.submit(self._open).result()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        with _translated(), self._engine.begin() as connection:
            schema.migrate(connection)

    def close(self) -> None:
        """Finish what is under way and let the file and its lock go. Twice is once."""
        if self._lock >= 0:
            self._executor.submit(self._engine.dispose).result()
            self._executor.shutdown()
            os.close(self._lock)
            self._lock = -1

    async def _run(self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        def transaction() -> R:
            self._told.clear()
            with _translated(), self._engine.begin() as connection:
                result = work(connection, *args, **kwargs)
            if self._told:
                self.on_lines(frozenset(self._told))
            return result

        try:
            pending = asyncio.get_running_loop().run_in_executor(self._executor, transaction)
        except RuntimeError as error:
            raise TemporaryError("the store is closed") from error
        return await pending

    # -- rollouts

    async def accept(
        self, rollout: Rollout, takeover: Sequence[int], lines: Callable[[Rollout], Sequence[Line]]
    ) -> Rollout:
        """See `ports.Store.accept`; a takeover that rests no longer is StaleError."""
        return await self._run(self._accept, rollout, takeover, lines)

    def _accept(
        self,
        c: Connection,
        rollout: Rollout,
        takeover: Sequence[int],
        lines: Callable[[Rollout], Sequence[Line]],
    ) -> Rollout:
        holding.check_steps(rollout.steps)
        rollout = replace(rollout, stop="")
        try:
            result = c.execute(insert(rollouts).values(id=rollout.id, stop="", **rows.columns(rollout)))
        except IntegrityError as error:
            raise StaleError(f"rollout {rollout.id} was accepted before") from error
        (number,) = result.inserted_primary_key or (0,)
        rollout = replace(rollout, number=number)
        c.execute(update(rollouts).where(rollouts.c.number == number).values(**rows.columns(rollout)))
        rows.write_steps(c, number, (), rollout.steps)
        for other in takeover:
            found = rows.readable(c, other, self._pipelines)
            ended = holding.taken_over(found, other, rollout, self._now())
            c.execute(update(rollouts).where(rollouts.c.number == other).values(**rows.columns(ended)))
            rows.hold(c, ended, (), self._pipelines)
            self._note(c, rollout.actor, "taken over", ended.note, other)
        rows.hold(c, rollout, None, self._pipelines)
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
        return await self._run(self._save, old, new, lines, write_set)

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
        if c.execute(update(rollouts).where(ours).values(**rows.columns(new))).rowcount != 1:
            raise StaleError(f"#{old.number} was moved by somebody else first")
        if new.steps != old.steps:
            rows.write_steps(c, new.number, old.steps, new.steps)
        rows.hold(c, new, write_set, self._pipelines)
        self._say(c, lines)
        verb = holding.move_between(old.state, new.state)
        self._note(c, holding.who_moved(old, new), verb, holding.audit_detail(old, new), new.number)
        stop = c.execute(select(rollouts.c.stop).where(rollouts.c.number == new.number)).scalar_one()
        return replace(new, stop=stop)

    async def raise_stop(self, number: int, who: str) -> None:
        """See `ports.Store.raise_stop`; the first to raise it stays named, an empty *who* lowers it."""
        await self._run(self._raise_stop, number, who)

    def _raise_stop(self, c: Connection, number: int, who: str) -> None:
        raised = update(rollouts).where(rollouts.c.number == number)
        if c.execute((raised.where(rollouts.c.stop == "") if who else raised).values(stop=who)).rowcount:
            self._note(c, who or "worker", "stop", "raised" if who else "lowered", number)

    async def get(self, number: int) -> Rollout | None:
        """See `ports.Store.get`."""
        rollout = await self._run(rows.get, number, self._pipelines)
        if isinstance(rollout, NotReadable):
            raise NotFoundError(rollout)
        return rollout

    async def find(self, states: Collection[State] = (), service: str = "", limit: int = 50) -> tuple[Rollout, ...]:
        """See `ports.Store.find`."""
        query = select(rollouts).order_by(rollouts.c.number.desc()).limit(limit)
        if states:
            query = query.where(rollouts.c.state.in_([s.value for s in states]))
        if service:
            query = query.where(rows.serves(service))
        read = await self._run(lambda c: rows.read(c, c.execute(query).all(), self._pipelines))
        return tuple(rollout for rollout in read if isinstance(rollout, Rollout))

    async def unreadable(self) -> tuple[NotReadable, ...]:
        """See `ports.Store.unreadable`."""
        still_open = rollouts.c.state.not_in([state.value for state in OVER])
        query = select(rollouts).where(still_open).order_by(rollouts.c.number)
        read = await self._run(lambda c: rows.read(c, c.execute(query).all(), self._pipelines))
        return tuple(rollout for rollout in read if isinstance(rollout, NotReadable))

    async def holders(self, service: str) -> tuple[HeldTarget, ...]:
        """See `ports.Store.holders`."""
        query = (
            select(targets, rollouts.c.state)
            .join(rollouts, rollouts.c.number == targets.c.number)
            .where(targets.c.service == service)
            .order_by(targets.c.number, targets.c.environment)
        )
        found = await self._run(lambda c: c.execute(query).all())
        return tuple(HeldTarget(r.service, r.environment, r.number, State(r.state)) for r in found)

    # -- debts

    async def debts(self, service: str = "") -> tuple[Debt, ...]:
        """See `ports.Store.debts`; oldest first."""
        query = select(debts.c.body)
        if service:
            query = query.where(debts.c.service == service)
        found = await self._run(
            lambda c: [codec.loads(Debt, body) for body in c.execute(query).scalars()],
        )
        return tuple(sorted(found, key=lambda d: (d.since, d.service, d.environment, d.part)))

    async def set_debts(self, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
        """See `ports.Store.set_debts`; the paid go first, a newer debt replaces the one of its place and part."""
        await self._run(rows.set_debts, add, paid)

    # -- lines out, words in

    async def say(self, lines: Sequence[Line]) -> None:
        """See `ports.Store.say`."""
        await self._run(self._say, lines)

    def _say(self, c: Connection, lines: Sequence[Line]) -> None:
        at = codec.instant(self._now())
        for line in lines:
            self._told.add(line.room.network)
            c.execute(
                insert(outbox).values(
                    network=line.room.network,
                    room=line.room.name,
                    may_wait=line.urgency.may_wait,
                    line=codec.dumps(line),
                    created=at,
                    claimed_by="",
                    again=False,
                )
            )

    async def claim_lines(self, network: str, limit: int = 20) -> tuple[OutboxRow, ...]:
        """See `ports.Store.claim_lines`."""
        return await self._run(self._claim, network, limit)

    def _claim(self, c: Connection, network: str, limit: int) -> tuple[OutboxRow, ...]:
        due = (outbox.c.sent_at.is_(None)) & (outbox.c.claimed_by != self._incarnation)
        query = select(outbox).where((outbox.c.network == network) & due)
        found = c.execute(query.order_by(outbox.c.may_wait, outbox.c.id).limit(limit)).all()
        ids = [row.id for row in found]
        if ids:
            c.execute(update(outbox).where(outbox.c.id.in_(ids)).values(claimed_by=self._incarnation))
        return tuple(
            OutboxRow(
                id=row.id,
                line=codec.loads(Line, row.line),
                created=codec.moment(row.created),
                again=row.again or bool(row.claimed_by),
            )
            for row in found
        )

    async def sent(self, row: int) -> None:
        """See `ports.Store.sent`."""
        change = update(outbox).where(outbox.c.id == row).values(sent_at=codec.instant(self._now()))
        await self._run(lambda c: c.execute(change))

    async def unsent(self, row: int) -> None:
        """See `ports.Store.unsent`."""
        change = update(outbox).where(outbox.c.id == row).values(sent_at=None, claimed_by="", again=True)
        await self._run(lambda c: c.execute(change))

    async def heard(self, network: str, msgid: str, room: str, account: str, text: str) -> bool:
        """See `ports.Store.heard`."""
        row = upsert(inbox).values(
            network=network,
            msgid=msgid,
            room=room,
            account=account,
            text=text,
            at=codec.instant(self._now()),
        )
        return await self._run(lambda c: c.execute(row.on_conflict_do_nothing()).rowcount == 1)

    # -- builds

    async def add_builds(self, added: Sequence[Build]) -> tuple[Build, ...]:
        """See `ports.Store.add_builds`; a change already known by any image is not new without one."""
        return await self._run(rows.add_builds, added)

    async def set_build(self, build: Build, lines: Sequence[Line] = ()) -> None:
        """See `ports.Store.set_build`; the first named image takes the place of the entry without one."""

        def work(c: Connection) -> None:
            rows.put_build(c, build)
            self._say(c, lines)

        await self._run(work)

    async def builds(
        self, project: str = "", image: str = "", states: Collection[BuildState] = (), limit: int = 200
    ) -> tuple[Build, ...]:
        """See `ports.Store.builds`."""
        query = select(builds.c.body).order_by(builds.c.merged.desc(), builds.c.change.desc(), builds.c.image)
        if project:
            query = query.where(builds.c.project == project)
        if image:
            query = query.where(builds.c.image == image)
        if states:
            query = query.where(builds.c.state.in_([s.value for s in states]))
        found = await self._run(lambda c: c.execute(query.limit(limit)).scalars().all())
        return tuple(codec.loads(Build, body) for body in found)

    # -- audit and cursors

    async def note(self, who: str, verb: str, detail: str, number: int = 0) -> None:
        """See `ports.Store.note`."""
        await self._run(self._note, who, verb, detail, number)

    def _note(self, c: Connection, who: str, verb: str, detail: str, number: int) -> None:
        at = codec.instant(self._now())
        c.execute(insert(audit).values(at=at, who=who, verb=verb, detail=detail, number=number))

    async def audit(self, number: int = 0, limit: int = 100) -> tuple[AuditRow, ...]:
        """See `ports.Store.audit`."""
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        if number:
            query = query.where(audit.c.number == number)
        found = await self._run(lambda c: c.execute(query).all())
        return tuple(AuditRow(codec.moment(r.at), r.who, r.verb, r.detail, r.number) for r in found)

    async def cursor(self, name: str) -> str:
        """See `ports.Store.cursor`."""
        query = select(cursors.c.value).where(cursors.c.name == name)
        return await self._run(lambda c: c.execute(query).scalar() or "")

    async def set_cursor(self, name: str, value: str) -> None:
        """See `ports.Store.set_cursor`."""
        row = upsert(cursors).values(name=name, value=value)
        row = row.on_conflict_do_update(index_elements=["name"], set_={"value": value})
        await self._run(lambda c: c.execute(row))


def _prepare(raw: Any, max_pages: int | None) -> None:
    """Pragmas of a connection; the driver must not begin transactions itself (SQLAlchemy's pysqlite notes)."""
    raw.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        raw.execute(f"PRAGMA {pragma}").close()
    if max_pages is not None:
        raw.execute(f"PRAGMA max_page_count={max_pages}").close()
