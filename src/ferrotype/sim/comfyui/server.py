"""A ComfyUI server that draws no pictures of its own: the recorded wire behaviour of 0.3.64, scriptable."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from ferrotype.sim import pixels
from ferrotype.sim.door import Door

from .admin import Admin
from .faults import middleware, note_status
from .files import Files
from .folders import Folders
from .gate import Gate
from .graph import Cache
from .journal import Journal
from .queue import PromptQueue
from .routes import Routes
from .run import Run
from .script import Script
from .sockets import Hub

_LATE_SECONDS = 0.25  # how long a late history waits for polls that find it empty


class ComfySim(Door):
    """One simulated server. Use it as an async context manager, or `start` and `stop` it.

    `base_dir` holds the folders output, input and temp (a temporary one, removed at the end, if not given).
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        base_dir: Path | str | None = None,
        tls: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(tls)
        self.script = script or Script()
        self.journal = Journal()
        self.base_path = ""
        self._scratch = tempfile.TemporaryDirectory(prefix="comfysim-") if base_dir is None else None
        self.folders = Folders(Path(self._scratch.name if self._scratch else str(base_dir)))
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._fresh()

    def _fresh(self) -> None:
        """The state of a process that has just started."""
        self.hub = Hub(self.features)
        self.queue = PromptQueue(self._queue_changed)
        self.owners: dict[str, str] = {}
        self._runs: dict[int, Run] = {}
        self.next_number = 0  # counted from 0 by every new process
        self._cache_age = 0
        self._polls: dict[str, int] = {}
        self._polled = asyncio.Event()
        self._save_lock = asyncio.Lock()

    # Life

    @property
    def url(self) -> str:
        """Where it listens, with the base path and without a slash at the end."""
        return super().url + self.base_path

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Starts to listen and to work. Port 0 takes a free one. Raises OSError where it can't bind."""
        self.base_path = "/" + self.script.base_path.strip("/") if self.script.base_path.strip("/") else ""
        self._older_files()
        await self._listen(self._application(), host, port)
        self._work()

    async def stop(self) -> None:
        """Aborts what runs, closes every connection and removes the temporary folder."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._leave()
        if self._scratch is not None:
            self._scratch.cleanup()

    async def restart(self) -> None:
        """Dies and comes back on the same port: connections break, queue, history, cache and temp files are
        gone, numbers start at 0; output and input files and the journal stay."""
        await self.close_door()
        self.forget()
        await self.open_door()

    def forget(self) -> None:
        """The restart without the closed port, which a request of its own can ask for."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._abort_sockets()
        self.folders.wipe_temp()
        self._fresh()
        self._work()
        self.wake()

    # Control

    def release(self, prompt_id: str | None = None, upto: int | None = None) -> None:
        """Lets held prompts go on: one or all, for good or until after step `upto`."""
        for run in self._runs.values():
            if prompt_id in (None, run.prompt_id):
                run.gate.release(upto)

    def parked(self, step: int | None = None) -> list[str]:
        """Ids of the prompts that wait at a gate (before that `step`, if one is given; 0 is the start)."""
        return [
            run.prompt_id
            for run in self._runs.values()
            if run.gate.parked_before is not None and step in (None, run.gate.parked_before)
        ]

    async def held(self, count: int = 1, step: int | None = None) -> list[str]:
        """Waits until at least `count` prompts are parked (before that `step`, if one is given); gives their
        ids."""
        while len(found := self.parked(step)) < count:
            await self._changed.wait()
        return found

    async def idle(self) -> None:
        """Waits until nothing is pending or running."""
        while self.queue.remaining:
            await self._changed.wait()

    def drop_sockets(self, client_id: str | None = None) -> None:
        """Breaks that client's websocket, or all."""
        self.hub.drop(client_id)

    def wake(self) -> None:
        """Makes waiting prompts and tests look again after a change of the script."""
        for run in self._runs.values():
            run.gate.look()
        self._tell()

    @property
    def working(self) -> bool:
        """Whether a worker lives. A prompt can kill it (`extra_data: null`); every GET still answers then."""
        return any(not task.done() for task in self._tasks[1:])

    async def worker_died(self) -> None:
        """Waits until a worker was killed."""
        await asyncio.wait(self._tasks[1:], return_when=asyncio.FIRST_COMPLETED)

    # What the handlers use

    def take_number(self, *, front: bool) -> float:
        """The next prompt number, negative for the front of the queue."""
        number = self.next_number
        self.next_number += 1
        return -number if front else number

    def exec_info(self) -> dict[str, Any]:
        """GET /prompt, and the body of `status` messages."""
        return {"exec_info": {"queue_remaining": self.queue.remaining}}

    def features(self) -> dict[str, Any]:
        """GET /features, and the answer to `feature_flags`."""
        return {"supports_preview_metadata": True, "max_upload_size": self.script.max_upload_size}

    def greeting(self, client_id: str) -> Iterable[dict[str, Any]]:
        """The first messages on a socket: the status, and the node that runs for a client that reconnects."""
        yield {"type": "status", "data": {"status": self.exec_info(), "sid": client_id}}
        for run in self._runs.values():
            if run.client_id == client_id and run.last_node is not None:
                yield {"type": "executing", "data": {"node": run.last_node}}

    def interrupt(self, prompt_id: Any) -> None:
        """Asks the running prompt of that id, or every running one, to stop; pending ones never."""
        for run in self._runs.values():
            if prompt_id in (None, run.prompt_id):
                run.gate.interrupt()

    def forget_cache(self) -> None:
        """POST /free: the next prompt starts with an empty cache."""
        self._cache_age += 1

    def poll_history(self, prompt_id: str) -> dict[str, Any] | None:
        """GET /history/{id}, with the scripted delay."""
        self._polled.set()
        entry = self.queue.history.get(prompt_id)
        if entry is None:
            return None
        self._polls[prompt_id] = self._polls.get(prompt_id, 0) + 1
        return None if self._polls[prompt_id] <= self.script.history_empty_polls else entry

    # Work

    def _work(self) -> None:
        self._tasks = [asyncio.create_task(self.hub.publish())]
        self._tasks += [asyncio.create_task(self._worker()) for _ in range(max(1, self.script.workers))]

    async def _worker(self) -> None:
        cache, age = Cache(), self._cache_age
        while True:
            ticket, item = await self.queue.get()
            if age != self._cache_age:
                cache, age = Cache(), self._cache_age
            # A crash from here to `done` ends this worker and leaves the prompt running, as in the real one.
            run = Run(
                item,
                script=self.script,
                folders=self.folders,
                hub=self.hub,
                journal=self.journal,
                cache=cache,
                gate=Gate(self.script, self._tell),
                save_lock=self._save_lock,
                owners=self.owners,
            )
            self._runs[ticket] = run
            self.journal.mark("started", run.prompt_id)
            outcome = await run.execute()
            if self.script.history_late:
                await self._empty_polls(self.script.history_late)
            del self._runs[ticket]
            self._polls.pop(run.prompt_id, None)
            self.queue.done(ticket, outcome, run.status())
            if run.client_id is not None:
                self.hub.send("executing", {"node": None, "prompt_id": run.prompt_id}, run.client_id)
            self.journal.mark("finished", run.prompt_id)

    async def _empty_polls(self, count: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LATE_SECONDS):
                for _ in range(count):
                    self._polled.clear()
                    await self._polled.wait()

    def _queue_changed(self) -> None:
        self.hub.send("status", {"status": self.exec_info()})
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _older_files(self) -> None:
        older = self.script.older
        for number in range(1, older.count + 1) if older else ():
            path = self.folders.output / f"{older.prefix}_{number:05}_.png" if older else None
            if path is not None and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pixels.png(pixels.solid(64, 64, (number % 256, 90, 160))))

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[middleware(self)], client_max_size=self.script.max_upload_size)
        app.on_response_prepare.append(note_status(self))
        routes = [*Routes(self).table(), *Files(self).table()]
        for prefix in ("/api", ""):
            app.router.add_routes(_prefixed(routes, self.base_path + prefix))
        app.router.add_routes(_prefixed(Admin(self).table(), self.base_path))
        # What is not known is looked up in the front end's folder: hence a 404 is an empty stream.
        web_root = self.folders.base / "web"
        web_root.mkdir(exist_ok=True)
        app.router.add_static(self.base_path or "/", web_root)
        return app

    def _abort_sockets(self) -> None:
        self.hub.drop()


def _prefixed(routes: Iterable[web.RouteDef], prefix: str) -> list[web.RouteDef]:
    return [web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs) for route in routes]
