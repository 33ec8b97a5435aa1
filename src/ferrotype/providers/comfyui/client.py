"""ComfyUI's HTTP routes, one method each. Knows addresses, credentials and time-outs, and no workflow."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from ferrotype.config import ConfigError
from ferrotype.domain.problems import OutcomeUnknown, ProviderProblem, ProviderRejected, ProviderUnavailable
from ferrotype.providers.comfyui.errors import WebsocketRefused, refused, rejection, translated
from ferrotype.providers.comfyui.origins import mark_of
from ferrotype.providers.comfyui.queue import QueueView
from ferrotype.providers.comfyui.settings import ComfyUISettings

#: Seconds for the TCP and TLS handshakes.
CONNECT_SECONDS: Final = 10.0
#: Seconds for a websocket to open; longer than a connection takes, so that it means a silent proxy.
HANDSHAKE_SECONDS: Final = 15.0
#: The user name in an address whose password is a token: `http://bearer:TOKEN@gpu.example.org`.
BEARER: Final = "bearer"
#: Seconds between websocket pings; a peer that does not answer half of that later is taken for gone.
HEARTBEAT_SECONDS: Final = 30.0


class Client:
    """One server. The session is made on first use, inside the running loop."""

    def __init__(self, settings: ComfyUISettings, name: str = "comfyui") -> None:
        """`name` is the connection's. Raises ConfigError when no usable address is set."""
        try:
            parsed = URL(settings.url or "")
        except ValueError:
            parsed = URL("")
        if not parsed.is_absolute() or not parsed.host:
            raise ConfigError("COMFYUI_URL: the address of a ComfyUI server is needed.")
        self._base = str(parsed.with_user(None).with_query(None).with_fragment(None)).rstrip("/")
        self._settings = settings
        self._name = name
        self._headers = _authorization(settings, parsed)
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """The credentials, as headers; empty without any."""
        return self._headers

    @property
    def mark(self) -> str:
        """The server's mark in origins."""
        return mark_of(self._base)

    def url(self, path: str) -> str:
        """The absolute address of `path`, which starts with `/` and is encoded already."""
        return self._base + path

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The certificate authorities of COMFYUI_CA_FILE, read once; None for the system's.

        Raises ProviderUnavailable when the file cannot be used.
        """
        if self._tls is None and self._settings.ca_file is not None:
            try:
                self._tls = ssl.create_default_context(cafile=self._settings.ca_file)
            except OSError:  # ssl.SSLError is one
                raise ProviderUnavailable("COMFYUI_CA_FILE is no usable certificate file.") from None
        return self._tls

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self.tls or True, limit=0),
                headers={"User-Agent": "ferrotype", **self._headers},
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=CONNECT_SECONDS, sock_read=self._settings.request_timeout
                ),
            )
        return self._session

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _call(
        self, what: str, method: str, path: str, *, starts_work: bool = False, **body: Any
    ) -> tuple[int, bytes, str | None]:
        # A redirect would resend our credentials to a place nobody configured.
        with translated(what, starts_work=starts_work):
            async with self._open().request(
                method, URL(self.url(path), encoded=True), allow_redirects=False, **body
            ) as reply:
                return reply.status, await reply.read(), reply.headers.get("Retry-After")

    def _refused(
        self, what: str, status: int, retry_after: str | None, *, starts_work: bool = False
    ) -> ProviderProblem:
        return refused(what, status, retry_after, starts_work=starts_work, name=self._name)

    async def _json(self, what: str, path: str) -> Any:
        status, raw, retry_after = await self._call(what, "GET", path)
        if status != 200:
            raise self._refused(what, status, retry_after)
        return _decode(what, raw)

    async def _post(self, what: str, path: str, body: Mapping[str, Any]) -> None:
        status, _, retry_after = await self._call(what, "POST", path, json=body)
        if status != 200:
            raise self._refused(what, status, retry_after)

    async def prompt(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """POST /prompt: `{prompt_id, number, node_errors}`.

        Raises ProviderRejected with the node errors of a 400; OutcomeUnknown when the answer is lost.
        """
        what = "Submitting the workflow"
        status, raw, retry_after = await self._call(what, "POST", "/prompt", starts_work=True, json=body)
        if status == 200:
            reply = _decode(what, raw, starts_work=True)
            if isinstance(reply, dict) and isinstance(reply.get("prompt_id"), str) and reply["prompt_id"]:
                return reply
            raise OutcomeUnknown(f"{what}: ComfyUI's answer has no prompt_id.")
        if status == 400:
            try:
                said = json.loads(raw)
            except ValueError:
                said = None
            if isinstance(said, dict):
                raise rejection(said)
        raise self._refused(what, status, retry_after, starts_work=True)

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The prompt's history entry; None while it has none, which means running, queued or unknown."""
        body = await self._json("Reading the result", f"/history/{quote(prompt_id, safe='')}")
        entry = body.get(prompt_id) if isinstance(body, dict) else None
        return entry if isinstance(entry, dict) else None

    async def recent_history(self, max_items: int) -> dict[str, Any]:
        """The newest history entries by prompt id."""
        body = await self._json("Reading the history", f"/history?max_items={max_items}")
        return body if isinstance(body, dict) else {}

    async def queue(self) -> QueueView:
        """What runs and what waits."""
        return QueueView.parse(await self._json("Reading the queue", "/queue"))

    async def delete_pending(self, prompt_id: str) -> None:
        """Take one waiting prompt out of the queue; anything else stays untouched."""
        await self._post("Taking it out of the queue", "/queue", {"delete": [prompt_id]})

    async def interrupt(self, prompt_id: str) -> None:
        """Stop that prompt. Older servers stop whatever runs: ask the queue first."""
        await self._post("Interrupting it", "/interrupt", {"prompt_id": prompt_id})

    async def upload(self, name: str, data: bytes, content_type: str) -> str:
        """POST /upload/image, replacing an equal name; how LoadImage addresses the file."""
        what = "Uploading an input picture"
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type=content_type)
        form.add_field("type", "input")
        form.add_field("overwrite", "true")
        status, raw, retry_after = await self._call(what, "POST", "/upload/image", data=form)
        if status != 200:
            raise self._refused(what, status, retry_after)
        reply = _decode(what, raw)
        if not isinstance(reply, dict) or not isinstance(reply.get("name"), str):
            raise ProviderRejected(f"{what}: ComfyUI did not say where it put it.")
        folder = reply.get("subfolder")
        return f"{folder}/{reply['name']}" if isinstance(folder, str) and folder else str(reply["name"])

    async def system_stats(self) -> dict[str, Any]:
        """Versions and devices."""
        body = await self._json("Asking for its state", "/system_stats")
        return body if isinstance(body, dict) else {}

    async def queue_remaining(self) -> int | None:
        """How many prompts run or wait; far cheaper than the whole queue."""
        body = await self._json("Asking for its queue length", "/prompt")
        info = body.get("exec_info") if isinstance(body, dict) else None
        count = info.get("queue_remaining") if isinstance(info, dict) else None
        return count if isinstance(count, int) else None

    async def websocket(self, client_id: str) -> aiohttp.ClientWebSocketResponse:
        """Open /ws. Raises WebsocketRefused where trying again soon is of no use."""
        what = "Opening the websocket"
        with translated(what):
            try:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    return await self._open().ws_connect(
                        self.url(f"/ws?clientId={quote(client_id, safe='')}"),
                        heartbeat=HEARTBEAT_SECONDS,
                        max_msg_size=self._settings.max_frame_bytes,
                        timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                    )
            except aiohttp.WSServerHandshakeError as error:
                if error.status < 500:
                    raise WebsocketRefused(f"{what}: refused ({error.status}).") from None
                raise self._refused(what, error.status, None) from None
            except aiohttp.ConnectionTimeoutError:
                raise
            except TimeoutError:
                raise WebsocketRefused(f"{what}: no answer in time.") from None


def _authorization(settings: ComfyUISettings, url: URL) -> dict[str, str]:
    if settings.token:
        return {"Authorization": f"Bearer {settings.token}"}
    if settings.user is None and url.user == BEARER and url.password:
        return {"Authorization": f"Bearer {url.password}"}
    user, password = settings.user or url.user, settings.password or url.password
    if user is None:
        return {}
    pair = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def _decode(what: str, raw: bytes, *, starts_work: bool = False) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        unsure = OutcomeUnknown if starts_work else ProviderUnavailable
        raise unsure(f"{what}: the answer is not ComfyUI's.") from None
