"""Statements about the durable copies as a whole: walks over them, page by page, by asset id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, delete, exists, func, literal_column, select

from ferrotype.db import assets as statements
from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, copies
from ferrotype.domain.asset import Asset
from ferrotype.domain.states import AssetState

#: Assets that one look reads; `IN` takes so many parameters on every SQLite.
PAGE: Final = 200

_IN: Final = copies.c.store == bindparam("in_store")
_OTHER: Final = copies.alias("other")
_ALSO: Final = (
    exists(literal_column("1"))
    .select_from(_OTHER)
    .where(_OTHER.c.asset_id == copies.c.asset_id, _OTHER.c.store == bindparam("in_other"))
)
_STANDS: Final = assets.c.purged_at.is_(None)
_JOINED: Final = copies.join(assets, assets.c.id == copies.c.asset_id)
_COUNT: Final = select(func.count(), func.coalesce(func.sum(assets.c.bytes), 0)).select_from(_JOINED)

_ALL: Final = (
    select(copies.c.asset_id)
    .where(copies.c.asset_id > bindparam("after"))
    .distinct()
    .order_by(copies.c.asset_id)
    .limit(PAGE)
)
_OF_STORE: Final = (
    select(copies.c.asset_id)
    .where(copies.c.asset_id > bindparam("after"), _IN)
    .order_by(copies.c.asset_id)
    .limit(PAGE)
)
_PAIRED: Final = (
    select(copies.c.asset_id)
    .select_from(_JOINED)
    .where(copies.c.asset_id > bindparam("after"), _IN, _STANDS)
    .order_by(copies.c.asset_id)
    .limit(PAGE)
)
_LACKING: Final = _PAIRED.where(~_ALSO)
_SHARED: Final = _PAIRED.where(_ALSO)
_COUNT_LACKING: Final = _COUNT.where(_IN, _STANDS, ~_ALSO)
_COUNT_SHARED: Final = _COUNT.where(_IN, _STANDS, _ALSO)
_AFTER: Final = copies.c.asset_id > bindparam("after")
_COUNT_ALL: Final = select(func.count(copies.c.asset_id.distinct())).where(_AFTER)
_COUNT_OF_STORE: Final = _COUNT_ALL.where(_IN)
_WITHOUT: Final = (
    select(assets.c.id)
    .where(
        assets.c.id > bindparam("after"),
        assets.c.state == AssetState.READY.value,
        _STANDS,
        ~exists().where(copies.c.asset_id == assets.c.id).correlate(assets),
    )
    .order_by(assets.c.id)
    .limit(PAGE)
)
_REMOVE: Final = delete(copies).where(copies.c.asset_id == bindparam("asset"), _IN)


@dataclass(frozen=True, slots=True)
class Held:
    """An asset, and under which key each store has it."""

    asset: Asset
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Amount:
    """So many pictures, and their bytes."""

    count: int
    bytes: int


def of_store(tx: Transaction, store: str | None, after: str) -> list[Held]:
    """The next assets that have a copy in the store, in any where None is given."""
    if store is None:
        return _held(tx, _ALL, {"after": after})
    return _held(tx, _OF_STORE, {"after": after, "in_store": store})


def lacking(tx: Transaction, source: str, target: str, after: str) -> list[Held]:
    """The next assets that `source` has and `target` does not."""
    return _held(tx, _LACKING, {"after": after, "in_store": source, "in_other": target})


def shared(tx: Transaction, source: str, target: str, after: str) -> list[Held]:
    """The next assets that both stores have."""
    return _held(tx, _SHARED, {"after": after, "in_store": source, "in_other": target})


def without(tx: Transaction, after: str) -> list[Asset]:
    """The next assets whose bytes have arrived and that no store has yet."""
    return [held.asset for held in _held(tx, _WITHOUT, {"after": after})]


def count_lacking(tx: Transaction, source: str, target: str) -> Amount:
    """How many `lacking` gives in all."""
    return _amount(tx, _COUNT_LACKING, {"in_store": source, "in_other": target})


def count_shared(tx: Transaction, source: str, target: str) -> Amount:
    """How many `shared` gives in all."""
    return _amount(tx, _COUNT_SHARED, {"in_store": source, "in_other": target})


def count_assets(tx: Transaction, store: str | None, after: str) -> int:
    """How many assets `of_store` gives in all."""
    if store is None:
        return int(tx.execute(_COUNT_ALL, {"after": after}).scalar_one())
    return int(tx.execute(_COUNT_OF_STORE, {"after": after, "in_store": store}).scalar_one())


def held(tx: Transaction, ids: Sequence[str]) -> dict[str, Held]:
    """Those of the assets that exist, by id; at most `PAGE` at a time."""
    found = statements.of_ids(tx, ids)
    keys = statements.copy_keys(tx, ids)
    return {asset_id: Held(asset, keys.get(asset_id, {})) for asset_id, asset in found.items()}


def remove(tx: Transaction, asset_id: str, store: str) -> bool:
    """Forget that the store has it; False when that was not known."""
    return bool(tx.execute(_REMOVE, {"asset": asset_id, "in_store": store}).rowcount == 1)


def _held(tx: Transaction, statement: Any, bounds: Mapping[str, str]) -> list[Held]:
    ids = [row[0] for row in tx.execute(statement, bounds)]
    found = held(tx, ids) if ids else {}
    return [found[asset_id] for asset_id in ids]


def _amount(tx: Transaction, statement: Any, bounds: Mapping[str, str]) -> Amount:
    count, size = tx.execute(statement, bounds).one()
    return Amount(int(count), int(size))
