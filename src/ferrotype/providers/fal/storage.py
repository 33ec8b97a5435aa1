"""Input pictures: inside the order while they are small, else uploaded to fal's storage first.

As fal's own client uploads (@fal-ai/client 1.x): an authorised POST names two addresses, the bytes are PUT to
the first without our key, the second goes into the order.
"""

from __future__ import annotations

import json
from typing import Any, Final

from yarl import URL

from ferrotype.domain.problems import Problem, ProviderRejected, ProviderUnavailable
from ferrotype.net.guard import Guard
from ferrotype.providers.base import InputImage
from ferrotype.providers.hosted.api import Api
from ferrotype.providers.hosted.outputs import data_uri

INITIATE: Final = "/storage/upload/initiate?storage_type=fal-cdn-v3"
#: Seconds that fal keeps an input picture; orders wait for hours at most.
KEPT_SECONDS: Final = 86_400
LIFECYCLE: Final = json.dumps({"expiration_duration_seconds": KEPT_SECONDS})
SUFFIXES: Final = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}
WHAT: Final = "Sending an input picture"


class Storage:
    """fal's storage. `rest` carries our key; what fal names elsewhere is called without it and guarded."""

    def __init__(self, rest: Api, read_timeout: float) -> None:
        self._rest = rest
        self._named = Api(rest.name, str(rest.base), read_timeout=read_timeout, guarded=True)

    async def upload(self, data: bytes, content_type: str, name: str) -> str:
        """The address under which fal's models find the bytes.

        Raises ProviderUnavailable, ProviderBusy or ProviderMisconfigured: no order was made yet;
        ProviderRejected when the picture is too large.
        """
        body = {"content_type": content_type, "file_name": f"{name}.{SUFFIXES.get(content_type, 'bin')}"}
        # Both names are in use, for the storage behind the address and for the address itself.
        headers = {"X-Fal-Object-Lifecycle": LIFECYCLE, "X-Fal-Object-Lifecycle-Preference": LIFECYCLE}
        told = await self._rest.json(WHAT, "POST", INITIATE, json=body, headers=headers)
        upload, address = _address(told, "upload_url"), _address(told, "file_url")
        if upload is None or address is None:
            raise ProviderUnavailable(f"{WHAT}: {self._rest.name} names no address for it.")
        reply = await self._api(upload).send(
            WHAT, "PUT", upload, data=data, headers={"Content-Type": content_type}
        )
        if reply.status == 413:
            raise ProviderRejected(f"{WHAT}: {self._rest.name} takes none of {len(data)} bytes.")
        if not reply.ok:
            raise ProviderUnavailable(f"{WHAT}: {self._rest.name}'s storage failed ({reply.status}).")
        return address

    async def close(self) -> None:
        """Let go of connections; `rest` is its owner's."""
        await self._named.close()

    def _api(self, upload: str) -> Api:
        """Who may call that address: without a guard only what the operator has named."""
        if self._rest.is_ours(upload):
            return self._rest
        try:
            Guard().check(URL(upload))
        except (Problem, ValueError):
            raise ProviderUnavailable(f"{WHAT}: {self._rest.name} names an address of no use.") from None
        return self._named


async def sent(image: InputImage, how: str, max_data_uri: int, storage: Storage | None) -> str:
    """What goes into an order in place of the picture: an address or a data URI. `how` is the deployment's
    choice: `upload`, `data`, or `auto`, by size; without a storage all travel inside the order."""
    data = await image.read()
    if storage is None or how == "data" or (how != "upload" and len(data) <= max_data_uri):
        return data_uri(data, image.content_type)
    return await storage.upload(data, image.content_type, image.sha256[:32])


def _address(told: Any, key: str) -> str | None:
    value = told.get(key) if isinstance(told, dict) else None
    return value if isinstance(value, str) and value.startswith(("http://", "https://")) else None
