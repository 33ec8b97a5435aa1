"""Statements about assets and their durable copies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, copies
from ferrotype.domain.asset import Asset, Credit, Origin, Placeholder
from ferrotype.domain.states import ASSET, AssetState


def add(tx: Transaction, asset: Asset) -> None:
    """Write a new asset. Its URL is valid once this is committed."""
    values = asset.model_dump(exclude={"stored"})
    values["created_at"] = asset.created_at
    tx.execute(insert(assets), values)


def get(tx: Transaction, asset_id: str) -> Asset | None:
    """One asset."""
    row = tx.execute(_select().where(assets.c.id == asset_id)).one_or_none()
    return _asset(row) if row else None


def of_generations(tx: Transaction, generation_ids: Sequence[str]) -> dict[str, list[Asset]]:
    """The assets of each generation, by index."""
    found: dict[str, list[Asset]] = {generation_id: [] for generation_id in generation_ids}
    statement = _select().where(assets.c.generation_id.in_(generation_ids)).order_by(assets.c.index)
    for row in tx.execute(statement).all():
        found[row.generation_id].append(_asset(row))
    return found


def at_index(tx: Transaction, generation_id: str, index: int) -> Asset | None:
    """The picture of that number, when it was announced already."""
    statement = _select().where(assets.c.generation_id == generation_id, assets.c.index == index)
    row = tx.execute(statement).one_or_none()
    return _asset(row) if row else None


def count_between(tx: Transaction, generation_id: str, first: int, count: int) -> int:
    """How many of the pictures `first` to `first + count - 1` exist."""
    statement = select(func.count()).where(
        assets.c.generation_id == generation_id, assets.c.index >= first, assets.c.index < first + count
    )
    return int(tx.execute(statement).scalar_one())


def move(tx: Transaction, asset: Asset, to: AssetState, **facts: Any) -> None:
    """Change the state and write what is known with it. Raises IllegalTransition."""
    ASSET.advance(asset.state, to)
    tx.execute(update(assets).where(assets.c.id == asset.id).values(state=to, **facts))


def learn(tx: Transaction, asset_id: str, **facts: Any) -> None:
    """Write facts that were found out later."""
    tx.execute(update(assets).where(assets.c.id == asset_id).values(facts))


def add_copy(tx: Transaction, asset_id: str, store: str, key: str, at: datetime) -> bool:
    """Remember a confirmed copy; False when it was known already."""
    dialect = postgresql if tx.connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(copies).on_conflict_do_nothing()
    row = {"asset_id": asset_id, "store": store, "key": key, "stored_at": at}
    return tx.execute(statement, row).rowcount == 1


def copy_key(tx: Transaction, asset_id: str, store: str) -> str | None:
    """Under which key a store has the asset."""
    statement = select(copies.c.key).where(copies.c.asset_id == asset_id, copies.c.store == store)
    return tx.execute(statement).scalar_one_or_none()


def arriving(tx: Transaction) -> Sequence[str]:
    """Ids of assets whose bytes are not complete; read at start-up."""
    return tx.execute(select(assets.c.id).where(assets.c.state == AssetState.ARRIVING)).scalars().all()


def _select() -> Select[Any]:
    stored = exists().where(copies.c.asset_id == assets.c.id).correlate(assets)
    return select(*assets.c, stored.label("stored"))


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
        bytes=row.bytes,
        sha256=row.sha256,
        placeholder=Placeholder(**row.placeholder) if row.placeholder else None,
        stored=bool(row.stored),
        source_type=row.source_type,
        credit=Credit(**row.credit) if row.credit else None,
        created_at=row.created_at,
    )
