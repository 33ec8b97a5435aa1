"""What a simulated fal can be told besides what every service can."""

from __future__ import annotations

from dataclasses import dataclass

from ferrotype.sim.hosted import HostedScript


@dataclass
class FalScript(HostedScript):
    """Settings of the simulated fal; they may be changed while it runs.

    `slots` is the account's limit of calls at once: further ones wait in the queue.
    """

    nsfw: int = 0  # so many of the next pictures are replaced by black ones
    links_host: str | None = None  # base URL that addresses of requests and of uploads get: a hostile host's
    streams: bool = True  # whether states are streamed; False: that address answers 404
    stream_breaks: int = 0  # so many streams of states break off after their first event
    stops_running: bool = False  # whether the models listen for a cancel while they run
    forgotten: bool = False  # requests are not known any more: states and results have expired
    payloads: bool = True  # whether webhooks carry the result; False: it could not be serialized
