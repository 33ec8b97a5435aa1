"""The ledger's rows: each entry once, each balance in step with its entries."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ferrotype.db.database import Transaction
from ferrotype.db.schema import accounts, entries
from ferrotype.domain.ledger import Balance, EntryKind

# Statements are built once: building one costs as much as running it.
_BALANCE: Final = (
    select(accounts.c.available, accounts.c.held, accounts.c.spent)
    .where(accounts.c.id == bindparam("account"))
    .with_for_update()
)
_UPDATE: Final = update(accounts).where(accounts.c.id == bindparam("account"))
_INSERT: Final = {
    "sqlite": sqlite.insert(entries).on_conflict_do_nothing(index_elements=["key"]),
    "postgresql": postgresql.insert(entries).on_conflict_do_nothing(index_elements=["key"]),
}


def open_account(tx: Transaction, account_id: str, name: str, at: datetime) -> None:
    """Make an account with an empty balance."""
    tx.execute(insert(accounts), {"id": account_id, "name": name, "created_at": at})


def account_named(tx: Transaction, name: str) -> str | None:
    """The id of the account with that name."""
    named = select(accounts.c.id).where(accounts.c.name == name)
    found: str | None = tx.execute(named).scalar_one_or_none()
    return found


def balance(tx: Transaction, account_id: str) -> Balance:
    """What the account has now; locks it against other writers."""
    row = tx.execute(_BALANCE, {"account": account_id}).one()
    return Balance(row.available, row.held, row.spent)


def write(
    tx: Transaction,
    account_id: str,
    kind: EntryKind,
    credits: int,
    key: str,
    at: datetime,
    generation_id: str | None = None,
) -> bool:
    """Write an entry and move the balance; False when an entry with that key exists already.

    Raises InsufficientCredits for a hold that exceeds what is available.
    """
    before = balance(tx, account_id)
    written = tx.execute(
        _INSERT[tx.connection.dialect.name],
        {
            "account_id": account_id,
            "generation_id": generation_id,
            "kind": kind,
            "credits": credits,
            "key": key,
            "created_at": at,
        },
    ).rowcount
    if written != 1:
        return False
    after = before.after(kind, credits)  # raises with the entry written: the story is rolled back
    tx.execute(_UPDATE, {"account": account_id, **asdict(after)})
    return True


def moved(tx: Transaction, generation_id: str) -> dict[EntryKind, int]:
    """Credits per kind of entry of one generation."""
    rows = tx.execute(
        select(entries.c.kind, func.sum(entries.c.credits).label("total"))
        .where(entries.c.generation_id == generation_id)
        .group_by(entries.c.kind)
    ).all()
    return {EntryKind(row.kind): int(row.total) for row in rows}


def recount(tx: Transaction, account_id: str) -> Balance:
    """The balance computed from the entries alone: must equal `balance`."""
    rows: list[Any] = list(
        tx.execute(
            select(entries.c.kind, entries.c.credits)
            .where(entries.c.account_id == account_id)
            .order_by(entries.c.seq)
        ).all()
    )
    total = Balance()
    for row in rows:
        total = total.after(EntryKind(row.kind), row.credits)
    return total
