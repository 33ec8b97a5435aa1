"""OpenAI's own SDK, in its last 2.x version and its newest one, drives the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ferrotype.sim.hosted import HostedScript
from ferrotype.sim.openai import OpenAISim
from tests.sdk.venvs import drive

KEY = "sk-test-5f2c9a77"
VERSIONS = {"openai-2": "2.54.0", "openai-3": "3.54.0"}
GENERATIONS, EDITS = "POST /v1/images/generations", "POST /v1/images/edits"


@pytest.fixture
async def sim() -> AsyncIterator[OpenAISim]:
    async with OpenAISim(HostedScript(key=KEY)) as simulator:
        yield simulator


@pytest.fixture(params=sorted(VERSIONS))
def sdk(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def driven(sdk: str, sim: OpenAISim, script: str) -> Any:
    return await asyncio.to_thread(drive, sdk, script, sim.url, KEY)


async def test_images(sdk: str, sim: OpenAISim) -> None:
    told = await driven(sdk, sim, "openai_images.py")
    assert told["version"] == VERSIONS[sdk]
    assert "gpt-image-2.6-flare" in told["models"]
    assert told["model"] == "gpt-image-2.6-flare"
    assert told["generate"] == {
        "pictures": ["52494646"],  # RIFF: a WebP
        "size": "1536x1024",
        "quality": "low",
        "background": "transparent",
        "output_format": "webp",
        "tokens": 196,
        "text_tokens": 10,
    }
    assert told["several"] == [[1024, 1024], [1024, 1024]]
    assert told["raw"]["request_id"].startswith("req_")
    assert told["raw"]["pictures"] == [[1024, 1024]]
    assert told["url"].startswith(f"{sim.url}/outputs/")
    assert told["open"] == [[320, 256]]
    assert told["edit"] == {"pictures": [[1024, 1024]], "image_tokens": 1457}
    assert told["edit_several"] == {"pictures": [[1024, 1536]], "tokens": 2914}
    assert told["variation"] == [[256, 256]]
    check_streams(told)
    check_forms(sim)


def check_streams(told: Any) -> None:
    assert [(event["type"], event.get("index")) for event in told["stream"]] == [
        ("image_generation.partial_image", 0),
        ("image_generation.partial_image", 1),
        ("image_generation.completed", None),
    ]
    assert {str(event["picture"]) for event in told["stream"]} == {"[1024, 1024]"}
    assert told["stream"][-1]["tokens"] == 196 + 2 * 100
    assert [event["type"] for event in told["stream_without_partials"]] == ["image_generation.completed"]
    assert [event["type"] for event in told["stream_edit"]] == [
        "image_edit.partial_image",
        "image_edit.completed",
    ]


def check_forms(sim: OpenAISim) -> None:
    """How the SDK names files; the provider does it likewise, see tests/providers/test_openai.py."""
    single, several, streamed = [entry.body for entry in sim.journal.of(EDITS)]
    assert set(single) == {"image", "mask", "model", "prompt"}
    assert single["image"][0]["content_type"] == "image/png"
    assert set(several) >= {"image[]", "input_fidelity", "n"}
    assert several["n"] == ["1"]
    assert len(several["image[]"]) == 2
    assert streamed["stream"] == ["true"]


async def test_errors(sdk: str, sim: OpenAISim) -> None:
    told = await driven(sdk, sim, "openai_errors.py")
    wrong = {
        "unknown_parameter": ("unknown_parameter", "response_format"),
        "unknown_in_body": ("unknown_parameter", "negative_prompt"),
        "too_many": ("integer_above_max_value", "n"),
        "none": ("integer_below_min_value", "n"),
        "wrong_type": ("invalid_type", "n"),
        "missing_prompt": ("missing_required_parameter", "prompt"),
        "wrong_size": ("invalid_value", "size"),
        "small_size": ("invalid_value", "size"),
        "wrong_quality": ("invalid_value", "quality"),
        "fixed_size": ("invalid_value", "size"),
        "transparent_jpeg": ("invalid_value", "background"),
        "png_compression": ("invalid_png_output_compression", "output_compression"),
        "stream_of_several": (None, "n"),
        "mislabelled_file": ("unsupported_file_mimetype", "image"),
        "broken_file": ("invalid_image_file", "image"),
        "no_variations": ("invalid_value", "model"),
    }
    for name, (code, param) in wrong.items():
        assert told[name]["class"] == "BadRequestError", name
        assert (told[name]["code"], told[name]["param"]) == (code, param), name
        assert told[name]["type"] == "invalid_request_error", name
        assert told[name]["request_id"], name
    for name in ("unknown_model", "retired_model", "unknown_model_of_list"):
        assert (told[name]["class"], told[name]["code"]) == ("NotFoundError", "model_not_found"), name
    check_classes(told)
    check_trying_again(told, sim)


def check_classes(told: Any) -> None:
    classes = {
        "400": "BadRequestError",
        "401": "AuthenticationError",
        "403": "PermissionDeniedError",
        "404": "NotFoundError",
        "409": "ConflictError",
        "422": "UnprocessableEntityError",
        "429": "RateLimitError",
        "500": "InternalServerError",
        "503": "InternalServerError",
        "wrong_key": "AuthenticationError",
        "broken_connection": "APIConnectionError",
        "timeout": "APITimeoutError",
    }
    assert {name: told[name]["class"] for name in classes} == classes
    assert told["wrong_key"]["code"] == "invalid_api_key"
    assert (told["refusal"]["class"], told["refusal"]["code"]) == ("BadRequestError", "moderation_blocked")
    assert told["refusal"]["type"] == "image_generation_user_error"
    assert told["refusal_in_stream"]["class"] == "APIError"
    assert told["refusal_in_stream"]["code"] == "moderation_blocked"
    assert told["failure_in_stream"]["message"] == "out of memory"


def check_trying_again(told: Any, sim: OpenAISim) -> None:
    """The SDK obeys `retry-after-ms` and `x-should-retry`."""
    assert told["retry_after_ms"] == "made"
    assert told["should_retry"] == "made"
    assert told["should_not_retry"] == "RateLimitError"
    prompts = [entry.body["prompt"] for entry in sim.journal.of(GENERATIONS) if entry.body]
    assert prompts.count("retry_after_ms") == 1  # its first try was refused before it was read
    refused = [entry for entry in sim.journal.of(GENERATIONS) if entry.status == 429]
    assert len(refused) == 3  # the class of 429, retry_after_ms once, should_not_retry once


async def test_async_client(sdk: str, sim: OpenAISim) -> None:
    told = await driven(sdk, sim, "openai_async.py")
    assert "gpt-image-2.6-flare" in told["models"]
    assert told["pictures"] == 3
    assert told["stream"] == ["image_generation.partial_image", "image_generation.completed"]
    assert told["edit"] == ["image_edit.completed"]
    assert told["error"] == "model_not_found"
