"""The database as configured, up to date."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ferrotype.app.settings import AppSettings
from ferrotype.config import ConfigError
from ferrotype.db.migrate import migrate
from ferrotype.db.sqlite import SqliteDatabase


def database_url(settings: AppSettings) -> str:
    """Where it is. Raises ConfigError for one that no server runs on."""
    url = settings.database.url or f"sqlite:///{settings.data_dir / 'ferrotype.db'}"
    if not url.startswith("sqlite:///"):
        raise ConfigError(
            "DATABASE_URL: a server runs on SQLite so far. Migrations already work on Postgres; the engine"
            " for it does not exist yet."
        )
    return url


async def open_database(settings: AppSettings) -> SqliteDatabase:
    """The migrated database. Raises ConfigError when it cannot be used."""
    url = database_url(settings)
    await asyncio.to_thread(lambda: asyncio.run(migrate(url)))
    return SqliteDatabase(Path(url.removeprefix("sqlite:///")))
