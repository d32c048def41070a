"""Insert or leave, insert or replace: the one statement for which each dialect has a class of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def inserted(c: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its unique columns is there; whether it was inserted.

    No error is raised and none has to be caught: after a failed INSERT a PostgreSQL transaction takes nothing more.
    """
    statement = _insert(c.dialect.name, table).values(**row).on_conflict_do_nothing()
    return c.execute(statement).rowcount == 1


def inserted_number(c: Connection, table: Table, row: Mapping[str, Any], number: Column[int]) -> int | None:
    """Insert a row and return the number that it was given; None if one with its unique columns is there."""
    statement = _insert(c.dialect.name, table).values(**row).on_conflict_do_nothing().returning(number)
    given: int | None = c.execute(statement).scalar()
    return given


def put(c: Connection, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """Insert a row, or give the one with that key these values."""
    c.execute(put_statement(c.dialect.name, table, key, values))


def put_statement(dialect: str, table: Table, key: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """The statement that `put` executes."""
    statement = _insert(dialect, table).values(**key, **values)
    return statement.on_conflict_do_update(index_elements=list(key), set_=dict(values))


def _insert(dialect: str, table: Table) -> Any:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
