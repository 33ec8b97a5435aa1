"""Every way in which google-genai learns that there is no picture. Arguments: address, key."""

import json
import sys
import urllib.request

from google import genai
from google.genai import errors, types

address, key = sys.argv[1:3]
MODEL = "gemini-3.1-flash-image"
CONFIG = {"response_modalities": ["IMAGE"], "image_config": {"image_size": "512"}}
client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=address))


def script(**values):
    body = json.dumps(values).encode()
    request = urllib.request.Request(f"{address}/_sim/script", data=body, method="PATCH")
    urllib.request.urlopen(request).read()


def refused(call):
    try:
        call()
    except errors.APIError as error:
        return [type(error).__name__, error.code, error.status, error.message]
    return None


def generate(client=client, **changes):
    return client.models.generate_content(
        **({"model": MODEL, "contents": "a lighthouse", "config": CONFIG} | changes)
    )


def stream():
    return list(client.models.generate_content_stream(model=MODEL, contents="a lighthouse", config=CONFIG))


other = genai.Client(api_key="wrong", http_options=types.HttpOptions(base_url=address))
told = {
    "key": refused(lambda: generate(other)),
    "model": refused(lambda: generate(model="gemini-9-image")),
    "shape": refused(lambda: generate(config={"image_config": {"aspect_ratio": "7:5"}})),
    "size": refused(lambda: generate(config={"image_config": {"image_size": "1k"}})),
    "picture": refused(
        lambda: generate(contents=["edit", types.Part.from_bytes(data=b"none", mime_type="image/png")])
    ),
    "type": refused(
        lambda: generate(contents=["edit", types.Part.from_bytes(data=b"GIF89a", mime_type="image/gif")])
    ),
}
script(slots=0)
try:
    generate()
except errors.ClientError as error:
    details = error.details["error"]["details"]
    told["busy"] = [error.code, error.status, next(d["retryDelay"] for d in details if "retryDelay" in d)]
script(slots=None, faults=[{"kind": "error", "message": "the accelerator broke"}])
told["failure"] = refused(generate)

reasons = [reason.value for reason in types.FinishReason]
known = [reason for reason in reasons if reason != "CONTINUATION"]  # the SDK goes on by itself after that
script(finish=known)
finished = [generate().candidates[0].finish_reason for _ in known]
blocks = [reason.value for reason in types.BlockedReason]
script(block=blocks)
blocked = [generate().prompt_feedback.block_reason for _ in blocks]
script(finish=["IMAGE_SAFETY"])
chunks = stream()

print(
    json.dumps(
        told
        | {
            "reasons": reasons,
            "finished": [reason.value for reason in finished] == known,
            "blocks": blocks,
            "blocked": [reason.value for reason in blocked] == blocks,
            "streamed": chunks[-1].candidates[0].finish_reason.value,
        }
    )
)
