"""What the adapters of hosted services share: HTTP with its errors, payloads, outputs, polling, logs."""
