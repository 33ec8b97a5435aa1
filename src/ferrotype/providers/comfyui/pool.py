"""Several ComfyUI servers as one provider: each call goes to the one with the shortest queue.

Prompt ids are ours, so whichever host has a prompt is found by asking: also after a restart of ours, and
after a lost answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import chain, repeat
from typing import ClassVar, Final

from ferrotype.config import ConfigError
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    AttemptLost,
    OutcomeUnknown,
    ProviderBusy,
    ProviderProblem,
    ProviderUnavailable,
)
from ferrotype.providers.base import AttemptRequest, FetchRequest, Finished, Found, Health, Lookup, WatchEvent
from ferrotype.providers.comfyui.errors import WebsocketRefused
from ferrotype.providers.comfyui.hosts import NOT_ACCEPTED, Host, Hosts, best
from ferrotype.providers.comfyui.origins import read, removed
from ferrotype.providers.comfyui.provider import ComfyUIProvider
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.providers.comfyui.watch import Pace
from ferrotype.providers.workflows.library import Library

#: Prompts whose host is remembered; others are asked for.
REMEMBERED: Final = 10_000


class ComfyUIPool:
    """Implements the port over one ComfyUIProvider for each address. Use it from one event loop."""

    traits: ClassVar = ComfyUIProvider.traits

    def __init__(
        self, settings: ComfyUISettings, clock: Clock, pace: Pace | None = None, *, name: str = "comfyui"
    ) -> None:
        """Raises ConfigError when an address cannot be used, or stands there twice."""
        self.name = name
        self.library = Library(settings.workflows_dir)
        self._clock = clock
        self._pace = pace or Pace()
        self._stall_timeout = settings.stall_timeout
        self._hosts = Hosts(
            [
                ComfyUIProvider(each, clock, pace, name=name, library=self.library, pooled=True)
                for each in settings.hosts()
            ],
            clock,
            self._pace,
        )
        self._by_mark = {host.provider.mark: host for host in self._hosts}
        if len(self._by_mark) < len(self._hosts):
            raise ConfigError("COMFYUI_URL: the same server stands there twice.")
        self._host_of: dict[str, Host] = {}

    # Submitting

    async def submit(self, request: AttemptRequest) -> str:
        """Give it to the host with the shortest queue, or to the next one where that surely did not take it.

        Raises what the port says; of several refusals the one with the best prospects.
        """
        told = await self._hosts.told()
        refusals: list[ProviderProblem] = []
        while told:
            host = self._hosts.shortest(told)
            del told[host]
            try:
                return await self._submit_to(host, request)
            except NOT_ACCEPTED as problem:
                refusals.append(problem)
        raise best(refusals)

    async def _submit_to(self, host: Host, request: AttemptRequest) -> str:
        host.sending += 1
        try:
            request_id = await host.provider.submit(request)
        except WebsocketRefused:
            raise  # says nothing about workflows that need none
        except NOT_ACCEPTED as problem:
            self._hosts.failed(host, problem)
            raise
        except OutcomeUnknown:
            self._remember(request.attempt_id, host)
            raise
        finally:
            host.sending -= 1
        host.answered()
        host.accepted[request_id] = self._clock.monotonic()
        self._remember(request_id, host)
        return request_id

    # Finding

    def _remember(self, request_id: str, host: Host) -> None:
        self._host_of[request_id] = host
        while len(self._host_of) > REMEMBERED:
            del self._host_of[next(iter(self._host_of))]

    async def _who_has(
        self, request_id: str, attempt_id: str
    ) -> tuple[Host | None, ProviderUnavailable | None]:
        """The host that has the prompt; else why one could not be asked. Twice None: surely nobody has it."""
        asking = {
            asyncio.create_task(host.provider.knows(request_id, attempt_id)): host for host in self._hosts
        }
        problem: ProviderUnavailable | None = None
        pending: set[asyncio.Task[bool]] = set(asking)
        try:
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    try:
                        if task.result():
                            self._remember(request_id, asking[task])
                            return asking[task], None
                    except ProviderUnavailable as raised:
                        problem = raised
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        return None, problem

    async def _find(self, request: AttemptRequest, request_id: str) -> Host:
        """The host of a prompt that must be somewhere; waits for hosts that cannot be asked.

        Raises AttemptLost when every host says no, ProviderUnavailable after the stall time-out, or before a
        longer rest that one of them asks for.
        """
        deadline = self._clock.monotonic() + self._stall_timeout
        for seconds in chain(self._pace.polls, repeat(self._pace.polls[-1])):
            host, problem = await self._who_has(request_id, request.attempt_id)
            if host is not None:
                return host
            if problem is None:
                break
            rest = problem.retry_after or 0.0
            if self._clock.monotonic() + rest >= deadline:
                raise problem
            await asyncio.sleep(max(seconds, rest))
        raise AttemptLost("None of the ComfyUI servers knows the prompt any more.")

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """See the port; after a restart the host is found by asking."""
        host = self._host_of.get(request_id) or await self._find(request, request_id)
        try:
            async with aclosing(host.provider.watch(request, request_id)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        self._forget(host, request_id)
                    yield event
        except (ProviderUnavailable, ProviderBusy):
            raise  # whoever watches comes back
        except ProviderProblem:
            self._forget(host, request_id)
            raise

    def _forget(self, host: Host, request_id: str) -> None:
        host.accepted.pop(request_id, None)
        self._host_of.pop(request_id, None)

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """ABSENT only when every host says that it does not have it."""
        host, problem = await self._who_has(request.attempt_id, request.attempt_id)
        if host is not None:
            return Found(request.attempt_id)
        if problem is not None:
            raise problem
        self._host_of.pop(request.attempt_id, None)
        return Lookup.ABSENT

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Stop it on the host that has it. Raises ProviderUnavailable when a host that may have it cannot be
        asked."""
        host, problem = self._host_of.get(request_id), None
        if host is None:
            host, problem = await self._who_has(request_id, request.attempt_id)
        if host is not None:
            await host.provider.cancel(request, request_id)
        elif problem is not None:
            raise problem

    # The rest of the port

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """The picture's address at the host that holds it, with that host's credentials.

        An origin without a mark is from the time when there was one address: the first one, then.
        Raises OriginUnavailable when its host is no longer configured.
        """
        mark, _ = read(self.name, origin)
        host = self._by_mark.get(mark) if mark else self._hosts[0]
        if host is None:
            raise removed()
        return host.provider.fetch_request(origin)

    async def health(self) -> Health:
        """Well while any host is. Hosts are named by their place in COMFYUI_URL."""
        answers = await asyncio.gather(*(self._health(host) for host in self._hosts))
        well = [answer for answer in answers if answer.ok]
        lengths = [answer.queue_length for answer in well if answer.queue_length is not None]
        parts = [f"{len(well)} of {len(answers)} ComfyUI servers answer"]
        parts += sorted({answer.detail for answer in well})
        parts += [f"number {n}: {answer.detail}" for n, answer in enumerate(answers, 1) if not answer.ok]
        return Health(bool(well), "; ".join(parts), sum(lengths) if lengths else None)

    async def _health(self, host: Host) -> Health:
        try:
            async with asyncio.timeout(self._hosts.pace.health):
                return await host.provider.health()
        except TimeoutError:
            return Health(ok=False, detail=f"no answer in {self._hosts.pace.health:g} seconds")

    async def close(self) -> None:
        """Let go of every host."""
        await self._hosts.close()
