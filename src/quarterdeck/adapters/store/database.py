"""One SQLite file: its lock, its thread, and its transactions.

WAL with synchronous=FULL: what a transaction committed survives SIGKILL and power loss. Transactions begin
IMMEDIATE, so that a read is never overtaken before its write. A second process is refused by a lock that the
kernel frees at death.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from quarterdeck.adapters.store import schema
from quarterdeck.core.model.errors import PermanentError, TemporaryError

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


class Database:
    """An open file. Opened by the constructor, which blocks for a moment.

    Args:
        path: the file; its folder must exist. `<path>.lock` beside it is the process lock.
        max_pages: SQLite's `max_page_count` (4096 bytes each), to prove what a full disk does; None: none.

    Attributes:
        begun: called in the store's thread before each transaction.
        committed: called there after each that was committed.

    Raises:
        PermanentError: another process has the file, or it was written by a newer Quarterdeck.
    """

    def __init__(self, path: Path, max_pages: int | None = None) -> None:
        self.begun: Callable[[], None] = lambda: None
        self.committed: Callable[[], None] = lambda: None
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

    async def run(self, work: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Do work in a transaction of its own, in the store's thread.

        Raises:
            TemporaryError: the store is closed, its disk is full, or the file is busy.
            PermanentError: the file is damaged.
        """

        def transaction() -> R:
            self.begun()
            with _translated(), self._engine.begin() as connection:
                result = work(connection, *args, **kwargs)
            self.committed()
            return result

        try:
            pending = asyncio.get_running_loop().run_in_executor(self._executor, transaction)
        except RuntimeError as error:
            raise TemporaryError("the store is closed") from error
        return await pending


def _prepare(raw: Any, max_pages: int | None) -> None:
    """Pragmas of a connection; the driver must not begin transactions itself (SQLAlchemy's pysqlite notes)."""
    raw.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        raw.execute(f"PRAGMA {pragma}").close()
    if max_pages is not None:
        raw.execute(f"PRAGMA max_page_count={max_pages}").close()
