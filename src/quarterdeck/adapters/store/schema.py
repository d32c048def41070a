"""The store's tables, and the numbered migrations that lead from one released version to the next.

The tables mean the same on SQLite and PostgreSQL; only the triggers that keep the audit differ, and stand here for
each. Times are ISO 8601 texts in UTC that sort as the times do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from quarterdeck.core.model.errors import PermanentError

metadata = MetaData()

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", Integer, primary_key=True),  # AUTOINCREMENT: a number is never given twice
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("owner", Text, nullable=False),  # incarnation of the process that saved it last
    Column("stop", Text, nullable=False),
    Column("body", Text, nullable=False),  # the rest of it, by its types, as JSON
    Index("rollouts_by_state", "state"),
    sqlite_autoincrement=True,
)
rollout_services = Table(
    "rollout_services",
    metadata,
    Column("number", Integer, ForeignKey("rollouts.number"), nullable=False),
    Column("service", Text, nullable=False),
    UniqueConstraint("number", "service"),
    Index("rollout_services_by_service", "service"),
)
steps = Table(
    "steps",
    metadata,
    Column("rollout", Integer, ForeignKey("rollouts.number"), nullable=False),
    Column("position", Integer),  # NULL: an earlier attempt, kept as history
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("intent", Text, nullable=False),  # a record of the type that its kind has, as JSON
    Column("result", Text, nullable=False),  # likewise
    Column("why", Text, nullable=False),
    Column("started", Text),
    Column("ended", Text),
    UniqueConstraint("rollout", "name", "environment", "stage", "attempt"),
)
targets = Table(
    "targets",
    metadata,
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("number", Integer, ForeignKey("rollouts.number"), nullable=False),
    UniqueConstraint("service", "environment"),
    Index("targets_by_number", "number"),
)
write_sets = Table(
    "write_sets",
    metadata,
    Column("file", Text, nullable=False),
    Column("scalar", Text, nullable=False),
    Column("number", Integer, ForeignKey("rollouts.number"), nullable=False),
    UniqueConstraint("file", "scalar"),
    Index("write_sets_by_number", "number"),
)
outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("network", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("may_wait", Boolean, nullable=False),
    Column("line", Text, nullable=False),  # all of it as JSON
    Column("created", Text, nullable=False),
    Column("owner", Text, nullable=False),  # incarnation of the process that has it; empty: nobody
    Column("again", Boolean, nullable=False),
    Column("sent_at", Text),
    sqlite_autoincrement=True,
)
_unsent = outbox.c.sent_at.is_(None)
Index(
    "outbox_unsent",
    outbox.c.network,
    outbox.c.may_wait,
    outbox.c.id,
    sqlite_where=_unsent,
    postgresql_where=_unsent,
)
inbox = Table(
    "inbox",
    metadata,
    Column("network", Text, nullable=False),
    Column("msgid", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("at", Text, nullable=False),
    UniqueConstraint("network", "msgid"),
)
builds = Table(
    "builds",
    metadata,
    Column("project", Text, nullable=False),
    Column("change", Integer, nullable=False),
    Column("image", Text, nullable=False),  # empty until CI named one
    Column("commit_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("change_owner", Text, nullable=False),
    Column("merged", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("tag", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("updated", Text),
    UniqueConstraint("project", "change", "image"),
    Index("builds_by_merge", "merged"),
)
debts = Table(
    "debts",
    metadata,
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("part", Text, nullable=False),  # empty: the whole service
    Column("tag", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("person", Text, nullable=False),
    Column("since", Text, nullable=False),
    UniqueConstraint("service", "environment", "part"),
)
audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Index("audit_by_number", "number"),
    sqlite_autoincrement=True,
)
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: dialect -> what makes the database itself refuse to change or cut the audit
AUDIT_TRIGGERS: Mapping[str, tuple[str, ...]] = {
    "sqlite": (
        """CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        """CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    ),
    "postgresql": (
        """CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN RAISE EXCEPTION ''the audit is append-only''; END'""",
        """CREATE TRIGGER audit_is_not_changed BEFORE UPDATE OR DELETE ON audit
        FOR EACH ROW EXECUTE FUNCTION audit_is_append_only()""",
    ),
}

#: the baseline, made from the tables above as they stand at the first release
BASELINE = 1
#: entry n leads from version BASELINE + n to the next. One that was released is never edited, only followed by another
MIGRATIONS: tuple[tuple[str, ...], ...] = ()


def version_of(connection: Connection) -> int:
    """The schema's version; 0 for an empty database."""
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    return connection.execute(text("SELECT version FROM schema_version")).scalar() or 0


def migrate(connection: Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """Bring the open transaction's database to the newest version; returns the version it had.

    Raises:
        PermanentError: the database was written by a newer Quarterdeck.
    """
    version, newest = version_of(connection), BASELINE + len(migrations)
    if version > newest:
        raise PermanentError(
            f"the store has schema version {version}, this Quarterdeck knows {newest}: "
            "start the newer Quarterdeck again, or restore the copy from before the upgrade"
        )
    if version < BASELINE:
        metadata.create_all(connection)
        for trigger in AUDIT_TRIGGERS[connection.dialect.name]:
            connection.execute(text(trigger))
    for statements in migrations[max(version - BASELINE, 0) :]:
        for statement in statements:
            connection.execute(text(statement))
    if version != newest:
        connection.execute(text("DELETE FROM schema_version"))
        connection.execute(text("INSERT INTO schema_version VALUES (:version)"), {"version": newest})
    return version
