"""The Cloudinary store: originals as images in a product environment, read back by its delivery network.

A key's public id is the key without its extension, below the configured folder: Cloudinary adds the extension
of the picture's format to URLs by itself. Two keys that differ in nothing but their extension are therefore
one picture there, which keys made of asset ids never are.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

import ferrotype
from ferrotype.config import ConfigError
from ferrotype.domain.clock import Clock, SystemClock
from ferrotype.domain.problems import NotFound, Problem, StoreMisconfigured
from ferrotype.storage.base import Entry, LevelHealth, WrongBytes
from ferrotype.storage.cloudinary_errors import RateLimited, Words, message_of
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.cloudinary_wire import (
    CHUNK,
    Form,
    delivery_url,
    extension_of,
    facts_of,
    signed,
    written_at,
)
from ferrotype.storage.keys import checked

CONNECT_SECONDS: Final = 10.0
HEALTH_SECONDS: Final = 5.0
#: An upload that is slower, in bytes a second, is given up.
SLOWEST: Final = 32 * 1024
#: Longest answer of an API that is read, in bytes.
MAX_REPLY: Final = 1024 * 1024
MAX_PUBLIC_ID: Final = 255
#: What Cloudinary takes for the version in a URL, and refuses as a folder.
VERSION_FOLDER: Final = re.compile(r"(^|/)v[0-9]+/")
RANGE: Final = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")


class CloudinaryStore:
    """A `Store` at Cloudinary. Use it from one event loop; `close` ends its connections."""

    def __init__(
        self, settings: CloudinarySettings, *, name: str = "cloudinary", clock: Clock | None = None
    ) -> None:
        """`clock` dates the signatures. Raises ConfigError when the settings name no account, or a
        certificate authority that is of no use."""
        account = settings.account
        if account is None:
            raise ConfigError(f"{name}: the cloud's name, API key or secret is missing.")
        self.name = name
        self.local = False
        self._settings = settings
        self._account = account
        self._clock = clock or SystemClock()
        self._words = Words(name, (account.secret, account.key))
        self._session: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | bool = True
        if settings.ca_file is not None:
            try:
                self._tls = ssl.create_default_context(cafile=settings.ca_file)
            except OSError:  # ssl.SSLError is one
                raise ConfigError(f"{name}: its certificate authority file is of no use.") from None

    async def put(self, key: str, source: Path, *, content_type: str, sha256: str) -> None:
        """See `Store`. Doing it twice replaces the picture by itself: to ask first would cost a call of the
        Admin API, of which an hour has few. Cloudinary looks at the bytes itself, so `content_type` is not
        sent."""
        public_id = self._public_id(key)
        facts = await asyncio.to_thread(facts_of, source)
        if facts.sha256 != sha256:
            raise WrongBytes(f"{source} does not have the hash {sha256}")
        told = await self._upload(public_id, key.rpartition("/")[2], source, facts.size)
        if (told.get("bytes"), told.get("etag")) == (facts.size, facts.md5):
            return
        with suppress(Problem):
            await self.delete(key)
        raise WrongBytes(
            f"The store {self.name} keeps other bytes than were sent: see that no upload preset of the cloud"
            " changes pictures"
        )

    def local_path(self, key: str) -> Path | None:
        """See `Store`: never."""
        self._public_id(key)
        return None

    async def public_url(self, key: str) -> str | None:
        """See `Store`: the secure URL, None where only signed URLs are served."""
        public_id = self._public_id(key)
        if not self._settings.public or self._settings.delivery_type != "upload":
            return None
        return delivery_url(self._account, "upload", f"{public_id}{_format(key)}")

    async def open(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """See `Store`. Read from the delivery network, which may have what was deleted for some minutes."""
        url = self._original(key)
        if end is not None and end <= start:
            if await self.size(key) is None:
                raise NotFound(f"The store {self.name} has no such key.")
            return
        headers = {}
        if start > 0 or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        async with self._call("GET", url, headers=headers) as response:
            if response.status == 416:
                return
            if response.status not in (200, 206):
                raise await self._undelivered(response)
            skip = start if response.status == 200 else self._offset(response, start)
            left = None if end is None else end - start
            async with aclosing(self._pieces(response)) as pieces:
                async for data in pieces:
                    piece, skip = data[skip:], max(skip - len(data), 0)
                    if left is not None:
                        piece, left = piece[:left], left - len(piece[:left])
                    if piece:
                        yield piece
                    if left == 0:
                        return

    async def size(self, key: str) -> int | None:
        """See `Store`. The Admin API tells; once its hour is used up, the delivery network does."""
        url = self._original(key)
        try:
            return await self._recorded_size(self._public_id(key))
        except RateLimited:
            async with self._call("HEAD", url) as response:
                if response.status == 404:
                    return None
                if response.status != 200 or response.content_length is None:
                    raise await self._undelivered(response) from None
                return response.content_length

    async def delete(self, key: str) -> None:
        """See `Store`. The delivery network forgets it too, within minutes."""
        params = {
            "public_id": self._public_id(key),
            "type": self._settings.delivery_type,
            "invalidate": "true",
        }
        told = await self._api("image/destroy", data=self._signed(params))
        if told.get("result") not in ("ok", "not found"):
            raise self._words.unavailable("it does not say that the picture is deleted")

    async def health(self) -> LevelHealth:
        """See `Store`: whether Cloudinary takes our credentials (`ping` of the Admin API). Nothing is
        uploaded: that would cost."""
        detail = f"cloud {self._account.cloud} at {URL(self._account.api).host}"
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                told = await self._admin("ping")
        except TimeoutError:
            return LevelHealth(
                False, f"{detail}: no answer in {HEALTH_SECONDS:.0f} s", "see status.cloudinary.com"
            )
        except RateLimited as problem:  # the credentials are right, and uploads have no such limit
            return LevelHealth(True, f"{detail}; {problem.detail}")
        except StoreMisconfigured as problem:
            mend = problem.detail.rpartition(": ")[2].rstrip(".")
            return LevelHealth(False, f"{detail}: {problem.detail}", mend)
        except Problem as problem:
            return LevelHealth(
                False, f"{detail}: {problem.detail}", "see the network and status.cloudinary.com"
            )
        if told.get("status") != "ok":
            return LevelHealth(
                False, f"{detail}: it does not say that it is well", "see status.cloudinary.com"
            )
        return LevelHealth(True, detail)

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """See `Store`. A page of 500 is a call of the Admin API."""
        folder = f"{self._settings.folder}/" if self._settings.folder else ""
        async for each in self.resources(self._settings.delivery_type, folder + prefix):
            key = str(each["public_id"]).removeprefix(folder)
            yield Entry(f"{key}.{extension_of(each)}", int(each["bytes"]), written_at(each))

    async def resources(self, kind: str, prefix: str = "") -> AsyncIterator[dict[str, Any]]:
        """The records of the images of a delivery type, as the Admin API gives them, with tags and context.
        Raises RateLimited once the hour's calls are used up."""
        query = {"max_results": "500", "tags": "true", "context": "true"}
        query |= {"prefix": prefix} if prefix else {}
        cursor: str | None = None
        while True:
            asked = urlencode(query | ({"next_cursor": cursor} if cursor else {}))
            told = await self._admin(f"resources/image/{kind}?{asked}")
            for each in told.get("resources", []):
                yield each
            cursor = told.get("next_cursor")
            if not cursor:
                return

    async def close(self) -> None:
        """End every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # Names

    def _public_id(self, key: str) -> str:
        """Raises NotFound for a key that Cloudinary would keep under another name, or refuse."""
        stem = checked(key, self.name).removesuffix(_extension(key))
        public_id = f"{self._settings.folder}/{stem}" if self._settings.folder else stem
        if len(public_id) > MAX_PUBLIC_ID or VERSION_FOLDER.search(public_id):
            raise NotFound(f"The store {self.name} can have no such key.")
        return public_id

    def _original(self, key: str) -> str:
        """Where the original is delivered as it is. An extension that is not of the picture's own format
        would have it converted; only a dot elsewhere in the name needs one after it."""
        source = self._public_id(key)
        if "." in source.rpartition("/")[2]:
            source += _format(key)
        return delivery_url(self._account, self._settings.delivery_type, source)

    # Calls

    async def _upload(self, public_id: str, name: str, source: Path, size: int) -> dict[str, Any]:
        """The answer to the whole upload."""
        settings = self._settings
        params = {
            "public_id": public_id,
            "type": settings.delivery_type,
            "overwrite": "true",
            "invalidate": "true",
            "tags": ",".join(settings.tags),
            "eager": settings.eager,
            "eager_async": "true" if settings.eager else "",
            "asset_folder": public_id.rpartition("/")[0] if settings.asset_folders else "",
        }
        upload_id, told = secrets.token_hex(16), {}
        for start in range(0, max(size, 1), settings.chunk_bytes):
            end = min(start + settings.chunk_bytes, size)
            # Signed anew for each chunk: a slow upload outlives a signature.
            form = Form(self._signed(params), source, name, start, end)
            headers = form.headers
            if size > settings.chunk_bytes:
                told_range = f"bytes {start}-{end - 1}/{size}"
                headers = {**headers, "X-Unique-Upload-Id": upload_id, "Content-Range": told_range}
            told = await self._api(
                "image/upload", data=form.body(), headers=headers, seconds=form.length / SLOWEST
            )
        if told.get("public_id") != public_id or told.get("done") is False:
            raise self._words.unavailable("it did not say that the picture is kept")
        return told

    async def _recorded_size(self, public_id: str) -> int | None:
        """Bytes by the Admin API, None when there is no such picture. Raises RateLimited."""
        told = await self._admin(f"resources/image/{self._settings.delivery_type}/{public_id}", absent=True)
        if told is None:
            return None
        if not isinstance(told.get("bytes"), int):
            raise self._words.unavailable("it does not say how large the picture is")
        return int(told["bytes"])

    def _signed(self, params: dict[str, str]) -> dict[str, str]:
        return signed(params, self._account, int(self._clock.now().timestamp()))

    async def _admin(self, path: str, *, absent: bool = False) -> Any:
        """An answer of the Admin API; with `absent` None for what is not there."""
        login = aiohttp.encode_basic_auth(self._account.key, self._account.secret)
        return await self._api(path, method="GET", headers={"Authorization": login}, absent=absent)

    async def _api(
        self, path: str, *, method: str = "POST", absent: bool = False, seconds: float = 0.0, **request: Any
    ) -> Any:
        """The JSON of a success. `seconds` is what the body may take on top of the usual time."""
        url = f"{self._account.api}/v1_1/{self._account.cloud}/{path}"
        with self._words.translated():
            async with asyncio.timeout(self._settings.timeout + seconds):
                async with self._call(method, url, **request) as response:
                    body = await response.content.read(MAX_REPLY)
                    while not response.content.at_eof() and len(body) < MAX_REPLY:
                        body += await response.content.read(MAX_REPLY)
        if absent and response.status == 404 and message_of(body):
            return None
        # Its SDKs look for an error whatever the status is.
        if not 200 <= response.status < 300 or message_of(body):
            status = response.status if response.status >= 300 else 400
            raise self._words.refused(status, response.headers, body, self._clock.now())
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise self._words.unavailable("its answer cannot be read")
        return told

    @asynccontextmanager
    async def _call(self, method: str, url: str, **request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer whose head is here. Redirects would carry our key away: they are not followed."""
        with self._words.translated():
            response = await self._opened().request(
                method, URL(url, encoded=True), allow_redirects=False, **request
            )
        try:
            yield response
        finally:
            response.close()

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        while True:
            with self._words.translated():
                data = await response.content.read(CHUNK)
            if not data:
                return
            yield data

    def _offset(self, response: aiohttp.ClientResponse, start: int) -> int:
        """Bytes of a partial answer that come before `start`."""
        found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) > start:
            raise self._words.unavailable("it sends another part than was asked for")
        return start - int(found[1])

    async def _undelivered(self, response: aiohttp.ClientResponse) -> Problem:
        if response.status == 404:
            return NotFound(f"The store {self.name} has no such key.")
        return self._words.refused(response.status, response.headers, b"", self._clock.now())

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=self._settings.timeout
            )
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls),
                timeout=timeout,
                # Identity: an encoded body would have another length than the one declared.
                headers={"User-Agent": f"ferrotype/{ferrotype.__version__}", "Accept-Encoding": "identity"},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                read_bufsize=CHUNK,
            )
        return self._session


def _extension(key: str) -> str:
    """The key's extension with its dot; empty when it has none."""
    _, dot, extension = key.rpartition("/")[2].rpartition(".")
    return f"{dot}{extension}" if dot else ""


def _format(key: str) -> str:
    """The same, as Cloudinary calls the format in its URLs."""
    extension = _extension(key)
    return ".jpg" if extension == ".jpeg" else extension
