"""The statements of the stories on both databases: SQLite and a real Postgres."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ferrotype.db import assets, generations, journal, ledger
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset, Credit, Origin, Placeholder
from ferrotype.domain.event import Event
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import new_id
from ferrotype.domain.ledger import Balance, EntryKind, LedgerFault
from ferrotype.domain.problems import InsufficientCredits
from ferrotype.domain.states import AssetState, GenerationState, IllegalTransition
from tests.db.conftest import database, database_url, postgres_server, postgres_url  # noqa: F401

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


async def opened(database: Database) -> str:  # noqa: F811
    account = new_id()

    def story(tx: Transaction) -> None:
        ledger.open_account(tx, account, "ada", NOW)
        ledger.write(tx, account, EntryKind.GRANT, 100, f"grant:{account}", NOW)

    await database.write(story)
    return account


def made(account: str, **values: object) -> Generation:
    generation = Generation(
        id=new_id(),
        account_id=account,
        status=GenerationState.QUEUED,
        operation="generate",
        model="a/b",
        input={"prompt": "ein Fuchs 🦊", "seed": 2**53 - 1},
        num_images=2,
        class_="light",
        credits_each=3,
        usd_each=0.25,
        created_at=NOW,
        tags=["a", "b"],
        metadata={"deep": {"list": [1, None]}},
    )
    return replace(generation, **values)  # type: ignore[arg-type]


async def test_the_ledger(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    generation = made(account)
    await database.write(lambda tx: generations.add(tx, generation))

    async def write(kind: EntryKind, credits: int, key: str) -> bool:
        return await database.write(
            lambda tx: ledger.write(tx, account, kind, credits, key, NOW, generation.id)
        )

    async def balance() -> Balance:
        now = await database.read(lambda tx: ledger.balance(tx, account))
        assert now == await database.read(lambda tx: ledger.recount(tx, account))
        return now

    assert await write(EntryKind.HOLD, 60, "hold:1")
    assert await balance() == Balance(40, 60, 0)
    assert not await write(EntryKind.HOLD, 10, "hold:1"), "a key moves credits once"
    with pytest.raises(InsufficientCredits):
        await write(EntryKind.HOLD, 41, "hold:2")
    with pytest.raises(LedgerFault):
        await write(EntryKind.SETTLE, 61, "settle:1")
    assert await write(EntryKind.SETTLE, 20, "settle:2")
    assert await write(EntryKind.RELEASE, 40, "release:1")
    assert await write(EntryKind.REFUND, 5, "refund:1")
    assert await balance() == Balance(85, 0, 15)
    moved = await database.read(lambda tx: ledger.moved(tx, generation.id))
    assert moved == {
        EntryKind.HOLD: 60,
        EntryKind.SETTLE: 20,
        EntryKind.RELEASE: 40,
        EntryKind.REFUND: 5,
    }


async def test_holds_at_once_never_overdraw(database: Database) -> None:  # noqa: F811
    account = await opened(database)

    async def hold(number: int) -> bool:
        key = f"hold:{number % 20}"  # every key comes twice

        def story(tx: Transaction) -> bool:
            return ledger.write(tx, account, EntryKind.HOLD, 9, key, NOW)

        return await database.write(story)

    outcomes = await asyncio.gather(*(hold(number) for number in range(40)), return_exceptions=True)
    assert outcomes.count(True) == 11
    assert all(isinstance(o, bool | InsufficientCredits) for o in outcomes), outcomes
    balance = await database.read(lambda tx: ledger.balance(tx, account))
    assert balance == Balance(1, 99, 0) == await database.read(lambda tx: ledger.recount(tx, account))


async def test_a_generation_comes_back_as_it_went_and_moves_by_the_table(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    generation = made(account)
    await database.write(lambda tx: generations.add(tx, generation))
    assert await database.read(lambda tx: generations.get(tx, generation.id)) == generation
    assert await database.read(lambda tx: generations.get(tx, new_id())) is None
    later = NOW + timedelta(seconds=1)

    def run(tx: Transaction) -> Generation:
        found = generations.get(tx, generation.id, lock=True)
        assert found is not None
        generations.move(tx, found, GenerationState.RUNNING, later)
        moved = generations.get(tx, generation.id)
        assert moved is not None
        return moved

    running = await database.write(run)
    assert running == replace(generation, status=GenerationState.RUNNING, started_at=later)
    with pytest.raises(IllegalTransition):
        await database.write(lambda tx: generations.move(tx, running, GenerationState.QUEUED, later))
    error = {"code": "provider_failed", "detail": "boom"}
    await database.write(lambda tx: generations.move(tx, running, GenerationState.FAILED, later, error=error))
    ended = await database.read(lambda tx: generations.get(tx, generation.id))
    assert ended is not None
    assert (ended.status, ended.completed_at, ended.error) == (GenerationState.FAILED, later, error)


async def test_pages_go_backwards_in_time_without_a_gap(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    ids = [new_id(1_000 + number) for number in range(5)]
    for id in ids:
        await database.write(lambda tx, id=id: generations.add(tx, made(account, id=id)))  # type: ignore[misc]
    found: list[str] = []
    while True:
        before = found[-1] if found else None
        page = await database.read(
            lambda tx, before=before: generations.page(tx, account, limit=2, before=before)  # type: ignore[misc]
        )
        if not page:
            break
        found += [generation.id for generation in page]
    assert found == ids[::-1]
    none = await database.read(lambda tx: generations.page(tx, account, limit=2, status="failed"))
    assert none == []


async def test_an_idempotency_key_is_replaced_and_forgotten(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    one, two = made(account), made(account)
    later = NOW + timedelta(days=1)

    def story(tx: Transaction) -> None:
        generations.add(tx, one)
        generations.add(tx, two)
        generations.add_key(tx, account, "k", "hash", NOW, generation_id=one.id)
        generations.add_key(tx, account, "k", "other", later, generation_id=two.id)

    await database.write(story)
    found = await database.write(lambda tx: generations.find_key(tx, account, "k"))
    assert found == ("other", two.id, None, later)
    assert await database.write(lambda tx: generations.forget_keys(tx, later)) == 0
    assert await database.write(lambda tx: generations.forget_keys(tx, later + timedelta(seconds=1))) == 1
    assert await database.write(lambda tx: generations.find_key(tx, account, "k")) is None


async def test_assets_and_their_copies(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    generation = made(account)
    asset = Asset(
        id=new_id(),
        account_id=account,
        state=AssetState.ARRIVING,
        generation_id=generation.id,
        index=1,
        seed=2**53,
        origin=Origin(provider="x", url="http://x/y"),
        credit=Credit(artwork="a", author="b", license="c", url="d"),
        source_type="algorithmicMedia",
        created_at=NOW,
    )

    def story(tx: Transaction) -> None:
        generations.add(tx, generation)
        assets.add(tx, asset)

    await database.write(story)
    assert await database.read(lambda tx: assets.get(tx, asset.id)) == asset
    twin = asset.model_copy(update={"id": new_id()})
    with pytest.raises(Exception, match=r"(?i)unique"):
        await database.write(lambda tx: assets.add(tx, twin))
    placeholder = Placeholder(thumbhash="AAA=", color="#112233", data_uri="data:,")

    def ready(tx: Transaction) -> None:
        assets.move(tx, asset, AssetState.READY, bytes=2**40, sha256="00" * 32, content_type="image/png")
        assets.learn(tx, asset.id, placeholder=placeholder.model_dump())

    await database.write(ready)
    for first in (True, False):
        written = await database.write(lambda tx: assets.add_copy(tx, asset.id, "disk", "a/b.png", NOW))
        assert written is first
    assert await database.read(lambda tx: assets.keys(tx, asset.id)) == {"disk": "a/b.png"}
    found = (await database.read(lambda tx: assets.of_generations(tx, [generation.id])))[generation.id]
    facts = {"bytes": 2**40, "sha256": "00" * 32, "content_type": "image/png"}
    changed = {**facts, "state": AssetState.READY, "stored": True, "placeholder": placeholder}
    assert found == [asset.model_copy(update=changed)]
    with pytest.raises(IllegalTransition):
        await database.write(lambda tx: assets.move(tx, found[0], AssetState.FAILED))


async def test_the_journal_counts_up(database: Database) -> None:  # noqa: F811
    account = await opened(database)
    one, two = made(account), made(account)

    def story(tx: Transaction) -> list[Event]:
        for generation in (one, two):
            generations.add(tx, generation)
        return [
            journal.append(tx, Event(type, generation.id, NOW, {"n": number}))
            for number, (type, generation) in enumerate(
                [("queued", one), ("queued", two), ("started", one), ("succeeded", one)]
            )
        ]

    events = await database.write(story)
    numbers = [event.seq for event in events]
    assert None not in numbers
    assert numbers == sorted(set(numbers))  # type: ignore[type-var]
    mine = [event for event in events if event.generation_id == one.id]
    assert await database.read(lambda tx: journal.after(tx, one.id, 0)) == mine
    assert mine[0].seq is not None
    seq = mine[0].seq
    assert await database.read(lambda tx: journal.after(tx, one.id, seq)) == mine[1:]
    assert await database.read(lambda tx: journal.last_seq(tx, one.id)) == mine[-1].seq
    assert await database.read(lambda tx: journal.last_seq(tx, new_id())) == 0
