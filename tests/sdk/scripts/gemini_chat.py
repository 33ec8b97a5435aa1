"""google-genai goes on editing in a chat, which carries thought signatures. Arguments: address, key."""

import base64
import json
import sys

from google import genai
from google.genai import errors, types

MODEL = "gemini-3-pro-image"
client = genai.Client(api_key=sys.argv[2], http_options=types.HttpOptions(base_url=sys.argv[1]))
config = types.GenerateContentConfig(
    response_modalities=["TEXT", "IMAGE"], image_config=types.ImageConfig(image_size="1K")
)


def pictures(response):
    return [part for part in response.candidates[0].content.parts if part.inline_data is not None]


chat = client.chats.create(model=MODEL, config=config)
first = pictures(chat.send_message("a red boat"))
second = pictures(chat.send_message("now it is night"))
streamed = list(chat.send_message_stream("and there are stars"))

refusals = {}
turns = [
    types.Content(role="user", parts=[types.Part(text="a red boat")]),
    types.Content(role="model", parts=[types.Part(inline_data=first[0].inline_data)]),
    types.Content(role="user", parts=[types.Part(text="now it is night")]),
]
for name, signature in (("missing", None), ("corrupted", b"of somebody else")):
    turns[1].parts[0].thought_signature = signature
    try:
        client.models.generate_content(model=MODEL, contents=turns, config=config)
    except errors.ClientError as error:
        refusals[name] = [error.code, error.status, error.message]

print(
    json.dumps(
        {
            "pictures": [len(first), len(second)],
            "signature": base64.b64encode(first[0].thought_signature).decode(),
            "chunks": len(streamed),
            "turns": [turn.role for turn in chat.get_history(curated=True)],
            "refusals": refusals,
        }
    )
)
