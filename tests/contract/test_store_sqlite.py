"""What only the SQLite store must prove: one process, migrations, a full disk, SIGKILL, and no library error."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import ForeignKeyConstraint, create_engine, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from quarterdeck.adapters.store import schema
from quarterdeck.adapters.store.sqlite import SqliteStore
from quarterdeck.adapters.store.upsert import put_statement
from quarterdeck.core.model.errors import PermanentError, TemporaryError
from quarterdeck.core.model.line import Line
from quarterdeck.core.model.room import Room
from quarterdeck.core.rollout.records import ApplyIntent
from quarterdeck.core.rollout.state import State

AT = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)


def opened(path: Path, incarnation: str = "one", max_pages: int | None = None) -> SqliteStore:
    """A store with a clock that stands."""
    return SqliteStore(path, incarnation, lambda: AT, max_pages)


def test_a_second_opener_is_refused_by_name(tmp_path: Path) -> None:
    """Who comes second is told the pid of the first; when the first has gone, the file is free."""
    first = opened(tmp_path / "db")
    with pytest.raises(PermanentError, match=rf"pid {os.getpid()}\) has this store: .*/db\. Stop"):
        opened(tmp_path / "db")
    first.close()
    opened(tmp_path / "db").close()


async def test_the_file_is_private_and_durable(tmp_path: Path) -> None:
    """The database is for its owner's eyes, in WAL mode; a closed store answers in our words."""
    store = opened(tmp_path / "db")
    await store.set_cursor("x", "y")
    assert (tmp_path / "db").stat().st_mode & 0o077 == 0
    assert (tmp_path / "db-wal").stat().st_mode & 0o077 == 0
    store.close()
    with pytest.raises(TemporaryError, match="closed"):
        await store.cursor("x")


def test_migrations_lead_to_the_tables_we_use(tmp_path: Path) -> None:
    """A migrated file has exactly the tables and columns the queries are written for."""
    opened(tmp_path / "db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    found = inspect(engine)
    tables = {name: [c["name"] for c in found.get_columns(name)] for name in found.get_table_names()}
    assert tables.pop("schema_version") == ["version"]
    assert tables == {t.name: [c.name for c in t.columns] for t in schema.metadata.sorted_tables}
    for table in schema.metadata.sorted_tables:
        for constraint in table.constraints:
            if isinstance(constraint, ForeignKeyConstraint):
                continue
            columns = [c.name for c in constraint.columns]
            kinds = [u["column_names"] for u in found.get_unique_constraints(table.name)]
            kinds.append(found.get_pk_constraint(table.name)["constrained_columns"])
            assert not columns or columns in kinds, (table.name, columns)
    engine.dispose()


#: the migrations there are, and a made-up one behind them
MIGRATIONS = (*schema.MIGRATIONS, ("ALTER TABLE cursors ADD COLUMN made_up TEXT NOT NULL DEFAULT ''",))


@pytest.mark.parametrize("version", range(len(schema.MIGRATIONS) + 1))
async def test_every_version_upgrades(tmp_path: Path, version: int) -> None:
    """A file of any earlier version opens and works, and opening it again changes nothing."""
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.begin() as connection:
        schema.migrate(connection, schema.MIGRATIONS[:version])
    engine.dispose()
    for _ in range(2):
        store = opened(tmp_path / "db")
        await store.set_cursor("a", "b")
        assert await store.cursor("a") == "b"
        store.close()


def test_a_migration_leads_from_the_baseline_to_the_next_version(tmp_path: Path) -> None:
    """What stands in the file stays, the new column is there, and it is run once."""
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.begin() as connection:
        assert schema.migrate(connection) == 0
        connection.exec_driver_sql("INSERT INTO cursors VALUES ('a', 'b')")
    for before in (schema.BASELINE + len(schema.MIGRATIONS), schema.BASELINE + len(MIGRATIONS)):
        with engine.begin() as connection:
            assert schema.migrate(connection, MIGRATIONS) == before
    with engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT * FROM cursors").all() == [("a", "b", "")]
    engine.dispose()


def test_the_schema_means_the_same_on_postgresql() -> None:
    """Every table, index and upsert compiles for PostgreSQL; nothing of SQLite's alone slips in."""
    dialect = postgresql.dialect()
    for table in schema.metadata.sorted_tables:
        assert "AUTOINCREMENT" not in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect)).startswith("CREATE INDEX")
        key = {column.name: "k" for column in list(table.columns)[:1]}
        values = {column.name: "v" for column in list(table.columns)[1:]}
        statement = put_statement("postgresql", table, key, values or key)
        assert "ON CONFLICT" in str(statement.compile(dialect=dialect))
    assert set(schema.AUDIT_TRIGGERS) == {"sqlite", "postgresql"}


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """A file that a newer Quarterdeck wrote is not touched, and the lock is given back."""
    opened(tmp_path / "db").close()
    with sqlite3.connect(tmp_path / "db") as raw:
        raw.execute("UPDATE schema_version SET version = 99")
    raw.close()
    for _ in range(2):
        with pytest.raises(PermanentError, match="schema version 99"):
            opened(tmp_path / "db")


