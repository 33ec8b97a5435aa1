"""A data folder with pictures in its stores, for commands that look after them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyvips
from sqlalchemy import select

from ferrotype.app.beside import Beside, beside
from ferrotype.app.settings import AppSettings, load_settings
from ferrotype.db import assets
from ferrotype.db.schema import copies, jobs
from ferrotype.domain.asset import Asset
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from tests.databases import migrated

WHEN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def png(number: int, width: int = 24, height: int = 16) -> bytes:
    """A picture like no other."""
    noise = pyvips.Image.gaussnoise(width, height, mean=128, sigma=40, seed=number).cast("uchar")
    return bytes(noise.write_to_buffer(".png"))


@dataclass
class Looking:
    """A watcher that remembers."""

    count: int = 0
    bytes: int = 0
    said: list[str] = field(default_factory=list)

    def done(self, count: int = 1, size: int = 0) -> None:
        self.count += count
        self.bytes += size

    def say(self, text: str) -> None:
        self.said.append(text)


class Stock:
    """`environ` sets up the stores; `nas` is a second folder, `third` one more."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.data = folder / "data"
        toml = folder / "ferrotype.toml"
        toml.write_text(
            f'[stores.nas]\nkind = "disk"\npath = "{folder}/nas"\n\n'
            f'[stores.third]\nkind = "disk"\npath = "{folder}/third"\n'
        )
        self.environ = {
            "FERROTYPE_DATA_DIR": str(self.data),
            "FERROTYPE_CONFIG": str(toml),
            "FERROTYPE_STORES": "disk",
            "FERROTYPE_MIN_FREE_DISK_BYTES": "0",
            **environ,
        }

    @property
    def settings(self) -> AppSettings:
        return load_settings(self.environ)

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Beside]:
        await migrated(self.data / "ferrotype.db")
        async with beside(self.settings, **options) as parts:
            parts.patience._sleep = _at_once
            yield parts

    async def add(self, parts: Beside, data: bytes, stores: Sequence[str] = ("disk",), **facts: Any) -> Asset:
        """An asset whose bytes are in the stores; in the spool where none is named."""
        created = facts.pop("created_at", WHEN)
        asset = Asset(
            **{
                "id": new_id(),
                "account_id": parts.account_id,
                "state": AssetState.READY,
                "content_type": "image/png",
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "created_at": created,
                **facts,
            }
        )
        await parts.database.write(lambda tx: assets.add(tx, asset))
        source = parts.scratch.path()
        parts.scratch.root.mkdir(exist_ok=True)
        source.write_bytes(data)
        for name in stores:
            key = parts.stores.templates[name].key(asset, parts.secret)
            await parts.stores.by_name[name].put(
                key, source, content_type="image/png", sha256=asset.sha256 or ""
            )
            await parts.database.write(
                lambda tx, name=name, key=key: assets.add_copy(tx, asset.id, name, key, WHEN)  # type: ignore[misc]
            )
        if not stores:
            await parts.spool.write(asset.id, data)
        source.unlink()
        return asset


async def _at_once(_seconds: float) -> None:
    return None


async def copy_rows(parts: Beside) -> dict[tuple[str, str], str]:
    """(asset, store) -> key."""
    rows = await parts.database.read(lambda tx: tx.execute(select(copies)).all())
    return {(row.asset_id, row.store): row.key for row in rows}


async def job_rows(parts: Beside) -> list[Any]:
    return list(await parts.database.read(lambda tx: tx.execute(select(jobs).order_by(jobs.c.id)).all()))


async def bytes_of(parts: Beside, store: str, key: str) -> bytes:
    return b"".join([chunk async for chunk in parts.stores.by_name[store].open(key)])


def aged(path: Path, hours: float) -> None:
    """A file that seems to have been written long ago; its link is as young as it is, so tests of ages move
    the clock instead where that counts."""
    import os

    then = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
    os.utime(path, (then, then))
