"""What is special about OpenAI's Images API and its kin: forms, streams, both kinds of output, all errors."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
import pyvips
from aiohttp import web

from ferrotype.config import ConfigError
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
)
from ferrotype.imaging.sniff import sniff
from ferrotype.providers.base import AttemptRequest, Lookup, Output, Preview, Started
from ferrotype.providers.connections import load_connections
from ferrotype.providers.openai import OpenAIProvider, OpenAISettings
from ferrotype.providers.openai.options import Options
from ferrotype.providers.registry import KINDS
from ferrotype.sim.hosted import Fault, HostedScript
from ferrotype.sim.openai import OPEN, OpenAISim
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import KEY, Told, call, closing, picture, png, watch

GENERATE, EDIT = "POST /v1/images/generations", "POST /v1/images/edits"
FLARE: Final = "gpt-image-2.6-flare"
ORDER: Final = AttemptRequest(
    attempt_id="0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b",
    operation="generate",
    model="openai/test",
    target=FLARE,
    prompt="a lighthouse",
    width=1024,
    height=1024,
    seed=7,
)
PRICES: Final = {"text_input": 5, "image_input": 8, "image_output": 30}
B64: Final = base64.b64encode(png()).decode()


@pytest.fixture
async def sim() -> AsyncIterator[OpenAISim]:
    async with OpenAISim(HostedScript(key=KEY, picture_side=64)) as made:
        yield made


@pytest.fixture
async def provider(sim: OpenAISim) -> AsyncIterator[OpenAIProvider]:
    async with provider_at(f"{sim.url}/v1") as made:
        yield made


@asynccontextmanager
async def provider_at(base_url: str, **settings: Any) -> AsyncIterator[OpenAIProvider]:
    made = OpenAIProvider(OpenAISettings(api_key=KEY, base_url=base_url, **settings))
    async with closing(made):
        yield made


def order(**changes: Any) -> AttemptRequest:
    return replace(ORDER, **changes)


def edit(*pictures: bytes, **changes: Any) -> AttemptRequest:
    return order(operation="edit", images=tuple(picture(data) for data in pictures or [png()]), **changes)


def sent(sim: OpenAISim, route: str = GENERATE) -> dict[str, Any]:
    """The body of the last call."""
    body = sim.journal.of(route)[-1].body
    assert isinstance(body, dict)
    return body


async def problem(provider: OpenAIProvider, request: AttemptRequest = ORDER) -> ProviderProblem:
    with pytest.raises(ProviderProblem) as caught:
        await call(provider, request)
    return caught.value


# A server of one's own, which answers as it is told


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Keeps what it is sent: the JSON, or a form's fields as lists of text and of (name, type, bytes)."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.paths: list[str] = []
        self.bodies: list[Any] = []

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        if request.content_type == "application/json":
            self.bodies.append(await request.json())
        elif request.content_type == "multipart/form-data":
            fields: dict[str, list[Any]] = {}
            async for part in await request.multipart():
                data = bytes(await part.read())  # type: ignore[union-attr]
                name, filename = part.name, part.filename  # type: ignore[union-attr]
                value = (filename, part.headers["Content-Type"], data) if filename else data.decode()
                fields.setdefault(name or "", []).append(value)
            self.bodies.append(fields)
        return await self._answer(request)


@asynccontextmanager
async def serving(answer: Any, **settings: Any) -> AsyncIterator[tuple[Server, OpenAIProvider]]:
    """A server that gives that answer (JSON, bytes, or a function of the request), and a provider on it."""

    async def given(request: web.Request) -> web.StreamResponse:
        if callable(answer):
            response: web.StreamResponse = await answer(request)
            return response
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="text/event-stream")
        return web.json_response(answer)

    server = Server(given)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        async with provider_at(url, **settings) as provider:
            yield server, provider
    finally:
        await runner.cleanup()


def one(data: str = B64) -> dict[str, Any]:
    """The usual answer with one picture."""
    return {"created": 1, "data": [{"b64_json": data}]}


def events(*values: Any, done: bool = True, named: bool = True) -> bytes:
    """A stream of server-sent events."""
    lines = [
        (f"event: {value['type']}\n" if named and "type" in value else "") + f"data: {json.dumps(value)}\n\n"
        for value in values
    ]
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()


def completed(kind: str = "image_generation", **more: Any) -> dict[str, Any]:
    return {"type": f"{kind}.completed", "b64_json": B64, "size": "64x48", "created_at": 1, **more}


# What is sent


async def test_a_prompt_alone(sim: OpenAISim, provider: OpenAIProvider) -> None:
    await call(provider, order(width=1536, height=1024))
    assert sent(sim) == {
        "model": FLARE,
        "prompt": "a lighthouse",
        "n": 1,
        "size": "1536x1024",
        "stream": True,
        "partial_images": 1,
    }
    (entry,) = sim.journal.of(GENERATE)
    assert entry.headers["authorization"] == f"Bearer {KEY}"
    assert "openai-organization" not in entry.headers


async def test_parameters_that_the_model_declares_are_sent(sim: OpenAISim, provider: OpenAIProvider) -> None:
    params = {
        "quality": "low",
        "background": "transparent",
        "output_compression": 80,
        "complexity": "high",
        "unheard": 1,
    }
    await call(provider, order(params=params, format="webp"))
    body = sent(sim)
    assert {key: body[key] for key in ("quality", "background", "output_compression", "complexity")} == {
        key: value for key, value in params.items() if key != "unheard"
    }
    assert body["output_format"] == "webp"
    assert "unheard" not in body


async def test_several_pictures_come_in_one_answer(sim: OpenAISim, provider: OpenAIProvider) -> None:
    """OpenAI streams single pictures only."""
    told = await call(provider, order(num_images=3))
    body = sent(sim)
    assert body["n"] == 3
    assert "stream" not in body
    assert [output.index for output in told.outputs] == [0, 1, 2]
    assert told.finished.problem is None
    assert told.finished.seconds is not None


async def test_the_organization_and_the_project_go_along(sim: OpenAISim) -> None:
    async with provider_at(f"{sim.url}/v1", organization="org-1", project="proj-2") as provider:
        await call(provider, ORDER)
    (entry,) = sim.journal.of(GENERATE)
    assert entry.headers["openai-organization"] == "org-1"
    assert entry.headers["openai-project"] == "proj-2"


async def test_an_edit_is_a_form(sim: OpenAISim, provider: OpenAIProvider) -> None:
    request = edit(png(96, 64), params={"quality": "low", "input_fidelity": "high"}, target="gpt-image-1.5")
    told = await call(provider, request)
    assert told.outputs
    body = sent(sim, EDIT)
    assert body == {
        "model": ["gpt-image-1.5"],
        "prompt": ["a lighthouse"],
        "n": ["1"],
        "size": ["1024x1024"],
        "quality": ["low"],
        "input_fidelity": ["high"],
        "stream": ["true"],
        "partial_images": ["1"],
        "image": [
            {"filename": "image-0.png", "content_type": "image/png", "bytes": len(png(96, 64))},
        ],
    }


async def test_several_input_pictures_and_a_mask(sim: OpenAISim, provider: OpenAIProvider) -> None:
    jpeg = bytes(pyvips.Image.black(40, 30, bands=3).jpegsave_buffer())
    pictures = (picture(png(96, 64)), picture(jpeg, "image/jpeg"))
    request = order(operation="edit", images=pictures, mask=picture(png(50, 50)))
    assert (await call(provider, request)).outputs
    body = sent(sim, EDIT)
    assert [file["filename"] for file in body["image[]"]] == ["image-0.png", "image-1.jpg"]
    assert [file["content_type"] for file in body["image[]"]] == ["image/png", "image/jpeg"]
    assert body["mask"][0]["content_type"] == "image/png"
    assert "image" not in body
    (work,) = sim.works.items.values()
    assert work.source == png(96, 64)


def split(width: int, height: int, *, alpha: bool = False) -> bytes:
    """A mask: white in its left half. With `alpha` the right half is transparent and white."""
    left = pyvips.Image.black(width // 2, height) + 255
    right = pyvips.Image.black(width - width // 2, height) + (255 if alpha else 0)
    mask = left.join(right, "horizontal").cast("uchar").copy(interpretation="b-w")
    if alpha:
        mask = mask.bandjoin(
            left.join(pyvips.Image.black(width - width // 2, height), "horizontal").cast("uchar")
        )
    return bytes(mask.pngsave_buffer())


def corners(data: bytes) -> tuple[list[float], list[float], tuple[int, int]]:
    """The left and right edge of a picture in its middle row, and its size."""
    opened = pyvips.Image.new_from_buffer(data, "")
    middle = opened.height // 2
    return opened(0, middle), opened(opened.width - 1, middle), (opened.width, opened.height)


@pytest.mark.parametrize("alpha", [False, True])
async def test_a_mask_is_transparent_where_the_picture_is_changed(alpha: bool) -> None:
    """Ours is white there, may have another size, and may be transparent itself where nothing is."""
    async with serving(one()) as (server, provider):
        await call(provider, edit(png(96, 64), mask=picture(split(20, 10, alpha=alpha))))
        ((name, content_type, data),) = server.bodies[0]["mask"]
    left, right, size = corners(data)
    assert (name, content_type, size) == ("mask.png", "image/png", (96, 64))
    assert left[-1] == 0
    assert right[-1] == 255
    assert len(left) == 4


async def test_a_mask_that_is_white_where_the_picture_is_changed() -> None:
    """As LocalAI and vLLM-Omni read it."""
    options = {"mask": "white", "mask_field": "mask_image", "image_field": "image", "send": ["size"]}
    async with serving(one()) as (server, provider):
        request = edit(png(96, 64), png(8, 8), mask=picture(split(20, 10)), options=options)
        await call(provider, request)
        (body,) = server.bodies
    left, right, size = corners(body["mask_image"][0][2])
    assert (left, right, size) == ([255], [0], (96, 64))
    assert [file[2] for file in body["image"]] == [png(96, 64), png(8, 8)]
    assert set(body) == {"model", "prompt", "size", "image", "mask_image", "stream", "partial_images"}


async def test_a_mask_that_is_none(sim: OpenAISim, provider: OpenAIProvider) -> None:
    found = await problem(provider, edit(mask=picture(b"no picture")))
    assert isinstance(found, ProviderRejected)
    assert found.field == "mask"
    assert not sim.journal.entries


async def test_pictures_that_the_template_names_go_as_json() -> None:
    """OpenAI's own JSON form of edits; LocalAI's, whose base64 knows no `data:`."""
    options: dict[str, Any] = {
        "stream": False,
        "input": {"images": [{"image_url": "{image}"}, {"image_url": "{images.1}"}], "mask": "{mask}"},
    }
    request = edit(png(96, 64), png(8, 8), mask=picture(split(20, 10)), options=options)
    async with serving(one()) as (server, provider):
        await call(provider, request)
        await call(provider, replace(request, options={**options, "pictures": "base64", "mask": "white"}))
    openai, local = server.bodies
    uris = [each["image_url"] for each in openai["images"]]
    assert [base64.b64decode(uri.removeprefix("data:image/png;base64,")) for uri in uris] == [
        png(96, 64),
        png(8, 8),
    ]
    left, right, size = corners(base64.b64decode(openai["mask"].removeprefix("data:image/png;base64,")))
    assert (left[-1], right[-1], size) == (0, 255, (96, 64))
    assert base64.b64decode(local["images"][0]["image_url"]) == png(96, 64)
    assert corners(base64.b64decode(local["mask"]))[:2] == ([255], [0])


async def test_servers_with_fields_of_their_own(sim: OpenAISim, provider: OpenAIProvider) -> None:
    options = {
        "send": ["n", "size", "seed", "negative_prompt", "num_inference_steps"],
        "input": {"guidance_scale": "{params.guidance}"},
        "inputs": {"generate": {"user": "ferrotype"}, "edit": {"user": "nobody"}},
        "response_format": "b64_json",
    }
    params = {"num_inference_steps": 20, "guidance": 7.5}
    request = order(target=OPEN, width=320, height=256, negative_prompt="fog", params=params, options=options)
    told = await call(provider, request)
    assert told.outputs[0].data is not None
    assert sent(sim) == {
        "model": OPEN,
        "prompt": "a lighthouse",
        "n": 1,
        "size": "320x256",
        "seed": 7,
        "negative_prompt": "fog",
        "num_inference_steps": 20,
        "guidance_scale": 7.5,
        "user": "ferrotype",
        "response_format": "b64_json",
    }


async def test_words_per_operation(sim: OpenAISim, provider: OpenAIProvider) -> None:
    prompts = {"restyle": "Paint it[ like the {images.1}][: {prompt}]."}
    await call(provider, replace(edit(png(), png(8, 8)), operation="restyle", options={"prompts": prompts}))
    assert sent(sim, EDIT)["prompt"] == ["Paint it like the second picture: a lighthouse."]
    await call(provider, replace(edit(), operation="restyle", prompt="", options={"prompts": prompts}))
    assert sent(sim, EDIT)["prompt"] == ["Paint it."]


async def test_paths_of_ones_own() -> None:
    options = {"generate_path": "/images/create", "edit_path": "/images/change"}
    async with serving(one()) as (server, provider):
        await call(provider, order(options=options))
        await call(provider, edit(options=options))
    assert server.paths == ["/v1/images/create", "/v1/images/change"]


@pytest.mark.parametrize(
    "options",
    [
        {"send": "size"},
        {"send": ["size; drop"]},
        {"send": [5]},
        {"input": "a text"},
        {"inputs": {"generate": "a text"}},
        {"inputs": []},
        {"stream": "yes"},
        {"partial_images": 4},
        {"partial_images": True},
        {"response_format": "bytes"},
        {"image_field": "picture"},
        {"mask": "black"},
        {"mask_field": "mask file"},
        {"pictures": "file"},
        {"generate_path": "images"},
        {"edit_path": "/../admin?x=1"},
        {"usd_per_million_tokens": 5},
        {"usd_per_million_tokens": {"tokens": 5}},
        {"usd_per_million_tokens": {"text_input": -1}},
        {"prompts": {"generate": 5}},
        {"input": {"x": "{nothing}"}},
    ],
    ids=str,
)
async def test_options_of_no_use(sim: OpenAISim, provider: OpenAIProvider, options: dict[str, Any]) -> None:
    """Told before anything is sent, with the model's name."""
    found = await problem(provider, order(options=options))
    assert isinstance(found, ProviderMisconfigured)
    assert "openai/test" in found.detail
    assert not sim.journal.entries


