"""The store's tables, and the numbered migrations that lead to them from any earlier version."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
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
    Column("service", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("stop", Text, nullable=False),
    Column("body", Text, nullable=False),  # the rest as JSON
    Column("services", Text, nullable=False),  # all it serves, a blank before and behind each: " a b "
    Index("rollouts_by_state", "state"),
    sqlite_autoincrement=True,
)
steps = Table(
    "steps",
    metadata,
    Column("rollout", Integer, nullable=False),
    Column("position", Integer),  # NULL: an earlier attempt, kept as history
    Column("name", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("intent", Text, nullable=False),
    Column("result", Text, nullable=False),
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
    Column("number", Integer, nullable=False),
    UniqueConstraint("service", "environment"),
)
write_sets = Table(
    "write_sets",
    metadata,
    Column("file", Text, nullable=False),
    Column("scalar", Text, nullable=False),
    Column("number", Integer, nullable=False),
    UniqueConstraint("file", "scalar"),
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
    Column("claimed_by", Text, nullable=False),  # incarnation of the process that has it; empty: nobody
    Column("again", Boolean, nullable=False),
    Column("sent_at", Text),
    sqlite_autoincrement=True,
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
    Column("image", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("merged", Text, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("project", "change", "image"),
)
debts = Table(
    "debts",
    metadata,
    Column("service", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("part", Text, nullable=False),  # empty: the whole service
    Column("body", Text, nullable=False),
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
    sqlite_autoincrement=True,
)
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

#: version n is reached by entry n-1. An entry that was released is never edited, only followed by another.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE rollouts (number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, id TEXT NOT NULL UNIQUE,
        service TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, version INTEGER NOT NULL,
        stop TEXT NOT NULL, body TEXT NOT NULL, services TEXT NOT NULL)""",
        "CREATE INDEX rollouts_by_state ON rollouts (state)",
        """CREATE TABLE steps (rollout INTEGER NOT NULL REFERENCES rollouts (number), position INTEGER,
        name TEXT NOT NULL, environment TEXT NOT NULL, stage TEXT NOT NULL, attempt INTEGER NOT NULL,
        state TEXT NOT NULL, intent TEXT NOT NULL, result TEXT NOT NULL, why TEXT NOT NULL, started TEXT, ended TEXT,
        UNIQUE (rollout, name, environment, stage, attempt))""",
        """CREATE TABLE targets (service TEXT NOT NULL, environment TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES rollouts (number), UNIQUE (service, environment))""",
        "CREATE INDEX targets_by_number ON targets (number)",
        """CREATE TABLE write_sets (file TEXT NOT NULL, scalar TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES rollouts (number), UNIQUE (file, scalar))""",
        "CREATE INDEX write_sets_by_number ON write_sets (number)",
        """CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, network TEXT NOT NULL,
        room TEXT NOT NULL, may_wait BOOLEAN NOT NULL, line TEXT NOT NULL, created TEXT NOT NULL,
        claimed_by TEXT NOT NULL DEFAULT '', again BOOLEAN NOT NULL DEFAULT 0, sent_at TEXT)""",
        "CREATE INDEX outbox_unsent ON outbox (network, may_wait, id) WHERE sent_at IS NULL",
        """CREATE TABLE inbox (network TEXT NOT NULL, msgid TEXT NOT NULL, room TEXT NOT NULL,
        account TEXT NOT NULL, text TEXT NOT NULL, at TEXT NOT NULL, UNIQUE (network, msgid))""",
        """CREATE TABLE builds (project TEXT NOT NULL, change INTEGER NOT NULL, image TEXT NOT NULL,
        state TEXT NOT NULL, merged TEXT NOT NULL, body TEXT NOT NULL, UNIQUE (project, change, image))""",
        "CREATE INDEX builds_by_merge ON builds (merged)",
        """CREATE TABLE debts (service TEXT NOT NULL, environment TEXT NOT NULL, part TEXT NOT NULL,
        body TEXT NOT NULL, UNIQUE (service, environment, part))""",
        """CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, at TEXT NOT NULL,
        who TEXT NOT NULL, verb TEXT NOT NULL, detail TEXT NOT NULL, number INTEGER NOT NULL)""",
        "CREATE INDEX audit_by_number ON audit (number)",
        """CREATE TRIGGER audit_is_not_edited BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        """CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
        "CREATE TABLE cursors (name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)",
    ),
)


def version_of(connection: Connection) -> int:
    """The schema's version; 0 for an empty file."""
    connection.execute(text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"))
    return connection.execute(text("SELECT version FROM schema_version")).scalar() or 0


def migrate(connection: Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """Bring the open transaction's database to the newest version; returns the version it had.

    Raises:
        PermanentError: the file was written by a newer Quarterdeck.
    """
    found = version_of(connection)
    if found > len(migrations):
        raise PermanentError(
            f"the store has schema version {found}, this Quarterdeck knows {len(migrations)}: "
            "start the newer Quarterdeck again, or restore the copy from before the upgrade"
        )
    for statements in migrations[found:]:
        for statement in statements:
            connection.execute(text(statement))
    if found != len(migrations):
        connection.execute(text("DELETE FROM schema_version"))
        connection.execute(text("INSERT INTO schema_version VALUES (:v)"), {"v": len(migrations)})
    return found
