"""A provider whose answer is the work itself, through HTTP: follow-up edits, cancels, lost answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ferrotype.sim.gemini import GeminiScript, GeminiSim
from ferrotype.sim.options import Failure
from tests.flows.harness import Client, running

KEY = "AIza_secret_of_the_tests"
MODEL = "google/gemini-3.1-flash-image"
SUBMIT = "POST /{version}/models/{model}:streamGenerateContent"

RETRIED = f"""
[[models]]
name = "me/retried"
operations = ["generate"]
class = "light"
price = {{ credits = 4, usd = 0.04 }}
on_unknown = "retry"
[models.capabilities]
seed = false
[[models.deployments]]
provider = "gemini"
target = "{MODEL.split("/")[1]}"
"""


@asynccontextmanager
async def studio(tmp_path: Path, **script: Any) -> AsyncIterator[tuple[Client, GeminiSim]]:
    (tmp_path / "models.toml").write_text(RETRIED)
    async with (
        GeminiSim(GeminiScript(key=KEY, picture_side=64, **script)) as sim,
        running(
            tmp_path / "data",
            GEMINI_API_KEY=KEY,
            GEMINI_BASE_URL=sim.url,
            FERROTYPE_CATALOGUE=str(tmp_path / "models.toml"),
        ) as client,
    ):
        yield client, sim


async def attempts(client: Client, generation: dict[str, Any]) -> list[dict[str, Any]]:
    return list((await client.get(f"/v1/generations/{generation['id']}/attempts")).json["data"])


async def test_an_edit_of_its_own_picture_goes_on_with_the_conversation(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, sim):
        made = await client.order(prompt="a lighthouse", model=MODEL)
        assert made.json["status"] == "succeeded", made.body
        asset = made.json["output"][0]["id"]
        sim.journal.clear()
        edited = await client.order(operation="edit", prompt="at night", model=MODEL, image=asset)
        assert edited.json["status"] == "succeeded", edited.body
        (entry,) = sim.journal.of(SUBMIT)
        first, second, third = entry.body["contents"]
        assert first["parts"] == [{"text": "a lighthouse"}]
        assert second["role"] == "model"
        assert second["parts"][0]["thoughtSignature"]
        assert third["parts"][0]["text"].startswith("at night")
        # Nobody named a size: it follows the picture.
        assert "aspectRatio" not in entry.body["generationConfig"].get("imageConfig", {})


async def test_an_edit_of_another_s_picture_is_a_first_turn(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, sim):
        drawn = await client.order(prompt="a lighthouse", model="local/illustrator", width=256, height=256)
        asset = drawn.json["output"][0]["id"]
        edited = await client.order(
            operation="edit", prompt="at night", model=MODEL, image=asset, aspect_ratio="16:9"
        )
        assert edited.json["status"] == "succeeded", edited.body
        (entry,) = sim.journal.of(SUBMIT)
        assert [turn["role"] for turn in entry.body["contents"]] == ["user"]
        assert entry.body["generationConfig"]["imageConfig"]["aspectRatio"] == "16:9"


async def test_cancel_in_mid_call(tmp_path: Path) -> None:
    async with studio(tmp_path, hold="run") as (client, sim):
        order = await client.order_async(prompt="a lighthouse", model=MODEL)
        await sim.works.held()
        assert (await client.balance())[1] > 0
        reply = await client.request("POST", f"/v1/generations/{order['id']}/cancel")
        assert reply.status in (200, 202)
        ended = await client.until(order["id"], "canceled")
        assert ended["status"] == "canceled"
        assert (await client.balance())[1:] == (0, 0)
        (attempt,) = await attempts(client, order)
        assert attempt["status"] in ("canceled", "unknown")


async def test_a_lost_answer_is_told_and_costs_nothing(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, sim):
        sim.script.failures.append(Failure(SUBMIT, 0, after=True))
        lost = (await client.order(prompt="a lighthouse", model=MODEL)).json
        assert (lost["status"], lost["error"]["code"]) == ("failed", "outcome_unknown")
        assert (await client.balance())[1:] == (0, 0)
        (attempt,) = await attempts(client, lost)
        assert attempt["status"] == "unknown"
        assert sim.works.created == 1


async def test_a_lost_answer_is_tried_again_where_the_model_says_so(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, sim):
        sim.script.failures.append(Failure(SUBMIT, 0, after=True))
        made = (await client.order(prompt="a lighthouse", model="me/retried")).json
        assert made["status"] == "succeeded", made
        first, second = await attempts(client, made)
        assert (first["status"], second["status"]) == ("unknown", "succeeded")
        assert sim.works.created == 2
        await client.until(made["id"], "settled")
        assert (await client.balance())[1:] == (0, 4)
