"""Orders through HTTP: answers, modes, waits, idempotency, cancel, lists."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from tests.flows.harness import Client

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}


async def test_an_order_is_answered_with_a_picture_that_loads(client: Client) -> None:
    reply = await client.order(**FOX, tags=["a"], metadata={"mine": [1, None]})
    assert reply.status == 201
    generation = reply.json
    assert reply.headers["Location"] == f"/v1/generations/{generation['id']}"
    assert generation["status"] == "succeeded"
    assert (generation["model"], generation["operation"]) == ("local/illustrator", "generate")
    assert (generation["error"], generation["progress"]) == (None, 1.0)
    assert (generation["tags"], generation["metadata"]) == (["a"], {"mine": [1, None]})
    assert generation["cost"] == {"credits": 1, "usd": 0.0}
    assert generation["urls"]["get"] == f"{client.base}/v1/generations/{generation['id']}"
    (asset,) = generation["output"]
    assert (asset["state"], asset["index"], asset["seed"]) == ("ready", 0, 7)
    assert (asset["width"], asset["height"], asset["content_type"]) == (256, 256, "image/webp")
    assert asset["source_type"] == "algorithmicMedia"
    assert "CC BY-SA" in asset["credit"]["license"]
    picture = await client.get(asset["url"])
    assert (picture.status, picture.headers["Content-Type"]) == (200, "image/webp")
    assert len(picture.body) == asset["bytes"]
    assert hashlib.sha256(picture.body).hexdigest() == asset["sha256"]


async def test_the_envelope_has_every_field_from_the_first_state_on(client: Client) -> None:
    early = await client.order_async(**FOX)
    late = await client.until(early["id"], "succeeded")
    assert early.keys() == late.keys()
    assert (early["output"], early["completed_at"], early["metrics"]["total_s"]) == ([], None, None)
    assert late["metrics"]["total_s"] >= late["metrics"]["provider_s"] > 0
    assert set(late["output"][0]) == {
        *(
            "id",
            "object",
            "state",
            "url",
            "generation_id",
            "index",
            "seed",
            "width",
            "height",
            "content_type",
        ),
        *("animated", "has_alpha", "bytes", "sha256", "placeholder", "stored", "source_type", "credit"),
        *("visibility", "favourite", "created_at", "expires_at", "deleted_at", "purged_at"),
    }


async def test_same_seed_same_picture_other_seed_another(client: Client) -> None:
    first, again, other = await asyncio.gather(
        client.order(**FOX), client.order(**FOX, reuse="never"), client.order(**{**FOX, "seed": 8})
    )
    hashes = [reply.json["output"][0]["sha256"] for reply in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]


async def test_several_pictures_run_in_parallel_with_counted_seeds(client: Client) -> None:
    generation = (await client.order(**FOX, num_images=4)).json
    assert [asset["seed"] for asset in generation["output"]] == [7, 8, 9, 10]
    assert [asset["index"] for asset in generation["output"]] == [0, 1, 2, 3]
    assert len({asset["sha256"] for asset in generation["output"]}) == 4
    assert generation["cost"]["credits"] == 4


async def test_without_a_seed_one_is_chosen_and_told(client: Client) -> None:
    body = {name: value for name, value in FOX.items() if name != "seed"}
    one, other = (await client.order(**body)).json, (await client.order(**body)).json
    assert one["input"]["seed"] != other["input"]["seed"]
    again = (await client.order(**body, seed=one["input"]["seed"])).json
    assert again["output"][0]["sha256"] == one["output"][0]["sha256"]


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("1:1", (1024, 1024)), ("16:9", (1792, 1024)), ("9:16", (1024, 1792)), ("4:3", (1365, 1024))],
)
async def test_aspect_ratios(client: Client, ratio: str, size: tuple[int, int]) -> None:
    asset = (await client.order(prompt="a lighthouse", aspect_ratio=ratio)).json["output"][0]
    assert (asset["width"], asset["height"]) == size


@pytest.mark.parametrize(("format", "content_type"), [("png", "image/png"), ("jpeg", "image/jpeg")])
async def test_formats(client: Client, format: str, content_type: str) -> None:
    asset = (await client.order(**FOX, format=format)).json["output"][0]
    assert asset["content_type"] == content_type
    assert (await client.get(asset["url"])).headers["Content-Type"] == content_type


async def test_durable_answers_when_the_store_has_it(client: Client) -> None:
    generation = (await client.order(**FOX, mode="durable")).json
    asset = generation["output"][0]
    assert asset["stored"] is True
    stored = client.app.stores.primary.local_path(await _key(client, asset["id"]))
    assert stored is not None
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == asset["sha256"]


async def _key(client: Client, asset_id: str) -> str:
    from ferrotype.db import assets

    found = await client.app.database.read(lambda tx: assets.keys(tx, asset_id))
    return found[client.app.stores.primary.name]


async def test_placeholder_and_copy_follow_the_answer(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    await client.until(generation["id"], "stored")
    asset = generation["output"][0]
    while asset["placeholder"] is None:  # `enrich` has no event; the job ends by itself
        asset = (await client.get(f"/v1/assets/{asset['id']}")).json
    assert asset["placeholder"]["data_uri"].startswith("data:image/webp;base64,")
    assert asset["placeholder"]["color"].startswith("#")
    assert (await client.get(asset["url"])).status == 200
    assert client.app.spool.path(asset["id"]) is None


async def test_async_is_answered_at_once_and_ends(client: Client) -> None:
    reply = await client.order(headers={"Prefer": "respond-async"}, **FOX)
    assert (reply.status, reply.headers["Preference-Applied"]) == (202, "respond-async")
    assert reply.json["status"] in ("queued", "running")
    assert (await client.until(reply.json["id"], "succeeded"))["status"] == "succeeded"


async def test_a_wait_that_ends_first_is_202_and_nothing_is_lost(client: Client) -> None:
    reply = await client.order(headers={"Prefer": "wait=0"}, **FOX)
    assert (reply.status, reply.headers["Preference-Applied"]) == (202, "wait=0")
    assert (await client.until(reply.json["id"], "succeeded"))["status"] == "succeeded"


async def test_idempotency_replays_joins_and_conflicts(client: Client) -> None:
    key = {"Idempotency-Key": "order-1"}
    joined = await asyncio.gather(*(client.order(headers=key, **FOX) for _ in range(5)))
    assert {reply.status for reply in joined} == {201}
    assert len({reply.json["id"] for reply in joined}) == 1
    assert sum("Idempotency-Replayed" not in reply.headers for reply in joined) == 1
    replayed = await client.order(headers=key, **FOX)
    assert (replayed.status, replayed.headers["Idempotency-Replayed"]) == (201, "true")
    assert replayed.json["id"] == joined[0].json["id"]
    before = await client.rows()
    conflict = await client.order(headers=key, **{**FOX, "seed": 8})
    assert (conflict.status, conflict.json["code"]) == (409, "idempotency_conflict")
    assert await client.rows() == before
    assert (await client.balance())[2] == 1


async def test_the_list_is_paged_newest_first(client: Client) -> None:
    ids = [(await client.order(**FOX)).json["id"] for _ in range(5)]
    pages: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        page = (await client.get(f"/v1/generations?limit=2{cursor and f'&cursor={cursor}'}")).json
        pages.append([generation["id"] for generation in page["data"]])
        cursor = page["next_cursor"]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [id for page in pages for id in page] == ids[::-1]
    assert len((await client.get("/v1/generations?status=succeeded")).json["data"]) == 5
    assert (await client.get("/v1/generations?status=failed")).json["data"] == []


async def test_styles_models_and_ratios_are_listed(client: Client) -> None:
    models = {model["id"]: model for model in (await client.get("/v1/models")).json["data"]}
    assert models["local/illustrator"]["available"] is True
    assert models["local/illustrator"]["default_for"] == ["generate"]
    assert models["comfyui/txt2img"]["available"] is False
    assert models["local/illustrator"]["class"] == "light"
    styles = (await client.get("/v1/styles")).json
    assert {style["name"] for style in styles["data"]} == {"realistic", "artistic", "illustration", "3d"}
    assert len(styles["aspect_ratios"]) == 5


async def test_metrics_as_json_and_prometheus_text(client: Client) -> None:
    await client.order(**FOX)
    body: Any = (await client.get("/metrics", headers={"Accept": "application/json"})).json
    assert body["uptime"] > 0
    assert body["requests"]["total"] >= 1
    assert set(body["requests"]) >= {"total", "success", "error", "cached", "cacheHitRate", "errorRate"}
    assert body["operations"]["generate"]["count"] == 1
    assert set(body["operations"]["generate"]) >= {
        "count",
        "avg",
        "min",
        "max",
        "p50",
        "p95",
        "p99",
        "errors",
    }
    assert body["cache"]["max_bytes"] > 0
    text = await client.get("/metrics")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert b"ferrotype_" in text.body


async def test_health_and_the_pages_of_the_api(client: Client) -> None:
    assert (await client.get("/healthz")).json["status"] == "ok"
    ready = await client.get("/readyz")
    assert ready.status == 200, ready.body
    assert (await client.get("/openapi.json")).json["info"]["title"] == "Ferrotype"
    page = await client.get("/docs")
    assert page.status == 200
    assert b"https://" not in page.body.replace(b"https://fastapi.tiangolo.com/img/favicon.png", b"")
    assert (await client.get("/")).status == 307
