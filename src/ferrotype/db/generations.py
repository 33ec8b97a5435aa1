"""Statements about generations and their idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, and_, bindparam, delete, insert, select, update

from ferrotype.db.database import Transaction
from ferrotype.db.schema import generations, idempotency_keys
from ferrotype.domain.asset import Visibility
from ferrotype.domain.generation import Generation
from ferrotype.domain.states import GENERATION, GenerationState
from ferrotype.domain.words import folded

# Statements are built once: building one costs as much as running it.
_INSERT: Final = insert(generations)
_BY_ID: Final = select(generations).where(generations.c.id == bindparam("generation_id"))
_LOCKED: Final = _BY_ID.with_for_update()
_UPDATE: Final = update(generations).where(generations.c.id == bindparam("generation_id"))
#: No `in_`: it would be expanded, and so compiled, each time.
_STANDING: Final = and_(
    generations.c.status != GenerationState.FAILED, generations.c.status != GenerationState.CANCELED
)
_SAME: Final = (
    select(generations)
    .where(
        generations.c.reuse_key == bindparam("of_key"),
        generations.c.reused_from.is_(None),
        _STANDING,
    )
    .order_by(generations.c.id.desc())
    .limit(10)
)
_UNFINISHED: Final = (
    select(generations)
    .where(generations.c.account_id == bindparam("of_account"), generations.c.completed_at.is_(None))
    .order_by(generations.c.id.desc())
    .limit(bindparam("most"))
)
_FOLLOWERS: Final = (
    select(generations)
    .where(
        generations.c.reused_from == bindparam("leader_id"),
        _STANDING,
    )
    .order_by(generations.c.id)
)
_FOLLOWER_IDS: Final = _FOLLOWERS.with_only_columns(generations.c.id)


class KnownKey(NamedTuple):
    """An idempotency key that was used: for a generation or for a batch."""

    body_hash: str
    generation_id: str | None
    batch_id: str | None
    created_at: datetime


def add(tx: Transaction, generation: Generation) -> None:
    """Write a new generation."""
    tx.execute(
        _INSERT,
        {
            "id": generation.id,
            "account_id": generation.account_id,
            "status": generation.status,
            "operation": generation.operation,
            "model": generation.model,
            "class_": generation.class_,
            "input": generation.input,
            "num_images": generation.num_images,
            "credits_each": generation.credits_each,
            "usd_each": generation.usd_each,
            "reused_from": generation.reused_from,
            "reuse_key": generation.reuse_key,
            "similarity": generation.similarity,
            "batch_id": generation.batch_id,
            "batch_index": generation.batch_index,
            "prompt_folded": folded(str(generation.input.get("prompt") or "")),
            "style": generation.input.get("style"),
            "aspect_ratio": generation.input.get("aspect_ratio"),
            "tags": generation.tags,
            "metadata_": generation.metadata,
            "visibility": generation.visibility,
            "created_at": generation.created_at,
            "started_at": generation.started_at,
            "completed_at": generation.completed_at,
        },
    )


def get(tx: Transaction, generation_id: str, *, lock: bool = False) -> Generation | None:
    """One generation; `lock` keeps others from changing it until the transaction ends."""
    row = tx.execute(_LOCKED if lock else _BY_ID, {"generation_id": generation_id}).one_or_none()
    return _generation(row) if row else None


def of_ids(tx: Transaction, ids: Sequence[str]) -> dict[str, Generation]:
    """Those of the generations that exist, by id."""
    rows = tx.execute(select(generations).where(generations.c.id.in_(ids)))
    return {row.id: _generation(row) for row in rows}


def page(
    tx: Transaction, account_id: str, *, limit: int, before: str | None = None, status: str | None = None
) -> list[Generation]:
    """The account's newest first; `before` is the id that the page starts after."""
    statement = select(generations).where(generations.c.account_id == account_id)
    if before is not None:
        statement = statement.where(generations.c.id < before)
    if status is not None:
        statement = statement.where(generations.c.status == status)
    rows = tx.execute(statement.order_by(generations.c.id.desc()).limit(limit)).all()
    return [_generation(row) for row in rows]


def unfinished(tx: Transaction, account_id: str, limit: int) -> list[Generation]:
    """The account's newest generations that have not ended."""
    found = tx.execute(_UNFINISHED, {"of_account": account_id, "most": limit}).all()
    return [_generation(row) for row in found]


