"""Where a picture's right bytes are: read from one place after the other until one has them."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ferrotype.db.copies import Held
from ferrotype.domain.problems import NotFound
from ferrotype.services.chores import Pace
from ferrotype.storage.base import Store
from ferrotype.storage.registry import Stores
from ferrotype.storage.scratch import Scratch
from ferrotype.storage.spool import Spool

#: Bytes of a file that are hashed between two looks at the pace.
PIECE: Final = 1024 * 1024


class Wholes:
    """Gives files whose hash was held against the asset's. Nothing of a picture is kept in memory."""

    def __init__(self, stores: Stores, spool: Spool, scratch: Scratch, pace: Pace) -> None:
        """`scratch` takes what comes from stores beyond this machine. What is read keeps `pace`."""
        self._stores = stores
        self._spool = spool
        self._scratch = self.scratch = scratch
        self._pace = pace

    @asynccontextmanager
    async def file(
        self, held: Held, first: Sequence[str] = (), without: Sequence[str] = ()
    ) -> AsyncIterator[Path]:
        """A durable file with the right bytes, for as long as the block lasts. Those of the stores that have
        the asset are asked which are not in `without`, those in `first` before the others.

        Raises NotFound, which says what each place has instead, and what a store raises.
        """
        told: list[str] = []
        spare = self._scratch.path()
        try:
            for where, place in self._places(held, first, without):
                path = await self._path(held, place, spare)
                if path is None:
                    told.append(f"{where} has none")
                elif await self._is_right(path, held):
                    yield path
                    return
                else:
                    told.append(f"{where} has other bytes")
                self._scratch.forget(spare)
        finally:
            self._scratch.forget(spare)
        tried = ", ".join(told) or "there is no other place"
        raise NotFound(f"No place has its right bytes: {tried}.")

    async def sha256(self, store: Store, key: str) -> tuple[str, int]:
        """Hash in hex and bytes of what a store has, read piece by piece. Raises as `Store.open` does."""
        digest, size = hashlib.sha256(), 0
        async for data in store.open(key):
            await self._pace.take(len(data))
            digest.update(data)
            size += len(data)
        return digest.hexdigest(), size

    def _places(
        self, held: Held, first: Sequence[str], without: Sequence[str]
    ) -> Iterator[tuple[str, Path | tuple[Store, str]]]:
        """Each with its name; files on this machine before stores elsewhere, save for those in `first`."""
        known = {name: self._stores.by_name[name] for name in held.keys if name in self._stores.by_name}
        known = {name: store for name, store in known.items() if name not in without}
        rest = sorted((name for name in known if name not in first), key=lambda name: not known[name].local)
        named = [name for name in first if name in known]
        for name in named:
            yield name, (known[name], held.keys[name])
        if path := self._spool.path(held.asset.id):
            yield "the spool", path
        for name in rest:
            yield name, (known[name], held.keys[name])

    async def _path(self, held: Held, place: Path | tuple[Store, str], spare: Path) -> Path | None:
        """The place's file, fetched to `spare` where it is elsewhere."""
        if isinstance(place, Path):
            try:  # the server lets go of its spool at any time: a name of our own keeps the bytes
                await asyncio.to_thread(os.link, place, spare)
            except FileNotFoundError:
                return None
            except OSError:
                return place if place.exists() else None
            return spare
        store, key = place
        if store.local:
            return store.local_path(key)
        try:
            await self._scratch.keep(spare, self._paced(store, key))
        except NotFound:
            return None
        return spare

    async def _paced(self, store: Store, key: str) -> AsyncIterator[bytes]:
        async for data in store.open(key):
            await self._pace.take(len(data))
            yield data

    async def _is_right(self, path: Path, held: Held) -> bool:
        """What came from elsewhere kept the pace already."""
        asset, local = held.asset, not path.is_relative_to(self._scratch.root)
        try:
            if path.stat().st_size != asset.bytes:
                return False
            digest = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                while data := await asyncio.to_thread(file.read, PIECE):
                    if local:
                        await self._pace.take(len(data))
                    digest.update(data)
        except OSError:  # it went meanwhile, or the disk cannot read it: another place may have it
            return False
        return digest.hexdigest() == asset.sha256
