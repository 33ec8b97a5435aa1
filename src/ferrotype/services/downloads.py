"""The story of a download: which pictures an archive gets, and whether it may be made at all.

All of that is decided before the first byte is sent, as far as it can be known by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from ferrotype.db import assets, generations
from ferrotype.db.database import Database, Transaction
from ferrotype.domain.asset import Asset
from ferrotype.domain.generation import Generation
from ferrotype.domain.ids import is_id
from ferrotype.domain.problems import Gone, InvalidField, NotFound, NothingToDownload
from ferrotype.domain.states import GENERATION, AssetState
from ferrotype.services.deliver import Deliver
from ferrotype.services.download_manifest import LeftOut, Reason
from ferrotype.services.download_names import SHORT, archive_name, slug, stems
from ferrotype.services.download_picture import OpenFile, open_file
from ferrotype.services.download_stream import Download, Entry, damaged
from ferrotype.services.labels import Labels
from ferrotype.services.originals import MOVES, local_files
from ferrotype.services.settings import DownloadSettings
from ferrotype.storage.base import Store
from ferrotype.storage.spool import Spool

#: The archive's name where nothing better is known.
PICTURES: Final = "pictures"

#: Store -> key, by asset id.
Keys = Mapping[str, Mapping[str, str]]


class Downloads:
    """Makes archives of pictures."""

    def __init__(
        self,
        database: Database,
        deliver: Deliver,
        spool: Spool,
        stores: Mapping[str, Store],
        labels: Labels,
        settings: DownloadSettings,
        open_file: OpenFile = open_file,
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._spool = spool
        self._stores = stores
        self._labels = labels
        self._settings = settings
        self._open_file = open_file

    async def of_generation(self, generation_id: str, account_id: str) -> Download:
        """All pictures of a generation that exist by now.

        Raises NotFound, NothingToDownload when there are none, InvalidField when they are too many bytes.
        """

        def story(tx: Transaction) -> tuple[Generation, list[Asset], Keys] | None:
            generation = generations.get(tx, generation_id)
            if generation is None or generation.account_id != account_id:
                return None
            found = assets.of_generations(tx, [generation.leader_id])[generation.leader_id]
            return generation, found, assets.copy_keys(tx, [asset.id for asset in found])

        found = await self._database.read(story)
        if found is None:
            raise NotFound(f"There is no generation {generation_id}.")
        generation, pictures, keys = found
        words = slug(str(generation.input.get("prompt") or "")) or slug(generation.operation) or PICTURES
        return await self._plan(
            archive_name(None, f"{words}-{generation_id[-SHORT:]}"),
            pictures,
            {generation.leader_id: generation},
            keys,
            not_made=list(_not_made(generation, pictures)),
            field="generation_id",
        )

    async def of_assets(self, ids: Sequence[str], account_id: str, name: str | None = None) -> Download:
        """These pictures in this order, each once; `name` is a wish for the archive's file name.

        Raises InvalidField for none, too many or too large ones; NotFound or Gone naming the first of `ids`
        that cannot be had; NothingToDownload when none of them ever got its bytes.
        """
        limit = self._settings.max_download_assets
        if not ids:
            raise InvalidField("Name at least one asset.", field="ids", limit="at least 1")
        if len(ids) > limit:
            raise InvalidField(f"{len(ids)} assets are more than {limit}.", field="ids", limit=limit)
        for number, asset_id in enumerate(ids):
            if not is_id(asset_id):
                raise _unknown(number, asset_id)

        def story(tx: Transaction) -> tuple[dict[str, Asset], dict[str, Generation], Keys]:
            found = assets.of_ids(tx, ids)
            made_by = {asset.generation_id for asset in found.values() if asset.generation_id is not None}
            return found, generations.of_ids(tx, sorted(made_by)), assets.copy_keys(tx, ids)

        found, made, keys = await self._database.read(story)
        for number, asset_id in enumerate(ids):
            asset = found.get(asset_id)
            if asset is None or asset.account_id != account_id:
                raise _unknown(number, asset_id)
            if asset.deleted_at is not None:
                raise Gone(f"The asset {asset_id} was deleted.", field=f"ids[{number}]")
        pictures = [found[asset_id] for asset_id in dict.fromkeys(ids)]
        return await self._plan(archive_name(name, PICTURES), pictures, made, keys, field="ids")

    async def _plan(
        self,
        name: str,
        pictures: Sequence[Asset],
        made: Mapping[str, Generation],
        keys: Keys,
        *,
        not_made: Iterable[LeftOut] = (),
        field: str,
    ) -> Download:
        """The archive of these pictures. `field` is what a problem names."""
        names = stems(pictures, made)
        here = await self._locate(pictures, keys)
        entries: list[Entry] = []
        left_out: list[LeftOut] = []
        for asset in pictures:
            path, size = here.get(asset.id, (None, 0))
            if asset.deleted_at is not None:
                left_out.append(LeftOut.of(asset, Reason.DELETED, "It was deleted."))
            elif asset.state is AssetState.FAILED:
                detail = "Its bytes never came from its provider."
                left_out.append(LeftOut.of(asset, Reason.FAILED, detail))
            elif path is not None and asset.bytes is not None and asset.bytes != size:
                left_out.append(LeftOut.of(asset, Reason.DAMAGED, damaged(asset.bytes, size)))
            else:
                entries.append(Entry(asset, names[asset.id], path))
        left_out += not_made
        if not entries:
            raise _nothing(made.values(), left_out)
        limit = self._settings.max_download_bytes
        total = sum(entry.asset.bytes or 0 for entry in entries)
        if total > limit:
            raise InvalidField(
                f"These pictures have {total} bytes, more than {limit}.", field=field, limit=limit
            )
        download = Download(
            name=name,
            entries=entries,
            left_out=left_out,
            generations=made,
            at=max(asset.created_at for asset in pictures),
            max_bytes=limit,
            deliver=self._deliver,
            labels=self._labels,
            open_file=self._open_file,
        )
        await self._measure(download, pictures, keys)
        return download

    async def _measure(self, download: Download, pictures: Sequence[Asset], keys: Keys) -> None:
        """Find out the length, where everything is here and known."""
        for _ in range(MOVES):
            if not all(entry.path is not None and _is_known(entry.asset) for entry in download.entries):
                return
            try:
                await download.measure()
            except FileNotFoundError:  # it went from the spool to its store meanwhile
                here = await self._locate(pictures, keys)
                download.entries = [
                    replace(entry, path=here.get(entry.asset.id, (None, 0))[0]) for entry in download.entries
                ]
            else:
                return

    async def _locate(self, pictures: Iterable[Asset], keys: Keys) -> dict[str, tuple[Path, int]]:
        """Where the bytes are and how many, by asset id, of those that are on this machine."""
        here = await asyncio.to_thread(self._look_for, pictures, keys)
        away = [each for each in pictures if each.state is AssetState.READY and each.id not in here]
        if away:  # since the keys were read they may have gone from the spool to a store
            ids = [asset.id for asset in away]
            later = await self._database.read(lambda tx: assets.copy_keys(tx, ids))
            here |= await asyncio.to_thread(self._look_for, away, later)
        return here

    def _look_for(self, pictures: Iterable[Asset], keys: Keys) -> dict[str, tuple[Path, int]]:
        found: dict[str, tuple[Path, int]] = {}
        for asset in pictures:
            for file in local_files(asset.id, keys.get(asset.id, {}), self._spool, self._stores):
                try:
                    found[asset.id] = file.path, file.path.stat().st_size
                    break
                except FileNotFoundError:
                    continue  # it went from the spool to its store meanwhile
        return found


def _is_known(asset: Asset) -> bool:
    """Whether nothing that the manifest tells can still be found out while the picture is packed."""
    facts = (asset.bytes, asset.sha256, asset.content_type)
    return asset.state is AssetState.READY and None not in facts


def _not_made(generation: Generation, pictures: Iterable[Asset]) -> Iterable[LeftOut]:
    """The ordered pictures that do not exist."""
    ended = GENERATION.is_terminal(generation.status)
    detail = "It was not made." if ended else "It has not been made yet."
    made = {asset.index for asset in pictures}
    for index in range(generation.num_images):
        if index not in made:
            yield LeftOut(Reason.NOT_MADE, detail, generation_id=generation.id, index=index)


def _nothing(made: Iterable[Generation], left_out: Sequence[LeftOut]) -> NothingToDownload:
    awaited = any(lost.reason is Reason.NOT_MADE for lost in left_out)
    if awaited and not all(GENERATION.is_terminal(generation.status) for generation in made):
        return NothingToDownload("No picture exists yet.", retry_after=1)
    why = " ".join(sorted({lost.detail for lost in left_out}))
    return NothingToDownload(f"There is no picture to download. {why}")


def _unknown(number: int, asset_id: str) -> NotFound:
    return NotFound(f"There is no asset {asset_id[:64]!r}.", field=f"ids[{number}]")
