"""The images of a Cloudinary product environment, by its Admin API, as they were uploaded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from yarl import URL

from ferrotype.domain.problems import InvalidField, OriginUnavailable
from ferrotype.storage.cloudinary import CloudinaryStore
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.cloudinary_wire import delivery_url
from ferrotype.storage.collections.base import Broken, Item

#: Delivery types; what comes from sites elsewhere (`fetch`, `facebook`) is no picture of the account's own.
TYPES: Final = ("upload", "private", "authenticated")
Fetch = Callable[[str, bool], AsyncIterator[bytes]]


class CloudinaryCollection:
    """All images, or those whose public id begins with `prefix`."""

    def __init__(
        self,
        settings: CloudinarySettings,
        prefix: str,
        fetch: Fetch,
        ours: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`fetch` is told the URL, and whether it is at the delivery network that the operator named."""
        account = settings.account
        if account is None:
            raise InvalidField("The cloud's name, API key or secret is missing.", field="--from")
        self._store = CloudinaryStore(settings)
        self._account = account
        self._network = URL(account.network).host
        self._prefix = prefix
        self._fetch = fetch
        self._ours = ours
        self.where = f"the Cloudinary cloud {account.cloud}{f', {prefix}*' if prefix else ''}"

    async def items(self) -> AsyncIterator[Item]:
        """See `Collection`. 500 images are a call of the Admin API."""
        for kind in TYPES:
            async for record in self._store.resources(kind, self._prefix):
                public_id = str(record["public_id"])
                if not self._ours(f"{public_id}.{record.get('format')}"):
                    yield self._item(kind, public_id, record)

    async def close(self) -> None:
        """See `Collection`."""
        await self._store.close()

    def _item(self, kind: str, public_id: str, record: Mapping[str, Any]) -> Item:
        shown = url = str(record.get("secure_url") or record.get("url") or "")
        if kind != "upload":  # only a signed URL leads to the original
            name = quote(f"{public_id}.{record.get('format')}", safe="/:").replace("~", "%7E")
            url = delivery_url(self._account, kind, name)
        context = record.get("context")
        custom = context.get("custom") if isinstance(context, Mapping) else None
        size = record.get("bytes")
        nowhere = InvalidField("Cloudinary gives no URL of it.", field="secure_url")
        return Item(
            source=f"cloudinary://{self._account.cloud}/image/{kind}/{public_id}",
            address=shown or public_id,
            former_id=public_id,
            open=partial(self._open, url, size) if url else Broken(nowhere),
            size=size if isinstance(size, int) else None,
            created_at=_moment(record.get("created_at")),
            tags=tuple(str(tag) for tag in record.get("tags") or ()),
            metadata={str(key): value for key, value in (custom or {}).items()},
            private=kind != "upload",
        )

    async def _open(self, url: str, size: object) -> AsyncIterator[bytes]:
        got = 0
        async for data in self._fetch(url, URL(url).host == self._network):
            got += len(data)
            yield data
        if isinstance(size, int) and got != size:
            raise OriginUnavailable(f"Cloudinary keeps {size} bytes and delivers {got}: other ones.")


def _moment(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return None
