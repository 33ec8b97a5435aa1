"""The RunPod provider: the port's calls, told as stories.

Wire facts are those of docs.runpod.io `serverless/endpoints` (August 2026) and of the SDK `runpod` 1.12.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final

from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderRejected,
)
from ferrotype.providers.base import AttemptRequest, FetchRequest, Found, Health, Lookup, Traits, WatchEvent
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.hosted.polling import Bells, Pace
from ferrotype.providers.runpod.endings import failure
from ferrotype.providers.runpod.options import Options
from ferrotype.providers.runpod.outputs import results
from ferrotype.providers.runpod.payload import body
from ferrotype.providers.runpod.settings import RunPodSettings
from ferrotype.providers.runpod.watch import Follow, Job, Telling, look
from ferrotype.providers.workflows import Library

#: The target that stands for the endpoint of the settings.
DEFAULT: Final = "default"
ENDPOINT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
JOB: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
#: An endpoint of RunPod's own, asked for its health where no other is known: any key may ask.
PUBLIC: Final = "black-forest-labs-flux-1-schnell"
#: Answers of `runsync` that wait for their watch; each may carry pictures, and can be asked for a minute.
KEPT: Final = 16
#: Seconds that `runsync` may answer later than it was told to wait.
GRACE: Final = 30.0


class RunPodProvider:
    """An account at RunPod. Use it from one event loop; `close` it there.

    A request id is `endpoint/job`, so that a job is found again after its deployment was changed.
    """

    traits: ClassVar = Traits(progress=True, cancel="yes", reattach=True, webhooks=True)

    def __init__(
        self, settings: RunPodSettings, clock: Clock, pace: Pace | None = None, *, name: str = "runpod"
    ) -> None:
        """Raises ConfigError when the base address is none."""
        self.name = name
        self._settings = settings
        self._clock = clock
        self._pace = pace or Pace()
        key = settings.api_key or ""
        self._api = Api(
            name,
            settings.base_url,
            headers={"Authorization": f"Bearer {key}"},
            secrets=(key,),
            ca_file=settings.ca_file,
        )
        self._bells = Bells()
        self._kept: dict[str, Job] = {}
        self.library = Library(settings.workflows_dir)

    async def submit(self, request: AttemptRequest) -> str:
        """Start a job by `run`, or by `runsync` where the deployment says so; `endpoint/job`."""
        options = Options.of(request)
        endpoint = self._endpoint(request.target)
        data = await body(request, options, self.library)
        if request.webhook_url is not None:
            self._bells.expect(request.attempt_id)
        call, patience = "run", None
        if options.wait is not None:
            call, patience = f"runsync?wait={int(options.wait * 1_000)}", options.wait + GRACE
        job = await self._api.json(
            f"Starting a job at endpoint {endpoint}",
            "POST",
            f"/{endpoint}/{call}",
            starts_work=True,
            headers={"Content-Type": "application/json"},
            read_timeout=patience,
            data=data,
        )
        job_id = job.get("id") if isinstance(job, dict) else None
        if not isinstance(job_id, str) or not JOB.fullmatch(job_id):
            raise OutcomeUnknown(f"{self.name} accepted the job and told no id.")
        request_id = f"{endpoint}/{job_id}"
        if options.wait is not None and isinstance(job.get("status"), str):
            self._keep(request_id, job)
        return request_id

    def _endpoint(self, target: str) -> str:
        endpoint = self._settings.endpoint if target == DEFAULT else target
        if endpoint is None:
            raise ProviderMisconfigured(
                f"{self.name}: the target `{DEFAULT}` is the endpoint of RUNPOD_ENDPOINT, which is not set."
            )
        if not ENDPOINT.fullmatch(endpoint):
            raise ProviderMisconfigured(f"{self.name}: {endpoint[:100]!r} is no id of an endpoint.")
        return endpoint

    def _keep(self, request_id: str, job: Job) -> None:
        self._kept[request_id] = job
        while len(self._kept) > KEPT:
            self._kept.pop(next(iter(self._kept)))

    def _place(self, request: AttemptRequest, request_id: str) -> tuple[str, str]:
        """The endpoint and the job's own id."""
        endpoint, _, job_id = request_id.rpartition("/")
        if not JOB.fullmatch(job_id):
            raise ProviderFailed(f"{request_id[:100]!r} is no job at {self.name}.")
        return self._endpoint(endpoint or request.target), job_id

    async def watch(self, request: AttemptRequest, request_id: str) -> AsyncGenerator[WatchEvent]:
        """See the port. Results are read with the status that tells of the end, as they expire soon."""
        options = Options.of_started(request)
        endpoint, job_id = self._place(request, request_id)
        telling, secrets = Telling(), self._api.secrets
        with self._bells.of(request.attempt_id) as bell:
            follow = Follow(lambda: look(self._api, endpoint, job_id), bell, self._pace, self._clock)
            hooked = request.webhook_url is not None
            async with aclosing(follow.jobs(self._kept.pop(request_id, None), hooked=hooked)) as jobs:
                async for job in jobs:
                    problem = failure(job, self.name, secrets)
                    if problem is not None:
                        raise problem
                    if job["status"] == "COMPLETED":
                        for result in results(job, request, options, self.name, secrets):
                            yield result
                        return
                    for event in telling.events(job):
                        yield event

    async def lookup(self, request: AttemptRequest) -> Found | Lookup:
        """UNKNOWN: RunPod takes no id of ours and lists no jobs."""
        return Lookup.UNKNOWN

    async def cancel(self, request: AttemptRequest, request_id: str) -> None:
        """Take it out of the queue, or stop its worker. RunPod does not mind jobs that ended."""
        try:
            endpoint, job_id = self._place(request, request_id)
        except ProviderFailed:
            return
        what = f"Canceling a job at endpoint {endpoint}"
        reply = await self._api.send(what, "POST", f"/{endpoint}/cancel/{job_id}")
        if not reply.ok and reply.status != 404:
            problem = self._api.refused(what, reply)
            if not isinstance(problem, ProviderRejected):
                raise problem
        self._bells.ring(request.attempt_id)

    async def hook(self, attempt_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """Wake the watch. RunPod signs nothing, so the body is not looked at: the watch asks RunPod."""
        self._bells.ring(attempt_id)

    def fetch_request(self, origin: Origin) -> FetchRequest:
        """The picture's address: a bucket's, mostly, to which our key does not go."""
        if origin.provider != self.name or not origin.url.startswith(("http://", "https://")):
            raise ProviderFailed("That origin is not one of RunPod's.")
        if not self._api.is_ours(origin.url):
            return FetchRequest(origin.url)
        return FetchRequest(origin.url, dict(self._api.headers), trusted=True, tls=self._api.tls)

    async def health(self) -> Health:
        """Workers and queue of the endpoint of the settings; without one, whether the key is good."""
        own = self._settings.endpoint
        endpoint = own or PUBLIC
        what = f"Health of endpoint {endpoint}"
        try:
            reply = await self._api.send(what, "GET", f"/{endpoint}/health")
            if own is None and reply.status == 404:
                return Health(ok=True, detail="It answers and did not refuse the key.")
            if not reply.ok:
                raise self._api.refused(what, reply)
            health = self._api.decoded(what, reply)
        except ProviderProblem as problem:
            return Health(ok=False, detail=problem.detail)
        if own is None:
            return Health(ok=True, detail="The key works. RUNPOD_ENDPOINT would show an endpoint of yours.")
        return _health(endpoint, health)

    async def close(self) -> None:
        """Let go of connections; jobs go on over there."""
        self._kept.clear()
        await self._api.close()


def _health(endpoint: str, health: Any) -> Health:
    """`{jobs: {inQueue, inProgress, ...}, workers: {idle, running, throttled, ...}}` in words."""
    jobs, workers = _counts(health, "jobs"), _counts(health, "workers")
    up = ", ".join(f"{count} {state}" for state, count in workers.items() if count)
    waiting = jobs.get("inQueue")
    return Health(
        ok=True,
        detail=f"Endpoint {endpoint}: workers: {up or 'none'}; jobs that wait: {waiting or 0}",
        queue_length=waiting,
    )


def _counts(health: Any, key: str) -> dict[str, int]:
    counts = health.get(key) if isinstance(health, dict) else None
    return {name: n for name, n in counts.items() if isinstance(n, int)} if isinstance(counts, dict) else {}
