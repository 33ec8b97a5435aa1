"""Input pictures of an order: asset ids, data URIs and URLs all become assets."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import unquote_to_bytes

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import is_id
from ferrotype.domain.model import Capabilities
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, OriginProblem, Overloaded, TooLarge
from ferrotype.domain.states import AssetState
from ferrotype.imaging.inspect import inspect
from ferrotype.imaging.pool import ImagingPool
from ferrotype.imaging.prescale import fit, prescale
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.net.http import Http
from ferrotype.providers.base import InputImage
from ferrotype.services.originals import Originals
from ferrotype.services.uploads import Checked, Uploads

DATA: Final = "data:"
#: What `prescale` writes in its own format; everything else becomes PNG.
PRESCALED_TYPES: Final = ("image/jpeg", "image/webp")

P = ParamSpec("P")
T = TypeVar("T")


class Inputs:
    """Collects what an order refers to, and opens it again for the provider."""

    def __init__(
        self,
        database: Database,
        originals: Originals,
        uploads: Uploads,
        http: Http,
        pool: ImagingPool,
        limits: ImagingSettings,
    ) -> None:
        self._database = database
        self._originals = originals
        self._uploads = uploads
        self._http = http
        self._pool = pool
        self._limits = limits
        self._max_bytes = limits.max_upload_bytes

    async def collect(self, order: Order, account_id: str) -> dict[str, Any]:
        """`images` and `mask` as asset ids.

        Every reference is checked before the first is kept, so that one bad reference leaves nothing
        behind. Raises InvalidField, UnsupportedMedia or TooLarge naming the field.
        """
        named = [("image", order.image)] if order.image else []
        named += [(f"images.{index}", reference) for index, reference in enumerate(order.images)]
        named += [("mask", order.mask)] if order.mask else []
        found = [(field, await self._resolve(field, reference, account_id)) for field, reference in named]
        ids = [
            (field, item if isinstance(item, str) else (await self._uploads.keep(item, account_id)).id)
            for field, item in found
        ]
        return {
            "images": [asset_id for field, asset_id in ids if field != "mask"],
            "mask": next((asset_id for field, asset_id in ids if field == "mask"), None),
        }

    async def size(self, asset_id: str) -> tuple[int, int]:
        """Width and height of a picture in pixels, as shown."""
        asset = await self._database.read(lambda tx: assets.get(tx, asset_id))
        assert asset is not None
        return await self._size(asset)

    async def open(self, asset_ids: Sequence[str], can: Capabilities) -> tuple[InputImage, ...]:
        """The pictures as a provider takes them: within the model's limits for inputs.

        The asset stays as it is; a smaller copy is made each time that the bytes are read.
        """
        found = [await self._database.read(lambda tx, id=id: assets.get(tx, id)) for id in asset_ids]  # type: ignore[misc]
        return tuple([await self._input(asset, can) for asset in found if asset is not None])

    async def _input(self, asset: Asset, can: Capabilities) -> InputImage:
        content_type, sha256 = asset.content_type or "", asset.sha256 or ""

        async def read() -> bytes:
            return await self._originals.read(asset.id)

        if can.inputs.max_pixels is None and can.inputs.max_side is None:
            return InputImage(asset.id, content_type, sha256, read)
        width, height = await self._size(asset)
        max_pixels = can.inputs.max_pixels or width * height
        max_side = can.inputs.max_side or max(width, height)
        if fit(width, height, max_pixels, max_side) == (width, height):
            return InputImage(asset.id, content_type, sha256, read)

        async def read_smaller() -> bytes:
            data = await read()
            return await self._patiently(prescale, data, max_pixels, max_side) or data

        # The bytes do not exist yet: what they are made from stands for them, and is as unique.
        recipe = f"{sha256} within {max_pixels} and {max_side}"
        smaller_type = content_type if content_type in PRESCALED_TYPES else "image/png"
        return InputImage(asset.id, smaller_type, hashlib.sha256(recipe.encode()).hexdigest(), read_smaller)

    async def _size(self, asset: Asset) -> tuple[int, int]:
        if asset.width is not None and asset.height is not None:
            return asset.width, asset.height
        # Its header did not tell, and what is found out behind the answer has not been yet.
        info = await self._patiently(inspect, await self._originals.read(asset.id), self._limits)
        return info.width, info.height

    async def _patiently(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A call in the imaging pool that waits while the pool is full: the order was accepted already."""
        while True:
            try:
                return await self._pool.run(call, *args, **kwargs)
            except Overloaded as busy:
                await asyncio.sleep(busy.retry_after or 1)

    async def _resolve(self, field: str, reference: str, account_id: str) -> str | Checked:
        """An asset id as it is, anything else as a checked picture."""
        if is_id(reference):
            asset = await self._database.read(lambda tx: assets.get(tx, reference))
            if asset is None or asset.account_id != account_id:
                raise InvalidField(f"There is no asset {reference}.", field=field)
            if asset.state is not AssetState.READY:
                raise InvalidField(f"Asset {reference} is {asset.state}, not ready.", field=field)
            return reference
        if reference[: len(DATA)].lower() == DATA:
            return await self._uploads.check(self._decode(field, reference), field=field)
        if reference.lower().startswith(("http://", "https://")):
            return await self._uploads.check(await self._fetch(field, reference), field=field)
        raise InvalidField("An input is an asset id, an http(s) URL or a data URI.", field=field)

    def _decode(self, field: str, uri: str) -> bytes:
        head, comma, body = uri.partition(",")
        if not comma:
            raise InvalidField("The data URI has no comma.", field=field)
        if len(body) * 3 // 4 > self._max_bytes:
            raise TooLarge("The data URI is too large.", field=field, limit=self._max_bytes)
        try:
            if head.lower().endswith(";base64"):
                return base64.b64decode(unquote_to_bytes(body), validate=True)
            return unquote_to_bytes(body)
        except (binascii.Error, ValueError):
            raise InvalidField("The data URI is not valid base64.", field=field) from None

    async def _fetch(self, field: str, url: str) -> bytes:
        try:
            return await self._http.read(url, max_bytes=self._max_bytes, field=field)
        except OriginProblem as problem:
            raise InvalidField(f"The URL cannot be fetched: {problem.detail}", field=field) from None
