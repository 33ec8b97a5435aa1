"""What an answer promises where other nodes serve pictures too: that any of them can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrotype.services.elsewhere import Elsewhere
from ferrotype.services.waiting import Waiting
from ferrotype.sim.gcs import GcsScript, GcsSim
from ferrotype.sim.options import Failure
from tests.flows.harness import Client, running
from tests.flows.test_store_trouble import told
from tests.flows.test_stores import make_due

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}


@pytest.fixture
async def sim() -> AsyncIterator[GcsSim]:
    async with GcsSim(GcsScript(private=True)) as made:
        yield made


def environ(sim: GcsSim) -> dict[str, str]:
    return {
        "FERROTYPE_GCS_BUCKET": "pictures",
        "FERROTYPE_GCS_ENDPOINT": sim.url,
        "GOOGLE_SERVICE_ACCOUNT_KEY": sim.service_account(),
    }


def among_others(client: Client) -> None:
    """As if this were one node of several: the root makes one that is alone, as one that serves SQLite is."""
    app = client.app
    elsewhere = Elsewhere(app.database, app.levels, app.stores.by_name)
    object.__setattr__(app.context, "waiting", Waiting(app.envelopes, elsewhere))


async def test_an_immediate_answer_waits_for_the_store(tmp_path: Path, sim: GcsSim) -> None:
    sim.script.failures = [Failure("put object", 503, -1)]
    async with running(tmp_path / "data", **environ(sim)) as client:
        among_others(client)
        order = asyncio.create_task(client.order(**FOX))
        await told(client)  # the store has refused it once
        assert not order.done()
        sim.script.failures = []
        await make_due(client, "store")
        answer = await order
        assert answer.status == 201
        assert [asset["state"] for asset in answer.json["output"]] == ["ready"]
        assert len(sim.buckets.objects) == 1


async def test_the_wait_is_bounded_and_says_so(tmp_path: Path, sim: GcsSim) -> None:
    sim.script.failures = [Failure("put object", 503, -1)]
    async with running(tmp_path / "data", **environ(sim)) as client:
        among_others(client)
        answer = await client.order(headers={"Prefer": "wait=2"}, **FOX)
        assert answer.status == 202
        assert answer.headers["Retry-After"] == "1"
        assert answer.json["status"] == "succeeded"


async def test_one_process_alone_answers_at_once(tmp_path: Path, sim: GcsSim) -> None:
    sim.script.failures = [Failure("put object", 503, -1)]
    async with running(tmp_path / "data", **environ(sim)) as client:
        answer = await client.order(**FOX)
        assert answer.status == 201
        assert answer.json["output"][0]["stored"] is False
        assert not sim.buckets.objects
