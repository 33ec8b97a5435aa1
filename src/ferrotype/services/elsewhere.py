"""Whether a node that did not make a picture could serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.states import AssetState
from ferrotype.services.originals import away
from ferrotype.storage.base import Store
from ferrotype.storage.levels import Levels


class Elsewhere:
    """Looks where `Deliver` looks for what is not on its machine: the provider's own URL, a store that all
    nodes reach, the shared cache."""

    def __init__(self, database: Database, levels: Levels, stores: Mapping[str, Store]) -> None:
        self._database = database
        self._levels = levels
        self._stores = stores

    async def has(self, asset_ids: Iterable[str]) -> bool:
        """Whether all of these can be had now, those apart that never will be."""
        for asset_id in asset_ids:
            asset, keys = await self._database.read(
                lambda tx, asset_id=asset_id: assets.with_keys(tx, asset_id)  # type: ignore[misc]
            )
            if asset is None or asset.state is AssetState.FAILED or asset.origin is not None:
                continue
            if next(away(keys, self._stores), None) is None and not await self._levels.is_shared(asset_id):
                return False
        return True
