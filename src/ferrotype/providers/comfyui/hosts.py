"""The servers of a pool, and which of them has the least to do.

How long a queue is comes with the `status` messages of each open websocket, and is asked (GET /prompt) where
none is open. A host that does not answer is left out, and asked again on the side after a while.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    ProviderBusy,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderUnavailable,
)
from ferrotype.providers.comfyui.provider import ComfyUIProvider
from ferrotype.providers.comfyui.watch import Pace

#: A host that answers with one of these surely did not accept the call: the next one may have it.
NOT_ACCEPTED: Final = (ProviderBusy, ProviderUnavailable, ProviderMisconfigured)
#: Seconds in which the queue length that a host tells may not count a prompt that it has just accepted.
FRESH_SECONDS: Final = 10.0


@dataclass(slots=True, eq=False)
class Host:
    """One server of the pool, and what is known of it besides what it tells."""

    provider: ComfyUIProvider
    #: Our calls on their way to it.
    sending: int = 0
    #: Our prompts that it accepted of late and nobody saw ending, with the time of that.
    accepted: dict[str, float] = field(default_factory=dict)
    #: In a row; a host without any is asked for its queue length before each call.
    failures: int = 0
    resting_until: float = -math.inf
    asking: asyncio.Task[int | ProviderProblem] | None = None

    def load(self, told: int, now: float) -> int:
        """Prompts there, ours under way included; `told` may not count the newest of those yet."""
        self.accepted = {key: at for key, at in self.accepted.items() if now - at < FRESH_SECONDS}
        return max(told, len(self.accepted)) + self.sending

    def answered(self) -> None:
        """It is there."""
        self.failures, self.resting_until = 0, -math.inf

    def failed(self, now: float, rests: Sequence[float], retry_after: float | None) -> None:
        """Leave it alone for a while."""
        rest = retry_after if retry_after is not None else rests[min(self.failures, len(rests) - 1)]
        self.failures += 1
        self.resting_until = now + rest


class Hosts:
    """Every host of a pool, in the order of the settings; iterable."""

    def __init__(self, providers: Iterable[ComfyUIProvider], clock: Clock, pace: Pace) -> None:
        self._hosts = [Host(provider) for provider in providers]
        self._clock = clock
        self.pace = pace
        self._next = 0

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts)

    def __len__(self) -> int:
        return len(self._hosts)

    def __getitem__(self, number: int) -> Host:
        return self._hosts[number]

    def shortest(self, told: dict[Host, int]) -> Host:
        """The host with the least to do; of equal ones each in turn."""
        now = self._clock.monotonic()
        turn = self._hosts[self._next :] + self._hosts[: self._next]
        host = min((host for host in turn if host in told), key=lambda host: host.load(told[host], now))
        self._next = (self._hosts.index(host) + 1) % len(self._hosts)
        return host

    async def told(self) -> dict[Host, int]:
        """How many prompts each host has, as it tells; those that do not answer are left out.

        Raises what the best of them said when none answers.
        """
        now = self._clock.monotonic()
        sound = [host for host in self._hosts if not host.failures]
        for host in self._hosts:
            if host.failures and host.resting_until <= now:
                self._ask(host)  # on the side: it may hang
        told, refusals = await self._lengths(sound)
        if not told:
            told, more = await self._lengths([host for host in self._hosts if host not in sound])
            refusals += more
        if not told:
            raise best(refusals)
        return told

    async def _lengths(self, hosts: Collection[Host]) -> tuple[dict[Host, int], list[ProviderProblem]]:
        known = {host: host.provider.queue_told for host in hosts}
        told = {host: count for host, count in known.items() if count is not None}
        asked = [host for host in hosts if host not in told]
        # Shielded: whoever gives up must not take the answer from the others.
        answers = await asyncio.gather(*(asyncio.shield(self._ask(host)) for host in asked))
        told |= {host: count for host, count in zip(asked, answers, strict=True) if isinstance(count, int)}
        return told, [answer for answer in answers if isinstance(answer, ProviderProblem)]

    def _ask(self, host: Host) -> asyncio.Task[int | ProviderProblem]:
        """The question under way, or a new one: a burst of calls asks each host once."""
        if host.asking is None or host.asking.done():
            host.asking = asyncio.create_task(self._asked(host), name="comfyui-queue-length")
        return host.asking

    async def _asked(self, host: Host) -> int | ProviderProblem:
        try:
            async with asyncio.timeout(self.pace.ask):
                count = await host.provider.ask_queue()
        except TimeoutError:
            problem: ProviderProblem = ProviderUnavailable(
                f"Asking for its queue length: no answer from ComfyUI in {self.pace.ask:g} seconds."
            )
        except NOT_ACCEPTED as raised:
            problem = raised
        except ProviderProblem as raised:  # nothing that a call could be blamed for
            problem = ProviderUnavailable(raised.detail)
        else:
            host.answered()
            return count
        self.failed(host, problem)
        return problem

    def failed(self, host: Host, problem: ProviderProblem) -> None:
        """Leave that host alone for a while."""
        host.failed(self._clock.monotonic(), self.pace.rests, problem.retry_after)

    async def close(self) -> None:
        """Stop asking, and let go of every host."""
        asking = [host.asking for host in self._hosts if host.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await asyncio.gather(*(host.provider.close() for host in self._hosts))


def best(refusals: Iterable[ProviderProblem]) -> ProviderProblem:
    """Of what several hosts said: busy is over soonest, wrong settings never by themselves."""
    return min(refusals, key=lambda problem: [isinstance(problem, kind) for kind in NOT_ACCEPTED].index(True))
