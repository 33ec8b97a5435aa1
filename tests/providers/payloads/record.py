"""`python -m tests.providers.payloads.record`: write the snapshots anew."""

from tests.providers.payloads.capture import record

record()