@pytest.mark.parametrize(
    ("target", "streams"),
    [
        (FLARE, True),
        ("openai/gpt-image-2", True),
        ("chatgpt-image-latest", True),
        ("flux.1-dev", False),
        ("my-gpt-image", False),
    ],
)
def test_gpt_image_models_stream_unless_told(target: str, streams: bool) -> None:
    assert Options.of(order(target=target)).stream is streams
    assert Options.of(order(target=target, options={"stream": False})).stream is False


# Streams


@pytest.mark.parametrize("kind", ["image_generation", "image_edit"])
async def test_a_stream_of_openai(sim: OpenAISim, provider: OpenAIProvider, kind: str) -> None:
    """Unfinished pictures are previews, made small; the finished one says its size and its price."""
    sim.script.picture_side = None
    request = order() if kind == "image_generation" else edit()
    options = {"partial_images": 2, "usd_per_million_tokens": PRICES}
    told = await call(provider, replace(request, params={"quality": "low"}, options=options))
    assert [type(event) for event in told.events[:4]] == [Started, Preview, Preview, Output]
    for preview in told.previews:
        opened = pyvips.Image.new_from_buffer(preview.data, "")
        assert (preview.content_type, opened.width, opened.height) == ("image/webp", 512, 512)
    (output,) = told.outputs
    assert (output.width, output.height, output.content_type) == (1024, 1024, "image/png")
    inputs = 10 * 5 + (1457 * 8 if kind == "image_edit" else 0)
    assert told.finished.usd == pytest.approx((inputs + (196 + 2 * 100) * 30) / 1_000_000)
    assert told.finished.seconds is None  # of a stream the service measures its beginning only


