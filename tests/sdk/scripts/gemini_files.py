"""google-genai lists models, counts tokens, and uploads pictures once. Arguments: address, key, a picture."""

import json
import sys

from google import genai
from google.genai import errors, types

MODEL = "gemini-3.1-flash-image"
client = genai.Client(api_key=sys.argv[2], http_options=types.HttpOptions(base_url=sys.argv[1]))

models = [model.name for model in client.models.list(config={"page_size": 2})]
model = client.models.get(model=MODEL)

file = client.files.upload(file=sys.argv[3], config={"mime_type": "image/png", "display_name": "mine"})
made = client.models.generate_content(
    model=MODEL,
    contents=[file, "at night"],
    config={"response_modalities": ["IMAGE"], "image_config": {"image_size": "512"}},
)
counted = client.models.count_tokens(model=MODEL, contents=[file, "at night"])
found = client.files.get(name=file.name)
listed = [item.display_name for item in client.files.list()]
client.files.delete(name=file.name)
try:
    client.files.get(name=file.name)
    gone = None
except errors.ClientError as error:
    gone = [error.code, error.status]

print(
    json.dumps(
        {
            "models": models,
            "methods": model.supported_actions,
            "limit": model.input_token_limit,
            "state": str(found.state),
            "bytes": found.size_bytes,
            "listed": listed,
            "gone": gone,
            "pictures": len(made.candidates[0].content.parts),
            "tokens": counted.total_tokens,
        }
    )
)
