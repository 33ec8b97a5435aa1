"""Money moves with the truth: held at admission, settled per picture that is ready, released for the rest."""

from __future__ import annotations

from datetime import datetime

from ferrotype.db import ledger
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.batch import Batch, BatchItem
from ferrotype.domain.clock import Clock
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.ledger import Balance, EntryKind

DEFAULT_ACCOUNT = "default"


def hold(tx: Transaction, generation: Generation, at: datetime) -> None:
    """Set the whole price aside. Raises InsufficientCredits."""
    credits = generation.credits_each * generation.num_images
    ledger.write(
        tx, generation.account_id, EntryKind.HOLD, credits, f"hold:{generation.id}", at, generation.id
    )


def settle(tx: Transaction, generation: Generation, asset: Asset, at: datetime) -> bool:
    """Charge one delivered picture; False when that was done before."""
    credits, key = generation.credits_each, f"settle:{asset.id}"
    return ledger.write(tx, generation.account_id, EntryKind.SETTLE, credits, key, at, generation.id)


def release_asset(tx: Transaction, generation: Generation, asset: Asset, at: datetime) -> bool:
    """Give back the share of a picture whose bytes never arrived."""
    credits, key = generation.credits_each, f"release:{asset.id}"
    return ledger.write(tx, generation.account_id, EntryKind.RELEASE, credits, key, at, generation.id)


def release_job(tx: Transaction, generation: Generation, job_id: str, pictures: int, at: datetime) -> bool:
    """Give back the share of the pictures that a job did not make."""
    if pictures == 0:
        return False
    credits, key = generation.credits_each * pictures, f"release:{job_id}"
    return ledger.write(tx, generation.account_id, EntryKind.RELEASE, credits, key, at, generation.id)


def settle_share(tx: Transaction, follower: Generation, asset: Asset, at: datetime) -> bool:
    """Charge a generation for a picture of another one; False when that was done before."""
    credits, key = follower.credits_each, f"settle:{follower.id}:{asset.id}"
    return ledger.write(tx, follower.account_id, EntryKind.SETTLE, credits, key, at, follower.id)


def release_share(tx: Transaction, follower: Generation, asset: Asset, at: datetime) -> bool:
    """Give back what a picture of another generation was to cost, whose bytes never arrived."""
    credits, key = follower.credits_each, f"release:{follower.id}:{asset.id}"
    return ledger.write(tx, follower.account_id, EntryKind.RELEASE, credits, key, at, follower.id)


def release_rest(tx: Transaction, follower: Generation, credits: int, at: datetime) -> bool:
    """Give back what is not needed of the hold of a generation that ends without a call of its own."""
    if credits == 0:
        return False
    key = f"release:{follower.id}"
    return ledger.write(tx, follower.account_id, EntryKind.RELEASE, credits, key, at, follower.id)


def hold_batch(tx: Transaction, batch: Batch, credits: int, at: datetime) -> bool:
    """Set aside what the items of a batch cost that have no generation yet. Raises InsufficientCredits."""
    return ledger.write(tx, batch.account_id, EntryKind.HOLD, credits, f"hold:{batch.id}", at)


def release_item(tx: Transaction, batch: Batch, item: BatchItem, at: datetime) -> bool:
    """Give back an item's part of its batch's hold: its generation takes its own hold, or it has none."""
    key = f"release:{batch.id}:{item.index}"
    return ledger.write(tx, batch.account_id, EntryKind.RELEASE, item.credits, key, at)


def release_waiting(tx: Transaction, batch: Batch, credits: int, at: datetime) -> bool:
    """Give back what is left of a batch's hold: nothing more of it is ordered."""
    if credits == 0:
        return False
    return ledger.write(tx, batch.account_id, EntryKind.RELEASE, credits, f"release:{batch.id}", at)


class Accounts:
    """The accounts; today there is one."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def open_default(self, initial_credits: int) -> str:
        """The default account's id; made with its first grant when it is not there yet."""

        def story(tx: Transaction) -> str:
            found = ledger.account_named(tx, DEFAULT_ACCOUNT)
            if found is not None:
                return found
            account_id, now = new_id(), self._clock.now()
            ledger.open_account(tx, account_id, DEFAULT_ACCOUNT, now)
            ledger.write(tx, account_id, EntryKind.GRANT, initial_credits, f"grant:initial:{account_id}", now)
            return account_id

        return await self._database.write(story)

    async def grant(self, account_id: str, credits: int) -> Balance:
        """Add credits; the balance afterwards."""

        def story(tx: Transaction) -> Balance:
            ledger.write(tx, account_id, EntryKind.GRANT, credits, f"grant:{new_id()}", self._clock.now())
            return ledger.balance(tx, account_id)

        return await self._database.write(story)

    async def balance(self, account_id: str) -> Balance:
        """What the account has."""
        return await self._database.read(lambda tx: ledger.balance(tx, account_id))