async def test_a_picture_is_told_before_the_stream_ends() -> None:
    more = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(events(completed(), done=False))
        await more.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    async with serving(answer) as (_, provider):
        request_id = await provider.submit(ORDER)
        async with aclosing(provider.watch(ORDER, request_id)) as watching:
            assert isinstance(await anext(watching), Started)
            assert isinstance(await anext(watching), Output)
            more.set()
            assert [type(event).__name__ async for event in watching] == ["Finished"]


@pytest.mark.parametrize(
    "body",
    [
        events(completed()),
        events(completed(), done=False),
        events(completed(), named=False),
        events(completed()).replace(b"\n", b"\r\n"),
        b": keep-alive\n\n" + events(completed()),
        events({"type": "image_generation.partial_image", "b64_json": "%%%"}, completed()),
        events({"type": "image_generation.partial_image", "b64_json": "aGVsbG8="}, completed()),
        events({"type": "image_generation.partial_image"}, completed()),
        events({"type": "something.new", "text": "hello"}, completed()),
        events({"type": "image", "data": [{"b64_json": B64}]}),  # vLLM-Omni
        events({"data": [{"b64_json": B64}]}),
        json.dumps(one()).encode(),  # servers that cannot stream
        b"\xef\xbb\xbf\r\n " + json.dumps(one()).encode(),
        b" " * 70_000 + json.dumps(one()).encode(),  # kept alive with blanks
        json.dumps([{"b64_json": B64}]).encode(),
        json.dumps({"created": 1, "error": None, **one()}).encode(),
        json.dumps(one(f"data:image/png;base64,{B64}")).encode(),
    ],
    ids=range(17),
)
async def test_every_form_of_one_picture(body: bytes) -> None:
    async with serving(body) as (_, provider):
        told = await call(provider, ORDER)
    assert [output.data for output in told.outputs] == [png()]
    assert told.finished.problem is None


