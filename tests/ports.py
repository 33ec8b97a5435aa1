"""Ports for servers under test."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

PORTS: Final = itertools.count(os.getpid())


def free_port() -> int:
    """A port that nobody listens on. Each test process has a range of its own below those that the kernel
    gives to outgoing connections, so that nothing takes it before the server does."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 20_000 + worker % 10 * 1_000 + next(PORTS) % 1_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
