"""`ferrotype credits`: the default account's balance."""

from __future__ import annotations

from pathlib import Path

from ferrotype.app.database import open_database
from ferrotype.app.lock import DataFolder
from ferrotype.app.settings import load_settings
from ferrotype.domain.clock import SystemClock
from ferrotype.services.credits import Accounts


async def credits(*, grant: int | None, data_dir: Path | None) -> None:
    """Print the balance, after adding `grant`. Raises ConfigError while a server owns the data folder."""
    settings = load_settings(storage={"data_dir": data_dir})
    folder = DataFolder(settings.data_dir)
    folder.acquire()
    try:
        database = await open_database(settings)
        accounts = Accounts(database, SystemClock())
        account_id = await accounts.open_default(settings.orders.initial_credits)
        if grant is not None:
            await accounts.grant(account_id, grant)
        balance = await accounts.balance(account_id)
        print(f"available {balance.available}, held {balance.held}, spent {balance.spent}")
        await database.close()
    finally:
        folder.release()
