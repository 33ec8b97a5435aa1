"""Similar prompts on a whole server: found behind the answer, within one account, gone with the pictures."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from ferrotype.db import assets
from ferrotype.db.schema import accounts, jobs, prompt_vectors
from ferrotype.db.schema import generations as generation_table
from ferrotype.domain.asset import Visibility
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import NotEnabled
from ferrotype.embedding import weights
from tests.flows.harness import Client, running
from tests.imaging.imaging_pictures import scene

SIZE = {"width": 256, "height": 256}
FOX, BENEATH, WOLF = "a fox under the moon", "a fox beneath the moon", "a wolf under the moon"
ON = {"FERROTYPE_SIMILAR": "true", "FERROTYPE_SIMILAR_THRESHOLD": "0.9"}


@pytest.fixture
async def similar(tmp_path: Path) -> AsyncIterator[Client]:
    """A server that compares prompts."""
    async with running(tmp_path / "data", **ON) as client:
        yield client


async def vectors(client: Client) -> list[str]:
    """Ids of the generations whose prompts have one, in the order in which they were written."""

    def story(tx: Any) -> list[str]:
        rows = tx.execute(select(prompt_vectors.c.generation_id).order_by(prompt_vectors.c.seq))
        return [row[0] for row in rows]

    return await client.app.database.read(story)


async def settled(client: Client) -> None:
    """Until no job about prompts is left."""
    open_jobs = select(jobs.c.id).where(
        jobs.c.kind.in_(["embed", "embed_older"]), jobs.c.state.in_(["queued", "running"])
    )
    while await client.app.database.read(lambda tx: tx.execute(open_jobs).first()):
        await client.app.engine.wait()


async def made(client: Client, prompt: str, **wishes: Any) -> dict[str, Any]:
    """A generation whose picture is kept and whose prompt has its vector, if it gets one."""
    reply = await client.order(prompt=prompt, **{**SIZE, **wishes})
    assert reply.status in (201, 202), reply.body
    await client.until(reply.json["id"], "stored", count=wishes.get("num_images", 1))
    generation = await client.until(reply.json["id"], "enriched", count=wishes.get("num_images", 1))
    assert generation["status"] == "succeeded", generation
    await settled(client)
    ended = select(jobs.c.error).where(jobs.c.kind == "embed", jobs.c.state == "failed")
    assert await client.app.database.read(lambda tx: list(tx.execute(ended).scalars())) == []
    return generation


async def search(client: Client, prompt: str, **query: Any) -> list[tuple[str, float]]:
    reply = await client.get("/v1/prompts/similar", params={"prompt": prompt, **query})
    assert reply.status == 200, reply.body
    assert reply.json["object"] == "list"
    assert all(each["object"] == "similar_generation" for each in reply.json["data"])
    return [(each["generation"]["id"], each["similarity"]) for each in reply.json["data"]]


async def match(client: Client, order: dict[str, Any], prompt: str, **facts: Any) -> Any:
    wanted = {
        "account_id": client.app.account_id,
        "operation": order["operation"],
        "model": order["model"],
        "parameters": order["input"] | {"prompt": prompt, "seed": 123},
        "prompt": prompt,
    }
    return await client.app.similar.match(**(wanted | facts))


async def change(client: Client, generation_id: str, **values: Any) -> None:
    """As if it had gone otherwise."""
    statement = update(generation_table).where(generation_table.c.id == generation_id).values(**values)
    await client.app.database.write(lambda tx: tx.execute(statement) and None)


async def test_what_was_meant_is_found(similar: Client) -> None:
    fox, boat = await made(similar, FOX), await made(similar, "a sailing boat at sea")
    assert await vectors(similar) == [fox["id"], boat["id"]]
    assert await search(similar, FOX) == [(fox["id"], 1.0)]
    ((found, near),) = await search(similar, BENEATH)
    assert (found, near) == (fox["id"], pytest.approx(0.984, abs=0.01))
    everything = await search(similar, BENEATH, min_similarity=0)
    assert [name for name, _ in everything] == [fox["id"], boat["id"]]
    assert everything[0][1] > everything[1][1]
    assert await search(similar, BENEATH, min_similarity=0, limit=1) == everything[:1]
    assert await search(similar, BENEATH, min_similarity=0.999) == []
    (entry,) = (await similar.get("/v1/prompts/similar", params={"prompt": FOX})).json["data"]
    assert entry["generation"] == (await similar.get(f"/v1/generations/{fox['id']}")).json


async def test_a_newer_prompt_is_found_by_a_search_that_ran_before(similar: Client) -> None:
    first = await made(similar, FOX)
    assert await search(similar, FOX) == [(first["id"], 1.0)]
    second = await made(similar, FOX, seed=5)
    assert await search(similar, FOX) == [(second["id"], 1.0), (first["id"], 1.0)]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 10_001}, "prompt"),
        ({"prompt": "x", "limit": 0}, "limit"),
        ({"prompt": "x", "limit": 100_000}, "limit"),
        ({"prompt": "x", "min_similarity": "1.5"}, "min_similarity"),
        ({"prompt": "x", "min_similarity": "nan"}, "min_similarity"),
    ],
)
async def test_bad_questions_are_named(client: Client, query: dict[str, Any], field: str) -> None:
    reply = await client.get("/v1/prompts/similar", params=query)
    assert (reply.status, reply.json["field"]) == (422, field)


async def test_switched_off_it_says_how_to_switch_it_on(client: Client) -> None:
    reply = await client.get("/v1/prompts/similar", params={"prompt": FOX})
    assert (reply.status, reply.json["code"]) == (501, "not_enabled")
    assert "FERROTYPE_SIMILAR" in reply.json["detail"]
    order = (await client.order(prompt=FOX, **SIZE)).json
    with pytest.raises(NotEnabled):
        await match(client, order, FOX)
    kinds = await client.app.database.read(lambda tx: list(tx.execute(select(jobs.c.kind)).scalars()))
    assert "embed" not in kinds
    assert await vectors(client) == []


async def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        weights,
        "find_spec",
        lambda name: None if name == "onnxruntime" else importlib.util.find_spec(name),
    )
    async with running(tmp_path / "data", **ON) as client:
        reply = await client.get("/v1/prompts/similar", params={"prompt": FOX})
        assert (reply.status, reply.json["code"]) == (501, "not_enabled")
        assert "pip install 'ferrotype[local]'" in reply.json["detail"]
        assert (await client.order(prompt=FOX, **SIZE)).status == 201


async def test_a_match_is_the_nearest_order_that_differs_in_words_only(similar: Client) -> None:
    fox = await made(similar, FOX)
    assert await match(similar, fox, FOX) == (fox["id"], 1.0)
    assert await match(similar, fox, BENEATH) == (fox["id"], pytest.approx(0.97, abs=0.03))
    nearer = await made(similar, "A fox beneath the Moon")
    assert await match(similar, fox, BENEATH) == (nearer["id"], 1.0)
    assert await match(similar, fox, WOLF) is None
    assert await match(similar, fox, "two foxes under the moon") is None
    assert await match(similar, fox, "  ") is None
    for other in (
        {"operation": "edit"},
        {"model": "owner/other"},
        {"parameters": fox["input"] | {"width": 512}},
        {"parameters": fox["input"] | {"num_images": 2}},
        {"parameters": fox["input"] | {"style": "artistic"}},
        {"parameters": fox["input"] | {"params": {"steps": 4}}},
        {"parameters": fox["input"] | {"images": [fox["output"][0]["id"]]}},
        {"visibility": Visibility.PRIVATE},
    ):
        assert await match(similar, fox, FOX, **other) is None, other
    assert await match(similar, fox, FOX, visibility=Visibility.UNLISTED) == (fox["id"], 1.0)


async def test_an_order_may_take_the_pictures_of_a_similar_one(similar: Client) -> None:
    fox = await made(similar, FOX)
    before = await similar.balance()
    reply = await similar.order(prompt=BENEATH, reuse="similar", **SIZE)
    reused = reply.json
    assert (reply.status, reused["status"], reused["reused_from"]) == (201, "succeeded", fox["id"])
    assert 0.9 <= reused["similarity"] < 1
    assert [each["id"] for each in reused["output"]] == [each["id"] for each in fox["output"]]
    assert reused["urls"]["fresh"]
    assert await similar.balance() == before
    for wish in ({"prompt": WOLF, "reuse": "similar"}, {"prompt": BENEATH}):
        fresh = await made(similar, **wish)
        assert (fresh["reused_from"], fresh["similarity"]) == (None, None)
        assert fresh["output"][0]["id"] != fox["output"][0]["id"]
    assert reused["id"] not in await vectors(similar)  # a follower's pictures were made for other words


async def test_an_order_for_similar_ones_is_refused_where_that_is_off(client: Client) -> None:
    reply = await client.order(prompt=FOX, reuse="similar", **SIZE)
    assert (reply.status, reply.json["code"]) == (501, "not_enabled")
    assert (await client.rows())["generations"] == 0


async def test_another_version_of_the_model_is_another_model(
    similar: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fox = await made(similar, FOX)
    model = similar.app.catalogue.models[fox["model"]]
    (deployment,) = model.deployments
    newer = model.model_copy(update={"deployments": [deployment.model_copy(update={"target": "newer"})]})
    with monkeypatch.context() as patch:
        patch.setitem(similar.app.catalogue.models, fox["model"], newer)
        assert await match(similar, fox, FOX) is None
    assert await match(similar, fox, FOX) == (fox["id"], 1.0)


async def test_inputs_are_compared_by_their_content(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON) as client:
        first, again, other = [
            (await client.request("POST", "/v1/assets", data=scene(*size).pngsave_buffer())).json["id"]
            for size in ((64, 48), (64, 48), (48, 64))
        ]
        fox = await made(client, FOX)
        await change(client, fox["id"], input=fox["input"] | {"images": [first]})
        await client.app.database.write(lambda tx: tx.execute(delete(prompt_vectors)) and None)
        await client.app.embed.catch_up()
        await settled(client)
        for picture, found in ((first, True), (again, True), (other, False)):
            parameters = fox["input"] | {"images": [picture]}
            assert (await match(client, fox, FOX, parameters=parameters) is not None) is found


async def test_only_what_stands_and_went_well_is_found(similar: Client) -> None:
    fox = await made(similar, FOX)
    asset_id = fox["output"][0]["id"]
    assert await match(similar, fox, FOX) is not None
    for values, back in (
        ({"status": "failed"}, {"status": "succeeded"}),
        ({"reused_from": new_id()}, {"reused_from": None}),
    ):
        await change(similar, fox["id"], **values)
        assert await match(similar, fox, FOX) is None
        assert await search(similar, FOX) == []
        await change(similar, fox["id"], **back)
    await change(similar, fox["id"], error={"code": "provider_failed"})
    assert await match(similar, fox, FOX) is None
    assert await search(similar, FOX) == [(fox["id"], 1.0)]
    await change(similar, fox["id"], error=None)
    now = similar.app.clock.now()
    for facts, back in (
        ({"deleted_at": now}, {"deleted_at": None}),
        ({"expires_at": now}, {"expires_at": None}),
        ({"state": "failed"}, {"state": "ready"}),
    ):
        await similar.app.database.write(lambda tx, facts=facts: assets.learn(tx, asset_id, **facts))
        assert await match(similar, fox, FOX) is None
        assert await search(similar, FOX) == []
        await similar.app.database.write(lambda tx, back=back: assets.learn(tx, asset_id, **back))
    assert await match(similar, fox, FOX) == (fox["id"], 1.0)


async def test_accounts_do_not_see_each_other(similar: Client) -> None:
    fox = await made(similar, FOX)
    database, stranger = similar.app.database, new_id()

    def story(tx: Any) -> None:
        now = similar.app.clock.now()
        tx.execute(insert(accounts).values(id=stranger, name="bob", available=0, created_at=now))

    await database.write(story)
    assert await match(similar, fox, FOX, account_id=stranger) is None
    assert await similar.app.similar.search(stranger, FOX, 10, 0.0) == []
    # A vector that says it is theirs while its generation is not.
    await database.write(lambda tx: tx.execute(update(prompt_vectors).values(account_id=stranger)) and None)
    assert await similar.app.similar.search(stranger, FOX, 10, 0.0) == []
    assert await match(similar, fox, FOX, account_id=stranger) is None


async def test_a_vector_goes_with_the_last_picture_of_its_generation(similar: Client) -> None:
    fox = await made(similar, FOX, num_images=2)
    first, second = (picture["id"] for picture in fox["output"])
    for asset_id, left in ((first, [fox["id"]]), (second, [])):
        await similar.request("DELETE", f"/v1/assets/{asset_id}")
        long_ago = similar.app.clock.now() - timedelta(days=31)
        await similar.app.database.write(partial(assets.learn, asset_id=asset_id, deleted_at=long_ago))
        await similar.app.janitor.clean()
        assert (await similar.get(f"/v1/assets/{asset_id}")).json["purged_at"] is not None
        assert await vectors(similar) == left
    assert await search(similar, FOX) == []
    await similar.app.embed.catch_up()
    await settled(similar)
    assert await vectors(similar) == []


async def test_older_prompts_get_their_vectors_when_it_is_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.services.embed.BATCH", 2)
    async with running(tmp_path / "data") as client:
        older = [(await client.order(prompt=f"a fox in house {n}", **SIZE)).json["id"] for n in range(5)]
        await change(client, older[1], status="failed")
        await change(client, older[2], reused_from=older[0])
        blank = (await client.get(f"/v1/generations/{older[3]}")).json["input"] | {"prompt": " "}
        await change(client, older[3], input=blank)
        assert await vectors(client) == []
    async with running(tmp_path / "data", **ON) as client:
        await settled(client)
        assert await vectors(client) == [older[4], older[0]]  # the newest first
        found = await search(client, "a fox in house 4")
        assert (found[0], found[1][0]) == ((older[4], 1.0), older[0])
        newest = await made(client, "a fox in house 9")
        assert await vectors(client) == [older[4], older[0], newest["id"]]
        await client.app.embed.catch_up()
        await settled(client)
        assert await vectors(client) == [older[4], older[0], newest["id"]]


async def test_vectors_of_another_embedder_are_made_anew(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON) as client:
        fox = await made(client, FOX)
        await client.app.database.write(
            lambda tx: tx.execute(update(prompt_vectors).values(embedder="older")) and None
        )
    async with running(tmp_path / "data", **ON) as client:
        await settled(client)
        assert await vectors(client) == [fox["id"]]
        assert await search(client, FOX) == [(fox["id"], 1.0)]


async def test_jobs_that_were_left_end_when_it_is_switched_off(tmp_path: Path) -> None:
    async with running(tmp_path / "data", **ON) as client:
        fox = await made(client, FOX)
        await client.app.database.write(
            lambda tx: (
                tx.execute(
                    update(jobs).where(jobs.c.kind == "embed").values(state="queued", completed_at=None)
                )
                and None
            )
        )
        await client.app.database.write(lambda tx: tx.execute(delete(prompt_vectors)) and None)
        await client.app.worker.drain(5)
    async with running(tmp_path / "data") as client:
        await settled(client)
        assert await vectors(client) == []
        assert (await client.get(f"/v1/generations/{fox['id']}")).json["status"] == "succeeded"