def test_a_migration_is_all_or_nothing(tmp_path: Path) -> None:
    """A migration that fails in the middle leaves the version before it."""
    opened(tmp_path / "db").close()
    bad = (*schema.MIGRATIONS, ("CREATE TABLE extra (x)", "not sql"))
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with pytest.raises(Exception, match="not sql"), engine.begin() as connection:
        connection.exec_driver_sql("BEGIN")
        schema.migrate(connection, bad)
    assert "extra" not in inspect(engine).get_table_names()
    engine.dispose()
    opened(tmp_path / "db").close()


def test_a_file_that_is_no_database_is_refused_in_our_words(tmp_path: Path) -> None:
    """The library's error does not leak from opening."""
    (tmp_path / "db").write_bytes(b"not a database, " * 300)
    with pytest.raises(PermanentError, match="the store refuses"):
        opened(tmp_path / "db")


async def test_the_audit_cannot_be_changed(tmp_path: Path) -> None:
    """Not even by hand: the database itself refuses."""
    store = opened(tmp_path / "db")
    await store.note("alice", "say", "x")
    store.close()
    raw = sqlite3.connect(tmp_path / "db")
    for statement in ("UPDATE audit SET who = 'bob'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            raw.execute(statement)
    raw.close()


async def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path: Path) -> None:
    """When no page is left, the whole transaction is refused as temporary; what was there stays readable."""
    opened(tmp_path / "db").close()
    pages = (tmp_path / "db").stat().st_size // 4096
    store = opened(tmp_path / "db", "two", pages + 4)
    kept = 0
    with pytest.raises(TemporaryError, match="disk is full"):
        for _ in range(100):
            await store.say([Line(Room("irc", "#d"), "first"), Line(Room("irc", "#d"), "x" * 3000)])
            kept += 1
    assert kept
    store.close()
    store = opened(tmp_path / "db", "three")
    assert len(await store.claim_lines("irc", 1000)) == 2 * kept
    await store.say([Line(Room("irc", "#d"), "y" * 3000)])
    store.close()


async def test_kill_at_any_moment_leaves_a_consistent_store(tmp_path: Path) -> None:
    """Ten SIGKILLs in a write loop: no torn rollout, lines exactly for the moves, holders exactly by state."""
    path = tmp_path / "db"
    for turn in range(10):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.store_writer", path, f"w{turn}"],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        )
        assert child.stdout
        assert await asyncio.to_thread(child.stdout.readline) == b"open\n"
        await asyncio.sleep(random.random() * 0.25)  # the random moment itself
        child.kill()
        child.wait()
        child.stdout.close()
        await check_consistency(path)


async def check_consistency(path: Path) -> None:
    """Lines exist exactly for the moves, and targets are held exactly by state."""
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        lines = {text for (text,) in raw.execute("SELECT json_extract(line, '$.text') FROM outbox")}
        held = set(raw.execute("SELECT number, environment FROM targets"))
    raw.close()
    store = opened(path, "reader")
    found = await store.find(limit=100_000)
    store.close()
    wanted, holders = set(), set()
    for r in found:
        moves = 4 if r.state is State.SUCCEEDED else r.version
        if r.state is State.ABORTED:
            wanted.add(f"{r.number} end")
            moves = r.version - 1
        wanted |= {f"{r.number} v{v}" for v in range(moves + 1)}
        assert r.steps[1].intent == (ApplyIntent("host", f"job {moves}", "", {}, ()) if moves else None)
        if r.state in (State.PLANNED, State.RUNNING):
            holders |= {(r.number, e) for e in r.environments}
    assert lines == wanted
    assert held == holders


async def test_lines_are_rung_for_once_they_are_committed(tmp_path: Path) -> None:
    """Whoever says lines is told of their networks after the commit, when they can be read, and of nothing else."""
    store = opened(tmp_path / "db")
    rung: list[tuple[frozenset[str], int]] = []

    def count(networks: frozenset[str]) -> None:
        with sqlite3.connect(tmp_path / "db") as reader:
            rung.append((networks, reader.execute("select count(*) from outbox").fetchone()[0]))
        reader.close()

    store.on_lines = count
    await store.say((Line(Room("irc", "#deploy"), "one"), Line(Room("sal", ""), "two")))
    await store.set_cursor("x", "y")
    store.close()
    assert rung == [(frozenset({"irc", "sal"}), 2)]
