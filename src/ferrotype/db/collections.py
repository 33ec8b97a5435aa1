"""Statements about collections: named sets of pictures. A picture may be in any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, collection_assets, collections
from ferrotype.domain.problems import NameTaken
from ferrotype.domain.states import AssetState

_OWN: Final = select(collections).where(collections.c.account_id == bindparam("account"))
_BY_ID: Final = _OWN.where(collections.c.id == bindparam("collection"))
_UPDATE: Final = update(collections).where(collections.c.id == bindparam("collection"))
_DELETE: Final = delete(collections).where(collections.c.id == bindparam("collection"))
_EMPTY: Final = delete(collection_assets).where(collection_assets.c.collection_id == bindparam("collection"))
_INSIDE: Final = collection_assets.c.collection_id == bindparam("collection")
#: Asked picture by picture, along the collection: see `db/gallery.py`. The account is named because the index
#: of its pictures begins with it.
_STANDING: Final = exists().where(
    assets.c.account_id == bindparam("account"),
    assets.c.id == collection_assets.c.asset_id,
    assets.c.deleted_at.is_(None),
)
_COUNT: Final = select(func.count()).select_from(collection_assets).where(_INSIDE, _STANDING)
_NEWEST: Final = (
    select(collection_assets.c.asset_id)
    .where(_INSIDE, _STANDING.where(assets.c.state == AssetState.READY))
    .order_by(collection_assets.c.asset_id.desc())
    .limit(1)
)
_PUT: Final = {
    "sqlite": sqlite.insert(collection_assets).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(collection_assets).on_conflict_do_nothing(),
}


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection. Its name is the account's only one of that spelling."""

    id: str
    account_id: str
    name: str
    created_at: datetime


def add(tx: Transaction, collection: Collection) -> None:
    """Write a new one. Raises NameTaken."""
    row = {
        "id": collection.id,
        "account_id": collection.account_id,
        "name": collection.name,
        "created_at": collection.created_at,
    }
    try:
        tx.execute(insert(collections), row)
    except IntegrityError:
        raise _taken(collection.name) from None


def rename(tx: Transaction, collection_id: str, name: str) -> None:
    """Give it another name. Raises NameTaken."""
    try:
        tx.execute(_UPDATE, {"collection": collection_id, "name": name})
    except IntegrityError:
        raise _taken(name) from None


def remove(tx: Transaction, collection_id: str) -> None:
    """Forget it; its pictures stay."""
    tx.execute(_EMPTY, {"collection": collection_id})
    tx.execute(_DELETE, {"collection": collection_id})


def get(tx: Transaction, collection_id: str, account_id: str) -> Collection | None:
    """One collection of the account."""
    row = tx.execute(_BY_ID, {"collection": collection_id, "account": account_id}).one_or_none()
    return _collection(row) if row else None


def page(tx: Transaction, account_id: str, limit: int, before: str | None) -> list[Collection]:
    """The account's, newest first; `before` is the id that the page starts after."""
    statement = select(collections).where(collections.c.account_id == account_id)
    if before is not None:
        statement = statement.where(collections.c.id < before)
    rows = tx.execute(statement.order_by(collections.c.id.desc()).limit(limit))
    return [_collection(row) for row in rows]


def count(tx: Transaction, collection: Collection) -> int:
    """How many pictures stand in it."""
    of = {"collection": collection.id, "account": collection.account_id}
    return int(tx.execute(_COUNT, of).scalar_one())


def cover(tx: Transaction, collection: Collection) -> str | None:
    """The newest picture in it that is there."""
    of = {"collection": collection.id, "account": collection.account_id}
    found: str | None = tx.execute(_NEWEST, of).scalar_one_or_none()
    return found


def put(tx: Transaction, collection_id: str, asset_ids: Sequence[str], at: datetime) -> None:
    """Put pictures in; those that are in it stay."""
    rows = [{"collection_id": collection_id, "asset_id": each, "added_at": at} for each in asset_ids]
    if rows:
        tx.execute(_PUT[tx.connection.dialect.name], rows)


def take(tx: Transaction, collection_id: str, asset_ids: Sequence[str]) -> set[str]:
    """Take pictures out; which were in it."""
    own = collection_assets.c.collection_id == collection_id
    named = collection_assets.c.asset_id.in_(asset_ids)
    found = set(tx.connection.execute(select(collection_assets.c.asset_id).where(own, named)).scalars())
    if found:
        tx.connection.execute(delete(collection_assets).where(own, named))
    return found


def _taken(name: str) -> NameTaken:
    return NameTaken(f"There is a collection {name!r} already.", field="name")


def _collection(row: Row[Any]) -> Collection:
    return Collection(row.id, row.account_id, row.name, row.created_at)
