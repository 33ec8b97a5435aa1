"""Every exception of the official SDK, and its way of trying again: `openai_errors.py SIM_URL KEY`."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

import openai

URL, KEY = sys.argv[1:3]
FLARE = "gpt-image-2.6-flare"
ROUTE = "POST /v1/images/generations"
PIXEL = b"\x89PNG\r\n\x1a\n"
told: dict[str, Any] = {}


def script(**values: Any) -> None:
    """Tell the simulator what to do."""
    data = json.dumps(values).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(
        urllib.request.Request(f"{URL}/_sim/script", data, headers, method="PATCH")
    ).close()


def fail(status: int, code: str | None = None, headers: dict[str, str] | None = None, times: int = 1) -> None:
    """The next orders are answered so."""
    error = {"message": f"simulated {status}", "type": "simulated", "param": None, "code": code}
    failure = {
        "route": ROUTE,
        "status": status,
        "times": times,
        "body": json.dumps({"error": error}),
        "headers": {"Content-Type": "application/json", **(headers or {})},
    }
    script(failures=[failure])


def caught(name: str, call: Callable[[], Any]) -> None:
    """Note the exception of a call."""
    try:
        call()
    except openai.OpenAIError as error:
        told[name] = {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "code": getattr(error, "code", None),
            "param": getattr(error, "param", None),
            "type": getattr(error, "type", None),
            "message": str(error)[:300],
            "request_id": bool(getattr(error, "request_id", None)),
        }
    else:
        told[name] = {"class": None}


client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0)


def generate(**values: Any) -> Any:
    return client.images.generate(**{"model": FLARE, "prompt": "a lighthouse", "quality": "low", **values})


# What the service itself calls wrong
caught("unknown_parameter", lambda: generate(response_format="url"))
caught("unknown_in_body", lambda: generate(extra_body={"negative_prompt": "blurry"}))
caught("too_many", lambda: generate(n=11))
caught("none", lambda: generate(n=0))
caught("wrong_type", lambda: generate(n="two"))
caught("missing_prompt", lambda: client.images.generate(model=FLARE, prompt=""))
caught("wrong_size", lambda: generate(size="1000x1000"))
caught("small_size", lambda: generate(size="512x512"))
caught("wrong_quality", lambda: generate(model="gpt-image-2", quality="max"))
caught("fixed_size", lambda: generate(model="gpt-image-1.5", size="1024x1024x3"))
caught("transparent_jpeg", lambda: generate(background="transparent", output_format="jpeg"))
caught("png_compression", lambda: generate(output_compression=50))
caught("stream_of_several", lambda: list(generate(n=2, stream=True)))
caught("unknown_model", lambda: generate(model="gpt-image-9"))
caught("retired_model", lambda: generate(model="dall-e-3"))
caught("mislabelled_file", lambda: client.images.edit(model=FLARE, prompt="x", image=PIXEL))
caught(
    "broken_file", lambda: client.images.edit(model=FLARE, prompt="x", image=("a.png", PIXEL, "image/png"))
)
caught(
    "no_variations", lambda: client.images.create_variation(model=FLARE, image=("a.png", PIXEL, "image/png"))
)
caught("unknown_model_of_list", lambda: client.models.retrieve("gpt-image-9"))

# Every class of a status
for status in (400, 401, 403, 404, 409, 422, 429, 500, 503):
    fail(status)
    caught(str(status), generate)
wrong = openai.OpenAI(api_key="sk-wrong-key-000000", base_url=f"{URL}/v1", max_retries=0)
caught("wrong_key", lambda: wrong.models.list())

# Content policy, as an answer and in mid stream
script(faults=[{"kind": "refusal", "message": "violence"}])
caught("refusal", generate)
script(faults=[{"kind": "refusal", "message": "violence"}])
caught("refusal_in_stream", lambda: list(generate(stream=True, partial_images=1)))
script(faults=[{"kind": "error", "message": "out of memory"}])
caught("failure_in_stream", lambda: list(generate(stream=True)))

# Connections
script(failures=[{"route": ROUTE, "status": 0}])
caught("broken_connection", generate)
script(hold="run")
caught("timeout", lambda: client.with_options(timeout=0.3).images.generate(model=FLARE, prompt="too slow"))
script(hold=None)

# Trying again: what the service says about it is obeyed
patient = client.with_options(max_retries=2)


def again(name: str) -> None:
    try:
        patient.images.generate(model=FLARE, prompt=name, quality="low")
    except openai.OpenAIError as error:
        told[name] = type(error).__name__
    else:
        told[name] = "made"


fail(429, "rate_limit_exceeded", {"retry-after-ms": "1"})
again("retry_after_ms")
fail(400, None, {"x-should-retry": "true", "retry-after-ms": "1"})
again("should_retry")
fail(429, "insufficient_quota", {"x-should-retry": "false"}, times=3)
again("should_not_retry")
print(json.dumps(told))
