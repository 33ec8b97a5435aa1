"""Databases to test with: migrated once for each test process, and copied from then on."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import datetime
from pathlib import Path

from sqlalchemy import insert

from ferrotype.db.database import Database, Transaction
from ferrotype.db.migrate import migrate
from ferrotype.db.schema import accounts

_made: list[Path] = []


async def migrated(path: Path) -> None:
    """Put an empty database at `path`, where there is none yet."""
    if path.exists():
        return
    if not _made:
        folder = Path(tempfile.mkdtemp(prefix="ferrotype-test-db-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        await migrate(f"sqlite:///{folder}/template.db")
        _made.append(folder / "template.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_made[0], path)


async def open_account(database: Database, account_id: str, at: datetime) -> None:
    """An account without credits."""

    def story(tx: Transaction) -> None:
        tx.execute(insert(accounts).values(id=account_id, name="ada", available=0, created_at=at))

    await database.write(story)
