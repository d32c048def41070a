"""Rows of the ledger of builds, inside an open transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from quarterdeck.adapters.store.schema import builds
from quarterdeck.adapters.store.upsert import put as put_row
from quarterdeck.core.model.build import Build, BuildState
from quarterdeck.core.rollout import codec


def read(c: Connection, project: str, image: str, states: Collection[BuildState], limit: int) -> tuple[Build, ...]:
    """Ledger entries, newest merge first."""
    query = select(builds).order_by(builds.c.merged.desc(), builds.c.change.desc(), builds.c.image)
    if project:
        query = query.where(builds.c.project == project)
    if image:
        query = query.where(builds.c.image == image)
    if states:
        query = query.where(builds.c.state.in_([state.value for state in states]))
    return tuple(_build(row) for row in c.execute(query.limit(limit)))


def _build(row: Row[Any]) -> Build:
    return Build(
        project=row.project,
        change=row.change,
        commit=row.commit_id,
        subject=row.subject,
        owner=row.change_owner,
        merged=codec.moment(row.merged),
        state=BuildState(row.state),
        image=row.image,
        tag=row.tag,
        digest=row.digest,
        said=row.said,
        updated=codec.moment(row.updated) if row.updated else None,
    )


def put(c: Connection, build: Build) -> None:
    """Insert or replace a ledger entry; one with an image takes the place of the one without."""
    if build.image:
        unnamed = (builds.c.project == build.project) & (builds.c.change == build.change) & (builds.c.image == "")
        c.execute(delete(builds).where(unnamed))
    key = {"project": build.project, "change": build.change, "image": build.image}
    values = {
        "commit_id": build.commit,
        "subject": build.subject,
        "change_owner": build.owner,
        "merged": codec.instant(build.merged),
        "state": build.state.value,
        "tag": build.tag,
        "digest": build.digest,
        "said": build.said,
        "updated": codec.instant(build.updated) if build.updated else None,
    }
    put_row(c, builds, key, values)


def add(c: Connection, added: Sequence[Build]) -> tuple[Build, ...]:
    """Add what the ledger does not know yet, and return that."""
    new: list[Build] = []
    for build in added:
        known = (builds.c.project == build.project) & (builds.c.change == build.change)
        if build.image:
            known &= builds.c.image == build.image
        if not c.execute(select(func.count()).select_from(builds).where(known)).scalar():
            put(c, build)
            new.append(build)
    return tuple(new)
