"""Statements about accounts."""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import bindparam, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import accounts

_BY_ID: Final = select(
    accounts.c.id, accounts.c.name, accounts.c.available, accounts.c.held, accounts.c.spent
).where(accounts.c.id == bindparam("account"))


class Account(NamedTuple):
    """An account with its balance, in credits, as it was a moment ago: nothing is locked."""

    id: str
    name: str
    available: int
    held: int
    spent: int


def get(tx: Transaction, account_id: str) -> Account:
    """One account, which exists."""
    return Account(*tx.execute(_BY_ID, {"account": account_id}).one())
