"""Statements of the gallery. They are made to fit the filters; the wide rows are read for one page only.

They go SQLAlchemy's way (`tx.connection`), which knows them again by their form: `db/direct.py` would keep
each of them, in case it were a constant.

Which pictures there are is read from `ix_assets_gallery`, what made them from `ix_generations_gallery`:
both hold all that is asked here but for prompts and tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, exists, func, or_, select

from ferrotype.db.database import Transaction
from ferrotype.db.schema import assets, collection_assets, generations, imports
from ferrotype.domain.gallery import Filters, lowest_id
from ferrotype.domain.states import AssetState

Condition = ColumnElement[bool]


class Seen(NamedTuple):
    """A picture as a timeline needs it: sides in pixels, None where unknown."""

    id: str
    width: int | None
    height: int | None


class Kind(NamedTuple):
    """How many pictures have these four in common."""

    model: str
    style: str | None
    aspect_ratio: str | None
    operation: str
    pictures: int


def timeline(tx: Transaction, account_id: str, wanted: Filters) -> list[Seen]:
    """Every picture that fits, newest first."""
    statement = select(assets.c.id, assets.c.width, assets.c.height)
    statement = statement.where(*_fitting(tx, account_id, wanted)).order_by(assets.c.id.desc())
    return cast("list[Seen]", tx.connection.execute(statement).all())


def page(
    tx: Transaction,
    account_id: str,
    wanted: Filters,
    *,
    limit: int,
    before: str | None = None,
    until: str | None = None,
    end_ms: int | None = None,
    offset: int = 0,
) -> list[str]:
    """Ids of pictures that fit, newest first: older than the id `before`, not newer than the id `until`, from
    before `end_ms`."""
    statement = select(assets.c.id).where(*_fitting(tx, account_id, wanted))
    if before is not None:
        statement = statement.where(assets.c.id < before)
    if until is not None:
        statement = statement.where(assets.c.id <= until)
    if end_ms is not None:
        statement = statement.where(assets.c.id < lowest_id(end_ms))
    return list(
        tx.connection.execute(statement.order_by(assets.c.id.desc()).limit(limit).offset(offset)).scalars()
    )


def kinds(tx: Transaction, account_id: str, wanted: Filters) -> list[Kind]:
    """The generated pictures that fit, counted by what made them."""
    of_pictures = replace(
        wanted, words=(), model=None, style=None, aspect_ratio=None, operation=None, batch_id=None
    )
    counted = (
        select(assets.c.generation_id, func.count().label("pictures"))
        .where(*_fitting(tx, account_id, of_pictures), assets.c.generation_id.is_not(None))
        .group_by(assets.c.generation_id)
        .subquery()
    )
    columns = (
        generations.c.model,
        generations.c.style,
        generations.c.aspect_ratio,
        generations.c.operation,
    )
    statement = (
        select(*columns, func.sum(counted.c.pictures))
        .join(counted, generations.c.id == counted.c.generation_id)
        .where(generations.c.account_id == account_id, *_of_orders(wanted))
        .group_by(*columns)
    )
    return [Kind(*row) for row in tx.connection.execute(statement)]


def made_by(tx: Transaction, generation_ids: Sequence[str]) -> dict[str, Any]:
    """What a gallery tells of generations: rows by id."""
    columns = (
        generations.c.id,
        generations.c.input,
        generations.c.model,
        generations.c.style,
        generations.c.aspect_ratio,
        generations.c.operation,
        generations.c.num_images,
        generations.c.batch_id,
        generations.c.created_at,
    )
    rows = tx.connection.execute(select(*columns).where(generations.c.id.in_(generation_ids)))
    return {row.id: row for row in rows}


def _fitting(tx: Transaction, account_id: str, wanted: Filters) -> list[Condition]:
    """The account's pictures that fit. Other tables are asked picture by picture: without statistics, SQLite
    takes it for cheaper to go through all pictures once for every generation."""
    found = [assets.c.account_id == account_id, *_of_pictures(wanted)]
    made = (generations.c.account_id == account_id, generations.c.id == assets.c.generation_id)
    if of_orders := _of_orders(wanted):
        found.append(exists().where(*made, *of_orders))
    if wanted.collection_id is not None:
        inside = collection_assets.c.collection_id == wanted.collection_id
        found.append(exists().where(inside, collection_assets.c.asset_id == assets.c.id))
    if wanted.tag is not None:  # of the order; an imported picture has its own
        ordered = exists().where(*made, _holds(tx, generations.c.tags, wanted.tag))
        imported = exists().where(imports.c.asset_id == assets.c.id, _holds(tx, imports.c.tags, wanted.tag))
        found.append(or_(ordered, imported))
    return found


def _of_pictures(wanted: Filters) -> list[Condition]:
    """What can be told without the generation."""
    if wanted.deleted:
        found: list[Condition] = [assets.c.deleted_at.is_not(None), assets.c.purged_at.is_(None)]
    else:
        found = [assets.c.deleted_at.is_(None)]
    if wanted.state is not None:
        found.append(assets.c.state == wanted.state)
    else:
        found.append(assets.c.state != AssetState.FAILED)
    if wanted.uploads is not None:
        own = assets.c.generation_id
        found.append(own.is_(None) if wanted.uploads else own.is_not(None))
    if wanted.seed is not None:
        found.append(assets.c.seed == wanted.seed)
    if wanted.favourite:
        found.append(assets.c.favourite_at.is_not(None))
    if wanted.from_ms is not None:
        found.append(assets.c.id >= lowest_id(wanted.from_ms))
    if wanted.end_ms is not None:
        found.append(assets.c.id < lowest_id(wanted.end_ms))
    return found


def _of_orders(wanted: Filters) -> list[Condition]:
    """What only a generation can fulfil."""
    found: list[Condition] = []
    for column, value in (
        (generations.c.model, wanted.model),
        (generations.c.style, wanted.style),
        (generations.c.aspect_ratio, wanted.aspect_ratio),
        (generations.c.operation, wanted.operation),
        (generations.c.batch_id, wanted.batch_id),
    ):
        if value is not None:
            found.append(column == value)
    prompt = generations.c.prompt_folded
    return found + [prompt.contains(word, autoescape=True) for word in wanted.words]


def _holds(tx: Transaction, tags: ColumnElement[Any], tag: str) -> Condition:
    """Whether a JSON list of strings has that one."""
    if tx.connection.dialect.name == "sqlite":
        each = func.json_each(tags).table_valued("value")
        return select(each.c.value).where(each.c.value == tag).exists()
    value = func.json_array_elements_text(tags).column_valued("tag")
    return select(value).where(value == tag).exists()
