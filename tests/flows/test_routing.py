"""One model behind several deployments, through HTTP: fallback, limits, refusals, unknown outcomes, money."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ferrotype.sim.hosted import Fault
from ferrotype.sim.options import Failure
from ferrotype.sim.replicate import ReplicateScript, ReplicateSim
from tests.flows.harness import Client, running
from tests.ports import free_port

KEY = "r8_secret_of_the_tests"
SUBMIT = "POST /v1/models/{owner}/{name}/predictions"

DEPLOYMENT = """
[[models.deployments]]
provider = "{provider}"
target = "black-forest-labs/flux-schnell"
{more}
[models.deployments.options.input]
prompt = "{{prompt}}"
seed = "{{seed}}"
"""


@dataclass
class Shop:
    """A server, and the simulators behind its connections `a`, `b`, ..."""

    client: Client
    sims: dict[str, ReplicateSim]

    def paid(self) -> dict[str, int]:
        return {name: sim.works.created for name, sim in self.sims.items()}

    async def attempts(self, generation: dict[str, Any]) -> list[dict[str, Any]]:
        reply = await self.client.get(f"/v1/generations/{generation['id']}/attempts")
        assert reply.status == 200
        return list(reply.json["data"])

    async def order(self, **body: Any) -> dict[str, Any]:
        reply = await self.client.order(prompt="a fox", model="me/painter", **body)
        assert reply.status == 201, reply.body
        return dict(reply.json)

    async def books(self, generation: dict[str, Any]) -> None:
        """Nothing is held, and what was spent is what the generation cost."""
        await self.client.until(generation["id"], "settled", "failed", "canceled")
        _, held, spent = await self.client.balance()
        assert (held, spent) == (0, generation["cost"]["credits"])


def model(name: str, deployments: str, more: str = "") -> str:
    return f"""
