"""The provider against a server that answers with what a real Cog 0.23.1 answered (tests/transcripts/cog).

The recordings hold each answer's JSON and its length; written as Cog writes JSON it has that length again, so
the provider reads the very bytes. What the recorder's sink got as webhooks is handed to `hook`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from yarl import URL

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderRejected,
    ProviderUnavailable,
)
from ferrotype.providers.base import AttemptRequest
from ferrotype.providers.cog import CogProvider, CogSettings
from ferrotype.providers.hosted.polling import Pace
from tests.providers.contract.rig import Told, call, closing, watch

RECORDINGS: Final = Path(__file__).parents[1] / "transcripts" / "cog"
SECRET: Final = "a long text of our own"
#: No look comes before the answer does.
PACE: Final = Pace(first=5.0, cap=5.0, patience=5.0)
Line = dict[str, Any]


def load(name: str) -> list[Line]:
    (path,) = RECORDINGS.glob(f"{name}_*.jsonl")
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


LINES: Final = {name: load(name) for name in ("01", "02", "03", "04", "05", "06", "07", "08")}


def body_of(response: Line) -> bytes:
    """The answer's bytes."""
    if "json" not in response:
        return str(response.get("text", "")).encode()
    text = json.dumps(response["json"], separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    if "/srv/scratch" not in text:  # a path that the recorder made shorter
        assert len(text.encode()) == response["body_len"]
    return text.encode()


def health_at(name: str, seq: int) -> Line:
    """The health check that was recorded last before that line; a good one where none was."""
    found = [line for line in LINES[name] if line["seq"] < seq and is_health(line)]
    good = [line for line in LINES["01"] if is_health(line)][1:]
    return dict((found or good)[-1]["response"])


def is_health(line: Line) -> bool:
    return (
        line["kind"] == "http" and line["request"]["path"] == "/health-check" and "json" in line["response"]
    )


@dataclass
class Recorded:
    """A server with one recorded answer to any order."""

    name: str
    line: Line
    orders: list[Any] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Recorded]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/health-check":
            return replied(health_at(self.name, self.line["seq"]))
        if request.path == "/openapi.json":
            name = "08" if self.name == "08" else "01"
            (line,) = [each for each in LINES[name] if path_of(each) == "/openapi.json"]
            return replied(line["response"])
        assert request.method == "PUT"
        self.orders.append(await request.json())
        return replied(self.line["response"])


def replied(response: Line) -> web.Response:
    headers = {
        key: value
        for key, value in response["headers"].items()
        if key.lower() not in ("content-length", "date", "connection", "transfer-encoding")
    }
    return web.Response(status=response["status"], headers=headers, body=body_of(response))


def path_of(line: Line) -> str:
    return str(line["request"]["path"]) if line["kind"] == "http" else ""


@asynccontextmanager
async def provider_of(server: Recorded, **settings: Any) -> AsyncIterator[CogProvider]:
    made = CogProvider(CogSettings(url=server.url, **settings), SystemClock(), PACE)
    async with closing(made):
        yield made


def order(given: Any, **changes: Any) -> AttemptRequest:
    """An order whose template is the recorded input."""
    return AttemptRequest(
        attempt_id=new_id(),
        operation="generate",
        target="recorded",
        prompt="a cat",
        width=16,
        height=16,
        seed=7,
        options={"input": given},
        **changes,
    )


def starts(line: Line) -> bool:
    """Whether the line is an order of the form that the provider makes: an object with inputs."""
    return (
        line["kind"] == "http"
        and line["request"]["method"] in ("POST", "PUT")
        and not path_of(line).endswith(("/cancel", "/shutdown", "/trainings", "/health-check"))
        and isinstance(line["request"].get("json"), dict)
        and isinstance(line["request"]["json"].get("input"), dict)
        and "Accept" not in line["request"].get("headers", {})
    )


def is_async(line: Line) -> bool:
    return line["request"].get("headers", {}).get("Prefer") == "respond-async"


SYNC: Final = [
    pytest.param(name, line, id=f"{name}-{line['seq']}")
    for name, lines in LINES.items()
    for line in lines
    if starts(line) and not is_async(line)
]
#: What answers come to, by status; and those whose health check tells more.
BY_STATUS: Final[dict[int, type[Problem]]] = {409: ProviderBusy, 422: ProviderRejected, 503: ProviderBusy}
SPECIAL: Final[dict[tuple[str, int], tuple[type[Problem], str]]] = {
    ("01", 3): (ProviderBusy, "Setup has not finished yet"),
    ("07", 15): (ProviderUnavailable, "its model is not well: Healthcheck error"),
    ("07", 18): (ProviderMisconfigured, "could not be set up"),
    ("06", 2): (ProviderFailed, "gave no picture"),  # words
    ("06", 3): (ProviderFailed, "gave no picture"),
}


