"""The official SDK's images, against the simulator: `openai_images.py SIM_URL KEY`. Prints what came."""

from __future__ import annotations

import base64
import io
import json
import struct
import sys
import zlib
from typing import Any

from openai import OpenAI
from openai import __version__ as version

URL, KEY = sys.argv[1:3]
FLARE, OPEN = "gpt-image-2.6-flare", "open-diffusion"


def png(width: int, height: int, alpha: bool = False) -> bytes:
    """A picture without any imaging library; with `alpha` its left half is transparent."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    left, right = (b"\0\0\0\0", b"\0\0\0\xff") if alpha else (b"\x90\x60\x30", b"\x30\x60\x90")
    row = b"\0" + left * (width // 2) + right * (width - width // 2)
    header = struct.pack(">IIBBBBB", width, height, 8, 6 if alpha else 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def size(data: bytes) -> list[int] | str:
    """Sides of a PNG, else the first bytes."""
    return list(struct.unpack(">II", data[16:24])) if data[:4] == b"\x89PNG" else data[:4].hex()


def pictures(response: Any) -> list[Any]:
    return [size(base64.b64decode(item.b64_json)) for item in response.data]


def named(name: str, data: bytes) -> io.BytesIO:
    """A file as `open` gives it: the SDK takes its name and type from there."""
    file = io.BytesIO(data)
    file.name = name
    return file


client = OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0)
told: dict[str, Any] = {"version": version}

told["models"] = [model.id for model in client.models.list()]
told["model"] = client.models.retrieve(FLARE).id

made = client.images.generate(
    model=FLARE,
    prompt="a lighthouse",
    size="1536x1024",
    quality="low",
    background="transparent",
    output_format="webp",
    output_compression=80,
    moderation="low",
)
told["generate"] = {
    "pictures": pictures(made),
    "size": made.size,
    "quality": made.quality,
    "background": made.background,
    "output_format": made.output_format,
    "tokens": made.usage.output_tokens,
    "text_tokens": made.usage.input_tokens_details.text_tokens,
}
told["several"] = pictures(client.images.generate(model=FLARE, prompt="two of them", n=2))

raw = client.images.with_raw_response.generate(model=FLARE, prompt="a heading", quality="low")
told["raw"] = {
    "request_id": raw.headers["x-request-id"],
    "milliseconds": float(raw.headers["openai-processing-ms"]),
    "pictures": pictures(raw.parse()),
}

url = client.images.generate(model=OPEN, prompt="by address", size="256x256", response_format="url")
told["url"] = url.data[0].url
extra = client.images.generate(
    model=OPEN,
    prompt="a seed",
    size="320x256",
    extra_body={"seed": 7, "num_inference_steps": 20, "negative_prompt": "blurry"},
)
told["open"] = pictures(extra)

first, second = png(96, 64), png(64, 64)
mask = png(96, 64, alpha=True)
edited = client.images.edit(
    model=FLARE, prompt="a red door", image=named("first.png", first), mask=named("mask.png", mask)
)
told["edit"] = {"pictures": pictures(edited), "image_tokens": edited.usage.input_tokens_details.image_tokens}
several = client.images.edit(
    model="gpt-image-1.5",
    prompt="put them together",
    image=[("first.png", first, "image/png"), named("second.png", second)],
    size="1024x1536",
    quality="medium",
    input_fidelity="high",
    n=1,
)
told["edit_several"] = {
    "pictures": pictures(several),
    "tokens": several.usage.input_tokens_details.image_tokens,
}

varied = client.images.create_variation(image=named("first.png", first), model=OPEN, size="256x256")
told["variation"] = pictures(varied)


def streamed(events: Any) -> list[dict[str, Any]]:
    seen = []
    for event in events:
        item = {"type": event.type, "picture": size(base64.b64decode(event.b64_json)), "size": event.size}
        if event.type.endswith("partial_image"):
            item["index"] = event.partial_image_index
        else:
            item["tokens"] = event.usage.output_tokens
        seen.append(item)
    return seen


told["stream"] = streamed(
    client.images.generate(model=FLARE, prompt="step by step", quality="low", stream=True, partial_images=2)
)
told["stream_without_partials"] = streamed(
    client.images.generate(model=FLARE, prompt="at once", quality="low", stream=True, partial_images=0)
)
told["stream_edit"] = streamed(
    client.images.edit(
        model=FLARE,
        prompt="a red door",
        image=named("first.png", first),
        quality="low",
        stream=True,
        partial_images=1,
    )
)
print(json.dumps(told))
