"""google-genai makes and edits pictures: at once, streamed, async. Arguments: the API's address, its key."""

import asyncio
import json
import sys

from google import genai
from google.genai import types

MODEL = "gemini-3.1-flash-image"
client = genai.Client(api_key=sys.argv[2], http_options=types.HttpOptions(base_url=sys.argv[1]))


def facts(response):
    parts = [part for candidate in response.candidates or [] for part in candidate.content.parts or []]
    pictures = [part for part in parts if part.inline_data is not None and not part.thought]
    return {
        "pictures": [[part.inline_data.mime_type, part.inline_data.data[:3].hex()] for part in pictures],
        "signed": [bool(part.thought_signature) for part in pictures],
        "thoughts": sum(bool(part.thought) for part in parts),
        "text": "".join(part.text for part in parts if part.text and not part.thought),
        "finish": str(response.candidates[0].finish_reason) if response.candidates else None,
        "tokens": response.usage_metadata.total_token_count if response.usage_metadata else None,
    }


def generate():
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio="16:9", image_size="512"),
        seed=7,
    )
    response = client.models.generate_content(model=MODEL, contents="a lighthouse", config=config)
    return facts(response) | {
        "model": response.model_version,
        "image_tokens": response.usage_metadata.candidates_tokens_details[0].token_count,
    }


def stream():
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"],
        image_config=types.ImageConfig(image_size="512"),
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level="high"),
    )
    chunks = list(client.models.generate_content_stream(model=MODEL, contents="a harbour", config=config))
    return [facts(chunk) for chunk in chunks]


def edit(picture):
    response = client.models.generate_content(
        model=MODEL,
        contents=["put the first on the second", types.Part.from_bytes(data=picture, mime_type="image/jpeg")],
        config={"response_modalities": ["IMAGE"], "image_config": {"image_size": "512"}},
    )
    return facts(response)


async def both():
    config = {"response_modalities": ["IMAGE"], "image_config": {"image_size": "512"}}
    one = client.aio.models.generate_content(model=MODEL, contents="a mill", config=config)
    streamed = await client.aio.models.generate_content_stream(model=MODEL, contents="a barn", config=config)
    chunks = [facts(chunk) async for chunk in streamed]
    made = facts(await one)
    await client.aio.aclose()
    return {"one": made, "chunks": chunks}


first = client.models.generate_content(
    model=MODEL,
    contents="a cat",
    config={"response_modalities": ["IMAGE"], "image_config": {"image_size": "512"}},
)
print(
    json.dumps(
        {
            "generate": generate(),
            "stream": stream(),
            "edit": edit(first.candidates[0].content.parts[0].inline_data.data),
            "async": asyncio.run(both()),
        }
    )
)
