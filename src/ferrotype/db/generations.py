"""Statements about generations and their idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, insert, select, update

from ferrotype.db.database import Transaction
from ferrotype.db.schema import generations, idempotency_keys
from ferrotype.domain.asset import Visibility
from ferrotype.domain.generation import Generation
from ferrotype.domain.states import GENERATION, GenerationState

# Statements are built once: building one costs as much as running it.
_INSERT: Final = insert(generations)
_BY_ID: Final = select(generations).where(generations.c.id == bindparam("generation_id"))
_LOCKED: Final = _BY_ID.with_for_update()
_UPDATE: Final = update(generations).where(generations.c.id == bindparam("generation_id"))


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
            "tags": generation.tags,
            "metadata_": generation.metadata,
            "visibility": generation.visibility,
            "created_at": generation.created_at,
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


def find_key(tx: Transaction, account_id: str, key: str) -> tuple[str, str, datetime] | None:
    """(body hash, generation id, created at) of an idempotency key."""
    row = tx.execute(
        select(idempotency_keys.c.body_hash, idempotency_keys.c.generation_id, idempotency_keys.c.created_at)
        .where(idempotency_keys.c.account_id == account_id, idempotency_keys.c.key == key)
        .with_for_update()
    ).one_or_none()
    return (row.body_hash, row.generation_id, row.created_at) if row else None


def add_key(
    tx: Transaction, account_id: str, key: str, body_hash: str, generation_id: str, at: datetime
) -> None:
    """Remember an idempotency key, in place of an outdated one."""
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
        tags=row.tags,
        metadata=row.metadata_,
        visibility=Visibility(row.visibility),
    )
