"""Statements about where imported pictures came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ferrotype.db.database import Transaction
from ferrotype.db.schema import imports

#: Pictures that one former id may stand for in one look.
MAX_FOUND: Final = 100
#: Characters of a former id that are kept: an index has it.
MAX_FORMER: Final = 500

_BY_HASH: Final = select(imports).where(
    imports.c.account_id == bindparam("account"), imports.c.source_hash == bindparam("hash")
)
_RESERVE: Final = {
    "sqlite": sqlite.insert(imports).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(imports).on_conflict_do_nothing(),
}
_DONE: Final = update(imports).where(imports.c.asset_id == bindparam("asset"))
_BY_ASSET: Final = select(imports).where(
    imports.c.asset_id == bindparam("asset"), imports.c.account_id == bindparam("account")
)
_BY_FORMER: Final = (
    select(imports)
    .where(
        imports.c.account_id == bindparam("account"),
        imports.c.former_id == bindparam("former"),
        imports.c.imported_at.is_not(None),
    )
    .order_by(imports.c.imported_at.desc())
    .limit(MAX_FOUND)
)


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported picture, or one that is about to be: then `imported_at` is None. `created_at` is the
    asset's."""

    asset_id: str
    source: str
    former_id: str | None
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    created_at: datetime
    imported_at: datetime | None


def find(tx: Transaction, account_id: str, source: str) -> Imported | None:
    """What became of a source."""
    row = tx.execute(_BY_HASH, {"account": account_id, "hash": _hash(source)}).one_or_none()
    return _imported(row) if row else None


def of_asset(tx: Transaction, account_id: str, asset_id: str) -> Imported | None:
    """Where an asset came from."""
    row = tx.execute(_BY_ASSET, {"account": account_id, "asset": asset_id}).one_or_none()
    return _imported(row) if row else None


def of_former(tx: Transaction, account_id: str, former_id: str) -> list[Imported]:
    """What an app's id became, the latest first: the same id may have come from several places."""
    bounds = {"account": account_id, "former": former_id[:MAX_FORMER]}
    return [_imported(row) for row in tx.execute(_BY_FORMER, bounds)]


def reserve(tx: Transaction, account_id: str, wanted: Imported) -> Imported:
    """Give a source its asset id; the one that it has, where it has one."""
    row = {
        "account_id": account_id,
        "source_hash": _hash(wanted.source),
        "source": wanted.source,
        "former_id": wanted.former_id and wanted.former_id[:MAX_FORMER],
        "asset_id": wanted.asset_id,
        "tags": list(wanted.tags),
        "metadata_": dict(wanted.metadata),
        "created_at": wanted.created_at,
    }
    tx.execute(_RESERVE[tx.connection.dialect.name], row)
    found = find(tx, account_id, wanted.source)
    assert found is not None
    return found


def done(tx: Transaction, asset_id: str, at: datetime) -> None:
    """The asset is there."""
    tx.execute(_DONE, {"asset": asset_id, "imported_at": at})


def forget_purged(tx: Transaction, asset_id: str) -> None:
    """Forget what stood beside a picture whose bytes are gone. Where it came from stays, so that it is not
    imported again."""
    tx.execute(_DONE, {"asset": asset_id, "metadata_": {}, "tags": []})


def _hash(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()


def _imported(row: Any) -> Imported:
    return Imported(
        row.asset_id,
        row.source,
        row.former_id,
        row.tags,
        row.metadata_,
        row.created_at,
        row.imported_at,
    )
