"""Input pictures of an order: kept as assets, and sent as the model reads them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.model import InputLimits
from ferrotype.domain.order import Order
from ferrotype.domain.problems import InvalidField, NotFound
from ferrotype.imaging.prescale import Plan, plan
from ferrotype.providers.base import InputImage
from ferrotype.services.copies import Copies
from ferrotype.services.originals import Originals
from ferrotype.services.references import References
from ferrotype.services.uploads import Checked, Uploads

MASK: Final = "mask"


class Inputs:
    """Collects what an order refers to, and opens it again for the provider."""

    def __init__(
        self,
        database: Database,
        originals: Originals,
        references: References,
        uploads: Uploads,
        copies: Copies,
    ) -> None:
        self._database = database
        self._originals = originals
        self._references = references
        self._uploads = uploads
        self._copies = copies

    async def collect(self, order: Order, account_id: str, limits: InputLimits) -> dict[str, Any]:
        """`images` and `mask` as asset ids, and `inputs`: how each goes to a model with those `limits`, the
        mask last.

        Every reference is checked before the first is kept, so that one bad reference leaves nothing
        behind. Raises InvalidField, UnsupportedMedia or TooLarge naming the field.
        """
        found = [
            (field, await self._references.find(field, text, account_id))
            for field, text in order.named_references
        ]
        plans: list[Plan] = []
        for field, item in found:
            data = item.data if isinstance(item, Checked) else await self._bytes(field, item)
            mask = field == MASK
            size = (plans[0].sent_width, plans[0].sent_height) if mask and plans else None
            plans.append(await asyncio.to_thread(plan, data, limits, mask=mask, size=size, field=field))
        ids = [
            (await self._uploads.keep_once(item, account_id, order.visibility)).id
            if isinstance(item, Checked)
            else item.id
            for _, item in found
        ]
        return {
            "images": [asset_id for asset_id, how in zip(ids, plans, strict=True) if not how.mask],
            "mask": next((asset_id for asset_id, how in zip(ids, plans, strict=True) if how.mask), None),
            "inputs": [stated(asset_id, how) for asset_id, how in zip(ids, plans, strict=True)],
        }

    async def open(
        self, inputs: list[dict[str, Any]], limits: InputLimits
    ) -> tuple[list[InputImage], InputImage | None]:
        """The pictures and the mask of a generation as a provider takes them; `inputs` is what it
        tells of them.

        The asset stays as it is: a copy that fits is made when its bytes are read.
        """
        images = [await self._input(facts, limits) for facts in inputs if facts["role"] != MASK]
        masks = [await self._input(facts, limits) for facts in inputs if facts["role"] == MASK]
        return images, next(iter(masks), None)

    async def _input(self, facts: Mapping[str, Any], limits: InputLimits) -> InputImage:
        asset_id = str(facts["asset_id"])
        asset = await self._database.read(lambda tx: assets.get(tx, asset_id))
        if asset is None:
            raise NotFound(f"There is no asset {asset_id}.")
        how = _planned(facts, limits)
        sha256 = asset.sha256 or asset_id
        if not how.rewritten:
            return InputImage(asset_id, how.content_type, sha256, partial(self._originals.read, asset_id))
        # The bytes do not exist yet: what they are made from stands for them, and is as unique.
        name = hashlib.sha256(f"{sha256} {how.recipe}".encode()).hexdigest()
        return InputImage(asset_id, how.content_type, name, partial(self._copies.read, asset_id, name, how))

    async def _bytes(self, field: str, asset: Asset) -> bytes:
        try:
            return await self._originals.read(asset.id)
        except NotFound as problem:
            raise InvalidField(problem.detail, field=field) from None


def stated(asset_id: str, how: Plan) -> dict[str, Any]:
    """What a generation tells of an input; from it the same plan is made again."""
    return {
        "asset_id": asset_id,
        "role": MASK if how.mask else "image",
        "width": how.width,
        "height": how.height,
        "sent_width": how.sent_width,
        "sent_height": how.sent_height,
        "sent_content_type": how.content_type,
        "rewritten": how.rewritten,
    }


def _planned(facts: Mapping[str, Any], limits: InputLimits) -> Plan:
    return Plan(
        width=facts["width"],
        height=facts["height"],
        sent_width=facts["sent_width"],
        sent_height=facts["sent_height"],
        content_type=facts["sent_content_type"],
        rewritten=facts["rewritten"],
        quality=limits.quality,
        alpha=limits.alpha,
        mask=facts["role"] == MASK,
    )
