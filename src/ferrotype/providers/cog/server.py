"""One Cog server's HTTP: starting, looking, stopping, its schema and its health."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import (
    ProviderBusy,
    ProviderFailed,
    ProviderMisconfigured,
    ProviderProblem,
    ProviderUnavailable,
)
from ferrotype.providers.cog.run import Run
from ferrotype.providers.cog.settings import CogSettings
from ferrotype.providers.hosted.api import Api, Reply
from ferrotype.providers.hosted.text import shown

#: Fits no schema of inputs: a PUT with it reads a prediction under way and can start none.
LOOK: Final[Mapping[str, Any]] = {"input": []}
#: What a server without a schema says when it is asked for it.
NO_SCHEMA: Final = b"schema not available"
#: Pauses in seconds before a 409 counts: the slot of a prediction that just ended is free a moment later.
SLOT_PAUSES: Final = (0.02, 0.1)
#: Seconds for which a server's schema and version are believed.
BELIEVED_SECONDS: Final = 60.0
#: States of a server in which nothing can be under way.
IDLE: Final = frozenset({"STARTING", "SETUP_FAILED", "DEFUNCT"})


class Seen(Enum):
    """What a look at a prediction found."""

    RUNNING = "running"
    ABSENT = "absent"  # surely not under way: it never was, or has ended
    HIDDEN = "hidden"  # this server cannot be looked at


class Server:
    """A Cog server. Raises ProviderProblem as `Api` says."""

    def __init__(self, settings: CogSettings, name: str, clock: Clock) -> None:
        """Raises ConfigError when the settings name no address."""
        self.name = name
        self._clock = clock
        self.api = Api(
            name,
            settings.url or "",
            headers={"Authorization": f"Bearer {settings.token}"} if settings.token else {},
            secrets=tuple(secret for secret in (settings.token, settings.webhook_secret) if secret),
            ca_file=settings.ca_file,
        )
        self._uploads = settings.upload_url is not None
        self._schema: Mapping[str, Any] = {}
        self._schema_until = float("-inf")
        self._hidden = False
        self._version: Mapping[str, Any] = {}
        self._version_until = float("-inf")

    async def put(self, what: str, id: str, body: Mapping[str, Any], **rest: Any) -> Reply:
        """PUT a prediction, again where a slot turns out to be free after all: a 409 started nothing."""
        for pause in SLOT_PAUSES:
            reply = await self._put(what, id, body, **rest)
            if reply.status != 409:
                return reply
            await asyncio.sleep(pause)
            if (await self._facts()).get("status") != "READY":
                return reply
        return await self._put(what, id, body, **rest)

    async def _put(self, what: str, id: str, body: Mapping[str, Any], **rest: Any) -> Reply:
        return await self.api.send(what, "PUT", f"/predictions/{id}", starts_work=True, json=body, **rest)

    async def refusal(self, what: str, reply: Reply) -> ProviderProblem:
        """Why a PUT's answer is no 2xx; the server's health tells more of it than 409 and 503 do."""
        problem = self.api.refused(what, reply, starts_work=True)
        if reply.status == 500 and reply.body.startswith(b'{"detail"'):
            return ProviderFailed(problem.detail)  # a Python server: the model gave what it had not declared
        if reply.status not in (409, 503):
            return problem
        facts = await self._facts()
        told = f"{what}: {self.name} cannot work ({reply.status}): {self.words(facts)}."
        if facts.get("status") == "SETUP_FAILED":
            return ProviderMisconfigured(told)
        if facts.get("status") in ("DEFUNCT", "UNHEALTHY"):
            return ProviderUnavailable(told)
        if reply.status == 409:
            return ProviderBusy(f"{what}: {self.name} has no slot free (409).", retry_after=reply.retry_after)
        return problem

    async def look(self, run: Run) -> Seen:
        """Read a prediction's state, and tell the run."""
        what = "Looking at a prediction"
        if self._hidden or not await self.inputs():
            return Seen.HIDDEN
        reply = await self.api.send(what, "PUT", f"/predictions/{run.id}", json=LOOK)
        if reply.status == 202:
            run.tell(self.api.decoded(what, reply))
            return Seen.RUNNING
        if reply.status == 422 and b'"__root__"' in reply.body:
            return Seen.ABSENT
        if reply.status in (401, 403, 404, 408, 429) or reply.status >= 500:
            raise self.api.refused(what, reply)
        self._hidden = True  # a server that checks the inputs first, or not at all
        return Seen.HIDDEN

    async def inputs(self) -> Mapping[str, Any]:
        """The JSON schema of the model's inputs; empty where the server has none."""
        what = "Reading the schema"
        if self._clock.monotonic() >= self._schema_until:
            reply = await self.api.send(what, "GET", "/openapi.json")
            has_none = reply.status == 503 and NO_SCHEMA in reply.body
            if reply.status in (401, 403, 408, 429) or (reply.status >= 500 and not has_none):
                raise self.api.refused(what, reply)
            self._schema = _input_schema(self.api.decoded(what, reply)) if reply.ok else {}
            self._schema_until = self._clock.monotonic() + BELIEVED_SECONDS
            self._hidden = False
        return self._schema

    async def cancel(self, id: str) -> None:
        """Stop a prediction; one that is not under way is no error."""
        what = "Canceling a prediction"
        reply = await self.api.send(what, "POST", f"/predictions/{id}/cancel")
        if not reply.ok and reply.status != 404:
            raise self.api.refused(what, reply)

    async def health(self) -> Mapping[str, Any]:
        """What the server says of itself. Raises ProviderMisconfigured when it is no Cog server."""
        what = "Asking for its health"
        reply = await self.api.send(what, "GET", "/health-check")
        if reply.status == 404:
            raise ProviderMisconfigured(f"{self.name}: no Cog server answers at that address (404).")
        if not reply.ok:
            raise self.api.refused(what, reply)
        facts = self.api.decoded(what, reply)
        if not isinstance(facts, Mapping) or not isinstance(facts.get("status"), str):
            raise ProviderMisconfigured(f"{self.name}: what answers at that address is no Cog server.")
        return facts

    async def is_idle(self) -> bool:
        """Whether surely nothing is under way there."""
        return (await self.health())["status"] in IDLE

    async def hooks_bring_pictures(self) -> bool:
        """Whether its last webhook holds the pictures. A Python server (before 0.17) names files on its own
        disk there, unless it uploads them."""
        if self._clock.monotonic() >= self._version_until:
            self._version = _object((await self.health()).get("version"))
            self._version_until = self._clock.monotonic() + BELIEVED_SECONDS
        return self._uploads or "coglet" in self._version

    async def _facts(self) -> Mapping[str, Any]:
        with suppress(ProviderProblem):
            return await self.health()
        return {}

    def words(self, facts: Mapping[str, Any]) -> str:
        """A health check for people: `Cog 0.23.1: ready`."""
        version, setup = _object(facts.get("version")), _object(facts.get("setup"))
        number = version.get("python_sdk") or version.get("coglet") or ""
        logs = setup.get("logs") or ""
        lines = logs if isinstance(logs, list) else str(logs).splitlines()
        last = shown("\n".join(str(line) for line in reversed(lines)), self.api.secrets)
        sick = shown(facts.get("user_healthcheck_error") or "", self.api.secrets)
        status = str(facts.get("status", "nobody knows how it is"))
        texts = {
            "READY": "ready",
            "BUSY": "every slot is taken",
            "STARTING": "its model is still being set up",
            "SETUP_FAILED": f"its model could not be set up: {last}",
            "DEFUNCT": "it is broken for good and must be restarted",
            "UNHEALTHY": f"its model is not well: {sick}",
        }
        return f"{f'Cog {shown(number)}'.strip()}: {texts.get(status, shown(status, self.api.secrets))}"


def _input_schema(document: Any) -> Mapping[str, Any]:
    schema = document
    for name in ("components", "schemas", "Input"):
        schema = _object(schema).get(name)
    return _object(schema)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