async def test_several_pictures_of_one_stream() -> None:
    """vLLM-Omni sends each as it is done."""
    body = events(*({"type": "image", "data": [{"b64_json": B64}]} for _ in range(3)))
    async with serving(body) as (_, provider):
        told = await call(provider, order(num_images=3))
    assert [output.index for output in told.outputs] == [0, 1, 2]
    assert told.finished.problem is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n \n",
        b"<html><body>Bad gateway</body></html>",
        b'{"created": 1, "data": [{"b64_json": "iVBO',
        events({"type": "image_generation.partial_image", "b64_json": B64}, done=False),
        b"data: {not json}\n\n",
        events(completed(), done=False)[:200],
        b"5",
    ],
    ids=range(8),
)
async def test_an_answer_that_breaks_off_leaves_the_outcome_open(body: bytes) -> None:
    async with serving(body) as (_, provider):
        found = await problem(provider)
    assert isinstance(found, OutcomeUnknown)
    assert "<" not in found.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"created": 1, "data": []}, "did not say why"),
        ({"created": 1, "data": None}, "did not say why"),
        ({"created": 1}, "did not say why"),
        ({"data": [{"revised_prompt": "a lighthouse"}]}, "did not say why"),
        ({"data": [{"b64_json": ""}]}, "did not say why"),
        ({"data": [{"b64_json": "%%%"}]}, "not valid base64"),
        ({"data": [{"url": "ftp://example.com/x.png"}]}, "did not say why"),
        (b"data: [DONE]\n\n", "did not say why"),
    ],
    ids=str,
)
async def test_a_success_without_a_picture_is_a_failure(answer: Any, words: str) -> None:
    async with serving(answer) as (_, provider):
        found = await problem(provider)
    assert type(found) is ProviderFailed
    assert words in found.detail


