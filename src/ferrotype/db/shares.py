"""Statements about shares: pages of pictures that whoever has their URL may see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, insert, select, update

from ferrotype.db.database import Transaction
from ferrotype.db.schema import shares

_BY_ID: Final = select(shares).where(shares.c.id == bindparam("share"))
_INSERT: Final = insert(shares)
_REVOKE: Final = (
    update(shares)
    .where(shares.c.id == bindparam("share"), shares.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Share:
    """A page of pictures, in that order. It is shown until it expires (never, where that is None) or is
    revoked; prompts are on it only with `show_prompt`."""

    id: str
    account_id: str
    title: str
    asset_ids: Sequence[str]
    show_prompt: bool
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


def add(tx: Transaction, share: Share) -> None:
    """Write a new one."""
    tx.execute(
        _INSERT,
        {
            "id": share.id,
            "account_id": share.account_id,
            "title": share.title,
            "asset_ids": list(share.asset_ids),
            "show_prompt": share.show_prompt,
            "created_at": share.created_at,
            "expires_at": share.expires_at,
        },
    )


def get(tx: Transaction, share_id: str) -> Share | None:
    """One share, of whichever account."""
    row = tx.execute(_BY_ID, {"share": share_id}).one_or_none()
    return _share(row) if row else None


def page(tx: Transaction, account_id: str, limit: int, before: str | None) -> list[Share]:
    """The account's, newest first; `before` is the id that the page starts after."""
    statement = select(shares).where(shares.c.account_id == account_id)
    if before is not None:
        statement = statement.where(shares.c.id < before)
    return [_share(row) for row in tx.execute(statement.order_by(shares.c.id.desc()).limit(limit))]


def revoke(tx: Transaction, share_id: str, at: datetime) -> None:
    """Show it no more; the first time counts."""
    tx.execute(_REVOKE, {"share": share_id, "at": at})


def _share(row: Row[Any]) -> Share:
    return Share(
        row.id,
        row.account_id,
        row.title,
        row.asset_ids,
        bool(row.show_prompt),
        row.created_at,
        row.expires_at,
        row.revoked_at,
    )
