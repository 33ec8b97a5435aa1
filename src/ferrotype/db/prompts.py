"""Statements about what prompts mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import bindparam, delete, exists, func, insert, select

from ferrotype.db import generations as generation_rows
from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, generations, prompt_vectors
from ferrotype.domain.generation import Generation
from ferrotype.domain.states import GenerationState

_INSERT: Final = insert(prompt_vectors)
_DELETE: Final = delete(prompt_vectors).where(prompt_vectors.c.generation_id == bindparam("of_generation"))
_AFTER: Final = (
    select(
        prompt_vectors.c.seq,
        prompt_vectors.c.generation_id,
        prompt_vectors.c.terms,
        prompt_vectors.c.vector,
    )
    .where(
        prompt_vectors.c.account_id == bindparam("of_account"),
        prompt_vectors.c.embedder == bindparam("by_embedder"),
        prompt_vectors.c.seq > bindparam("seen"),
    )
    .order_by(prompt_vectors.c.seq.desc())
    .limit(bindparam("most"))
)
_BYTES_LEFT: Final = (
    select(assets.c.id)
    .where(assets.c.generation_id == bindparam("of_generation"), assets.c.purged_at.is_(None))
    .limit(1)
)
_WITHOUT: Final = (
    select(generations.c.id)
    .where(
        generations.c.status == GenerationState.SUCCEEDED,
        generations.c.reused_from.is_(None),
        generations.c.id < bindparam("before"),
        func.trim(generations.c.input["prompt"].as_string()) != "",
        exists().where(assets.c.generation_id == generations.c.id, assets.c.purged_at.is_(None)),
        ~exists().where(
            prompt_vectors.c.generation_id == generations.c.id,
            prompt_vectors.c.embedder == bindparam("by_embedder"),
        ),
    )
    .order_by(generations.c.id.desc())
    .limit(bindparam("most"))
)


def put(tx: Transaction, generation: Generation, embedder: str, terms: str, vector: bytes) -> None:
    """Write the vector of a generation's prompt, in place of one that is there."""
    tx.execute(_DELETE, {"of_generation": generation.id})
    tx.execute(
        _INSERT,
        {
            "generation_id": generation.id,
            "account_id": generation.account_id,
            "embedder": embedder,
            "terms": terms,
            "vector": vector,
        },
    )


def after(
    tx: Transaction, account_id: str, embedder: str, seen: int, most: int
) -> Sequence[tuple[int, str, str, bytes]]:
    """(number, generation id, terms, vector) of the account's vectors that were written after number `seen`,
    in that order; of more than `most` the last ones."""
    wanted = {"of_account": account_id, "by_embedder": embedder, "seen": seen, "most": most}
    rows: Sequence[tuple[int, str, str, bytes]] = tx.execute(_AFTER, wanted).all()
    return rows[::-1]


def forget_purged(tx: Transaction, generation_id: str) -> None:
    """Delete the vector of a generation none of whose pictures has bytes any more."""
    if not has_bytes(tx, generation_id):
        tx.execute(_DELETE, {"of_generation": generation_id})


def has_bytes(tx: Transaction, generation_id: str) -> bool:
    """Whether a generation has a picture that was not purged."""
    return tx.execute(_BYTES_LEFT, {"of_generation": generation_id}).first() is not None


def without(tx: Transaction, embedder: str, before: str, most: int) -> list[Generation]:
    """Generations older than `before` that went well, have a prompt and pictures of their own with bytes, and
    no vector of this embedder, newest first."""
    wanted = {"before": before, "by_embedder": embedder, "most": most}
    ids = list(tx.execute(_WITHOUT, wanted).scalars())
    found = generation_rows.of_ids(tx, ids) if ids else {}
    return [found[each] for each in ids if each in found]
