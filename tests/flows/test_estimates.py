"""Estimates through HTTP: cost and time before anything is ordered, by the order's own checks."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from ferrotype.db import schema
from ferrotype.db.database import Transaction
from ferrotype.domain.ids import new_id
from ferrotype.services.durations import Duration, expected, measured
from tests.flows.harness import Client, Reply, running
from tests.flows.test_routing import deployments, model, shop

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256}
ILLUSTRATOR = "local/illustrator"
HUGE = "{1..1000000}" * 5
PAINTER = model("me/painter", deployments("a"))
OTHER = model("me/other", deployments("a")).replace('class = "light"', 'class = "heavy"')


async def estimate(client: Client, **body: Any) -> Reply:
    return await client.request("POST", "/v1/estimates", json=body)


async def measure(client: Client, model: str, *seconds: float) -> None:
    """Calls of a model that took so long, as the database keeps them."""
    now = client.app.clock.now()

    def story(tx: Transaction) -> None:
        for took in seconds:
            generation_id = new_id()
            tx.execute(
                insert(schema.generations),
                {
                    "id": generation_id,
                    "account_id": client.app.account_id,
                    "status": "succeeded",
                    "operation": "generate",
                    "model": model,
                    "class_": "light",
                    "input": {},
                    "num_images": 1,
                    "credits_each": 0,
                    "usd_each": 0.0,
                    "tags": [],
                    "metadata_": {},
                    "created_at": now,
                    "completed_at": now,
                },
            )
            tx.execute(
                insert(schema.attempts),
                {
                    "id": new_id(),
                    "job_id": new_id(),
                    "generation_id": generation_id,
                    "provider": "a",
                    "target": "t",
                    "state": "succeeded",
                    "created_at": now,
                    "completed_at": now + timedelta(seconds=took),
                },
            )

    await client.app.database.write(story)


async def test_an_order_is_estimated_and_nothing_is_written(client: Client) -> None:
    before, balance = await client.rows(), await client.balance()
    reply = await estimate(client, **FOX, num_images=3)
    assert reply.status == 200, reply.body
    price = client.app.catalogue.models[ILLUSTRATOR].price
    assert reply.json == {
        "object": "estimate",
        "num_items": 1,
        "num_images": 3,
        "num_reused": 0,
        "credits": 3 * price.credits,
        "usd": pytest.approx(3 * price.usd),
        "available_credits": balance[0],
        "sufficient": True,
        "seconds": None,
        "samples": 0,
        "model": ILLUSTRATOR,
        "class": "light",
        "queue": {"ahead": 0, "seats": 8},
    }
    assert (await client.rows(), await client.balance()) == (before, balance)


async def test_what_was_estimated_is_what_it_costs(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a") as it:
        body = {"prompt": "a fox", "model": "me/painter", "num_images": 2}
        told = (await estimate(it.client, **body)).json
        assert (told["credits"], told["usd"]) == (6, 0.08)
        generation = (await it.client.order(**body)).json
        assert (generation["cost"]["credits"], generation["cost"]["usd"]) == (6, 0.08)
        items = [{"prompt": f"fox {index}"} for index in range(4)]
        batch = {"items": items, "defaults": {"model": "me/painter"}}
        told = (await estimate(it.client, **batch)).json
        made = (await it.client.request("POST", "/v1/batches", json=batch)).json
        assert told["credits"] == made["cost"]["expected_credits"] == 12
        assert told["usd"] == made["cost"]["expected_usd"] == 0.16


async def test_calls_run_in_waves_over_the_seats(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_CLASSES="light=4") as client:
        await measure(client, ILLUSTRATOR, 1.0, 2.0, 2.0, 2.0, 9.0)  # median 2, mean 3.2
        one = (await estimate(client, **FOX)).json
        assert (one["seconds"], one["samples"]) == ({"first": 2.0, "all": 2.0}, 5)
        items = [{**FOX, "prompt": f"fox {index}"} for index in range(10)]
        ten = (await estimate(client, items=items)).json
        assert (ten["num_items"], ten["queue"]) == (10, {"ahead": 0, "seats": 4})
        assert ten["seconds"] == {"first": 2.0, "all": 2 * 3.2 + 2.0}  # three waves
        many = (await estimate(client, items=[{**FOX, "num_images": 8}])).json
        per_call = client.app.catalogue.models[ILLUSTRATOR].capabilities.max_per_call
        calls = -(-8 // per_call)
        assert many["seconds"]["all"] == (-(-calls // 4) - 1) * 3.2 + 2.0


async def test_dynamic_prompts_and_a_matrix_are_counted(client: Client) -> None:
    price = client.app.catalogue.models[ILLUSTRATOR].price.credits
    told = await estimate(
        client,
        items=[{"prompt": "a {red|blue} fox in {1..3} woods"}, {"prompt": "a cat"}],
        defaults={"width": 256, "height": 256, "num_images": 2},
        matrix={"style": ["realistic", "3d"]},
        expand=True,
    )
    assert (told.json["num_items"], told.json["num_images"]) == (14, 28)
    assert told.json["credits"] == 28 * price
    plain = (await estimate(client, items=[{"prompt": "a {red|blue} fox"}])).json
    assert plain["num_items"] == 1
    lines = b'{"prompt": "a"}\n{"prompt": "{b|c}"}\n'
    headers = {"Content-Type": "application/jsonl"}
    reply = await client.request("POST", "/v1/estimates?expand=true", data=lines, headers=headers)
    assert reply.json["num_items"] == 3


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": ""},
        {"prompt": "a", "style": "nope"},
        {"prompt": "a", "model": "owner/none"},
        {"prompt": "a", "width": 256},
        {"prompt": "a", "width": 300_000, "height": 256},
        {"prompt": "a", "colour": "red"},
        {"prompt": "a", "num_images": 11},
        {"prompt": 7},
        {"prompt": "a", "operation": "nothing"},
        {"prompt": "a", "params": {"nope": 1}},
        {"prompt": "a", "image": "data:image/png;base64,AAAA"},
        {"prompt": "a", "model": "black-forest-labs/flux-dev"},
        {"prompt": "x" * 10_001},
    ],
)
async def test_an_estimate_has_the_problems_of_the_order(client: Client, body: dict[str, Any]) -> None:
    told, ordered = await estimate(client, **body), await client.order(**body)
    assert told.status == ordered.status >= 400
    assert told.json == ordered.json


@pytest.mark.parametrize(
    "body",
    [
        {"items": [{"prompt": "a"}, {"prompt": "b", "style": "nope"}, {}]},
        {"items": []},
        {"items": [{"prompt": "a", "custom_id": ""}]},
        {"items": [{"prompt": "a"}], "colour": 1},
        {"items": [{"prompt": "a"}], "matrix": {"seed": list(range(200)), "num_images": list(range(100))}},
        {"items": [{"prompt": "a"}], "matrix": {"colour": [1]}},
        {"items": [{"prompt": HUGE}], "expand": True},
        {"items": [{"prompt": "{1..2..0}"}], "expand": True},
        {"items": [{"prompt": "{a|" * 40 + "}" * 40}], "expand": True},
        {"items": [{"prompt": "a"}, {"prompt": "b", "image": "019a0000-0000-7000-8000-000000000000"}]},
    ],
)
async def test_an_estimate_has_the_problems_of_the_batch(edit_client: Client, body: dict[str, Any]) -> None:
    rows = await edit_client.rows()
    told = await estimate(edit_client, **body)
    headers = {"Prefer": "respond-async"}
    ordered = await edit_client.request("POST", "/v1/batches", json=body, headers=headers)
    assert told.status == ordered.status >= 400
    assert told.json == ordered.json
    assert await edit_client.rows() == rows


async def test_a_partial_batch_is_estimated_without_what_is_refused(client: Client) -> None:
    items = [FOX, {"prompt": "b", "style": "nope"}, FOX]
    told = (await estimate(client, items=items, partial=True)).json
    assert (told["num_items"], told["num_images"]) == (2, 2)


@pytest.mark.parametrize("data", [b"{", b"[1]", b"", b'"a"', b"[" * 100_000])
async def test_what_is_no_body_is_a_problem(client: Client, data: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await client.request("POST", "/v1/estimates", data=data, headers=headers)
    assert (reply.status in (400, 422), reply.json["field"]) == (True, "body")


async def test_too_little_money_is_told_and_no_problem(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_INITIAL_CREDITS="5") as it:
        body = {"prompt": "a fox", "model": "me/painter"}
        told = (await estimate(it.client, **body, num_images=2)).json
        assert (told["credits"], told["available_credits"], told["sufficient"]) == (6, 5, False)
        assert (await it.client.order(**body, num_images=2)).status == 402
        assert (await estimate(it.client, **body)).json["sufficient"] is True


async def test_inputs_are_looked_for_and_urls_are_not_fetched(edit_client: Client) -> None:
    edit = {"prompt": "a hat", "operation": "edit"}
    unknown = "019a0000-0000-7000-8000-000000000000"
    reply = await estimate(edit_client, **edit, images=[unknown])
    assert (reply.status, reply.json["field"]) == (422, "images.0")
    # A fetch of this would be refused: it is an address of this machine.
    reply = await estimate(edit_client, **edit, image="http://127.0.0.1:9/a.png")
    assert (reply.status, reply.json["num_images"]) == (200, 1)
    refused = await edit_client.order(**edit, image="http://127.0.0.1:9/a.png")
    assert refused.json["field"] == "image"
    reply = await estimate(edit_client, **edit, image="a.png")
    assert (reply.status, reply.json["field"]) == (422, "image")


async def test_pictures_that_exist_cost_what_a_reuse_costs(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_REUSE_PRICE="0.5") as it:
        body = {"prompt": "a fox", "model": "me/painter", "seed": 7}
        assert (await estimate(it.client, **body)).json["num_reused"] == 0
        generation = (await it.client.order(**body)).json
        told = (await estimate(it.client, **body)).json
        assert (told["num_reused"], told["credits"], told["usd"]) == (1, 2, 0)
        assert told["seconds"] == {"first": 0.0, "all": 0.0}
        again = (await it.client.order(**body)).json
        assert (again["reused_from"], again["cost"]["credits"]) == (generation["id"], told["credits"])
        assert (await estimate(it.client, **body, reuse="never")).json["credits"] == 3
        both = {"items": [{"seed": 7}, {"seed": 8}], "defaults": {"prompt": "a fox", "model": "me/painter"}}
        told = (await estimate(it.client, **both)).json
        assert (told["num_items"], told["num_reused"], told["credits"]) == (2, 1, 5)


async def test_different_models_have_no_name_and_run_side_by_side(tmp_path: Path) -> None:
    unmeasured = model("me/new", deployments("a"))
    catalogue = PAINTER + OTHER + unmeasured
    async with shop(tmp_path, catalogue, "a", FERROTYPE_CLASSES="light=1,heavy=2") as it:
        await measure(it.client, "me/painter", 2.0)
        await measure(it.client, "me/other", 5.0, 5.0)

        async def of(*names: str) -> dict[str, Any]:
            items = [{"model": name} for name in names]
            return dict((await estimate(it.client, items=items, defaults={"prompt": "a fox"})).json)

        told = await of("me/painter", "me/painter", "me/other")
        assert (told["model"], told["class"], told["samples"]) == (None, None, 1)
        assert (told["seconds"], told["queue"]) == ({"first": 2.0, "all": 5.0}, {"ahead": 0, "seats": 3})
        told = await of("me/painter", "me/new")
        assert (told["model"], told["class"]) == (None, "light")
        assert (told["seconds"], told["samples"]) == (None, 0)


async def test_the_queue_is_part_of_the_time(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=1") as it:
        await measure(it.client, "me/painter", 100.0)
        sim = it.sims["a"]
        sim.script.hold = "end"
        body = {"prompt": "a fox", "model": "me/painter"}
        first = await it.client.order_async(**body)
        await sim.works.held(1)
        running = (await it.client.get(f"/v1/generations/{first['id']}")).json
        assert 0 < running["eta_s"] <= 100
        second, third = [await it.client.order_async(**body) for _ in range(2)]
        assert [second["queue_position"], third["queue_position"]] == [1, 2]
        # The one that runs counts as half done.
        assert [second["eta_s"], third["eta_s"]] == [150, 250]
        queued = (await it.client.get(f"/v1/generations/{third['id']}")).json
        assert queued["eta_s"] == 250
        told = (await estimate(it.client, **body)).json
        assert (told["queue"], told["seconds"]) == ({"ahead": 3, "seats": 1}, {"first": 350, "all": 350})
        sim.works.release()
        sim.script.hold = None
        done = await it.client.until(third["id"], "succeeded")
        assert done["eta_s"] is None


async def test_the_time_of_several_calls_is_that_of_the_last(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=2") as it:
        await measure(it.client, "me/painter", 100.0)
        it.sims["a"].script.hold = "end"
        body = {"prompt": "a fox", "model": "me/painter", "num_images": 3}
        generation = await it.client.order_async(**body)
        await it.sims["a"].works.held(2)
        looked = (await it.client.get(f"/v1/generations/{generation['id']}")).json
        assert (looked["status"], looked["eta_s"]) == ("running", 150)
        it.sims["a"].works.release()
        it.sims["a"].script.hold = None
        await it.client.until(generation["id"], "succeeded")


async def test_an_order_has_no_time_before_calls_were_measured(tmp_path: Path) -> None:
    async with shop(tmp_path, PAINTER, "a", FERROTYPE_CLASSES="light=1") as it:
        it.sims["a"].script.hold = "end"
        first = await it.client.order_async(prompt="a fox", model="me/painter")
        await it.sims["a"].works.held(1)
        second = await it.client.order_async(prompt="a fox", model="me/painter")
        for each in (first, second):
            assert (await it.client.get(f"/v1/generations/{each['id']}")).json["eta_s"] is None
        it.sims["a"].works.release()
        it.sims["a"].script.hold = None
        await it.client.until(second["id"], "succeeded")


async def test_a_prompt_is_expanded_without_an_order(client: Client) -> None:
    async def expanded(**body: Any) -> Reply:
        return await client.request("POST", "/v1/prompts/expand", json=body)

    reply = await expanded(prompt="a {red|blue} {car|bike}")
    assert reply.json == {
        "object": "expansion",
        "count": 4,
        "prompts": ["a red car", "a red bike", "a blue car", "a blue bike"],
        "truncated": False,
    }
    reply = await expanded(prompt=HUGE, limit=2)
    assert reply.json["prompts"] == ["11111", "11112"]
    assert (reply.json["count"], reply.json["truncated"]) == (2**53 - 1, True)
    assert (await expanded(prompt='{"a": [1]}')).json["prompts"] == ['{"a": [1]}']
    for body, field in (
        ({"prompt": "{1..2..0}"}, "prompt"),
        ({"prompt": "a", "limit": 1001}, "limit"),
        ({"prompt": "a", "limit": 0}, "limit"),
        ({"limit": 1}, "prompt"),
    ):
        reply = await expanded(**body)
        assert (reply.status, reply.json["field"]) == (422, field)


def test_the_figures_of_durations() -> None:
    assert measured([]) is None
    assert measured([3.0]) == Duration(3.0, 3.0, 3.0, 1)
    assert measured([float(n) for n in range(50, 0, -1)]) == Duration(25.0, 48.0, 25.5, 50)


@pytest.mark.parametrize(
    ("ahead", "calls", "seats", "first", "last"),
    [
        (0, 1, 1, 10, 10),
        (0, 10, 10, 10, 10),
        (0, 10, 4, 10, 34),
        (3, 1, 4, 10, 10),
        (3, 2, 4, 10, 16),  # the second waits for one that is half done
        (4, 1, 4, 16, 16),
        (1_000, 4, 10, 10 + 99.5 * 12, 10 + 99.5 * 12),
    ],
)
def test_waves(ahead: int, calls: int, seats: int, first: float, last: float) -> None:
    assert expected(ahead, calls, seats, Duration(10, 20, 12, 5)) == (first, last)


async def test_the_examples_of_the_documentation_are_true(client: Client) -> None:
    text = (Path(__file__).parents[2] / "docs" / "BATCHES.md").read_text(encoding="utf-8")
    section = "## Dynamic prompts" + text.split("## Dynamic prompts")[1]
    prompt, prompts, matrix, order, told = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL)
    ]
    expanded = (await client.request("POST", "/v1/prompts/expand", json=prompt)).json
    assert expanded == prompts
    seen = (await client.request("POST", "/v1/batches/expand", json=matrix)).json
    assert [(each["prompt"], each["style"], each["params"]["steps"]) for each in seen["items"]] == [
        (fox, style, steps) for fox in ("a fox", "a cat") for style in ("realistic", "3d") for steps in (4, 8)
    ]
    reply = (await estimate(client, **order)).json
    assert reply.keys() == told.keys()
    for name in (
        "object",
        "num_items",
        "num_images",
        "num_reused",
        "credits",
        "usd",
        "model",
        "class",
        "queue",
    ):
        assert reply[name] == told[name]
    rows = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \| (`.*`.*?)(?::.*)? \|$", section, re.MULTILINE)
    shown = {
        template.strip("`"): stands for template, stands in rows if "{" in template and "`; `" not in stands
    }
    assert len(shown) >= 5
    for template, stands in shown.items():
        if "`, `" in template:  # the escapes
            continue
        template = template.replace("\\|", "|")
        reply = (await client.request("POST", "/v1/prompts/expand", json={"prompt": template})).json
        assert reply["prompts"] == re.findall(r"`(.*?)`", stands), template
