"""Statements about assets and their durable copies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, copies
from ferrotype.domain.asset import Asset, Credit, Origin, Placeholder, Visibility
from ferrotype.domain.states import ASSET, AssetState

# Statements are built once: building one costs as much as running it.
_STORED: Final = exists().where(copies.c.asset_id == assets.c.id).correlate(assets)
_ROWS: Final = select(*assets.c, _STORED.label("stored"))
_INSERT: Final = insert(assets)
_BY_ID: Final = _ROWS.where(assets.c.id == bindparam("asset_id"))
_OF_GENERATION: Final = assets.c.generation_id == bindparam("generation_id")
_BY_GENERATION: Final = _ROWS.where(_OF_GENERATION).order_by(assets.c.index)
_STATES: Final = select(assets.c.state).where(_OF_GENERATION)
_AT_INDEX: Final = select(assets.c.id).where(_OF_GENERATION, assets.c.index == bindparam("at"))
_COUNT_BETWEEN: Final = select(func.count()).where(
    _OF_GENERATION, assets.c.index >= bindparam("first"), assets.c.index < bindparam("end")
)
_UPDATE: Final = update(assets).where(assets.c.id == bindparam("asset_id"))
_ADD_COPY: Final = {
    "sqlite": sqlite.insert(copies).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(copies).on_conflict_do_nothing(),
}
_KEYS: Final = select(copies.c.store, copies.c.key).where(copies.c.asset_id == bindparam("asset"))

_UPLOADED: Final = (
    _ROWS.where(
        assets.c.account_id == bindparam("account"),
        assets.c.sha256 == bindparam("content"),
        assets.c.generation_id.is_(None),
        assets.c.visibility == bindparam("seen_by"),
        assets.c.deleted_at.is_(None),
    )
    .order_by(assets.c.id.desc())
    .limit(1)
)
_REMOVE_COPIES: Final = delete(copies).where(copies.c.asset_id == bindparam("asset"))
_EXPIRED: Final = (
    _ROWS.where(
        assets.c.deleted_at.is_(None),
        assets.c.expires_at.is_not(None),
        assets.c.expires_at <= bindparam("at"),
    )
    .order_by(assets.c.expires_at)
    .limit(bindparam("most"))
)
_DELETED: Final = (
    _ROWS.where(
        assets.c.deleted_at.is_not(None), assets.c.purged_at.is_(None), assets.c.deleted_at <= bindparam("at")
    )
    .order_by(assets.c.deleted_at)
    .limit(bindparam("most"))
)


def add(tx: Transaction, asset: Asset) -> None:
    """Write a new asset. Its URL is valid once this is committed."""
    tx.execute(_INSERT, asset.model_dump(exclude={"stored"}))


def get(tx: Transaction, asset_id: str) -> Asset | None:
    """One asset."""
    row = tx.execute(_BY_ID, {"asset_id": asset_id}).one_or_none()
    return _asset(row) if row else None


def of_generations(tx: Transaction, generation_ids: Sequence[str]) -> dict[str, list[Asset]]:
    """The assets of each generation, by index."""
    if len(generation_ids) == 1:  # the usual case, and `in_` would be expanded each time
        only = generation_ids[0]
        return {only: [_asset(row) for row in tx.execute(_BY_GENERATION, {"generation_id": only})]}
    found: dict[str, list[Asset]] = {generation_id: [] for generation_id in generation_ids}
    statement = _ROWS.where(assets.c.generation_id.in_(generation_ids)).order_by(assets.c.index)
    for row in tx.execute(statement):
        found[row.generation_id].append(_asset(row))
    return found


def of_ids(tx: Transaction, ids: Sequence[str]) -> dict[str, Asset]:
    """Those of the assets that exist, by id."""
    # Not by `tx`, which would keep the statement, with all its ids, in case it were a constant.
    rows: Any = tx.connection.execute(_ROWS.where(assets.c.id.in_(ids)))
    return {row.id: _asset(row) for row in rows}


def standing(tx: Transaction, account_id: str, ids: Sequence[str]) -> set[str]:
    """Those of the ids that are pictures of the account and were not deleted."""
    own = assets.c.account_id == account_id, assets.c.deleted_at.is_(None), assets.c.id.in_(ids)
    return set(tx.connection.execute(select(assets.c.id).where(*own)).scalars())


def uploaded(tx: Transaction, account_id: str, sha256: str, visibility: Visibility) -> Asset | None:
    """The account's newest upload of these bytes that stands and is that visible."""
    wanted = {"account": account_id, "content": sha256, "seen_by": visibility}
    row = tx.execute(_UPLOADED, wanted).one_or_none()
    return _asset(row) if row else None