async def test_what_is_missing_is_told_with_what_is_there() -> None:
    answer = {"created": 1, "data": [{"b64_json": B64}, {"b64_json": "%%%"}, {}]}
    async with serving(answer) as (_, provider):
        told = await call(provider, order(num_images=3))
    assert [output.data for output in told.outputs] == [png()]
    assert isinstance(told.finished.problem, ProviderFailed)
    assert "made 1 of 3" in told.finished.problem.detail
    assert "not valid base64" in told.finished.problem.detail


# Addresses


async def test_an_output_by_address(sim: OpenAISim, provider: OpenAIProvider) -> None:
    options = {"response_format": "url", "send": ["n", "size"]}
    told = await call(provider, order(target=OPEN, options=options, num_images=2))
    assert [output.index for output in told.outputs] == [0, 1]
    for output in told.outputs:
        assert output.origin is not None
        wanted = provider.fetch_request(output.origin)
        assert wanted.trusted
        assert wanted.headers["Authorization"] == f"Bearer {KEY}"


async def test_a_server_that_gives_the_other_kind_than_asked() -> None:
    """LiteLLM and LocalAI pass on what the model behind them gives."""
    answer = {
        "data": [
            {"url": "https://cdn.example.com/a.png", "b64_json": None},
            {"url": None, **one()["data"][0]},
        ]
    }
    async with serving(answer) as (_, provider):
        told = await call(provider, order(num_images=2, options={"response_format": "b64_json"}))
    assert told.outputs[0].origin == Origin(provider="openai", url="https://cdn.example.com/a.png")
    assert told.outputs[1].data == png()


async def test_an_address_that_is_the_picture_itself() -> None:
    async with serving({"data": [{"url": f"data:image/png;base64,{B64}"}]}) as (_, provider):
        told = await call(provider, ORDER)
    assert told.outputs[0].data == png()
    assert told.outputs[0].content_type == "image/png"


async def test_our_key_goes_to_the_server_s_own_origin_only() -> None:
    async with provider_at("https://images.example.com:8443/openai/v1") as provider:

        def fetch(url: str) -> tuple[bool, bool]:
            wanted = provider.fetch_request(Origin(provider="openai", url=url))
            return wanted.trusted, bool(wanted.headers)

        assert fetch("https://images.example.com:8443/files/x.png") == (True, True)
        assert fetch("https://images.example.com/files/x.png") == (False, False)
        assert fetch("http://images.example.com:8443/files/x.png") == (False, False)
        assert fetch("https://images.example.com.evil.test:8443/x.png") == (False, False)
        assert fetch("https://images.example.com:8443@evil.test/x.png") == (False, False)
        for origin in (
            Origin(provider="replicate", url="https://images.example.com:8443/x.png"),
            Origin(provider="openai", url="file:///etc/passwd"),
        ):
            with pytest.raises(ProviderFailed):
                provider.fetch_request(origin)


# Costs


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        (
            {
                "input_tokens": 1_100,
                "input_tokens_details": {"text_tokens": 100, "image_tokens": 1_000},
                "output_tokens": 2_000,
                "total_tokens": 3_100,
            },
            100 * 5 + 1_000 * 8 + 2_000 * 30,
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 30,
                "output_tokens_details": {"text_tokens": 10, "image_tokens": 20},
            },
            10 * 5 + 20 * 30,
        ),
        ({"input_tokens": 10, "input_tokens_details": {"text_tokens": 0, "image_tokens": 0}}, 10 * 5),
        ({"input_tokens": "many", "output_tokens": True}, 0),
        ({"input_tokens": -5, "output_tokens": -7, "input_tokens_details": "none"}, 0),
        ({}, 0),
        (None, None),
        ("free", None),
    ],
)
async def test_tokens_become_dollars(usage: Any, usd: float | None) -> None:
    async with serving({**one(), "usage": usage}) as (_, provider):
        told = await call(provider, order(options={"usd_per_million_tokens": PRICES}))
        free = await call(provider, ORDER)
    assert told.finished.usd == (None if usd is None else pytest.approx(usd / 1_000_000))
    assert free.finished.usd is None  # without prices nothing is known


