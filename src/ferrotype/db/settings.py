"""Settings of the database."""

from __future__ import annotations

from typing import ClassVar

from ferrotype.config import Settings, setting


class DatabaseSettings(Settings):
    """Where the records are kept."""

    area: ClassVar[str] = "database"

    url: str | None = setting(
        None,
        "`sqlite:///path/to/file.db`; `ferrotype.db` in the data folder when not set.",
        env="DATABASE_URL",
        secret=True,
        pattern=r"^(sqlite:///|postgres(ql)?(\+asyncpg)?://)",
    )