[[models]]
name = "{name}"
operations = ["generate"]
class = "light"
price = {{ credits = 3, usd = 0.04 }}
{more}
[models.capabilities]
styles = false
{deployments}
"""


def deployments(*names: str, **more: str) -> str:
    return "".join(
        DEPLOYMENT.format(provider=name, more=more.get(name, f"priority = {index}"))
        for index, name in enumerate(names)
    )


@asynccontextmanager
async def shop(tmp_path: Path, catalogue: str, *names: str, **environ: str) -> AsyncIterator[Shop]:
    sims: dict[str, ReplicateSim] = {}
    config = []
    async with AsyncExitStack() as stack:
        for name in names:
            sims[name] = await stack.enter_async_context(ReplicateSim(ReplicateScript(key=KEY, steps=1)))
            config.append(
                f'[connections.{name}]\nprovider = "replicate"\ntoken = "${{SHOP_KEY}}"\n'
                f'base_url = "{sims[name].url}"\n'
            )
        (tmp_path / "models.toml").write_text(catalogue)
        (tmp_path / "ferrotype.toml").write_text("\n".join(config))
        environ = {
            "FERROTYPE_CATALOGUE": str(tmp_path / "models.toml"),
            "FERROTYPE_CONFIG": str(tmp_path / "ferrotype.toml"),
            "SHOP_KEY": KEY,
            **environ,
        }
        client = await stack.enter_async_context(running(tmp_path / "data", **environ))
        yield Shop(client, sims)


async def test_a_dead_deployment_is_passed_by(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a", "b")), "a", "b") as it:
        await it.sims["a"].close_door()
        generation = await it.order()
        assert generation["status"] == "succeeded"
        first, second = await it.attempts(generation)
        assert (first["provider"], first["status"]) == ("a", "failed")
        assert first["error"]["code"] == "provider_unavailable"
        assert (second["provider"], second["status"]) == ("b", "succeeded")
        assert it.paid() == {"a": 0, "b": 1}
        assert generation["cost"] == {"credits": 3, "usd": 0.04}
        await it.books(generation)


async def test_a_rate_limit_slows_its_deployment_and_nothing_else(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a", "b"))
    async with shop(tmp_path, catalogue, "a", "b", FERROTYPE_CLASSES="light=1") as it:
        limit = Failure(SUBMIT, 429, -1, '{"detail": "slow down"}', headers={"Retry-After": "600"})
        it.sims["a"].script.failures.append(limit)
        for _ in range(3):
            assert (await it.order())["status"] == "succeeded"
        assert it.sims["a"].journal.count(SUBMIT) == 1
        assert it.paid() == {"a": 0, "b": 3}


async def test_jobs_that_wait_for_a_limit_give_their_seat_to_others(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a")) + model("me/other", deployments("b"))
    async with shop(tmp_path, catalogue, "a", "b", FERROTYPE_CLASSES="light=1") as it:
        limit = Failure(SUBMIT, 429, 1, headers={"Retry-After": "600"})
        it.sims["a"].script.failures.append(limit)
        waiting = await it.client.order_async(prompt="a fox", model="me/painter")
        await it.sims["a"].journal.wait(SUBMIT)
        other = await it.client.order(prompt="a fox", model="me/other")
        assert (other.status, other.json["status"]) == (201, "succeeded")
        seen = (await it.client.get(f"/v1/generations/{waiting['id']}")).json
        assert seen["status"] in ("queued", "running")
        assert (await it.client.request("POST", f"/v1/generations/{waiting['id']}/cancel")).status == 200


async def test_a_wrong_key_goes_elsewhere_and_is_told_where_there_is_nowhere(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a", "b")) + model("me/other", deployments("a"))
    async with shop(tmp_path, catalogue, "a", "b") as it:
        it.sims["a"].script.key = "another"
        generation = await it.order()
        assert generation["status"] == "succeeded"
        assert it.paid() == {"a": 0, "b": 1}
        failed = (await it.client.order(prompt="a fox", model="me/other")).json
        assert failed["status"] == "failed"
        assert failed["error"]["code"] == "provider_misconfigured"
        assert failed["error"]["status"] == 502
        assert "a" in failed["error"]["detail"].replace(":", " ").split()
        assert KEY not in str(failed)
        assert (await it.client.balance())[1] == 0
    for path in (tmp_path / "data").rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


async def test_a_refusal_is_final(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a", "b")), "a", "b") as it:
        it.sims["a"].script.faults.append(Fault("refusal", "NSFW content detected"))
        generation = await it.order()
        assert (generation["status"], generation["error"]["code"]) == ("failed", "provider_refused")
        assert it.paid() == {"a": 1, "b": 0}
        assert (await it.client.balance())[1:] == (0, 0)


async def test_a_failure_that_ran_is_final(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a", "b")), "a", "b") as it:
        it.sims["a"].script.faults.append(Fault("error", "<html><b>oops</b></html>"))
        generation = await it.order()
        assert (generation["status"], generation["error"]["code"]) == ("failed", "provider_failed")
        assert "<" not in generation["error"]["detail"]
        assert it.paid() == {"a": 1, "b": 0}


async def test_no_more_calls_than_a_deployment_takes(tmp_path: Path) -> None:
    catalogue = model("me/painter", deployments("a", a="max_concurrent = 1"))
    async with shop(tmp_path, catalogue, "a") as it:
        script = it.sims["a"].script
        script.hold = "run"
        orders = [await it.client.order_async(prompt="a fox", model="me/painter") for _ in range(3)]
        for count in (1, 2, 3):
            await it.sims["a"].works.accepted(count)
            await it.sims["a"].works.held()
            running_now = [work for work in it.sims["a"].works.items.values() if not work.ended]
            assert len(running_now) == 1
            it.sims["a"].works.release(running_now[0].id)
        for order in orders:
            assert (await it.client.until(order["id"], "succeeded"))["status"] == "succeeded"
        assert it.paid() == {"a": 3}


@pytest.mark.parametrize("kind", ["text", "html", "empty", "truncated"])
async def test_a_garbled_picture_is_no_picture(tmp_path: Path, kind: Any) -> None:
    fast = {"FERROTYPE_ARRIVE_STARTS": "1"}
    async with shop(tmp_path, model("me/painter", deployments("a")), "a", **fast) as it:
        it.sims["a"].script.picture = kind
        order = await it.client.order_async(prompt="a fox", model="me/painter")
        done = await it.client.until(order["id"], "failed", count=2)  # the asset, then the generation
        assert (done["status"], done["error"]["code"]) == ("failed", "origin_unavailable")
        assert [asset["state"] for asset in done["output"]] == ["failed"]
        assert it.paid() == {"a": 1}
        assert (await it.client.balance())[1:] == (0, 0)


async def test_a_picture_that_is_lost_after_the_end_is_told_of(tmp_path: Path) -> None:
    soon = {"FERROTYPE_RETRY_BASE_SECONDS": "0.05"}
    async with shop(tmp_path, model("me/painter", deployments("a")), "a", **soon) as it:
        script = it.sims["a"].script
        script.update({"picture": "text", "picture_times": 1})
        script.failures.append(Failure("GET /outputs/{work}/{name}", 503, -1))
        order = await it.client.order_async(prompt="a fox", model="me/painter", num_images=2)
        ended = await it.client.until(order["id"], "succeeded")
        assert (ended["status"], ended["error"]) == ("succeeded", None)
        script.failures.clear()
        await it.client.until(order["id"], "failed")
        check_one_of_two(await it.client.until(order["id"], "settled"))
        assert (await it.client.balance())[1:] == (0, 3)


async def test_a_picture_that_is_lost_before_the_end_is_told_of(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a")), "a") as it:
        sim = it.sims["a"]
        sim.script.update({"picture": "text", "picture_times": 1, "hold": "run"})
        order = await it.client.order_async(prompt="a fox", model="me/painter", num_images=2)
        first, second = await sim.works.held(2)
        sim.works.release(first)
        waiting = await it.client.until(order["id"], "failed")
        assert (waiting["status"], waiting["error"]) == ("running", None)
        sim.works.release(second)
        await it.client.until(order["id"], "succeeded")
        check_one_of_two(await it.client.until(order["id"], "settled"))
        assert (await it.client.balance())[1:] == (0, 3)


def check_one_of_two(done: dict[str, Any]) -> None:
    assert done["status"] == "succeeded"
    assert sorted(asset["state"] for asset in done["output"]) == ["failed", "ready"]
    assert done["error"]["code"] == "origin_unavailable"
    assert done["error"]["detail"].startswith("1 of 2 pictures were made. ")
    assert done["cost"]["credits"] == 3


async def test_attempts_of_nobody(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a")), "a") as it:
        reply = await it.client.get("/v1/generations/01890a5d-ac96-774b-bcce-b302099a8057/attempts")
        assert reply.status == 404


async def test_a_provider_calls_back(tmp_path: Path) -> None:
    port = free_port()
    async with shop(
        tmp_path,
        model("me/painter", deployments("a")),
        "a",
        FERROTYPE_PORT=str(port),
        FERROTYPE_PUBLIC_URL=f"http://127.0.0.1:{port}",
    ) as it:
        generation = await it.order()
        assert generation["status"] == "succeeded"
        (attempt,) = await it.attempts(generation)
        (entry,) = it.sims["a"].journal.of(SUBMIT)
        hook = f"http://127.0.0.1:{port}/v1/hooks/a/{attempt['id']}"
        assert entry.body["webhook"] == hook
        forged = await it.client.request("POST", hook, json={"id": "x", "status": "failed"})
        assert forged.status == 401
        for path in ("/v1/hooks/nobody/x", f"/v1/hooks/local/{attempt['id']}", "/v1/hooks/a/x"):
            assert (await it.client.request("POST", path, json={})).status == 404


async def test_operations_are_listed_with_their_models(tmp_path: Path) -> None:
    async with shop(tmp_path, model("me/painter", deployments("a")), "a") as it:
        data = {entry["name"]: entry for entry in (await it.client.get("/v1/operations")).json["data"]}
        assert "me/painter" in data["generate"]["models"]
        assert data["inpaint"]["mask"] == "required"
        for wrong in ({"operation": "dance"}, {"operation": "relight"}):
            reply = await it.client.order(prompt="x", **wrong)
            assert reply.status in (422, 503), reply.body
        await asyncio.sleep(0)


PICKY = """
[[models]]
name = "me/picky"
operations = ["generate"]
class = "light"
[models.capabilities]
formats = ["webp", "png"]
[models.capabilities.params]
steps = { type = "integer", minimum = 1, maximum = 9 }
[models.defaults]
steps = 4
[[models.deployments]]
provider = "a"
target = "black-forest-labs/flux-schnell"
cannot = ["format.webp", "params.steps"]
[models.deployments.options.input]
prompt = "{prompt}"
[[models.deployments]]
provider = "b"
target = "black-forest-labs/flux-schnell"
priority = 1
[models.deployments.options.input]
prompt = "{prompt}"
num_inference_steps = "{params.steps}"
output_format = "{format}"
"""


async def test_a_deployment_gets_no_order_that_it_cannot_honour(tmp_path: Path) -> None:
    async with shop(tmp_path, PICKY, "a", "b") as it:
        plain = {"prompt": "a fox", "model": "me/picky"}
        for more, paid in (
            ({}, {"a": 1, "b": 0}),
            ({"params": {"steps": 4}}, {"a": 2, "b": 0}),  # the default is no wish
            ({"params": {"steps": 2}}, {"a": 2, "b": 1}),
            ({"format": "webp"}, {"a": 2, "b": 2}),
        ):
            reply = await it.client.order(**plain, **more)
            assert reply.json["status"] == "succeeded", reply.body
            assert it.paid() == paid
        await it.sims["b"].close_door()  # nothing else may make these
        waiting = await it.client.order_async(**plain, format="webp")
        await it.client.request("POST", f"/v1/generations/{waiting['id']}/cancel")
        assert it.paid()["a"] == 2


async def test_what_no_deployment_honours_is_refused_before_money_moves(tmp_path: Path) -> None:
    async with shop(tmp_path, PICKY, "a") as it:
        for field, more in (("format", {"format": "webp"}), ("params.steps", {"params": {"steps": 2}})):
            reply = await it.client.order(prompt="a fox", model="me/picky", **more)
            assert (reply.status, reply.json["field"]) == (422, field)
        assert it.paid() == {"a": 0}
        assert (await it.client.balance())[1:] == (0, 0)
