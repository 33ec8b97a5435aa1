"""The provider drives real Cog servers: 0.23.1 (Rust), and 0.16.12, the last written in Python."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderRefused,
    ProviderRejected,
    Unauthorized,
)
from ferrotype.providers.base import AttemptRequest, Found, InputImage, Lookup, Started
from ferrotype.providers.cog import CogProvider, CogSettings
from ferrotype.providers.cog.run import Run
from ferrotype.providers.cog.server import Seen
from ferrotype.providers.hosted.polling import Pace
from ferrotype.sim.cog import CogScript, CogSim
from ferrotype.sim.cog.predictor import Painter, died
from tests.providers.contract.rig import bytes_of, call, closing, png, watch
from tests.sdk.cog_server import SCHEMA, RealCog, cog_server

RUST, PYTHON = "cog", "cog-python"
SECRET = "a long text of our own"
PACE = Pace(first=0.05, cap=0.1, patience=2.0)
INPUT = {
    "prompt": "{prompt}",
    "width": "{width}",
    "height": "{height}",
    "num_outputs": "{num_images}",
    "seed": "{seed}",
    "image": "{image}",
    "gate": "{params.gate}",
    "fail": "{params.fail}",
}
BASE = AttemptRequest(
    attempt_id=new_id(),
    operation="generate",
    target="painter",
    model="me/painter",
    prompt="a red fox",
    width=24,
    height=12,
    seed=3,
    options={"input": INPUT},
)


@pytest.fixture(scope="module")
def rust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCog]:
    with cog_server(RUST, tmp_path_factory.mktemp("rust")) as server:
        yield server


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCog]:
    with cog_server(PYTHON, tmp_path_factory.mktemp("python"), schema=False) as server:
        yield server


@pytest.fixture(params=["rust", "python"])
def server(request: pytest.FixtureRequest) -> Iterator[RealCog]:
    found: RealCog = request.getfixturevalue(request.param)
    found.gate.unlink(missing_ok=True)
    found.wait("READY")
    yield found
    found.gate.touch()
    found.wait("READY")


def order(**changes: Any) -> AttemptRequest:
    return replace(BASE, attempt_id=new_id(), **changes)


def gated(server: RealCog, **changes: Any) -> AttemptRequest:
    """An order whose prediction runs until the gate is there."""
    return order(params={"gate": str(server.gate)}, **changes)


def provider_of(server: RealCog, **settings: Any) -> CogProvider:
    return CogProvider(CogSettings(url=server.url, **settings), SystemClock(), PACE)


@pytest.fixture
async def provider(server: RealCog) -> AsyncIterator[CogProvider]:
    async with closing(provider_of(server)) as made:
        assert isinstance(made, CogProvider)
        yield made


async def running(server: RealCog, provider: CogProvider, request: AttemptRequest) -> str:
    """Submits it, and returns once it runs."""
    before = server.runs()
    request_id = await provider.submit(request)
    while server.runs() == before:  # noqa: ASYNC110  another process tells it by a file
        await asyncio.sleep(0.01)
    return request_id


@asynccontextmanager
async def hooks(*providers: CogProvider) -> AsyncIterator[str]:
    """Our server's public address for webhooks; whichever provider is there gets them."""

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        try:
            for provider in providers:
                await provider.hook((await request.json())["id"], headers, body)
        except Unauthorized:
            return web.Response(status=401)
        return web.Response(status=204)

    app = web.Application(client_max_size=1 << 28)
    app.router.add_post("/hooks", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hooks"
    await runner.cleanup()


# The open request


async def test_pictures_come_inline(server: RealCog, provider: CogProvider) -> None:
    told = await call(provider, order(num_images=2))
    assert [output.index for output in told.outputs] == [0, 1]
    for output in told.outputs:
        assert output.content_type == "image/png"
        data = await bytes_of(provider, output)
        assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (24, 12)
    assert told.outputs[0].data != told.outputs[1].data
    assert told.finished.seconds is not None
    assert told.finished.seconds > 0


async def test_an_input_picture_reaches_the_model(server: RealCog, provider: CogProvider) -> None:
    data = png(40, 30)

    async def read() -> bytes:
        return data

    image = InputImage(new_id(), "image/png", hashlib.sha256(data).hexdigest(), read)
    told = await call(provider, order(images=(image,)))
    assert await bytes_of(provider, told.outputs[0]) == data


async def test_progress_while_it_runs(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    async with closing(provider_of(rust)) as provider:
        request = gated(rust)
        request_id = await provider.submit(request)
        events = provider.watch(request, request_id)
        assert isinstance(await anext(events), Started)
        assert (await anext(events)).fraction == 0.5  # type: ignore[union-attr]
        rust.gate.touch()
        kinds = [type(event).__name__ async for event in events]
        assert kinds[-2:] == ["Output", "Finished"]


async def test_the_next_ones_do_not_meet_the_slot_of_the_last(server: RealCog, provider: CogProvider) -> None:
    """A failed prediction's slot is free only a moment after its answer."""
    for _ in range(5):
        with pytest.raises(ProviderFailed):
            await call(provider, order(params={"fail": "no luck"}))
        assert (await call(provider, order())).outputs


async def test_busy_is_held_by_us(server: RealCog, provider: CogProvider) -> None:
    first = gated(server)
    first_id = await running(server, provider, first)
    runs = server.runs()
    with pytest.raises(ProviderBusy):
        await provider.submit(order())
    assert server.runs() == runs
    health = await provider.health()
    assert health.ok
    assert "every slot is taken" in health.detail
    server.gate.touch()
    assert (await watch(provider, first, first_id)).outputs


async def test_cancel(server: RealCog, provider: CogProvider) -> None:
    request = gated(server)
    request_id = await running(server, provider, request)
    await provider.cancel(request, request_id)
    with pytest.raises(ProviderInterrupted):
        await watch(provider, request, request_id)
    await provider.cancel(request, request_id)  # ended: no error
    await provider.cancel(order(), new_id())  # unknown: no error
    server.wait("READY")


async def test_a_failure_is_http_200_and_says_why(server: RealCog, provider: CogProvider) -> None:
    with pytest.raises(ProviderFailed, match="the paint ran out") as caught:
        await call(provider, order(params={"fail": "the paint ran out"}))
    assert "Prediction failed" not in caught.value.detail
    with pytest.raises(ProviderRefused):
        await call(provider, order(params={"fail": "NSFW content detected. Try another prompt."}))


async def test_wrong_inputs_are_422(server: RealCog, provider: CogProvider) -> None:
    runs = server.runs()
    with pytest.raises(ProviderRejected, match="width"):
        await call(provider, order(width=9_999))
    with pytest.raises(ProviderRejected, match="prompt"):
        await call(provider, order(prompt=""))
    assert server.runs() == runs


async def test_without_a_template_the_schema_says_what_it_takes(
    server: RealCog, provider: CogProvider
) -> None:
    told = await call(
        provider, order(options={}, num_images=2, negative_prompt="no dogs", params={"fail": ""})
    )
    assert len(told.outputs) == 2


# The same id again


async def test_the_same_id_again_runs_once_while_it_runs(server: RealCog, provider: CogProvider) -> None:
    request = gated(server)
    request_id = await running(server, provider, request)
    runs = server.runs()
    assert await provider.submit(request) == request_id
    async with closing(provider_of(server)) as other:
        with pytest.raises(OutcomeUnknown, match="for somebody else"):
            await other.submit(request)
    server.gate.touch()
    assert (await watch(provider, request, request_id)).outputs
    assert server.runs() == runs


async def test_the_same_id_after_the_end_would_run_again(server: RealCog) -> None:
    """Why a look must never be an order that could run."""
    async with aiohttp.ClientSession() as session:
        runs = server.runs()
        for _ in range(2):
            body = {"input": {"prompt": "again"}}
            async with session.put(f"{server.url}/predictions/again", json=body) as reply:
                assert (await reply.json())["status"] == "succeeded"
            server.wait("READY")
        assert server.runs() == runs + 2


async def test_a_look_reads_and_starts_nothing(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    async with closing(provider_of(rust)) as provider:
        assert isinstance(provider, CogProvider)
        request = gated(rust)
        request_id = await running(rust, provider, request)
        runs = rust.runs()
        run = Run(request_id)
        assert await provider._server.look(run) is Seen.RUNNING
        assert run.state["status"] == "processing"
        assert await provider._server.look(Run(new_id())) is Seen.ABSENT  # also while all slots are taken
        rust.gate.touch()
        assert (await watch(provider, request, request_id)).outputs
        rust.wait("READY")
        assert await provider._server.look(Run(request_id)) is Seen.ABSENT
        assert rust.health() == "READY"
        assert rust.runs() == runs


async def test_a_python_server_cannot_be_looked_at(python: RealCog) -> None:
    python.gate.unlink(missing_ok=True)
    async with closing(provider_of(python)) as provider:
        assert isinstance(provider, CogProvider)
        request = gated(python)
        request_id = await running(python, provider, request)
        assert await provider._server.look(Run(request_id)) is Seen.HIDDEN
        python.gate.touch()
        assert (await watch(provider, request, request_id)).outputs


async def test_a_server_without_a_schema_is_not_looked_at(tmp_path_factory: pytest.TempPathFactory) -> None:
    with cog_server(RUST, tmp_path_factory.mktemp("bare"), schema=False) as bare:
        async with closing(provider_of(bare)) as provider:
            assert isinstance(provider, CogProvider)
            assert await provider._server.look(Run(new_id())) is Seen.HIDDEN
            request = gated(bare)
            request_id = await running(bare, provider, request)
            bare.gate.touch()
            assert (await watch(provider, request, request_id)).outputs
            with pytest.raises(ProviderMisconfigured, match=r"options\.input"):
                await provider.submit(order(options={}))
        assert bare.runs() == 1


# When we go away


async def test_the_rust_server_stops_what_nobody_waits_for(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    async with closing(provider_of(rust)) as provider:
        request = gated(rust)
        request_id = await running(rust, provider, request)
    rust.wait("READY")  # although the gate is shut
    async with closing(provider_of(rust)) as reborn:
        with pytest.raises(AttemptLost):
            await watch(reborn, request, request_id)
        assert await reborn.lookup(request) is Lookup.UNKNOWN


async def test_the_slot_at_a_python_server_is_freed_by_us(python: RealCog) -> None:
    python.gate.unlink(missing_ok=True)
    async with closing(provider_of(python)) as provider:
        request = gated(python)
        request_id = await running(python, provider, request)
    assert python.health() == "BUSY"
    async with closing(provider_of(python)) as reborn:
        with pytest.raises(AttemptLost):
            await watch(reborn, request, request_id)
    python.wait("READY")  # although the gate is shut


# Webhooks


async def test_results_by_webhook(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    async with closing(provider_of(rust, webhook_secret=SECRET)) as provider:
        assert isinstance(provider, CogProvider)
        async with hooks(provider) as url:
            request = gated(rust, webhook_url=url, num_images=2)
            request_id = await running(rust, provider, request)
            assert await provider.lookup(request) == Found(request_id)
            rust.gate.touch()
            told = await watch(provider, request, request_id)
            assert len(told.outputs) == 2
            assert told.progress == [0.5]
            assert told.finished.seconds is not None
            rust.wait("READY")
            with pytest.raises(ProviderFailed, match="no luck"):
                await call(provider, order(webhook_url=url, params={"fail": "no luck"}))


async def test_another_process_gets_the_webhook(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    rust.wait("READY")
    request = gated(rust)
    async with closing(provider_of(rust, webhook_secret=SECRET)) as reborn:
        assert isinstance(reborn, CogProvider)
        async with hooks(reborn) as url:
            request = replace(request, webhook_url=url)
            runs = rust.runs()
            async with closing(provider_of(rust, webhook_secret=SECRET)) as provider:
                assert isinstance(provider, CogProvider)
                request_id = await running(rust, provider, request)
            assert rust.health() == "BUSY"
            assert await reborn.lookup(request) == Found(request_id)
            watching = asyncio.ensure_future(watch(reborn, request, request_id))
            rust.gate.touch()
            assert (await watching).outputs
            assert rust.runs() == runs + 1
            assert await reborn.lookup(order(webhook_url=url)) is Lookup.ABSENT


async def test_cancel_by_webhook(rust: RealCog) -> None:
    rust.gate.unlink(missing_ok=True)
    rust.wait("READY")
    async with closing(provider_of(rust, webhook_secret=SECRET)) as provider:
        assert isinstance(provider, CogProvider)
        async with hooks(provider) as url:
            request = gated(rust, webhook_url=url)
            request_id = await running(rust, provider, request)
            await provider.cancel(request, request_id)
            with pytest.raises(ProviderInterrupted):
                await watch(provider, request, request_id)


async def test_webhooks_of_a_python_server_would_bring_no_pictures(python: RealCog) -> None:
    """It would tell a path on its own disk: so the request is kept open there."""
    async with closing(provider_of(python, webhook_secret=SECRET)) as provider:
        assert isinstance(provider, CogProvider)
        async with hooks(provider) as url:
            told = await call(provider, order(webhook_url=url))
            assert told.outputs[0].data is not None


# Uploads


class Bucket:
    """The operator's own place for pictures."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.url = ""

    async def put(self, request: web.Request) -> web.Response:
        if request.content_type == "multipart/form-data":
            (part,) = (await request.post()).values()
            assert isinstance(part, web.FileField)
            self.files[request.path] = part.file.read()
        else:
            self.files[request.path] = await request.read()
        return web.Response()

    async def get(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.path], content_type="image/png")


@asynccontextmanager
async def bucket() -> AsyncIterator[Bucket]:
    made = Bucket()
    app = web.Application()
    app.router.add_put("/pictures/{name}", made.put)
    app.router.add_get("/pictures/{name}", made.get)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/pictures/"
    yield made
    await runner.cleanup()


async def test_pictures_that_cog_uploads(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("uploading")
    async with bucket() as pictures:
        with cog_server(RUST, folder, "--upload-url", pictures.url) as server:
            async with closing(provider_of(server, upload_url=pictures.url, token="key")) as provider:
                told = await call(provider, order(num_images=2))
                assert len(told.outputs) == 2
                for output in told.outputs:
                    assert output.origin is not None
                    assert output.origin.url.startswith(pictures.url)
                    wanted = provider.fetch_request(output.origin)
                    assert wanted.trusted
                    assert not wanted.headers  # our key is the Cog server's
                    assert (await bytes_of(provider, output)).startswith(b"\x89PNG")


async def test_pictures_that_a_python_server_puts_under_a_prefix(python: RealCog) -> None:
    async with bucket() as pictures, closing(provider_of(python, upload_url=pictures.url)) as provider:
        told = await call(provider, order(options={"input": INPUT, "output_file_prefix": pictures.url}))
        assert told.outputs[0].origin is not None
        assert told.outputs[0].origin.url.startswith(pictures.url)
        assert (await bytes_of(provider, told.outputs[0])).startswith(b"\x89PNG")


# The simulator beside the server


class Same(Painter):
    """The simulator's predictor with the real one's inputs."""

    schema = SCHEMA

    def order(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return super().order({"width": 16, "height": 16} | given)

    def last_words(self, given: Mapping[str, Any]) -> str | None:
        return died(f"ValueError: {given['fail']}") if given.get("fail") else None


PUT = "/predictions/side-by-side"
ASKED: list[tuple[str, str, Any]] = [
    ("GET", "/", None),
    ("GET", "/health-check", None),
    ("GET", "/openapi.json", None),
    ("GET", "/nothing", None),
    ("GET", "/predictions", None),
    ("GET", PUT, None),
    ("PUT", PUT, "{broken"),
    ("PUT", PUT, []),
    ("PUT", PUT, {"id": 5, "input": {}}),
    ("PUT", PUT, {"id": "another", "input": {}}),
    ("PUT", PUT, {"input": []}),
    ("PUT", PUT, {"input": {}}),
    ("PUT", PUT, {"input": {"prompt": None}}),
    ("PUT", PUT, {"input": {"prompt": "x", "width": 0}}),
    ("PUT", PUT, {"input": {"prompt": "x", "width": "wide", "seed": 0.5}}),
    ("PUT", PUT, {"input": {"prompt": "x"}, "webhook_events_filter": ["nope"]}),
    ("PUT", PUT, {"input": {"prompt": "x", "unknown": 1}}),
    ("PUT", PUT, {"input": {"prompt": "x", "num_outputs": 2, "width": 5}}),
    ("PUT", PUT, {"input": {"prompt": "x", "fail": "no luck"}}),
    ("POST", "/predictions", {"input": {"prompt": "x"}, "id": "mine"}),
    ("POST", "/predictions/nobody/cancel", None),
]


async def test_the_simulator_answers_as_the_server_does(rust: RealCog) -> None:
    rust.wait("READY")
    async with CogSim(CogScript(), painter=Same()) as sim, aiohttp.ClientSession() as session:
        for method, path, body in ASKED:
            answers = []
            for url in (rust.url, sim.url):
                data = body if isinstance(body, str) or body is None else json.dumps(body)
                headers = {"Content-Type": "application/json"} if data else {}
                async with session.request(method, url + path, data=data, headers=headers) as reply:
                    names = {name.lower() for name in reply.headers} - {"server"}
                    answers.append((reply.status, names, reply.content_type, plain(await reply.text())))
                rust.wait("READY")
            assert answers[0] == answers[1], (method, path, body)


def plain(text: str) -> Any:
    """An answer without what differs from run to run, and from one painter to another."""
    text = re.sub(r"(as JSON: | at line ).*", "", text)
    text = re.sub(r'"predict_time":[\d.e-]+', '"predict_time":0', text)
    text = re.sub(r'"(started_at|completed_at|logs|git_sha|build_time|python)":"[^"]*"', r'"\1":""', text)
    text = re.sub(r"data:image/png;base64,[\w+/=]+", "data:image/png", text)
    return json.loads(text) if text.startswith(("{", "[")) else text


# Health


async def test_health(server: RealCog, provider: CogProvider) -> None:
    health = await provider.health()
    assert health.ok
    assert health.detail.endswith(": ready")


async def test_a_set_up_that_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("broken")
    with cog_server(RUST, folder, until="SETUP_FAILED", BREAK_SETUP="1") as server:
        async with closing(provider_of(server)) as provider:
            health = await provider.health()
            assert not health.ok
            assert "could not be set up" in health.detail
            with pytest.raises(ProviderMisconfigured, match="could not be set up"):
                await provider.submit(order())