@pytest.mark.parametrize(("name", "line"), SYNC)
async def test_an_open_request(name: str, line: Line) -> None:
    """Each recorded answer to a synchronous call, as the answer to our open request."""
    response, given = line["response"], line["request"]["json"]["input"]
    async with Recorded(name, line).serving() as server, provider_of(server) as provider:
        wanted = expected(name, line)
        if isinstance(wanted, list):
            told = await call(provider, order(given))
            assert pictures(told) == wanted
            assert told.finished.problem is None
            assert told.finished.seconds == response["json"]["metrics"]["predict_time"]
        else:
            problem, words = wanted
            with pytest.raises(problem) as caught:
                await call(provider, order(given))
            assert type(caught.value) is problem
            assert words in str(caught.value.to_json()["detail"])
            assert "Prediction failed" not in str(caught.value)
    sent = server.orders[0]["input"]
    assert sent == {key: value for key, value in given.items() if value is not None}
    # A slot may be free a moment later: a 409 of a server that is ready is tried twice more.
    is_ready = health_at(name, line["seq"])["json"]["status"] == "READY"
    assert len(server.orders) == (3 if response["status"] == 409 and is_ready else 1)


def expected(name: str, line: Line) -> list[Any] | tuple[type[Problem], str]:
    """The pictures, or the problem and some of its words."""
    response = line["response"]
    if (special := SPECIAL.get((name, line["seq"]))) is not None:
        return special
    body = response["json"]
    if response["status"] != 200:
        words = body["detail"][0]["msg"] if response["status"] == 422 else ""
        return BY_STATUS[response["status"]], words
    match body["status"]:
        case "succeeded":
            return told_in(body["output"])
        case "canceled":
            return ProviderInterrupted, "canceled"
        case _:
            return ProviderFailed, str(body["error"]).rpartition("Prediction failed: ")[2]


def told_in(output: Any) -> list[Any]:
    """Recorded pictures: bytes of data URIs, addresses."""
    outputs = output if isinstance(output, list) else [output]
    return [
        base64.b64decode(each.partition(",")[2]) if each.startswith("data:") else each for each in outputs
    ]


def pictures(told: Told) -> list[Any]:
    return [output.data if output.origin is None else output.origin.url for output in told.outputs]


async def test_a_call_that_is_under_way_already() -> None:
    """The recorded answer to a PUT of an id that the server works on: its state, and no result."""
    (line,) = [each for each in LINES["04"] if each["seq"] == 7]
    async with Recorded("04", line).serving() as server, provider_of(server) as provider:
        with pytest.raises(OutcomeUnknown, match="already works on it"):
            await call(provider, order({"prompt": "a cat", "seconds": 2}))


# Webhooks


def hooks_of(name: str, line: Line) -> list[Any]:
    """The webhooks about the prediction that the line began, in the order in which they came."""
    recorded_id = line["response"]["json"]["id"]
    bodies = [each.get("json") or {} for each in LINES[name] if each["kind"] == "sink_recv"]
    return [body for body in bodies if body.get("id") == recorded_id]


HOOKED: Final = [
    pytest.param(name, line, id=f"{name}-{line['seq']}")
    for name, lines in LINES.items()
    for line in lines
    if starts(line) and is_async(line) and line["response"]["status"] == 202
    if any(hook["status"] != "processing" for hook in hooks_of(name, line))
]


@pytest.mark.parametrize(("name", "line"), HOOKED)
async def test_webhooks(name: str, line: Line) -> None:
    """Each recorded 202 with every webhook that followed it."""
    hooks = hooks_of(name, line)
    last = next(hook for hook in hooks if hook["status"] != "processing")
    wanted = expected(name, line | {"response": {"status": 200, "json": last}})
    async with (
        Recorded(name, line).serving() as server,
        provider_of(server, webhook_secret=SECRET) as provider,
    ):
        request = order(line["request"]["json"]["input"], webhook_url="http://127.0.0.1:9/hooks")
        request_id = await provider.submit(request)
        headers = authorization(server.orders[0]["webhook"])
        for hook in hooks:
            await provider.hook(request_id, headers, json.dumps(hook | {"id": request_id}).encode())
        if isinstance(wanted, list):
            told = await watch(provider, request, request_id)
            assert pictures(told) == wanted
            assert told.finished.seconds == last["metrics"]["predict_time"]
        else:
            with pytest.raises(wanted[0], match=re.escape(wanted[1])):
                await watch(provider, request, request_id)
    assert len(server.orders) == 1


async def test_webhooks_while_it_is_watched() -> None:
    """Pictures of an iterator are told one by one, each as its webhook comes."""
    (line,) = [each for each in LINES["06"] if each["seq"] == 12]
    hooks = hooks_of("06", line)
    async with (
        Recorded("06", line).serving() as server,
        provider_of(server, webhook_secret=SECRET) as provider,
    ):
        request = order({"n": 3}, webhook_url="http://127.0.0.1:9/hooks")
        request_id = await provider.submit(request)
        headers = authorization(server.orders[0]["webhook"])
        counts: list[int] = []
        told = Told([])
        async with aclosing(provider.watch(request, request_id)) as events:
            for hook in hooks:
                await provider.hook(request_id, headers, json.dumps(hook | {"id": request_id}).encode())
                while len(told.outputs) < len(hook.get("output", [])):
                    told.events.append(await anext(events))
                counts.append(len(told.outputs))
            told.events += [event async for event in events]
        assert counts == [len(hook.get("output", [])) for hook in hooks]
        assert pictures(told) == told_in(hooks[-1]["output"])
        assert told.finished.problem is None


def hooked(server: Recorded) -> AbstractAsyncContextManager[CogProvider]:
    """A provider that takes webhooks."""
    return provider_of(server, webhook_secret=SECRET)


def authorization(webhook: str) -> dict[str, str]:
    """The header that a webhook's address comes back as."""
    url = URL(webhook)
    pair = base64.b64encode(f"{url.user}:{url.password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}
