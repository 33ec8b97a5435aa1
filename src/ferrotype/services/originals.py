"""Where the bytes of an original are right now."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferrotype.db import assets
from ferrotype.db.database import Database
from ferrotype.domain.asset import Asset
from ferrotype.domain.problems import NotFound
from ferrotype.storage.base import Store, WrongBytes
from ferrotype.storage.spool import Part, Spool

#: Looks before bytes that keep moving count as gone: spool, then store, then once more.
MOVES: Final = 3


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A complete picture on this machine's disk. `stays` tells whether it keeps its name: files of the spool
    lose theirs when a store has them."""

    path: Path
    stays: bool


def local_files(
    asset_id: str, keys: Mapping[str, str], spool: Spool, stores: Mapping[str, Store]
) -> Iterator[LocalFile]:
    """Where the picture is on this machine, nearest first, each looked for when it is asked for. `keys` are
    those of its copies, by store; stores that are not configured (any more) are passed over."""
    if path := spool.path(asset_id):
        yield LocalFile(path, stays=False)
    for name, key in keys.items():
        if name in stores and (path := stores[name].local_path(key)):
            yield LocalFile(path, stays=True)


def away(keys: Mapping[str, str], stores: Mapping[str, Store]) -> Iterator[tuple[Store, str]]:
    """The stores beyond this machine that have the picture, each with its key."""
    for name, key in keys.items():
        if name in stores and not stores[name].local:
            yield stores[name], key


class Originals:
    """Reads complete originals: from the spool, else from the stores, those on this machine first."""

    def __init__(self, database: Database, spool: Spool, stores: Mapping[str, Store]) -> None:
        self._database = database
        self._spool = spool
        self._stores = stores

    async def path(self, asset_id: str) -> Path | None:
        """A file with all the bytes, None when no place on this machine has one."""
        return self._path(asset_id, await self._keys(asset_id))

    async def read(self, asset_id: str) -> bytes:
        """All the bytes. Raises NotFound when no place has them, and what a store raises."""
        for _ in range(MOVES):
            path = await self.path(asset_id)
            if path is None:
                break
            try:
                return await asyncio.to_thread(path.read_bytes)
            except FileNotFoundError:
                continue  # it went from the spool to its store meanwhile
        for store, key in away(await self._keys(asset_id), self._stores):
            return b"".join([chunk async for chunk in store.open(key)])
        raise NotFound(f"The bytes of asset {asset_id} are nowhere.")

    @asynccontextmanager
    async def file(self, asset: Asset, keys: Mapping[str, str]) -> AsyncIterator[Path]:
        """A file with all the bytes, durable, which keeps its name meanwhile: fetched from a store, and held
        against the asset's hash, where there is none here. `keys` are those of its copies, by store.

        Raises NotFound when no place has them, WrongBytes when they are others, and what a store raises.
        """
        if keys and (path := self._spool.link(asset.id)):  # its first name may go at any time
            try:
                yield path
            finally:
                path.unlink(missing_ok=True)
        elif path := self._path(asset.id, keys):
            yield path
        else:
            part = await self._fetched(asset, keys)
            try:
                yield part.path
            finally:
                part.discard()

    async def _fetched(self, asset: Asset, keys: Mapping[str, str]) -> Part:
        problem: Exception = NotFound(f"The bytes of asset {asset.id} are nowhere.")
        for store, key in away(keys, self._stores):
            part, digest = self._spool.open_part(asset.id, asset.bytes), hashlib.sha256()
            try:
                async for chunk in store.open(key):
                    part.write(chunk)
                    digest.update(chunk)
                if digest.hexdigest() != asset.sha256:
                    raise WrongBytes(f"The store {store.name} has something else as {asset.id}.")
                await part.sync()
            except (NotFound, WrongBytes) as error:
                part.discard()
                problem = error  # another one may have it
            except BaseException:
                part.discard()
                raise
            else:
                return part
        raise problem

    def _path(self, asset_id: str, keys: Mapping[str, str]) -> Path | None:
        found = next(local_files(asset_id, keys, self._spool, self._stores), None)
        return found.path if found else None

    async def _keys(self, asset_id: str) -> Mapping[str, str]:
        return await self._database.read(lambda tx: assets.keys(tx, asset_id))
