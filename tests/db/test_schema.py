"""The migrations make exactly the tables of `schema.py`, on both databases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.ext.asyncio import create_async_engine

from ferrotype.db.migrate import migrate, revisions, upgrade
from ferrotype.db.postgres import asyncpg_url
from ferrotype.db.schema import METADATA


def differences(connection: Connection) -> list[Any]:
    """What a new migration would have to do."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, METADATA))


def shape(connection: Connection) -> dict[str, Any]:
    """What the comparison of Alembic leaves out: partial indexes, checks, defaults."""
    inspector = inspect(connection)
    return {
        table: {
            "indexes": sorted(
                (
                    str(index["name"]),
                    str(index["column_names"]),
                    str({key: str(value) for key, value in index.get("dialect_options", {}).items()}),
                )
                for index in inspector.get_indexes(table)
            ),
            "checks": sorted(
                (str(check["name"]), check["sqltext"]) for check in inspector.get_check_constraints(table)
            ),
            "defaults": {
                column["name"]: str(column["default"]).strip("()'") for column in inspector.get_columns(table)
            },
            "nullable": {column["name"]: column["nullable"] for column in inspector.get_columns(table)},
        }
        for table in sorted(METADATA.tables)
    }


async def test_sqlite_migrations_make_the_schema(tmp_path: Path) -> None:
    await migrate(f"sqlite:///{tmp_path}/migrated.db")
    migrated, made = (
        create_engine(f"sqlite:///{tmp_path}/migrated.db"),
        create_engine(f"sqlite:///{tmp_path}/made.db"),
    )
    METADATA.create_all(made)
    with migrated.connect() as left, made.connect() as right:
        assert differences(left) == []
        assert shape(left) == shape(right)
        current, head = revisions(left)
        assert current == head is not None
        assert revisions(right) == (None, head)
        upgrade(left)
        assert revisions(left) == (head, head)
    migrated.dispose()
    made.dispose()


async def test_postgres_migrations_make_the_schema(postgres_url: str) -> None:
    server = create_async_engine(asyncpg_url(postgres_url))
    async with server.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        expected = await connection.run_sync(shape)
        await connection.run_sync(METADATA.drop_all)
    await migrate(postgres_url)
    await migrate(postgres_url)
    async with server.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(shape) == expected
        current, head = await connection.run_sync(revisions)
        assert current == head is not None
    await server.dispose()