def move(
    tx: Transaction,
    generation: Generation,
    to: GenerationState,
    at: datetime,
    *,
    error: dict[str, Any] | None = None,
) -> None:
    """Change the status. Raises IllegalTransition for a move that the table does not have."""
    GENERATION.advance(generation.status, to)
    values: dict[str, Any] = {"status": to}
    if to is GenerationState.RUNNING:
        values["started_at"] = at
    else:
        values["completed_at"] = at
    if error is not None:
        values["error"] = error
    tx.execute(_UPDATE, {"generation_id": generation.id, **values})


def explain(tx: Transaction, generation: Generation, error: dict[str, Any]) -> None:
    """Write what is missing of a generation that has ended."""
    tx.execute(_UPDATE, {"generation_id": generation.id, "error": error})


def answer(
    tx: Transaction, follower: Generation, at: datetime, *, credits_each: int, error: dict[str, Any] | None
) -> None:
    """End a follower well, at the price of a reuse. Raises IllegalTransition when it has ended."""
    GENERATION.advance(follower.status, GenerationState.SUCCEEDED)
    values = {
        "status": GenerationState.SUCCEEDED,
        "completed_at": at,
        "credits_each": credits_each,
        "error": error,
    }
    tx.execute(_UPDATE, {"generation_id": follower.id, **values})


def same(tx: Transaction, reuse_key: str) -> list[Generation]:
    """The last generations for identical orders that are on their way or went well, newest first; no
    followers."""
    return [_generation(row) for row in tx.execute(_SAME, {"of_key": reuse_key})]


def followers(tx: Transaction, leader_id: str) -> list[Generation]:
    """Generations that have their pictures from this one, oldest first; none that failed or was canceled."""
    return [_generation(row) for row in tx.execute(_FOLLOWERS, {"leader_id": leader_id})]


def follower_ids(tx: Transaction, leader_id: str) -> list[str]:
    """Ids of the `followers`."""
    return list(tx.execute(_FOLLOWER_IDS, {"leader_id": leader_id}).scalars())


def lead(tx: Transaction, follower: Generation, at: datetime, *, retry_of: str | None) -> None:
    """Let a follower make its own pictures."""
    values = {"reused_from": None, "retry_of": retry_of, "started_at": at if follower.started_at else None}
    tx.execute(_UPDATE, {"generation_id": follower.id, **values})


def follow(tx: Transaction, ids: Sequence[str], leader_id: str) -> None:
    """Let these wait for another leader."""
    rows = [{"generation_id": each, "reused_from": leader_id} for each in ids]
    if rows:
        tx.execute(_UPDATE, rows)


def find_key(tx: Transaction, account_id: str, key: str) -> KnownKey | None:
    """What an idempotency key was used for."""
    row = tx.execute(
        select(
            idempotency_keys.c.body_hash,
            idempotency_keys.c.generation_id,
            idempotency_keys.c.batch_id,
            idempotency_keys.c.created_at,
        )
        .where(idempotency_keys.c.account_id == account_id, idempotency_keys.c.key == key)
        .with_for_update()
    ).one_or_none()
    return KnownKey(*row) if row else None


def add_key(
    tx: Transaction,
    account_id: str,
    key: str,
    body_hash: str,
    at: datetime,
    *,
    generation_id: str | None = None,
    batch_id: str | None = None,
) -> None:
    """Remember an idempotency key, in place of an outdated one, and what it made."""
    tx.execute(
        delete(idempotency_keys).where(
            idempotency_keys.c.account_id == account_id, idempotency_keys.c.key == key
        )
    )
    tx.execute(
        insert(idempotency_keys),
        {
            "account_id": account_id,
            "key": key,
            "body_hash": body_hash,
            "generation_id": generation_id,
            "batch_id": batch_id,
            "created_at": at,
        },
    )


def forget_keys(tx: Transaction, before: datetime) -> int:
    """Drop the keys made before a moment; how many."""
    gone = tx.execute(delete(idempotency_keys).where(idempotency_keys.c.created_at < before))
    return int(gone.rowcount)


def _generation(row: Row[Any]) -> Generation:
    return Generation(
        id=row.id,
        account_id=row.account_id,
        status=GenerationState(row.status),
        operation=row.operation,
        model=row.model,
        class_=row.class_,
        input=row.input,
        num_images=row.num_images,
        credits_each=row.credits_each,
        usd_each=row.usd_each,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        error=row.error,
        reused_from=row.reused_from,
        reuse_key=row.reuse_key,
        similarity=row.similarity,
        retry_of=row.retry_of,
        batch_id=row.batch_id,
        batch_index=row.batch_index,
        tags=row.tags,
        metadata=row.metadata_,
        visibility=Visibility(row.visibility),
    )
