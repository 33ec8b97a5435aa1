"""Bring a database to the schema of this version (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from ferrotype.db.postgres import asyncpg_url


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Apply every migration that is missing, within the caller's connection."""
    command.upgrade(_config(connection), "head")


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """(the database's revision, the newest one)."""
    current = MigrationContext.configure(connection).get_current_revision()
    return current, ScriptDirectory.from_config(_config(connection)).get_current_head()


async def migrate(url: str) -> None:
    """Upgrade the database at `url` (`sqlite:///path` or `postgresql://…`)."""
    if url.startswith("sqlite"):
        engine = create_engine(url)
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()
        return
    postgres = create_async_engine(asyncpg_url(url))
    async with postgres.begin() as server:
        await server.run_sync(upgrade)
    await postgres.dispose()
