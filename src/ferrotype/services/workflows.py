"""Which originals may go out as they are: those whose files tell no workflow.

A picture's file is looked at once, when somebody asks for it. While it still arrives its beginning is looked
at, and it is held back where that is not enough to say.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Final

from cachebox import LRUCache

from ferrotype.domain.problems import UnsupportedMedia
from ferrotype.domain.states import AssetState
from ferrotype.imaging.provenance.strip import passes, tells
from ferrotype.imaging.provenance.xmp import LABELLED_TYPES
from ferrotype.services.deliver import Deliver, Delivery, File, Found
from ferrotype.storage.arrival import Arrival, ArrivalBroken
from ferrotype.storage.memory import Cached

#: Pictures that need not be looked at again; one takes about 200 bytes.
REMEMBERED: Final = 65_536
#: Bytes of a beginning that are looked at: workflows of a megabyte have been seen, and of such a picture the
#: rest is waited for.
MAX_HEAD: Final = 512 * 1024


class Workflows:
    """Looks at originals. With `keep` all of them go out as they are."""

    def __init__(self, deliver: Deliver, *, keep: bool) -> None:
        self._deliver = deliver
        self._keep = keep
        self._known: LRUCache[str, bool] = LRUCache(REMEMBERED)
        self._looking: dict[str, asyncio.Task[bool]] = {}

    async def holds(self, found: Found) -> bool | None:
        """Whether the original tells a workflow; None as long as its bytes are not on this machine."""
        asset = found.asset
        if self._keep:
            return False
        if asset.state is AssetState.READY and asset.content_type not in (None, *LABELLED_TYPES):
            return False  # before that it is what the provider said
        known: bool | None = self._known.get(asset.id)
        if known is not None:
            return known
        source = self._deliver.here(found)
        if source is None:
            return None
        try:
            return await self._look(asset.id, source)
        except FileNotFoundError:  # it went from the spool to its store meanwhile
            return None

    async def stops(self, asset_id: str, delivery: Delivery) -> bool:
        """Whether an opened original may not be passed on as it is. Raises FileNotFoundError for a file that
        has moved meanwhile, and the problem of an arrival that breaks off."""
        known: bool | None = False if self._keep else self._known.get(asset_id)
        if known is not None:
            return known
        match delivery:
            case Cached(body=body):
                return await self._look(asset_id, body)
            case File(path=path):
                return await self._look(asset_id, path)
            case Arrival() as arrival:
                return not await _passes(arrival)

    async def _look(self, asset_id: str, source: Path | bytes) -> bool:
        """Once for all who ask meanwhile."""
        task = self._looking.get(asset_id)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._read(asset_id, source))
            self._looking[asset_id] = task
            task.add_done_callback(lambda _: self._looking.pop(asset_id))
        return await asyncio.shield(task)

    async def _read(self, asset_id: str, source: Path | bytes) -> bool:
        try:
            found = await asyncio.to_thread(tells, source)
        except UnsupportedMedia:  # nothing that we know how to show
            found = False
        self._known[asset_id] = found
        return found


async def _passes(arrival: Arrival) -> bool:
    head = bytearray()
    try:
        async with aclosing(arrival.chunks()) as chunks:
            async for chunk in chunks:
                head += chunk
                verdict = passes(bytes(head))
                if verdict is not None:
                    return verdict
                if len(head) > MAX_HEAD:
                    break
    except ArrivalBroken as broken:
        raise broken.problem from broken
    return False
