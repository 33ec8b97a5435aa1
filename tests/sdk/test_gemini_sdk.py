"""Google's own client drives the simulator: what it accepts and tells is what Gemini does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ferrotype.providers.gemini.endings import BLOCKED, FINISHED
from ferrotype.sim.gemini import GeminiScript, GeminiSim
from ferrotype.sim.gemini.models import MODELS
from tests.providers.contract.rig import KEY, png
from tests.sdk.venvs import drive

STREAM = "POST /{version}/models/{model}:streamGenerateContent"
GENERATE = "POST /{version}/models/{model}:generateContent"
JPEG = "ffd8ff"


@pytest.fixture
async def sim() -> AsyncIterator[GeminiSim]:
    async with GeminiSim(GeminiScript(key=KEY)) as made:
        yield made


async def told(sim: GeminiSim, script: str, *arguments: str) -> Any:
    return await asyncio.to_thread(drive, "gemini", script, sim.url, KEY, *arguments)


async def test_pictures(sim: GeminiSim) -> None:
    found = await told(sim, "gemini_pictures.py")
    made = found["generate"]
    assert made["pictures"] == [["image/jpeg", JPEG]]
    assert made["signed"] == [True]
    assert made["text"] == "Here is your picture."
    assert made["finish"] == "FinishReason.STOP"
    assert made["model"] == "gemini-3.1-flash-image"
    assert made["image_tokens"] == 747
    thoughts = [chunk for chunk in found["stream"] if chunk["thoughts"]]
    assert len(thoughts) == sim.script.previews
    assert not any(chunk["pictures"] for chunk in thoughts)
    assert [len(chunk["pictures"]) for chunk in found["stream"]] == [0, 0, 1, 0]
    assert found["stream"][-1]["finish"] == "FinishReason.STOP"
    assert found["edit"]["pictures"] == [["image/jpeg", JPEG]]
    assert found["async"]["one"]["pictures"] == [["image/jpeg", JPEG]]
    assert sum(len(chunk["pictures"]) for chunk in found["async"]["chunks"]) == 1
    works = list(sim.works.items.values())
    wide = next(work for work in works if work.prompt == "a lighthouse")
    assert (wide.width, wide.height, wide.seed) == (688, 384, 7)
    edited = next(work for work in works if work.source is not None)
    assert edited.source is not None
    assert edited.source.startswith(bytes.fromhex(JPEG))


async def test_a_chat_carries_signatures(sim: GeminiSim) -> None:
    found = await told(sim, "gemini_chat.py")
    assert found["pictures"] == [1, 1]
    assert found["chunks"] == 2
    assert found["turns"][:4] == ["user", "model", "user", "model"]
    second = sim.journal.of(GENERATE)[1].body["contents"]
    signatures = [part.get("thoughtSignature") for part in second[1]["parts"] if "inlineData" in part]
    assert [signature.replace("-", "+").replace("_", "/") for signature in signatures] == [found["signature"]]
    third = sim.journal.of(STREAM)[0].body["contents"]
    assert [turn["role"] for turn in third] == ["user", "model", "user", "model", "user"]
    missing, corrupted = found["refusals"]["missing"], found["refusals"]["corrupted"]
    assert missing[:2] == corrupted[:2] == [400, "INVALID_ARGUMENT"]
    assert "missing a thought_signature in content position 2, part position 1" in missing[2]
    assert corrupted[2] == "Corrupted thought signature."


async def test_errors(sim: GeminiSim) -> None:
    found = await told(sim, "gemini_errors.py")
    assert found["key"] == [
        "ClientError",
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
    ]
    assert found["model"][:3] == ["ClientError", 404, "NOT_FOUND"]
    for name in ("shape", "size", "picture", "type"):
        assert found[name][:3] == ["ClientError", 400, "INVALID_ARGUMENT"], name
    assert found["busy"] == [429, "RESOURCE_EXHAUSTED", "17s"]
    assert found["failure"] == ["ServerError", 500, "INTERNAL", "the accelerator broke"]
    assert found["finished"]
    assert found["blocked"]
    assert found["streamed"] == "IMAGE_SAFETY"
    # What Google's client knows is what our tables know.
    assert set(found["reasons"]) == set(FINISHED)
    assert set(found["blocks"]) == set(BLOCKED)


async def test_models_and_files(sim: GeminiSim, tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.write_bytes(png())
    found = await told(sim, "gemini_files.py", str(picture))
    assert found["models"] == [f"models/{name}" for name in MODELS]
    assert "generateContent" in found["methods"]
    assert found["limit"] == 65_536
    assert found["state"] == "FileState.ACTIVE"
    assert found["bytes"] == len(png())
    assert found["listed"] == ["mine"]
    assert found["gone"] == [403, "PERMISSION_DENIED"]
    assert found["pictures"] == 1
    assert found["tokens"] == 562
    (work,) = sim.works.items.values()
    assert work.source == png()
