"""A CDN of our own for tests: keeps what its origin lets it keep, and is purged as Cloudflare, Fastly and a
webhook are. Each of the three takes what its documentation says, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.ports import free_port

ZONE = "0123456789abcdef0123456789abcdef"
SERVICE = "7Gx2Zn0KaBc"
TOKEN = "the-token-of-the-cdn"
#: Each takes so many of a kind in one call.
MOST_TAGS = {"cloudflare": 100, "fastly": 256}
MOST_FILES = 30


@dataclass
class Kept:
    status: int
    headers: dict[str, str]
    body: bytes
    tags: frozenset[str]


@dataclass
class Call:
    """A purge as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Edge:
    """`answer` is given in place of the next purges' own, as often as `times`."""

    origin: str = ""
    tag_header: str = "cache-tag"
    kept: dict[str, Kept] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    answer: web.Response | None = None
    times: int = 0
    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refuse(self, status: int, times: int = 1, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer, self.times = web.Response(status=status, headers=named, text=TOKEN), times

    async def __aenter__(self) -> Edge:
        app = web.Application()
        app.router.add_post(f"/zones/{ZONE}/purge_cache", self._cloudflare)
        app.router.add_post(f"/service/{SERVICE}/purge", self._fastly)
        app.router.add_post("/purge/{url:.*}", self._fastly_url)
        app.router.add_post("/hook", self._hook)
        app.router.add_get("/images/{path:.*}", self._get)
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._runner.cleanup()

    async def _get(self, request: web.Request) -> web.Response:
        kept = self.kept.get(request.path_qs)
        if kept is None:
            async with self._session.get(
                f"{self.origin}{request.path_qs}", headers=request.headers, allow_redirects=False
            ) as reply:
                headers = {name.lower(): value for name, value in reply.headers.items()}
                tags = frozenset(headers.pop(self.tag_header, "").replace(",", " ").split())
                kept = Kept(reply.status, headers, await reply.read(), tags)
            if kept.headers.get("cache-control", "").startswith("public"):
                self.kept[request.path_qs] = kept
        told = {
            name: kept.headers[name] for name in ("content-type", "cache-control") if name in kept.headers
        }
        return web.Response(status=kept.status, headers=told, body=kept.body)

    async def _noted(self, request: web.Request) -> web.Response | None:
        """The answer that a test wants in place of the usual one."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.calls.append(Call(request.path, headers, await request.read()))
        if not self.times:
            return None
        self.times -= 1
        assert self.answer is not None
        return web.Response(status=self.answer.status, headers=self.answer.headers, body=self.answer.body)

    async def _cloudflare(self, request: web.Request) -> web.Response:
        if answer := await self._noted(request):
            return answer
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"success": False, "errors": [{"code": 10000}]}, status=403)
        wish = await request.json()
        (kind,) = wish
        most = {"tags": MOST_TAGS["cloudflare"], "files": MOST_FILES}[kind]
        if request.content_type != "application/json" or not 0 < len(wish[kind]) <= most:
            return web.json_response({"success": False, "errors": [{"code": 1094}]}, status=400)
        self._forget(wish.get("tags", ()), wish.get("files", ()))
        return web.json_response({"success": True, "errors": [], "messages": [], "result": {"id": ZONE}})

    async def _fastly(self, request: web.Request) -> web.Response:
        if answer := await self._noted(request):
            return answer
        if request.headers.get("Fastly-Key") != TOKEN:
            return web.json_response({"msg": "Provided credentials are missing or invalid"}, status=401)
        keys = (await request.json())["surrogate_keys"]
        if not 0 < len(keys) <= MOST_TAGS["fastly"]:
            return web.json_response({"msg": "Too many surrogate keys"}, status=400)
        self._forget(keys, ())
        return web.json_response({key: f"108-1391560174-{at}" for at, key in enumerate(keys)})

    async def _fastly_url(self, request: web.Request) -> web.Response:
        if answer := await self._noted(request):
            return answer
        if request.headers.get("Fastly-Key") != TOKEN:
            return web.json_response({"msg": "Provided credentials are missing or invalid"}, status=401)
        return web.json_response({"status": "ok", "id": "108-1391560174-974124"})

    async def _hook(self, request: web.Request) -> web.Response:
        if answer := await self._noted(request):
            return answer
        wish = await request.json()
        assert wish["type"] == "cdn.purge"
        self._forget(wish["tags"], wish["urls"])
        return web.Response(status=204)

    def _forget(self, tags: Any, urls: Any) -> None:
        gone = [path for path, kept in self.kept.items() if kept.tags & set(tags)]
        gone += [path for path in self.kept if f"{self.url}{path}" in urls and path not in gone]
        for path in gone:
            del self.kept[path]
