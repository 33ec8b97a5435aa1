"""A job that is stopped behind any of its transactions, and goes on: its call is made once."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from ferrotype.db.database import Database
from ferrotype.sim.hosted import Fault, HostedScript
from ferrotype.sim.openai import OpenAISim
from ferrotype.sim.options import Failure
from tests.flows.harness import running
from tests.flows.test_routing import model

GENERATE = "POST /v1/images/generations"
CONNECTION = '[connections.{0}]\nprovider = "openai"\nbase_url = "{1}/v1"\n'
DEPLOYMENT = '[[models.deployments]]\nprovider = "{0}"\ntarget = "open-diffusion"\noptions.send = ["size"]\n'


class Interrupted:
    """The task of a job that calls a provider is canceled once it has written its nth transaction."""

    def __init__(self, database: Database, nth: int) -> None:
        self.left = nth
        self._write = database.write
        database.write = self.write  # type: ignore[method-assign]

    async def write(self, story: Any, **options: Any) -> Any:
        result = await self._write(story, **options)
        task = asyncio.current_task()
        if task is not None and task.get_name().startswith("generate "):
            self.left -= 1
            if self.left == 0:
                task.cancel()
                await asyncio.sleep(0)  # the cancellation is raised here
        return result


SCRIPTS = {
    None: HostedScript(steps=1),
    "outcome_unknown": HostedScript(steps=1, failures=[Failure(GENERATE, 0, -1, after=True)]),
    "provider_refused": HostedScript(steps=1, faults=[Fault("refusal", "nudity", -1)]),
    "provider_failed": HostedScript(steps=1, picture="text"),
}


@pytest.mark.parametrize("code", SCRIPTS, ids=str)
async def test_stopped_behind_any_transaction_its_call_is_made_once(tmp_path: Path, code: str | None) -> None:
    (tmp_path / "models.toml").write_text(
        model("me/painter", DEPLOYMENT.format("a") + DEPLOYMENT.format("b"))
    )
    async with OpenAISim(SCRIPTS[code]) as a, OpenAISim(SCRIPTS[code]) as b:
        (tmp_path / "ferrotype.toml").write_text(
            CONNECTION.format("a", a.url) + CONNECTION.format("b", b.url)
        )
        environ = {
            "FERROTYPE_CATALOGUE": str(tmp_path / "models.toml"),
            "FERROTYPE_CONFIG": str(tmp_path / "ferrotype.toml"),
            "FERROTYPE_BREAKER_FAULTS": "10",
        }
        async with running(tmp_path / "data", **environ) as client:
            for nth in itertools.count(1):
                interrupted = Interrupted(client.app.database, nth)
                paid = a.works.created + b.works.created
                done = (await client.order(prompt="a fox", model="me/painter")).json
                assert (done["error"] or {}).get("code") == code, nth
                assert a.works.created + b.works.created == paid + 1, nth
                if interrupted.left > 0:
                    break
            assert nth > 1  # at least once it was
            assert (await client.balance())[1] == 0