async def test_a_failure_after_a_picture_keeps_picture_and_price() -> None:
    usage = {"input_tokens": 0, "output_tokens": 1_000}
    error = {
        "type": "error",
        "error": {"type": "server_error", "code": "server_error", "message": "GPU lost"},
    }
    async with serving(events(completed(usage=usage), error)) as (_, provider):
        request = order(num_images=2, options={"usd_per_million_tokens": PRICES, "stream": True})
        told = await call(provider, request)
    assert len(told.outputs) == 1
    assert isinstance(told.finished.problem, ProviderFailed)
    assert "GPU lost" in told.finished.problem.detail
    assert told.finished.usd == pytest.approx(0.03)


async def test_how_long_it_worked_is_told_by_a_header() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(one(), headers={"openai-processing-ms": request.query.get("ms", "1500")})

    async with serving(answer) as (_, provider):
        told = await call(provider, order(options={"stream": False}))
    assert told.finished.seconds == 1.5

    async def nonsense(_request: web.Request) -> web.Response:
        return web.json_response(one(), headers={"openai-processing-ms": "nan"})

    async with serving(nonsense) as (_, provider):
        told = await call(provider, order(options={"stream": False}))
    assert told.finished.seconds is None


# Errors


def error(message: str = "It says no.", code: Any = None, kind: str = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


BUSY, MINE, WRONG, NEVER = ProviderBusy, ProviderMisconfigured, ProviderRejected, ProviderRefused
ERRORS: Final[list[tuple[int, str, dict[str, str], type[Problem], str, float | None]]] = [
    (400, error(code="moderation_blocked", kind="image_generation_user_error"), {}, NEVER, "no", None),
    (400, error(code="content_policy_violation"), {}, NEVER, "It says no", None),
    (400, error("Rejected by the safety system."), {}, NEVER, "safety system", None),
    (400, error(code="contentFilter"), {}, NEVER, "It says no", None),
    (400, error(code="400", kind="content_filter"), {}, NEVER, "It says no", None),
    (403, '{"error": "blocked by our content filter"}', {}, NEVER, "content filter", None),
    (400, error("Unknown parameter: 'seed'.", "unknown_parameter"), {}, WRONG, "Unknown parameter", None),
    (413, "", {}, WRONG, "413", None),
    (422, '{"detail": [{"loc": ["body", "size"], "msg": "bad size"}]}', {}, WRONG, "body.size: bad", None),
    (400, '{"message": "bad n", "type": "BadRequestError", "code": 400}', {}, WRONG, "bad n", None),
    (401, error("Incorrect API key provided.", "invalid_api_key"), {}, MINE, "refused our key (401)", None),
    (403, error("Organization must be verified."), {}, MINE, "refused our key (403)", None),
    (403, error(code="unsupported_country_region_territory"), {}, MINE, "does not serve our account", None),
    (404, error("The model 'x' does not exist.", "model_not_found"), {}, MINE, "does not exist", None),
    (404, "<html><h1>Not Found</h1></html>", {}, MINE, "does not know it (404)", None),
    (429, error(code="insufficient_quota", kind="insufficient_quota"), {}, MINE, "account", None),
    (400, error(code="billing_hard_limit_reached"), {}, MINE, "does not serve our account", None),
    (402, error("Top up."), {}, MINE, "out of credit", None),
    (429, error(code="rate_limit_exceeded"), {"Retry-After": "7"}, BUSY, "busy (429)", 7.0),
    (429, error(), {"retry-after-ms": "1500", "Retry-After": "2"}, BUSY, "busy", 1.5),
    (429, error(), {"retry-after-ms": "soon", "Retry-After": "2"}, BUSY, "busy", 2.0),
    (429, error(), {"retry-after-ms": "-5"}, BUSY, "busy", None),
    (429, error(), {"retry-after-ms": "nan", "Retry-After": "3"}, BUSY, "busy", 3.0),
    (429, error(), {"retry-after-ms": "9e12"}, BUSY, "busy", 3_600.0),
    (429, error(), {"x-should-retry": "false"}, MINE, "now or later", None),
    (503, error("Overloaded.", kind="server_overloaded"), {"Retry-After": "9"}, BUSY, "busy (503)", 9.0),
    (408, "", {}, BUSY, "busy (408)", None),
    (409, error(), {"x-should-retry": "true"}, BUSY, "busy (409)", None),
    (409, error(), {}, WRONG, "409", None),
    (307, "", {"Location": "https://elsewhere.example.com/v1"}, MINE, "leads elsewhere (307)", None),
    (500, error(kind="server_error"), {}, OutcomeUnknown, "failed (500)", None),
    (500, error(code="moderation_blocked"), {}, OutcomeUnknown, "failed (500)", None),
    (502, "<html><body>Bad gateway</body></html>", {}, OutcomeUnknown, "failed (502)", None),
    # What asks to be sent again may have been done all the same.
    (500, error(kind="server_error"), {"x-should-retry": "true"}, OutcomeUnknown, "failed (500)", None),
]


@pytest.mark.parametrize(
    ("status", "body", "headers", "wanted", "words", "retry_after"),
    ERRORS,
    ids=[f"{index}-{status}" for index, (status, *_) in enumerate(ERRORS)],
)
async def test_errors(
    sim: OpenAISim,
    provider: OpenAIProvider,
    status: int,
    body: str,
    headers: dict[str, str],
    wanted: type[Problem],
    words: str,
    retry_after: float | None,
) -> None:
    sim.script.failures = [Failure(GENERATE, status, body=body, headers=headers)]
    found = await problem(provider)
    assert type(found) is wanted, found.detail
    assert words in found.detail
    assert found.retry_after == retry_after
    assert "<" not in found.detail
    assert KEY not in found.detail
    assert sim.journal.count(GENERATE) == 1  # nothing is sent again by itself


@pytest.mark.parametrize("stream", [True, False])
async def test_what_the_simulator_itself_refuses(
    sim: OpenAISim, provider: OpenAIProvider, stream: bool
) -> None:
    """The content policy speaks in mid stream, or instead of an answer."""
    sim.script.faults = [Fault("refusal", "violence")]
    found = await problem(provider, order(options={"stream": stream}))
    assert isinstance(found, ProviderRefused)
    assert "violence" in found.detail
    sim.script.slots = 0
    busy = await problem(provider, order(options={"stream": stream}))
    assert isinstance(busy, ProviderBusy)
    assert busy.retry_after == 1.5


@pytest.mark.parametrize(
    ("value", "wanted", "words"),
    [
        ({"error": {"code": "moderation_blocked", "message": "no"}}, ProviderRefused, "no"),
        ({"error": {"message": "rejected by the safety system"}}, ProviderRefused, "safety"),
        ({"error": {"code": "rate_limit_exceeded", "message": "slow"}}, AttemptLost, "slow"),
        ({"error": {"type": "server_overloaded", "message": "full"}}, AttemptLost, "full"),
        ({"error": {"type": "invalid_request_error", "message": "bad size"}}, ProviderRejected, "bad size"),
        ({"error": {"type": "server_error", "message": "boom"}}, ProviderFailed, "boom"),
        ({"error": "out of memory"}, ProviderFailed, "out of memory"),
        ({"error": {"code": 5}}, ProviderFailed, "5"),
        ({"error": {"message": "<html><b>x</b></html>"}}, ProviderFailed, "failed."),
        ({"error": True}, ProviderFailed, "failed."),
    ],
    ids=str,
)
@pytest.mark.parametrize("stream", [True, False])
async def test_errors_in_an_answer_that_began_well(
    value: dict[str, Any], wanted: type[Problem], words: str, stream: bool
) -> None:
    answer = events({"type": "error", **value}) if stream else value
    async with serving(answer) as (_, provider):
        found = await problem(provider)
    assert type(found) is wanted
    assert words in found.detail
    assert "<" not in found.detail


async def test_a_long_text_is_cut_and_the_key_is_cut_out(sim: OpenAISim, provider: OpenAIProvider) -> None:
    sim.script.failures = [Failure(GENERATE, 400, body=error(f"{KEY} is wrong. " + "x" * 5_000))]
    found = await problem(provider)
    assert KEY not in found.detail
    assert "[secret]" in found.detail
    assert len(found.detail) < 500


# The open reply


async def test_a_call_of_another_process_is_unknown(provider: OpenAIProvider) -> None:
    with pytest.raises(OutcomeUnknown):
        await watch(provider, ORDER, ORDER.attempt_id)
    assert await provider.lookup(ORDER) is Lookup.UNKNOWN


async def test_cancel_closes_the_connection() -> None:
    gone = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b": still at it\n\n")
                await asyncio.sleep(0)
        except ConnectionError:
            gone.set()
            raise

    async with serving(answer) as (_, provider):
        request_id = await provider.submit(ORDER)
        watching = asyncio.ensure_future(watch(provider, ORDER, request_id))
        await asyncio.sleep(0)
        await provider.cancel(ORDER, request_id)
        with pytest.raises(ProviderInterrupted):
            await watching
        async with asyncio.timeout(10):
            await gone.wait()


