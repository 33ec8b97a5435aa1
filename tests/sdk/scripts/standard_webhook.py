"""The official verifier of Standard Webhooks: secret and body as arguments, headers as JSON."""

from __future__ import annotations

import json
import sys

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

secret, headers, body = sys.argv[1:]
told = Webhook(secret).verify(body, json.loads(headers))
try:
    Webhook(secret).verify(body.replace("cdn.purge", "cdn.other"), json.loads(headers))
except WebhookVerificationError:
    print(json.dumps({"told": told}))
