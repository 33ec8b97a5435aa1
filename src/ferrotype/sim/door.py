"""The port of a simulated server: opened, closed and opened again while the work behind it goes on."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from typing import Any, Self

from aiohttp import web


class Door(ABC):
    """Base of the simulators; an async context manager. `tls` is (certificate, key) as PEM paths.

    A subclass gives `start` and `stop`, which call `_listen` and `_leave`.
    """

    def __init__(self, tls: tuple[str, str] | None = None) -> None:
        self.port = 0
        self._host = "127.0.0.1"
        self._tls: ssl.SSLContext | None = None
        if tls is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*tls)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http{'s' if self._tls else ''}://{self._host}:{self.port}"

    @abstractmethod
    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Starts to listen and to work. Port 0 takes a free one. Raises OSError where it can't bind."""

    @abstractmethod
    async def stop(self) -> None:
        """Ends all work and connections."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def close_door(self) -> None:
        """Stops listening and breaks all connections: new ones are refused. Work goes on."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self._abort_connections()

    async def open_door(self) -> None:
        """Listens again, on the same port."""
        if self._runner is None:
            raise RuntimeError("not started")
        self._site = web.TCPSite(
            self._runner, self._host, self.port, ssl_context=self._tls, reuse_address=True, backlog=1024
        )
        await self._site.start()
        self.port = int(self._runner.addresses[-1][1])

    async def _listen(self, app: web.Application, host: str, port: int, **options: Any) -> None:
        self._host, self.port = host, port
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, **options)
        await self._runner.setup()
        await self.open_door()

    async def _leave(self) -> None:
        if self._runner is not None:
            self._abort_connections()
            await self._runner.cleanup()
            self._runner = self._site = None

    def _abort_connections(self) -> None:
        server = self._runner.server if self._runner is not None else None
        for connection in list(server.connections) if server is not None else []:
            if connection.transport is not None:
                connection.transport.abort()