def states(tx: Transaction, generation_id: str) -> list[AssetState]:
    """In which states a generation's assets are."""
    return [AssetState(row.state) for row in tx.execute(_STATES, {"generation_id": generation_id})]


def has_index(tx: Transaction, generation_id: str, index: int) -> bool:
    """Whether the picture of that number was announced already."""
    found = tx.execute(_AT_INDEX, {"generation_id": generation_id, "at": index}).first()
    return found is not None


def count_between(tx: Transaction, generation_id: str, first: int, count: int) -> int:
    """How many of the pictures `first` to `first + count - 1` exist."""
    bounds = {"generation_id": generation_id, "first": first, "end": first + count}
    return int(tx.execute(_COUNT_BETWEEN, bounds).scalar_one())


def move(tx: Transaction, asset: Asset, to: AssetState, **facts: Any) -> None:
    """Change the state and write what is known with it. Raises IllegalTransition."""
    ASSET.advance(asset.state, to)
    tx.execute(_UPDATE, {"asset_id": asset.id, "state": to, **facts})


def learn(tx: Transaction, asset_id: str, **facts: Any) -> None:
    """Write facts that were found out later."""
    tx.execute(_UPDATE, {"asset_id": asset_id, **facts})


def add_copy(tx: Transaction, asset_id: str, store: str, key: str, at: datetime) -> bool:
    """Remember a confirmed copy; False when it was known already."""
    row = {"asset_id": asset_id, "store": store, "key": key, "stored_at": at}
    return bool(tx.execute(_ADD_COPY[tx.connection.dialect.name], row).rowcount == 1)


def keys(tx: Transaction, asset_id: str) -> dict[str, str]:
    """Under which key each store has the asset: store -> key."""
    return {row.store: row.key for row in tx.execute(_KEYS, {"asset": asset_id})}


def with_keys(tx: Transaction, asset_id: str) -> tuple[Asset | None, dict[str, str]]:
    """One asset, and under which key each store has it."""
    return get(tx, asset_id), keys(tx, asset_id)


def copy_keys(tx: Transaction, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Under which key each store has each of the assets: store -> key, by asset id."""
    found: dict[str, dict[str, str]] = {}
    for row in tx.execute(select(copies).where(copies.c.asset_id.in_(ids))):
        found.setdefault(row.asset_id, {})[row.store] = row.key
    return found


def remove_copies(tx: Transaction, asset_id: str) -> None:
    """Forget where the stores had it."""
    tx.execute(_REMOVE_COPIES, {"asset": asset_id})


def expired(tx: Transaction, at: datetime, limit: int) -> list[Asset]:
    """Standing assets whose time has come, those first that have waited longest."""
    return [_asset(row) for row in tx.execute(_EXPIRED, {"at": at, "most": limit})]


def deleted_before(tx: Transaction, at: datetime, limit: int) -> list[Asset]:
    """Assets that were deleted before a moment and whose bytes are still there."""
    return [_asset(row) for row in tx.execute(_DELETED, {"at": at, "most": limit})]


def _asset(row: Row[Any]) -> Asset:
    return Asset(
        id=row.id,
        account_id=row.account_id,
        state=AssetState(row.state),
        generation_id=row.generation_id,
        index=row._mapping["index"],
        seed=row.seed,
        origin=Origin(**row.origin) if row.origin else None,
        width=row.width,
        height=row.height,
        content_type=row.content_type,
        animated=None if row.animated is None else bool(row.animated),
        has_alpha=None if row.has_alpha is None else bool(row.has_alpha),
        bytes=row.bytes,
        sha256=row.sha256,
        placeholder=Placeholder(**row.placeholder) if row.placeholder else None,
        stored=bool(row.stored),
        source_type=row.source_type,
        credit=Credit(**row.credit) if row.credit else None,
        visibility=Visibility(row.visibility),
        created_at=row.created_at,
        deleted_at=row.deleted_at,
        expires_at=row.expires_at,
        purged_at=row.purged_at,
        favourite_at=row.favourite_at,
    )
