"""Rows of what is merged and not applied, inside an open transaction."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from quarterdeck.adapters.store.schema import debts
from quarterdeck.adapters.store.upsert import put
from quarterdeck.core.rollout import codec
from quarterdeck.core.rollout.debts import Debt


def read(c: Connection, service: str) -> tuple[Debt, ...]:
    """The debts of a service, or all; the oldest first."""
    query = select(debts).order_by(debts.c.since, debts.c.service, debts.c.environment, debts.c.part)
    if service:
        query = query.where(debts.c.service == service)
    return tuple(
        Debt(
            service=row.service,
            environment=row.environment,
            tag=row.tag,
            number=row.number,
            owner=row.person,
            since=codec.moment(row.since),
            part=row.part,
        )
        for row in c.execute(query)
    )


def settle(c: Connection, add: Sequence[Debt], paid: Sequence[tuple[str, str, str]]) -> None:
    """Clear what was paid, then record what is owed; a newer debt replaces the one of its place and part."""
    for service, environment, part in paid:
        settled = (debts.c.service == service) & (debts.c.environment == environment) & (debts.c.part == part)
        c.execute(delete(debts).where(settled))
    for debt in add:
        key = {"service": debt.service, "environment": debt.environment, "part": debt.part}
        since = codec.instant(debt.since)
        put(c, debts, key, {"tag": debt.tag, "number": debt.number, "person": debt.owner, "since": since})
