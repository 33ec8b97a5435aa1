"""Input pictures of an order: asset ids, data URIs and URLs all become assets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import is_id
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, OriginProblem, TooLarge
from ferrotype.domain.states import AssetState
from ferrotype.net.http import Http
from ferrotype.providers.base import InputImage
from ferrotype.services.originals import Originals
from ferrotype.services.uploads import Checked, Uploads

DATA: Final = "data:"


class Inputs:
    """Collects what an order refers to, and opens it again for the provider."""

    def __init__(
        self, database: Database, originals: Originals, uploads: Uploads, http: Http, max_bytes: int
    ) -> None:
        self._database = database
        self._originals = originals
        self._uploads = uploads
        self._http = http
        self._max_bytes = max_bytes

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

    async def open(self, asset_ids: Sequence[str]) -> tuple[InputImage, ...]:
        """The pictures as a provider takes them."""
        found = [await self._database.read(lambda tx, id=id: assets.get(tx, id)) for id in asset_ids]  # type: ignore[misc]
        return tuple(self._input(asset) for asset in found if asset is not None)

    def _input(self, asset: Asset) -> InputImage:
        async def read() -> bytes:
            return await self._originals.read(asset.id)

        return InputImage(asset.id, asset.content_type or "", asset.sha256 or "", read)

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
