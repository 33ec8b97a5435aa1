"""Statements that look after copies, dead letters and imports, on every database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert

from ferrotype.db import assets, copies, dead_letters, imports
from ferrotype.db.copies import Amount
from ferrotype.db.database import Database, Transaction
from ferrotype.db.imports import Imported
from ferrotype.db.schema import jobs
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from tests.databases import open_account

NOW = datetime(2026, 3, 1, 12, 30, 15, tzinfo=UTC)


async def stocked(database: Database, *stores: tuple[str, ...]) -> list[str]:
    """The ids of assets of 10 bytes each, in their order, with copies in these stores."""
    account_id = new_id()
    await open_account(database, account_id, NOW)
    made = [
        Asset(id=new_id(number), account_id=account_id, state=AssetState.READY, bytes=10, created_at=NOW)
        for number in range(len(stores))
    ]

    def story(tx: Transaction) -> None:
        for asset, names in zip(made, stores, strict=True):
            assets.add(tx, asset)
            for name in names:
                assets.add_copy(tx, asset.id, name, f"{name}/{asset.id}.png", NOW)

    await database.write(story)
    return [asset.id for asset in made]


async def test_walks(database: Database) -> None:
    both, first, second, none = await stocked(database, ("a", "b"), ("a",), ("b",), ())

    def story(tx: Transaction) -> None:
        def ids(found: list[Any]) -> list[str]:
            return [each.asset.id for each in found]

        assert ids(copies.of_store(tx, None, "")) == [both, first, second]
        assert ids(copies.of_store(tx, "a", "")) == [both, first]
        assert ids(copies.of_store(tx, "a", both)) == [first]
        assert ids(copies.lacking(tx, "a", "b", "")) == [first]
        assert ids(copies.shared(tx, "a", "b", "")) == [both]
        assert [asset.id for asset in copies.without(tx, "")] == [none]
        assert copies.count_lacking(tx, "a", "b") == Amount(1, 10)
        assert copies.count_shared(tx, "a", "b") == Amount(1, 10)
        assert copies.count_lacking(tx, "a", "a") == Amount(0, 0)
        assert (copies.count_assets(tx, None, ""), copies.count_assets(tx, "b", both)) == (3, 1)
        (held,) = copies.lacking(tx, "a", "b", "")
        assert held.keys == {"a": f"a/{first}.png"}
        assert copies.remove(tx, first, "a")
        assert not copies.remove(tx, first, "a")
        assets.learn(tx, both, purged_at=NOW)
        assert copies.shared(tx, "a", "b", "") == []

    await database.write(story)


async def test_dead_letters_and_jobs_under_way(database: Database) -> None:
    (asset_id,) = await stocked(database, ())

    def job(kind: str, state: str, **payload: str) -> dict[str, Any]:
        return {
            "id": new_id(),
            "kind": kind,
            "class_": kind,
            "account_id": "a",
            "state": state,
            "payload": {"asset_id": asset_id, **payload},
            "priority": 0,
            "start_tag": 0.0,
            "max_starts": 3,
            "starts": 3,
            "fence": 3,
            "cancel_requested": False,
            "created_at": NOW,
        }

    rows = [
        job("store", "failed"),
        job("purge", "succeeded"),
        job("drop", "queued", store="a"),
        job("enrich", "running"),
    ]
    letter_id = rows[0]["id"]

    def story(tx: Transaction) -> None:
        for row in rows:
            tx.execute(insert(jobs), row)
        (letter,) = dead_letters.page(tx, ["store", "purge"], "")
        assert (letter.job_id, letter.asset_id, letter.starts) == (letter_id, asset_id, 3)
        assert dead_letters.page(tx, ["purge"], "") == []
        assert dead_letters.page(tx, ["store"], letter_id) == []
        assert dead_letters.under_way(tx, [asset_id, new_id()]) == {asset_id: {"drop", "enrich"}}
        assert dead_letters.count_under_way(tx, "drop", "a") == 1
        assert dead_letters.count_under_way(tx, "drop", "b") == 0
        assert not dead_letters.remove(tx, rows[2]["id"])  # it has not failed
        assert dead_letters.remove(tx, letter_id)
        assert not dead_letters.remove(tx, letter_id)

    await database.write(story)


async def test_a_source_has_one_asset(database: Database) -> None:
    account_id = new_id()
    await open_account(database, account_id, NOW)

    def wanted(former_id: str) -> Imported:
        return Imported(new_id(), "s3://b/1.png", former_id, ["x"], {"n": 1}, NOW, None)

    def story(tx: Transaction) -> None:
        first = imports.reserve(tx, account_id, wanted("one"))
        assert imports.reserve(tx, account_id, wanted("two")) == first
        assert (first.former_id, list(first.tags), first.metadata, first.created_at) == (
            "one",
            ["x"],
            {"n": 1},
            NOW,
        )
        assert imports.of_former(tx, account_id, "one") == []  # it is not there yet
        imports.done(tx, first.asset_id, NOW)
        (found,) = imports.of_former(tx, account_id, "one")
        assert found == imports.find(tx, account_id, "s3://b/1.png")
        assert found == imports.of_asset(tx, account_id, first.asset_id)
        assert found.imported_at == NOW
        assert imports.of_asset(tx, new_id(), first.asset_id) is None
        imports.forget_purged(tx, first.asset_id)
        bare = imports.of_asset(tx, account_id, first.asset_id)
        assert bare is not None
        assert (list(bare.tags), bare.metadata, bare.imported_at) == ([], {}, NOW)

    await database.write(story)
