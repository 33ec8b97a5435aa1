"""What is special about Gemini: conversations, reasons, Google's errors, prices, prompts per operation."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from ferrotype.catalogue import CatalogueSettings, load_catalogue
from ferrotype.config import ConfigError, load
from ferrotype.domain.problems import (
    OutcomeUnknown,
    Problem,
    ProviderBusy,
    ProviderFailed,
    ProviderInterrupted,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRefused,
    ProviderRejected,
    ProviderTimeout,
)
from ferrotype.providers.base import AttemptRequest, Output, Started
from ferrotype.providers.gemini import GeminiProvider, GeminiSettings
from ferrotype.providers.gemini.endings import BLOCKED, FINISHED
from ferrotype.providers.gemini.settings import GOOGLE
from ferrotype.sim.gemini import GeminiScript, GeminiSim
from ferrotype.sim.gemini.models import MODELS
from ferrotype.sim.hosted import Fault
from ferrotype.sim.options import Failure
from tests.providers.contract.rig import KEY, Told, call, closing, picture, png, watch

STREAM = "POST /{version}/models/{model}:streamGenerateContent"
GENERATE = "POST /{version}/models/{model}:generateContent"
ATTEMPT = "0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5b"
ORDER = AttemptRequest(
    attempt_id=ATTEMPT,
    operation="generate",
    model="google/test",
    target="gemini-3.1-flash-image",
    prompt="a lighthouse",
    width=512,
    height=512,
    seed=7,
    options={"resolutions": ["512", "1K"]},
)


@pytest.fixture
async def sim() -> AsyncIterator[GeminiSim]:
    async with GeminiSim(GeminiScript(key=KEY)) as made:
        yield made


@pytest.fixture
async def provider(sim: GeminiSim) -> AsyncIterator[GeminiProvider]:
    async with closing(GeminiProvider(at(sim.url))) as made:
        assert isinstance(made, GeminiProvider)
        yield made


def script(sim: GeminiSim) -> GeminiScript:
    assert isinstance(sim.script, GeminiScript)
    return sim.script


def order(**changes: Any) -> AttemptRequest:
    options = dict(ORDER.options) | changes.pop("options", {})
    return replace(ORDER, options=options, **changes)


def sent(sim: GeminiSim, route: str = STREAM) -> dict[str, Any]:
    """The body of the last call."""
    body = sim.journal.of(route)[-1].body
    assert isinstance(body, dict)
    return body


async def problem(provider: GeminiProvider, request: AttemptRequest = ORDER) -> ProviderProblem:
    with pytest.raises(ProviderProblem) as caught:
        await call(provider, request)
    return caught.value


# What is sent


async def test_a_prompt_alone(sim: GeminiSim, provider: GeminiProvider) -> None:
    await call(provider, order(width=1376, height=768))
    assert sent(sim) == {
        "contents": [{"role": "user", "parts": [{"text": "a lighthouse"}]}],
        "generationConfig": {
            "responseModalities": ["IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
        },
    }
    (entry,) = sim.journal.of(STREAM)
    assert entry.path == "/v1beta/models/gemini-3.1-flash-image:streamGenerateContent"
    assert entry.query == "alt=sse"
    assert entry.headers["x-goog-api-key"] == KEY
    assert entry.headers["x-server-timeout"] == "600"
    assert "authorization" not in entry.headers


async def test_text_goes_before_several_pictures(sim: GeminiSim, provider: GeminiProvider) -> None:
    pictures = (picture(png(30, 20)), picture(png(20, 30)))
    await call(provider, order(operation="edit", images=pictures))
    (turn,) = sent(sim)["contents"]
    assert turn["parts"][0] == {"text": "a lighthouse"}
    assert [base64.b64decode(part["inlineData"]["data"]) for part in turn["parts"][1:]] == [
        png(30, 20),
        png(20, 30),
    ]
    assert {part["inlineData"]["mimeType"] for part in turn["parts"][1:]} == {"image/png"}


@pytest.mark.parametrize(
    ("width", "height", "shape", "size"),
    [
        (1024, 1024, "1:1", "1K"),
        (424, 632, "2:3", "512"),
        (3392, 5056, "2:3", "4K"),
        (1152, 928, "5:4", "1K"),
        (3168, 1344, "21:9", "2K"),
        (384, 3072, "9:16", "1K"),
    ],
)
async def test_the_size_becomes_a_shape_and_a_resolution(
    sim: GeminiSim, provider: GeminiProvider, width: int, height: int, shape: str, size: str
) -> None:
    script(sim).picture_side = 16
    options = {"resolutions": ["1K", "512", "2K", "4K"]}
    await call(provider, order(width=width, height=height, options=options))
    assert sent(sim)["generationConfig"]["imageConfig"] == {"aspectRatio": shape, "imageSize": size}


async def test_narrow_shapes_only_where_they_are_offered(sim: GeminiSim, provider: GeminiProvider) -> None:
    await call(provider, order(width=256, height=1024, options={"aspect_ratios": ["1:1", "1:4"]}))
    assert sent(sim)["generationConfig"]["imageConfig"]["aspectRatio"] == "1:4"


async def test_an_order_without_a_size_follows_its_picture(sim: GeminiSim, provider: GeminiProvider) -> None:
    request = order(operation="edit", images=(picture(png(90, 60)),), size_from_input=True)
    await call(provider, request)
    assert sent(sim)["generationConfig"]["imageConfig"] == {"imageSize": "512"}
    (work,) = sim.works.items.values()
    assert (work.width, work.height) == (632, 424)


async def test_the_resolution_may_be_named(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).picture_side = 16
    await call(provider, order(params={"resolution": "2K"}))
    assert sent(sim)["generationConfig"]["imageConfig"]["imageSize"] == "2K"


async def test_a_target_of_one_size_is_asked_for_none(sim: GeminiSim, provider: GeminiProvider) -> None:
    await call(provider, order(options={"resolutions": []}))
    assert sent(sim)["generationConfig"]["imageConfig"] == {"aspectRatio": "1:1"}


async def test_a_template_is_merged_over_the_body(sim: GeminiSim, provider: GeminiProvider) -> None:
    extra = {
        "generationConfig": {
            "seed": "{seed}",
            "responseModalities": ["TEXT", "IMAGE"],
            "thinkingConfig": {"thinkingLevel": "{params.thinking}"},
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    }
    await call(provider, order(params={"thinking": "high"}, options={"input": extra}))
    body = sent(sim)
    assert body["generationConfig"]["seed"] == 7
    assert body["generationConfig"]["responseModalities"] == ["TEXT", "IMAGE"]
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "high"}
    assert body["generationConfig"]["imageConfig"] == {"aspectRatio": "1:1", "imageSize": "512"}
    assert body["safetySettings"] == extra["safetySettings"]
    await call(provider, order(options={"input": extra}))
    assert "thinkingConfig" not in sent(sim)["generationConfig"]


async def test_one_answer_instead_of_a_stream(sim: GeminiSim, provider: GeminiProvider) -> None:
    told = await call(provider, order(options={"stream": False}))
    assert len(told.outputs) == 1
    assert sim.journal.count(GENERATE) == 1
    script(sim).faults.append(Fault("error", "the accelerator broke"))
    broken = await problem(provider, order(options={"stream": False}))
    assert isinstance(broken, ProviderFailed)
    assert "the accelerator broke" in broken.detail


async def test_a_target_with_a_path_of_its_own(sim: GeminiSim, provider: GeminiProvider) -> None:
    await call(provider, order(target="models/gemini-3-pro-image", options={"resolutions": []}))
    assert sim.journal.of(STREAM)[-1].path == "/v1beta/models/gemini-3-pro-image:streamGenerateContent"


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"mask": picture()}, ProviderRejected, "mask"),
        ({"num_images": 2}, ProviderMisconfigured, "max_per_call"),
        ({"prompt": ""}, ProviderMisconfigured, "no prompt"),
        ({"params": {"direction": "left"}}, ProviderRejected, "direction"),
        ({"options": {"prompts": {"generate": "{weather}"}}}, ProviderMisconfigured, "weather"),
        ({"options": {"prompts": "paint"}}, ProviderMisconfigured, "prompts"),
        ({"options": {"input": ["paint"]}}, ProviderMisconfigured, "input"),
        ({"options": {"input": {"a": "{weather}"}}}, ProviderMisconfigured, "weather"),
        ({"options": {"aspect_ratios": ["wide"]}}, ProviderMisconfigured, "aspect_ratios"),
        ({"options": {"resolutions": ["8K"]}}, ProviderMisconfigured, "resolutions"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before(
    sim: GeminiSim, provider: GeminiProvider, changes: dict[str, Any], kind: type[Problem], words: str
) -> None:
    with pytest.raises(kind) as caught:
        await provider.submit(order(**changes))
    assert words in caught.value.detail
    assert not sim.journal.entries


async def test_pictures_that_are_too_large_together(sim: GeminiSim) -> None:
    async with closing(GeminiProvider(at(sim.url, max_request_bytes=2_000))) as provider:
        with pytest.raises(ProviderRejected) as caught:
            await provider.submit(order(operation="edit", images=(picture(bytes(900)), picture(bytes(900)))))
        assert caught.value.field == "images"
        assert caught.value.limit == 2_000
        with pytest.raises(ProviderRejected):
            await provider.submit(order(prompt="word " * 500))
        assert not sim.journal.entries
        assert (await call(provider, order(operation="edit", images=(picture(),)))).outputs


# Prompts per operation


def asked(sim: GeminiSim) -> str:
    text = sent(sim)["contents"][-1]["parts"][0]["text"]
    assert isinstance(text, str)
    return text


async def test_words_for_an_operation(sim: GeminiSim, provider: GeminiProvider) -> None:
    template = "Light it anew[ from the {params.direction}][: {prompt}][, like the {images.1}]. No more."
    relight = {"operation": "relight", "options": {"prompts": {"relight": template}}}
    one, two = (picture(),), (picture(), picture())
    await call(provider, order(**relight, images=one, prompt="", params={"direction": "left"}))
    assert asked(sim) == "Light it anew from the left. No more."
    await call(provider, order(**relight, images=two, prompt="[warm] {seed}"))
    assert asked(sim) == "Light it anew: [warm] {seed}, like the second picture. No more."
    await call(provider, order(images=one, options={"prompts": {"relight": template}}))
    assert asked(sim) == "a lighthouse"


async def test_a_negative_prompt_is_heard(sim: GeminiSim, provider: GeminiProvider) -> None:
    await call(provider, order(negative_prompt="people"))
    assert asked(sim) == "a lighthouse\n\nLeave out: people"


# Conversations


async def made_by_gemini(provider: GeminiProvider, request: AttemptRequest = ORDER) -> Told:
    told = await call(provider, request)
    assert told.outputs[0].data is not None
    return told


def follow_up(told: Told, **changes: Any) -> AttemptRequest:
    data = told.outputs[0].data
    image = replace(picture(data, "image/jpeg"), notes=told.finished.notes)
    return order(**({"operation": "edit", "prompt": "at night", "images": (image,)} | changes))


async def test_an_edit_of_its_own_picture_is_the_next_turn(sim: GeminiSim, provider: GeminiProvider) -> None:
    told = await made_by_gemini(provider)
    notes = json.loads(json.dumps(told.finished.notes))  # they are kept as JSON
    assert notes["target"] == "gemini-3.1-flash-image"
    (signature,) = notes["thought_signatures"].values()
    await call(provider, follow_up(told))
    first, second, third = sent(sim)["contents"]
    assert first == {"role": "user", "parts": [{"text": "a lighthouse"}]}
    assert second["role"] == "model"
    (part,) = second["parts"]
    assert part["thoughtSignature"] == signature
    assert base64.b64decode(part["inlineData"]["data"]) == told.outputs[0].data
    assert third == {"role": "user", "parts": [{"text": "at night"}]}


async def test_other_pictures_are_shown_without_a_signature(sim: GeminiSim, provider: GeminiProvider) -> None:
    told = await made_by_gemini(provider)
    notes = told.finished.notes
    smaller = replace(picture(png()), notes=notes)  # made to fit: other bytes
    own = follow_up(told).images[0]
    for request in (
        follow_up(told, images=(smaller,)),
        follow_up(told, target="gemini-3-pro-image", options={"resolutions": []}),
        follow_up(told, images=(own, picture())),
        follow_up(told, images=(replace(own, notes={"thought_signatures": "none", "target": 3}),)),
    ):
        await call(provider, request)
        assert [turn["role"] for turn in sent(sim)["contents"]] == ["user"]
        assert "thoughtSignature" not in json.dumps(sent(sim))


async def test_a_signature_that_is_no_longer_taken(sim: GeminiSim, provider: GeminiProvider) -> None:
    told = await made_by_gemini(provider)
    sim.issued.clear()
    assert (await call(provider, follow_up(told))).outputs
    bodies = [entry.body["contents"] for entry in sim.journal.of(STREAM)]
    assert [len(turns) for turns in bodies] == [1, 3, 1]
    assert sim.works.created == 2  # the refused one was none


async def test_text_may_come_with_the_picture(sim: GeminiSim, provider: GeminiProvider) -> None:
    extra = {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}}
    told = await call(provider, order(options={"input": extra}))
    assert len(told.outputs) == 1
    assert len(told.finished.notes["thought_signatures"]) == 1


async def test_drafts_of_the_thinking_are_no_outputs(sim: GeminiSim, provider: GeminiProvider) -> None:
    extra = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    told = await call(provider, order(options={"input": extra}))
    assert len(told.outputs) == 1
    (work,) = sim.works.items.values()
    assert told.outputs[0].data == work.pictures[0]
    assert told.outputs[0].content_type == "image/jpeg"


# Endings


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", [*FINISHED, "SOMETHING_NEW"])
async def test_every_reason_to_finish_is_told(
    sim: GeminiSim, provider: GeminiProvider, reason: str, stream: bool
) -> None:
    script(sim).finish = [reason]
    script(sim).words = "Because of the weather."
    found = await problem(provider, order(options={"stream": stream}))
    assert type(found) is FINISHED.get(reason, (ProviderFailed, ""))[0]
    assert f"({reason})" in found.detail
    assert found.detail.endswith("It says: Because of the weather.")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("reason", [*BLOCKED, "SOMETHING_NEW"])
async def test_every_reason_to_block_is_a_refusal(
    sim: GeminiSim, provider: GeminiProvider, reason: str, stream: bool
) -> None:
    script(sim).block = [reason]
    found = await problem(provider, order(options={"stream": stream}))
    assert isinstance(found, ProviderRefused)
    assert f"({reason})" in found.detail


async def test_the_category_of_a_refusal_is_told(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).faults.append(Fault("refusal", "It violated the policy."))
    found = await problem(provider)
    assert isinstance(found, ProviderRefused)
    assert "dangerous content" in found.detail
    assert "It violated the policy." in found.detail


async def test_words_in_place_of_a_picture(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).faults.append(Fault("empty"))
    script(sim).words = f"I would rather talk about {KEY}. " + "And so on. " * 200
    found = await problem(provider)
    assert isinstance(found, ProviderFailed)
    assert "I would rather talk about [secret]" in found.detail
    assert len(found.detail) < 500


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("DEADLINE_EXCEEDED", ProviderTimeout),
        ("CANCELLED", ProviderInterrupted),
        ("INTERNAL", ProviderFailed),
        ("UNAVAILABLE", ProviderFailed),
        ("INVALID_ARGUMENT", ProviderRejected),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_of_a_call_that_was_taken(
    sim: GeminiSim, provider: GeminiProvider, status: str, kind: type[Problem], stream: bool
) -> None:
    script(sim).faults.append(Fault("error", f"{status}: it broke"))
    found = await problem(provider, order(options={"stream": stream}))
    if status == "UNAVAILABLE" and not stream:
        kind = ProviderBusy  # a 503 says that nothing was taken
    assert type(found) is kind
    assert "it broke" in found.detail


# Google's errors


def google(code: int, status: str, message: str, *details: dict[str, Any]) -> str:
    error = {"code": code, "status": status, "message": message, "details": list(details)}
    return json.dumps({"error": error})


def refuse(sim: GeminiSim, status: int, body: str, **headers: str) -> None:
    kind = {"Content-Type": "application/json"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    script(sim).failures.append(Failure(STREAM, status, body=body, headers=kind | named))


async def test_a_wrong_key(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).key = "another"
    found = await problem(provider)
    assert type(found) is ProviderMisconfigured
    assert "refused our key" in found.detail
    health = await provider.health()
    assert not health.ok
    assert "refused our key" in health.detail


async def test_no_key(sim: GeminiSim) -> None:
    async with closing(GeminiProvider(GeminiSettings(base_url=sim.url))) as keyless:
        health = await keyless.health()
    assert "unregistered callers" in health.detail


async def test_an_unknown_model(sim: GeminiSim, provider: GeminiProvider) -> None:
    found = await problem(provider, order(target="gemini-2.5-flash-image"))
    assert type(found) is ProviderMisconfigured
    assert "gemini-2.5-flash-image is not found" in found.detail


async def test_a_busy_service_says_for_how_long(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).slots = 0
    script(sim).retry_seconds = 3.5
    found = await problem(provider)
    assert type(found) is ProviderBusy
    assert found.retry_after == 3.5
    assert sim.works.created == 0


QUOTA = "You exceeded your current quota.\n* Quota exceeded for metric: requests, limit: {}, model: x"
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "retry_after"),
    [
        (429, google(429, "RESOURCE_EXHAUSTED", QUOTA.format(10), RETRY), ProviderBusy, 17),
        (429, google(429, "RESOURCE_EXHAUSTED", QUOTA.format(0), RETRY), ProviderMisconfigured, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
         ProviderMisconfigured, None),
        (429, google(429, "RESOURCE_EXHAUSTED", "Later."), ProviderBusy, 9),
        (429, google(429, "RESOURCE_EXHAUSTED", "Later.", {"retryDelay": "soon"}), ProviderBusy, 9),
        (503, google(503, "UNAVAILABLE", "The model is overloaded."), ProviderBusy, 9),
        (400, google(400, "FAILED_PRECONDITION", "User location is not supported."),
         ProviderMisconfigured, None),
        (400, google(400, "INVALID_ARGUMENT", "Unable to process input image."), ProviderRejected, None),
        (400, google(400, "INVALID_ARGUMENT", "API key expired.", {"reason": "API_KEY_INVALID"}),
         ProviderMisconfigured, None),
        (401, google(401, "UNAUTHENTICATED", "No."), ProviderMisconfigured, None),
        (403, google(403, "PERMISSION_DENIED", "Generative Language API has not been used."),
         ProviderMisconfigured, None),
        (404, google(404, "NOT_FOUND", "models/x is not found."), ProviderMisconfigured, None),
        (413, "<html>413. That's an error.</html>", ProviderRejected, None),
        (499, google(499, "CANCELLED", "The operation was cancelled."), ProviderInterrupted, None),
        (500, google(500, "INTERNAL", "An internal error has occurred."), ProviderFailed, None),
        (504, google(504, "DEADLINE_EXCEEDED", "Deadline expired."), ProviderTimeout, None),
        (502, "<html>502. That's an error.</html>", OutcomeUnknown, None),
        (500, "", OutcomeUnknown, None),
        (400, f"[{google(400, 'INVALID_ARGUMENT', 'In a list.')}]", ProviderRejected, None),
        (400, '{"error": "told by a proxy"}', ProviderRejected, None),
        (307, "", ProviderMisconfigured, None),
    ],
)  # fmt: skip
async def test_errors(
    sim: GeminiSim,
    provider: GeminiProvider,
    status: int,
    body: str,
    kind: type[Problem],
    retry_after: float | None,
) -> None:
    refuse(sim, status, body, Retry_After="9", Location="/elsewhere")
    with pytest.raises(ProviderProblem) as caught:
        await provider.submit(ORDER)
    assert type(caught.value) is kind
    assert caught.value.retry_after == retry_after
    assert "gemini" in caught.value.detail
    assert "<" not in caught.value.detail
    assert sim.works.created == 0


# Answers in other forms


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server of its own; its address."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Fake:
    """A server that answers with given bytes."""

    def __init__(self) -> None:
        self.body = b""
        self.content_type = "text/event-stream"
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        return web.Response(body=self.body, content_type=self.content_type)


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    made = Fake()
    async with serving(made.answer) as made.url:
        yield made


class Slow:
    """A server that begins its answer and ends it when it is let; `left` once its caller has gone."""

    def __init__(self, *first: dict[str, Any]) -> None:
        self.first = first
        self.ends, self.left = asyncio.Event(), asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(events(*self.first))
        try:
            await self.ends.wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        await response.write(events(chunk(finishReason="STOP")))
        return response


def at(url: str, **settings: Any) -> GeminiSettings:
    return GeminiSettings(**({"api_key": KEY, "base_url": url} | settings))


async def answered(fake: Fake, body: bytes, content_type: str = "text/event-stream") -> Told:
    fake.body, fake.content_type = body, content_type
    async with closing(GeminiProvider(at(fake.url))) as provider:
        return await call(provider, ORDER)


def inline(data: bytes = b"pixels") -> dict[str, Any]:
    return {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}


def chunk(*parts: dict[str, Any], **candidate: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": list(parts)}, **candidate}]}


def events(*chunks: Any, end: str = "\r\n") -> bytes:
    return "".join(f"data: {json.dumps(one)}{end}{end}" for one in chunks).encode()


@pytest.mark.parametrize("end", ["\r\n", "\n"])
async def test_a_stream_without_a_reason_at_its_end(fake: Fake, end: str) -> None:
    told = await answered(fake, events(chunk(inline()), end=end))
    assert [output.data for output in told.outputs] == [b"pixels"]
    assert told.finished.usd is None
    assert told.finished.notes == {}


async def test_comments_and_fields_are_passed_over(fake: Fake) -> None:
    body = b": alive\n\nevent: piece\nid: 3\ndata:" + json.dumps(chunk(inline())).encode()
    assert len((await answered(fake, body)).outputs) == 1


async def test_data_in_several_lines(fake: Fake) -> None:
    text = json.dumps(chunk(inline()), indent=1)
    body = "".join(f"data: {line}\n" for line in text.splitlines()).encode() + b"\n"
    assert len((await answered(fake, body)).outputs) == 1


async def test_a_list_instead_of_events(fake: Fake) -> None:
    body = json.dumps([chunk({"text": "Here."}), chunk(inline()), chunk(finishReason="STOP")]).encode()
    assert len((await answered(fake, body, "application/json")).outputs) == 1


async def test_names_in_snake_case(fake: Fake) -> None:
    part = {"inline_data": {"mime_type": "image/png", "data": base64.b64encode(b"pixels").decode()}}
    told = await answered(fake, events(chunk(part | {"thought_signature": "abc"}, finish_reason="STOP")))
    assert told.outputs[0].content_type == "image/png"
    assert list(told.finished.notes["thought_signatures"].values()) == ["abc"]


async def test_several_pictures_of_one_answer(fake: Fake) -> None:
    told = await answered(
        fake, events(chunk(inline(b"one"), {"text": "and"}, inline(b"two")), chunk(inline(b"3")))
    )
    assert [(output.index, output.data) for output in told.outputs] == [(0, b"one"), (1, b"two"), (2, b"3")]


async def test_an_error_in_mid_stream_as_bare_json(fake: Fake) -> None:
    body = events(chunk({"text": "Let"})) + google(500, "INTERNAL", "It broke.").encode()
    with pytest.raises(ProviderFailed, match=r"It broke\."):
        await answered(fake, body)


async def test_a_stream_that_ends_too_early(fake: Fake) -> None:
    with pytest.raises(OutcomeUnknown):
        await answered(fake, events(chunk({"text": "Let me"})))


async def test_a_picture_that_is_here_is_not_lost_with_the_rest(fake: Fake) -> None:
    told = await answered(fake, events(chunk(inline())) + b'data: {"candidates": [{"finishRea')
    assert [output.data for output in told.outputs] == [b"pixels"]
    assert told.finished.usd is None


@pytest.mark.parametrize(
    "body",
    [b"", b"data: none\n\n", b"data: [1]\n\n", b"data: 3\n\n", b"<html>Sign in</html>"],
)
async def test_what_cannot_be_read(fake: Fake, body: bytes) -> None:
    with pytest.raises(OutcomeUnknown):
        await answered(fake, body)


@pytest.mark.parametrize(
    "piece",
    [
        {"candidates": None, "promptFeedback": [], "usageMetadata": 3},
        {"candidates": [3, {"content": 3}, {"content": {"parts": [3, {"text": 3}]}}]},
        {"candidates": [{"finishReason": 3, "safetyRatings": [3, {"blocked": True, "category": None}]}]},
        chunk({"inlineData": {"data": 3}}, {"inlineData": "x"}, {"inlineData": {"data": ""}}),
    ],
)
async def test_fields_of_a_wrong_type(fake: Fake, piece: dict[str, Any]) -> None:
    with pytest.raises(OutcomeUnknown):
        await answered(fake, events(piece))
    assert len((await answered(fake, events(piece, chunk(inline())))).outputs) == 1


async def test_a_picture_that_is_no_base64(fake: Fake) -> None:
    with pytest.raises(ProviderFailed):
        await answered(fake, events(chunk({"inlineData": {"data": "???"}})))


async def test_markup_of_the_model_is_not_passed_on(fake: Fake) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await answered(fake, events(chunk({"text": "<script>alert(1)</script>"}, finishReason="STOP")))
    assert "<" not in caught.value.detail


async def test_a_reason_is_shortened(fake: Fake) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await answered(fake, events(chunk(finishReason="X" * 5_000)))
    assert len(caught.value.detail) < 200


async def test_an_enormous_signature_is_not_kept(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferrotype.providers.gemini.answer.MAX_SIGNATURE", 10)
    told = await answered(fake, events(chunk(inline() | {"thoughtSignature": "a" * 11})))
    assert told.finished.notes == {}


async def test_something_else_at_the_address(fake: Fake) -> None:
    fake.body, fake.content_type = b'{"hello": "world"}', "application/json"
    async with closing(GeminiProvider(at(fake.url))) as provider:
        assert "no Gemini API" in (await provider.health()).detail


# Costs

PRICES = {"input": 0.5, "text": 3.0, "image": 60.0}


async def test_what_it_cost(sim: GeminiSim, provider: GeminiProvider) -> None:
    request = order(operation="edit", images=(picture(),), options={"usd_per_million_tokens": PRICES})
    told = await call(provider, request)
    # Two words and a picture of 560 tokens in; 747 of the picture and 90 of thoughts out.
    assert told.finished.usd == pytest.approx((562 * 0.5 + 90 * 3.0 + 747 * 60.0) / 1e6)
    assert (await call(provider, ORDER)).finished.usd is None


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        ({"promptTokenCount": 100, "candidatesTokenCount": 1_120}, 100 * 0.5 + 1_120 * 60),
        (
            {
                "candidatesTokenCount": 1_140,
                "candidatesTokensDetails": [
                    {"modality": "IMAGE", "tokenCount": 1_120},
                    {"modality": "TEXT", "tokenCount": 20},
                ],
                "toolUsePromptTokenCount": 10,
            },
            10 * 0.5 + 20 * 3 + 1_120 * 60,
        ),
        ({"promptTokenCount": "many"}, 0),
    ],
)
async def test_costs_of_what_is_counted(fake: Fake, usage: dict[str, Any], dollars: float) -> None:
    fake.body = events(chunk(inline()), {"usageMetadata": usage})
    async with closing(GeminiProvider(at(fake.url))) as provider:
        told = await call(provider, order(options={"usd_per_million_tokens": PRICES}))
    assert told.finished.usd == pytest.approx(dollars / 1e6)


# Life


async def test_the_answer_is_watched_once(sim: GeminiSim, provider: GeminiProvider) -> None:
    request_id = await provider.submit(ORDER)
    assert (await watch(provider, ORDER, request_id)).outputs
    with pytest.raises(OutcomeUnknown):
        await watch(provider, ORDER, request_id)
    assert sim.works.created == 1


async def test_a_picture_is_told_before_the_answer_ends() -> None:
    slow = Slow(chunk(inline()))
    async with serving(slow.answer) as url, closing(GeminiProvider(at(url))) as provider:
        request_id = await provider.submit(ORDER)
        async with aclosing(provider.watch(ORDER, request_id)) as watching:  # type: ignore[type-var]
            assert isinstance(await anext(watching), Started)
            assert isinstance(await anext(watching), Output)
            slow.ends.set()
            assert [type(event).__name__ async for event in watching] == ["Finished"]


async def test_canceled_before_it_is_watched(sim: GeminiSim, provider: GeminiProvider) -> None:
    script(sim).hold = "run"
    request_id = await provider.submit(ORDER)
    await provider.cancel(ORDER, request_id)
    with pytest.raises(ProviderInterrupted):
        await watch(provider, ORDER, request_id)


async def test_closing_the_watch_closes_the_connection() -> None:
    slow = Slow()
    async with serving(slow.answer) as url, closing(GeminiProvider(at(url))) as provider:
        request_id = await provider.submit(ORDER)
        async with aclosing(provider.watch(ORDER, request_id)) as watching:  # type: ignore[type-var]
            await anext(watching)
        await slow.left.wait()


async def test_a_watch_that_is_canceled_closes_the_connection() -> None:
    slow = Slow()
    async with serving(slow.answer) as url, closing(GeminiProvider(at(url))) as provider:
        request_id = await provider.submit(ORDER)
        watching = asyncio.ensure_future(watch(provider, ORDER, request_id))
        await asyncio.sleep(0)
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        await slow.left.wait()


async def test_cancel_closes_the_connection() -> None:
    slow = Slow(chunk({"text": "Let me"}))
    async with serving(slow.answer) as url, closing(GeminiProvider(at(url))) as provider:
        request_id = await provider.submit(ORDER)
        watching = asyncio.ensure_future(watch(provider, ORDER, request_id))
        await asyncio.sleep(0)
        await provider.cancel(ORDER, request_id)
        with pytest.raises(ProviderInterrupted):
            await watching
        await slow.left.wait()


async def test_closing_the_provider_ends_what_nobody_watches() -> None:
    slow = Slow()
    async with serving(slow.answer) as url:
        provider = GeminiProvider(at(url))
        await provider.submit(ORDER)
        await provider.close()
        await slow.left.wait()


async def test_answers_that_nobody_watches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferrotype.providers.gemini.provider.KEPT", 1)
    slow = Slow()
    async with serving(slow.answer) as url, closing(GeminiProvider(at(url))) as provider:
        first = await provider.submit(ORDER)
        second = order(attempt_id="0190a3c4-5b6d-7e8f-8a9b-0c1d2e3f4a5c")
        request_id = await provider.submit(second)
        await slow.left.wait()
        with pytest.raises(OutcomeUnknown):
            await watch(provider, ORDER, first)
        slow.ends.set()
        with pytest.raises(ProviderFailed):  # it ended without a picture
            await watch(provider, second, request_id)


async def test_a_silent_service_is_given_up(sim: GeminiSim) -> None:
    script(sim).hold = "run"
    async with closing(GeminiProvider(at(sim.url, stall_timeout=0.05))) as provider:
        with pytest.raises(OutcomeUnknown, match="did not answer in time"):
            await call(provider, ORDER)


# Settings


def test_the_key_has_two_names() -> None:
    assert load(GeminiSettings, {"GOOGLE_API_KEY": "a"}).key == "a"
    assert load(GeminiSettings, {"GOOGLE_API_KEY": "a", "GEMINI_API_KEY": "b"}).key == "b"
    assert not load(GeminiSettings, {}).configured
    assert load(GeminiSettings, {"GEMINI_API_KEY": "b"}).base_url == GOOGLE
    assert load(GeminiSettings, {"GEMINI_BASE_URL": "http://127.0.0.1:4000"}).configured


def test_a_key_with_a_line_break_is_refused() -> None:
    with pytest.raises(ConfigError, match="GEMINI_API_KEY") as caught:
        load(GeminiSettings, {"GEMINI_API_KEY": "secret\n"})
    assert "secret" not in str(caught.value)


# The catalogue

ENTRIES = [
    (name, operation)
    for name, model in load_catalogue(CatalogueSettings()).models.items()
    if any(deployment.provider == "gemini" for deployment in model.deployments)
    for operation in model.operations
]


@pytest.mark.parametrize(("name", "operation"), ENTRIES)
async def test_what_the_catalogue_declares_is_what_is_sent(
    sim: GeminiSim, provider: GeminiProvider, name: str, operation: str
) -> None:
    """Every size of every entry is asked for as it is declared, and every parameter is heard somewhere."""
    entry = load_catalogue(CatalogueSettings()).models[name]
    can, (deployment,) = entry.capabilities, entry.deployments
    served = load_catalogue(CatalogueSettings()).operations[operation]
    base = AttemptRequest(
        attempt_id=ATTEMPT,
        operation=operation,
        model=name,
        target=deployment.target,
        prompt="a lighthouse",
        width=1024,
        height=1024,
        seed=7,
        images=tuple(picture() for _ in range(min(served.max_images, can.max_images))),
        options=deployment.options,
    )
    script(sim).picture_side = 16
    for width, height in can.sizes or []:
        await call(provider, replace(base, width=width, height=height))
        (*_, work) = sim.works.items.values()
        assert (work.width, work.height) == (width, height)
    for param in can.params:
        value = (can.params[param].choices or ["teal"])[0]
        await call(provider, replace(base, params={param: value}))
        config = sent(sim)["generationConfig"]
        places = (asked(sim), config["imageConfig"]["imageSize"], config.get("thinkingConfig"))
        assert str(value) in repr(places)
    assert deployment.target in MODELS
