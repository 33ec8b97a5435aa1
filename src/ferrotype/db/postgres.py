"""Postgres through asyncpg."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from ferrotype.db.database import Story, Transaction

T = TypeVar("T")


def asyncpg_url(url: str) -> URL:
    """`url` for SQLAlchemy's asyncpg dialect; a `host=` query (a unix socket's folder) is kept."""
    return make_url(url).set(drivername="postgresql+asyncpg")


class PostgresDatabase:
    """A `Database` on a Postgres server, shared by any number of processes."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self._engine = create_async_engine(asyncpg_url(url), pool_size=pool_size)

    async def write(self, story: Story[T], *, durable: bool = True) -> T:
        return await asyncio.shield(asyncio.ensure_future(self._write(story, durable)))

    async def _write(self, story: Story[T], durable: bool) -> T:
        tx: Transaction

        def run(connection: Connection) -> T:
            nonlocal tx
            tx = Transaction(connection)
            if not durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            return story(tx)

        async with self._engine.begin() as connection:
            result = await connection.run_sync(run)
        for callback in tx.callbacks:
            callback()
        return result

    async def read(self, story: Story[T]) -> T:
        async with self._engine.connect() as connection, connection.begin():
            return await connection.run_sync(lambda plain: story(Transaction(plain)))

    async def close(self) -> None:
        await self._engine.dispose()
