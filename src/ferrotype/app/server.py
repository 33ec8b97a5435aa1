"""One process, one event loop: the application and Granian's embedded server in it."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from ferrotype.app.compose import Ferrotype
from ferrotype.app.settings import AppSettings
from ferrotype.config import ConfigError
from ferrotype.net.logging import granian_logging

#: `M_ARENA_MAX` of malloc.h.
M_ARENA_MAX: Final = -8
#: Connections at once: every stream and every WebSocket keeps one. The bound on open files is nearer.
CONNECTIONS: Final = 65_536
#: For requests to be answered once nothing they could wait for is left, and for connections to close.
CLOSE_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


async def serve(
    settings: AppSettings,
    *,
    while_serving: Callable[[Ferrotype], Awaitable[None]] | None = None,
    alone: bool = False,
) -> None:
    """Serve until SIGINT or SIGTERM, or until `while_serving` returns, then drain. `alone` tells that the
    process does nothing else, so that its memory may be set up for that.

    A second signal skips the drain. Raises ConfigError when it cannot serve; then nothing is left open.
    """
    settings.http.check_access()
    number = check_port(settings.http.host, settings.http.port)
    application = Ferrotype(settings)
    signals = Signals()
    if alone:
        _spare_memory()
        _allow_files()
    await application.start()
    if alone:  # what is there now stays: a full collection would walk over it each time, which takes 0.1 s
        gc.collect()
        gc.freeze()
    server = http_server(application, number)
    serving = asyncio.create_task(server.serve(), name="http server")
    try:
        await _listening(settings, serving)
        application.folder.announce(address(settings))
        log.info("listening", url=address(settings), data_dir=str(settings.data_dir))
        waits = [asyncio.create_task(signals.first.wait()), serving]
        if while_serving is not None:
            waits.append(asyncio.ensure_future(_call(while_serving, application)))
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in waits:
            if task is not serving and task not in done:
                task.cancel()
        for task in done:
            task.result()
    finally:
        log.info("stopping", signals=signals.names)
        await _stop(application, server, serving, signals)
        log.info("stopped")


def _spare_memory() -> None:
    """glibc gives every thread an arena of its own, whose free memory no other thread uses: two are enough
    for all, at the same speed, and spare 60 MB after cold variants (mallopt(3))."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def _allow_files() -> None:
    """As many open files as the system lets us have, which is often much more than it gives at first: streams
    keep their connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = CONNECTIONS if hard == resource.RLIM_INFINITY else min(hard, CONNECTIONS)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


async def _call(story: Callable[[Ferrotype], Awaitable[None]], application: Ferrotype) -> None:
    await story(application)


async def _stop(
    application: Ferrotype, server: Server, serving: asyncio.Task[None], signals: Signals
) -> None:
    """New orders are refused, jobs end or are handed back, waiting replies and streams are answered, the
    door is closed, and only then what all of them stood on."""
    application.front.stop()
    draining = asyncio.create_task(application.drain(application.settings.http.drain_seconds), name="drain")
    impatient = asyncio.create_task(signals.second.wait(), name="second signal")
    await asyncio.wait((draining, impatient), return_when=asyncio.FIRST_COMPLETED)
    impatient.cancel()
    if not draining.done():
        log.warning("a second signal: jobs that still run are resumed at the next start")
        draining.cancel()
        await asyncio.wait((draining,))
        draining = asyncio.create_task(application.drain(0), name="drain at once")
    await asyncio.wait((draining,))
    if not draining.cancelled() and draining.exception() is not None:
        log.error("the drain broke; jobs are resumed at the next start", exc_info=draining.exception())
    with suppress(TimeoutError):
        await asyncio.wait_for(application.front.idle(), CLOSE_SECONDS)
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait((serving,), timeout=CLOSE_SECONDS)
    await application.close()


class Signals:
    """SIGINT and SIGTERM: the first asks for a drain, the second for haste."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.first, self.second = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._received, number.name)

    def _received(self, name: str) -> None:
        self.names.append(name)
        (self.second if self.first.is_set() else self.first).set()


def http_server(application: Ferrotype, number: str) -> Server:
    """Granian in this event loop, listening at the address with that number."""
    logging.getLogger("_granian").addFilter(_is_news)
    return Server(
        application.front,
        address=number,
        port=application.settings.http.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=True,
        backlog=1024,
        backpressure=CONNECTIONS,
        # `pipeline_flush` would take all that is sent into memory, however slowly a client reads.
        http1_settings=HTTP1Settings(keep_alive=True, pipeline_flush=False),
        log_level=LogLevels.warning,
        log_dictconfig=granian_logging(),
    )


def _is_news(record: logging.LogRecord) -> bool:
    """Granian warns at each start that embedding it is experimental. We know: its version is pinned, and
    signals and the drain are ours and tested."""
    return record.msg != "Embedded server is experimental!"


def address(settings: AppSettings) -> str:
    """Where this machine reaches the server."""
    host = settings.http.host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{settings.http.port}"


def check_port(host: str, port: int) -> str:
    """The number of the address, an IPv4 one where a name has several. Raises ConfigError when it cannot be
    listened on."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise ConfigError(f"FERROTYPE_HOST: {host} is no address of this machine.") from None
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        raise ConfigError(
            f"FERROTYPE_PORT: {host}:{port} cannot be listened on ({error.strerror}); choose another."
        ) from None
    return str(where[0])


async def _listening(settings: AppSettings, serving: asyncio.Task[None]) -> None:
    """Return once connections are accepted."""
    host = settings.http.host
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    for _ in range(500):
        if serving.done():
            serving.result()
            raise ConfigError("The HTTP server ended before it listened.")
        try:
            _, writer = await asyncio.open_connection(target, settings.http.port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return
    raise ConfigError(f"FERROTYPE_PORT: nothing listens on {address(settings)}.")
