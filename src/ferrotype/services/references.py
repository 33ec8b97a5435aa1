"""What an order refers to: asset ids, data URIs and URLs all lead to a picture."""

from __future__ import annotations

import base64
import binascii
from typing import Final
from urllib.parse import unquote_to_bytes

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import InvalidField, OriginProblem, TooLarge
from ferrotype.domain.states import AssetState
from ferrotype.net.http import Http
from ferrotype.services.uploads import Checked, Uploads

DATA: Final = "data:"


class References:
    """Finds what is referred to. `max_bytes` bounds what is fetched or decoded."""

    def __init__(self, database: Database, uploads: Uploads, http: Http, max_bytes: int) -> None:
        self._database = database
        self._uploads = uploads
        self._http = http
        self._max_bytes = max_bytes

    async def find(self, field: str, reference: str, account_id: str) -> Asset | Checked:
        """The account's asset, or a picture that was checked and may be kept.

        Raises InvalidField, UnsupportedMedia or TooLarge naming the field.
        """
        if is_id(reference):
            asset = await self._database.read(lambda tx: assets.get(tx, reference))
            if asset is None or asset.account_id != account_id:
                raise InvalidField(f"There is no asset {reference}.", field=field)
            if asset.deleted_at is not None:
                raise InvalidField(f"Asset {reference} was deleted.", field=field)
            if asset.state is not AssetState.READY:
                raise InvalidField(f"Asset {reference} is {asset.state}, not ready.", field=field)
            return asset
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
