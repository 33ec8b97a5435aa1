"""`GET /v1/status`: what it says is what happened."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ferrotype.sim.hosted import Fault
from tests.flows.harness import Client, running
from tests.flows.test_routing import deployments, model, shop


async def status(client: Client) -> dict[str, Any]:
    """As of now: two looks within a second are one."""
    client.app.context.status._last = None
    reply = await client.get("/v1/status")
    assert reply.status == 200, reply.body
    assert reply.headers["Cache-Control"] == "no-store"
    return dict(reply.json)


def only(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


async def test_a_fresh_server_says_that_nothing_happened(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_CLASSES="light=3") as client:
        told = await status(client)
    assert only(told["classes"], "light") == {"name": "light", "seats": 3, "running": 0, "queued": 0}
    assert told["jobs"] == {"queued": 0, "running": 0}
    assert told["operations"] == told["recent_errors"] == []
    local = only(told["providers"], "local")
    assert (local["configured"], local["state"], local["calls"]) == (True, "closed", 0)
    assert (local["p50_s"], local["p95_s"], local["last_error"]) == (None, None, None)
    missing = only(told["providers"], "replicate")
    assert (missing["configured"], missing["state"], missing["deployments"]) == (False, None, [])
    assert [(each["made"], each["failed"]) for each in told["pictures"]] == [(0, 0)] * 60
    times = [datetime.fromisoformat(each["at"]) for each in told["pictures"]]
    assert {b - a for a, b in pairwise(times)} == {timedelta(minutes=1)}
    assert times[-1] <= datetime.fromisoformat(told["at"]) < times[-1] + timedelta(minutes=1)
    assert datetime.fromisoformat(told["started_at"]) <= datetime.fromisoformat(told["at"])


async def test_pictures_calls_and_caches_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        before = await status(client)
        made = (await client.order(prompt="a fox", num_images=2)).json
        await client.until(made["id"], "enriched", count=2)
        url = made["output"][0]["url"] + "?w=64&format=webp"
        for _ in range(3):
            assert (await client.get(url)).status == 200
        told = await status(client)
    assert sum(each["made"] for each in told["pictures"]) == 2
    assert sum(each["failed"] for each in told["pictures"]) == 0
    operation = only(told["operations"], "generate")
    assert operation["count"] == 1
    assert 0 < operation["p50_s"] == operation["p95_s"] == round(made["metrics"]["total_s"], 4)
    local = only(told["providers"], "local")
    assert local["calls"] >= 1
    assert 0 < local["p50_s"] <= local["p95_s"] <= operation["p95_s"]
    memory = only(told["caches"], "memory")
    assert memory["hits"] >= only(before["caches"], "memory")["hits"] + 2
    assert 0 < memory["bytes"] <= memory["max_bytes"]


async def test_a_failure_is_told_with_its_provider(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a")), "a") as it:
        it.sims["a"].script.faults.append(Fault("refusal", "NSFW <b>content</b> detected"))
        generation = await it.order(num_images=1)
        assert generation["status"] == "failed"
        assert (await it.order())["status"] == "succeeded"
        told = await status(it.client)
    (error,) = told["recent_errors"]
    assert (error["code"], error["model"], error["provider"]) == ("provider_refused", "me/painter", "a")
    assert (error["generation_id"], error["asset_id"]) == (generation["id"], None)
    assert error["detail"] == generation["error"]["detail"]
    provider = only(told["providers"], "a")
    assert (provider["calls"], provider["failures"], provider["state"]) == (2, 1, "closed")
    assert provider["last_error"]["code"] == "provider_refused"
    assert sum(each["failed"] for each in told["pictures"]) == 1
    assert sum(each["made"] for each in told["pictures"]) == 1


@pytest.mark.slow
async def test_a_provider_is_as_its_worst_deployment(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a", "b"))
    async with shop(tmp_path, catalogue, "a", "b", FERROTYPE_BREAKER_FAULTS="1") as it:
        await it.sims["a"].close_door()
        it.sims["b"].script.key = "another"
        assert (await it.order())["status"] == "failed"
        told = await status(it.client)
    assert only(told["providers"], "a")["state"] == "open"
    assert only(told["providers"], "b")["state"] == "misconfigured"
    (target,) = only(told["providers"], "a")["deployments"]
    assert target == {
        "target": "black-forest-labs/flux-schnell",
        "state": "open",
        "models": ["me/painter"],
    }


async def test_who_waits_and_who_has_a_seat(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a"))
    async with shop(tmp_path, catalogue, "a", FERROTYPE_CLASSES="light=1") as it:
        it.sims["a"].script.seconds = 600
        first = await it.client.order_async(prompt="a fox", model="me/painter")
        second = await it.client.order_async(prompt="a hare", model="me/painter")
        await it.client.until(first["id"], "started")
        told = await status(it.client)
        assert only(told["classes"], "light") == {"name": "light", "seats": 1, "running": 1, "queued": 1}
        assert told["jobs"]["queued"] >= 1
        for each in (second, first):
            path = f"/v1/generations/{each['id']}/cancel"
            assert (await it.client.request("POST", path)).status == 200


async def test_two_looks_within_a_moment_are_one(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        first = (await client.get("/v1/status")).json
        service = client.app.context.status
        at, body = service._last
        assert body["at"] == first["at"]
        service._last = at + 3600, body
        assert (await client.get("/v1/status")).json == first
