"""Rows of lines that wait for their network, inside an open transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from quarterdeck.adapters.store.schema import outbox
from quarterdeck.core.model.line import Line
from quarterdeck.core.ports.outbox import OutboxRow
from quarterdeck.core.rollout import codec


def add(c: Connection, lines: Sequence[Line], now: datetime) -> None:
    """Put lines at the end."""
    for line in lines:
        c.execute(
            insert(outbox).values(
                network=line.room.network,
                room=line.room.name,
                may_wait=line.urgency.may_wait,
                line=codec.dumps(line),
                created=codec.instant(now),
                owner="",
                again=False,
            )
        )


def claim(c: Connection, network: str, limit: int, owner: str) -> tuple[OutboxRow, ...]:
    """The oldest lines of a network that this process has not got yet, urgent ones first, now its own."""
    due = outbox.c.sent_at.is_(None) & (outbox.c.owner != owner)
    query = select(outbox).where((outbox.c.network == network) & due)
    rows = c.execute(query.order_by(outbox.c.may_wait, outbox.c.id).limit(limit)).all()
    if rows:
        claimed = outbox.c.id.in_([row.id for row in rows])
        c.execute(update(outbox).where(claimed).values(owner=owner))
    return tuple(
        OutboxRow(
            id=row.id,
            line=codec.loads(Line, row.line),
            created=codec.moment(row.created),
            again=row.again or bool(row.owner),
        )
        for row in rows
    )


def mark_sent(c: Connection, row: int, now: datetime) -> None:
    """The network has the line."""
    c.execute(update(outbox).where(outbox.c.id == row).values(sent_at=codec.instant(now)))


def mark_unsent(c: Connection, row: int) -> None:
    """The line is due again."""
    c.execute(update(outbox).where(outbox.c.id == row).values(sent_at=None, owner="", again=True))