async def test_a_call_has_its_time_and_no_more(sim: OpenAISim, provider: OpenAIProvider) -> None:
    """What came of it nobody can tell: it may be charged."""
    sim.script.hang_times = 2
    streamed = await problem(provider, order(timeout=0.2))
    assert isinstance(streamed, OutcomeUnknown)
    whole = await problem(provider, order(timeout=0.2, options={"stream": False}))
    assert isinstance(whole, OutcomeUnknown)


async def test_replies_that_nobody_watches_are_given_up(
    sim: OpenAISim, provider: OpenAIProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferrotype.providers.openai.provider.UNWATCHED", 1)
    first = await provider.submit(order(attempt_id="first"))
    second = await provider.submit(order(attempt_id="second"))
    with pytest.raises(OutcomeUnknown):
        await watch(provider, order(attempt_id="first"), first)
    assert (await watch(provider, order(attempt_id="second"), second)).outputs


async def test_closing_the_provider_closes_its_calls() -> None:
    held = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await held.wait()
        return response

    async with serving(answer) as (_, provider):
        request_id = await provider.submit(ORDER)
        await provider.close()
        with pytest.raises(OutcomeUnknown):
            await watch(provider, ORDER, request_id)
        held.set()


# Health and settings


async def test_health(sim: OpenAISim, provider: OpenAIProvider) -> None:
    health = await provider.health()
    assert health.ok
    assert "models" in health.detail
    async with provider_at(sim.url) as lost:  # without /v1
        health = await lost.health()
        assert not health.ok
        assert "does the base address end in /v1?" in health.detail
    assert sim.works.created == 0


@pytest.mark.parametrize(
    ("key", "status", "words"),
    [
        ("sk-wrong", 401, "refused our key (401)"),
        (None, 401, "No key is set."),
        ("sk-poor", 429, "does not serve our account"),
    ],
)
async def test_health_of_a_key_of_no_use(key: str | None, status: int, words: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        code = "insufficient_quota" if status == 429 else "invalid_api_key"
        return web.Response(status=status, text=error(code=code), content_type="application/json")

    server = Server(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = OpenAISettings(api_key=key, base_url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    async with closing(OpenAIProvider(settings)) as provider:
        health = await provider.health()
    await runner.cleanup()
    assert not health.ok
    assert words in health.detail
    assert server.paths == ["/v1/models"]


@pytest.mark.parametrize("listed", [{"data": [{"id": "a"}, {"id": "b"}]}, [{"id": "a"}, {"id": "b"}]])
async def test_health_counts_models(listed: Any) -> None:
    async with serving(listed) as (_, provider):
        assert (await provider.health()).detail == "It answers, with 2 models"


def test_a_key_or_an_address_configures_it() -> None:
    def kinds(**environ: str) -> list[str]:
        return [each.kind for each in load_connections(KINDS, environ).values() if each.kind == "openai"]

    assert kinds() == []
    assert kinds(OPENAI_API_KEY="sk-1") == ["openai"]
    assert kinds(OPENAI_BASE_URL="http://127.0.0.1:8000/v1") == ["openai"]
    assert kinds(OPENAI_BASE_URL="https://api.openai.com/v1/") == []


def test_another_server_is_a_connection_of_its_own() -> None:
    toml = {"connections": {"vllm": {"provider": "openai", "base_url": "http://10.0.0.5:8000/v1"}}}
    connection = load_connections(KINDS, {}, toml)["vllm"]
    provider = KINDS["openai"].make(connection.settings, "vllm", SystemClock())
    assert provider.name == "vllm"
    assert provider.traits.inline


@pytest.mark.parametrize(
    "environ",
    [
        {"OPENAI_BASE_URL": "127.0.0.1:8000"},
        {"OPENAI_BASE_URL": "ftp://127.0.0.1"},
        {"OPENAI_API_KEY": "k", "OPENAI_ORG_ID": "two\nlines"},
        {"OPENAI_API_KEY": "k", "OPENAI_PROJECT_ID": "a b"},
    ],
)
def test_settings_that_cannot_be_used(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        load_connections(KINDS, environ)


async def test_previews_are_pictures_that_can_be_shown(sim: OpenAISim, provider: OpenAIProvider) -> None:
    told: Told = await call(provider, order(format="jpeg"))
    assert told.previews
    for preview in told.previews:
        kind = sniff(preview.data)
        assert kind is not None
        assert kind.content_type == preview.content_type
