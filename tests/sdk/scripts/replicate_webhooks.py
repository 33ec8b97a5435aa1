"""The official client's check of webhooks, on those that the simulator sends. Arguments: address, key."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import replicate
from replicate.webhook import InvalidSignatureError, WebhookSigningSecret

BASE, KEY = sys.argv[1:3]
client = replicate.Client(api_token=KEY, base_url=BASE)
received: list[tuple[dict[str, str], str]] = []
ended = threading.Event()


class Door(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        received.append((dict(self.headers), body))
        self.send_response(200)
        self.end_headers()
        if json.loads(body)["status"] == "succeeded":
            ended.set()

    def log_message(self, *_: object) -> None: ...


def is_valid(secret: WebhookSigningSecret, headers: dict[str, str], body: str) -> bool:
    try:
        client.webhooks.validate(headers=headers, body=body, secret=secret, tolerance=300)
    except InvalidSignatureError:
        return False
    return True


server = HTTPServer(("127.0.0.1", 0), Door)
threading.Thread(target=server.serve_forever, daemon=True).start()
made = client.models.predictions.create(
    "black-forest-labs/flux-schnell",
    input={"prompt": "tell me"},
    webhook=f"http://127.0.0.1:{server.server_port}/hook",
    webhook_events_filter=["start", "completed"],
)
assert ended.wait(30)
secret = client.webhooks.default.secret()
other = WebhookSigningSecret(key="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
print(
    json.dumps(
        {
            "statuses": [json.loads(body)["status"] for _, body in received],
            "ids": {json.loads(body)["id"] for _, body in received} == {made.id},
            "valid": [is_valid(secret, headers, body) for headers, body in received],
            "with another key": [is_valid(other, headers, body) for headers, body in received],
            "with another body": [is_valid(secret, headers, body + " ") for headers, body in received],
        }
    )
)
