"""The ComfyUI provider: the port's calls, told as stories. Wire facts are those of ComfyUI 0.3.64."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import ProviderProblem, ProviderUnavailable
from ferrotype.providers.base import AttemptRequest, FetchRequest, Found, Health, Lookup, Traits, WatchEvent
from ferrotype.providers.comfyui.client import Client
from ferrotype.providers.comfyui.demux import Demux
from ferrotype.providers.comfyui.errors import WebsocketRefused
from ferrotype.providers.comfyui.finder import Finder, Pending, Running
from ferrotype.providers.comfyui.origins import Origins, read, removed
from ferrotype.providers.comfyui.queue import ATTEMPT_KEY
from ferrotype.providers.comfyui.run import Run
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.providers.comfyui.socket import Socket
from ferrotype.providers.comfyui.watch import Pace, Watch
from ferrotype.providers.workflows import order
from ferrotype.providers.workflows.graph import only_by_websocket
from ferrotype.providers.workflows.library import Library
from ferrotype.providers.workflows.templates import with_prefix

#: Prompts submitted and not watched yet whose messages are kept.
UNWATCHED: Final = 1_000
#: Seconds between looks at the queue until a stopped prompt is gone; nodes look for it when they like.
CANCEL_LOOKS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


class ComfyUIProvider:
    """One ComfyUI server. Use it from one event loop; `close` it there."""

    traits: ClassVar = Traits(progress=True, previews=True, cancel="yes", reattach=True, lookup=True)

    def __init__(
        self,
        settings: ComfyUISettings,
        clock: Clock,
        pace: Pace | None = None,
        *,
        name: str = "comfyui",
        library: Library | None = None,
        pooled: bool = False,
    ) -> None:
        """`pooled`: it is one host of several, and says so in its origins.

        Raises ConfigError when the settings name no address.
        """
        self.name = name
        self._settings = settings
        self._clock = clock
        self._pace = pace or Pace()
        self._client_id = str(uuid.uuid4())
        self._client = Client(settings, name)
        self._demux = Demux(settings.max_preview_bytes)
        self._socket = Socket(lambda: self._client.websocket(self._client_id), self._demux, clock)
        self._finder = Finder(self._client, self._demux, self._pace.shared)
        self._submitted: dict[str, Run] = {}
        self.mark = self._client.mark
        self._origins = Origins(name, self.mark if pooled else "")
        self.library = library or Library(settings.workflows_dir)

    async def submit(self, request: AttemptRequest) -> str:
        """Fill the template, send the input pictures, queue the prompt; the server's prompt id."""
        template = self.library.load(request.target)
        values = order.values(request)
        order.check_wishes(template, request)
        template.fill(values)  # what cannot be filled is refused before anything is sent
        values |= await self._upload(request)
        graph = with_prefix(template.fill(values), order.filename_prefix(request))
        run = Run(request.attempt_id, graph)
        self._demux.add(run)
        try:
            reply = await self._prompt(request, run)
        except BaseException:
            self._demux.remove(run)
            raise
        self._keep(run, reply)
        return run.prompt_id

    async def _upload(self, request: AttemptRequest) -> dict[str, str]:
        names: dict[str, str] = {}
        for placeholders, image in order.uploads(request):
            data = await image.read()
            name = await self._client.upload(order.upload_name(image), data, image.content_type)
            names |= dict.fromkeys(placeholders, name)
        return names

    async def _prompt(self, request: AttemptRequest, run: Run) -> Mapping[str, Any]:
        connected = await self._socket.ready()
        run.stale = False  # nothing can have been missed yet
        if not connected and only_by_websocket(run.graph):
            raise WebsocketRefused("The workflow's pictures need ComfyUI's websocket, and it does not open.")
        return await self._client.prompt(
            {
                "prompt": run.graph,
                "prompt_id": request.attempt_id,
                "client_id": self._client_id,
                "extra_data": {ATTEMPT_KEY: request.attempt_id},
            }
        )

    def _keep(self, run: Run, reply: Mapping[str, Any]) -> None:
        """Hold the run until it is watched."""
        if reply["prompt_id"] != run.prompt_id:
            # An older server that chooses ids itself: messages under its id may have been missed.
            self._demux.remove(run)
            run.prompt_id = reply["prompt_id"]
            run.doubt()
            self._demux.add(run)
        run.accepted()
        node_errors = reply.get("node_errors")
        run.refuse(node_errors if isinstance(node_errors, dict) else {})
        self._submitted[run.prompt_id] = run
        while len(self._submitted) > UNWATCHED:
            self._demux.remove(self._submitted.pop(next(iter(self._submitted))))

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """See the port. Against a server in good health it reads the history once and nothing else."""
        run = self._submitted.pop(request_id, None)
        if run is None:
            run = Run(request_id)
            self._demux.add(run)
        watch = Watch(
            run,
            request,
            self._finder,
            self._socket,
            self._clock,
            self._settings.stall_timeout,
            self._pace,
            self._origins,
        )
        try:
            async with aclosing(watch.events()) as events:
                async for event in events:
                    yield event
        finally:
            self._demux.remove(run)

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """ABSENT only when neither queue nor history has it."""
        known = await self.knows(request.attempt_id, request.attempt_id)
        return Found(request.attempt_id) if known else Lookup.ABSENT

    async def knows(self, request_id: str, attempt_id: str) -> bool:
        """Whether queue or history has the prompt, by its id or by its mark.

        Raises ProviderUnavailable when the server cannot be asked.
        """
        try:
            return await self._finder.place(request_id, attempt_id) is not None
        except ProviderUnavailable:
            raise
        except ProviderProblem as problem:
            raise ProviderUnavailable(problem.detail, retry_after=problem.retry_after) from None

    @property
    def queue_told(self) -> int | None:
        """How many prompts run or wait there, as the open websocket told last; None where none is open."""
        return self._demux.remaining if self._socket.connected else None

    async def ask_queue(self) -> int:
        """The same, asked now; the websocket opens on the side, so that it is told from then on.

        Raises ProviderUnavailable, ProviderBusy, ProviderMisconfigured or ProviderRejected.
        """
        count = await self._client.queue_remaining()
        if count is None:
            raise ProviderUnavailable("ComfyUI does not tell how long its queue is.")
        self._socket.listen()
        return count

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Take it out of the queue, or interrupt it while it is the one that runs.

        Returns once it is gone, or after some seconds when its node does not look: `watch` tells.
        Raises ProviderUnavailable when the server cannot be asked.
        """
        # A server that chooses the prompt id itself may have told the run's watch before it told us.
        ids = {request_id, request.attempt_id}
        for seconds in CANCEL_LOOKS:
            place = await self._finder.place(request_id, request.attempt_id)
            if isinstance(place, Pending | Running):
                ids.add(place.entry.prompt_id)
            # First, since the watch may see that it is gone before the server's answer is here.
            self._tell_canceled(ids)
            if not isinstance(place, Pending | Running):
                return
            # An interrupt between two nodes can get lost, so it is sent again at the next look.
            await self._finder.stop(place)
            self._tell_canceled(ids)
            if isinstance(place, Running):
                await asyncio.sleep(seconds)

    def _tell_canceled(self, ids: Collection[str]) -> None:
        for run in self._demux.runs():
            if run.prompt_id in ids:
                run.canceled = True
                run.doubt()

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """The picture's address at the configured server, and only there, with our credentials.

        Raises OriginUnavailable when the picture is at a host that is no longer configured.
        """
        mark, path = read(self.name, origin)
        if mark not in ("", self.mark):
            raise removed()
        return FetchRequest(
            self._client.url(path), dict(self._client.headers), trusted=True, tls=self._client.tls
        )

    async def health(self) -> Health:
        """Version and queue length."""
        try:
            stats = await self._client.system_stats()
            waiting = await self._client.queue_remaining()
        except ProviderProblem as problem:
            return Health(ok=False, detail=problem.detail)
        system = stats.get("system")
        version = system.get("comfyui_version") if isinstance(system, dict) else None
        return Health(ok=True, detail=f"ComfyUI {version or 'of unknown version'}", queue_length=waiting)

    async def close(self) -> None:
        """Let go of the websocket and every connection; submitted prompts go on over there."""
        await self._socket.close()
        await self._finder.close()
        await self._client.close()
