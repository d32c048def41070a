"""Rows of the audit, inside an open transaction; the database itself refuses to change them."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select

from quarterdeck.adapters.store.schema import audit
from quarterdeck.core.ports.audit import AuditRow
from quarterdeck.core.rollout import codec


def append(c: Connection, row: AuditRow) -> None:
    """Write a row at the end."""
    values = {"who": row.who, "verb": row.verb, "detail": row.detail, "number": row.number}
    c.execute(insert(audit).values(at=codec.instant(row.at), **values))


def read(c: Connection, number: int, limit: int) -> tuple[AuditRow, ...]:
    """The newest rows first; of one rollout if a number is given."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if number:
        query = query.where(audit.c.number == number)
    return tuple(AuditRow(codec.moment(r.at), r.who, r.verb, r.detail, r.number) for r in c.execute(query))
