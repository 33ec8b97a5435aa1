"""The bytes of an archive: each picture once it is whole, the manifest last.

A picture comes into the archive only when all its bytes are here, so one that never arrives costs nothing
but its place: it is left out, and the manifest says so. What can still break is the reading of a picture that
has begun, or of one that is counted in an announced length. Then DownloadBroken ends the stream, and whoever
sends it must not end it cleanly.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ferrotype.domain.asset import Asset
from ferrotype.domain.generation import Generation
from ferrotype.domain.media import extension
from ferrotype.domain.problems import Gone, InvalidField, NotFound, Problem, UnsupportedMedia
from ferrotype.domain.states import AssetState
from ferrotype.imaging.provenance.splices import growth
from ferrotype.imaging.provenance.xmp import splices
from ferrotype.services import download_manifest as manifest
from ferrotype.services.deliver import Deliver, File
from ferrotype.services.download_manifest import LeftOut, Packed, Reason
from ferrotype.services.download_picture import CHUNK, OpenFile, PackedPicture
from ferrotype.services.labels import Labels
from ferrotype.services.originals import MOVES
from ferrotype.services.zip_format import Member, ZipWriter, length_of
from ferrotype.storage.arrivals import Arrival, OriginUnusable

SHA256_DIGITS: Final = 64
NOWHERE: Final = "Its bytes are nowhere."


class DownloadBroken(Exception):
    """The archive cannot become what was announced; its end must not be sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that is asked for. `stem` is its file's name without the extension, `path` where its bytes
    were when that was decided, None when they were nowhere on this machine."""

    asset: Asset
    stem: str
    path: Path | None

    def file(self, content_type: str | None) -> str:
        """The file's name."""
        return f"{self.stem}.{extension(content_type)}"


@dataclass(slots=True)
class Download:
    """An archive that is ready to be sent; nothing of it is open before `chunks` is.

    `name` is its file name, `length` its bytes where they are known, `at` when its newest picture was made.
    `generations` are those that made the pictures, by id; `max_bytes` bounds what is packed. `labels` tells
    what is written into them; one whose length is announced has no signatures, whose length nobody knows
    before.
    """

    name: str
    entries: Sequence[Entry]
    left_out: Sequence[LeftOut]
    generations: Mapping[str, Generation]
    at: datetime
    max_bytes: int
    deliver: Deliver
    labels: Labels
    open_file: OpenFile
    length: int | None = None

    async def measure(self) -> None:
        """Find out the length of an archive whose pictures are all here and known, unless they are signed.
        Raises FileNotFoundError when one has moved meanwhile."""
        if self.labels.signs and any(self.labels.download(entry.asset) for entry in self.entries):
            return
        self.length = await asyncio.to_thread(self._measure)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The archive, at most CHUNK bytes at a time. Raises DownloadBroken."""
        writer, packed, left_out = ZipWriter(), list[Packed](), list(self.left_out)
        room = self.max_bytes
        for entry in self.entries:
            picture = PackedPicture(self.open_file)
            try:
                asset = await self._look(entry, picture, room)
                room -= picture.size
                file = entry.file(asset.content_type)
                yield writer.begin(Member(file, picture.size, picture.crc, asset.created_at))
                while data := await picture.read():
                    yield data
                packed.append(Packed(file, asset, picture.size, picture.sha256 or asset.sha256 or ""))
            except _Absent as absent:
                if self.length is not None:
                    raise DownloadBroken(f"{entry.asset.id} is counted already: {absent.detail}") from absent
                left_out.append(LeftOut.of(entry.asset, absent.reason, absent.detail))
            except (OSError, EOFError) as error:
                raise DownloadBroken(f"{entry.asset.id} broke off: {error}") from error
            finally:
                picture.close()
        yield writer.begin(await asyncio.to_thread(self._manifest, packed, left_out))
        for chunk in _grouped(manifest.lines(packed, left_out, self.generations)):
            yield chunk
        for chunk in _grouped(writer.end()):
            yield chunk

    async def _look(self, entry: Entry, picture: PackedPicture, room: int) -> Asset:
        """The asset as it is known now, its bytes open in `picture`. Waits for those that are on their way.
        Raises _Absent."""
        asset, path = entry.asset, entry.path
        generation = self.generations.get(asset.generation_id or "")
        label = await self.labels.of(asset, generation, signed=self.length is None)
        for _ in range(MOVES):
            source: Path | bytes
            try:
                if path is None:
                    asset, source = await self._source(asset)
                else:
                    source = path
                await picture.look(source, label, hashed=asset.sha256 is None)
                break
            except FileNotFoundError:
                path = None
            except OSError as error:
                raise _Absent(Reason.DAMAGED, f"Its bytes cannot be read: {error.strerror}.") from error
        else:
            raise _Absent(Reason.MISSING, NOWHERE)
        if picture.fault is not None:
            self.labels.failed(picture.fault)
        if asset.bytes is not None and asset.bytes != picture.original_size:
            raise _Absent(Reason.DAMAGED, damaged(asset.bytes, picture.original_size))
        if picture.size > room:
            raise _Absent(Reason.TOO_LARGE, f"The archive has at most {self.max_bytes} bytes.")
        found_out = {
            "bytes": picture.original_size,
            "sha256": asset.sha256 or picture.original_sha256,
            "content_type": asset.content_type or picture.content_type,
        }
        return asset.model_copy(update=found_out)

    async def _source(self, asset: Asset) -> tuple[Asset, Path | bytes]:
        """Raises _Absent, or FileNotFoundError for a picture that has to be somewhere: it may be moving."""
        try:
            found = await self.deliver.find(asset.id)
            delivery = (await self.deliver.open(found)).delivery
            if isinstance(delivery, Arrival):
                return found.asset, (await delivery.finished()).path
            return found.asset, delivery.path if isinstance(delivery, File) else delivery.body
        except Gone as gone:
            raise _Absent(Reason.DELETED, gone.detail) from gone
        except OriginUnusable as unusable:
            raise _Absent(Reason.FAILED, unusable.detail) from unusable
        except Problem as problem:
            if asset.state is AssetState.READY or isinstance(problem, NotFound):
                raise FileNotFoundError(NOWHERE) from problem
            raise _Absent(Reason.UNREACHABLE, problem.detail) from problem

    def _measure(self) -> int:
        packed = [
            Packed(entry.file(entry.asset.content_type), entry.asset, self._size(entry), "0" * SHA256_DIGITS)
            for entry in self.entries
        ]
        members = [Member(each.file, each.bytes, 0, each.asset.created_at) for each in packed]
        return length_of([*members, self._manifest(packed, self.left_out)])

    def _size(self, entry: Entry) -> int:
        """Bytes that a picture will have with its label."""
        asset = entry.asset
        packet = self.labels.packet(asset, self.generations.get(asset.generation_id or ""))
        assert entry.path is not None
        assert asset.bytes is not None
        if packet is None:
            return asset.bytes
        try:
            return asset.bytes + growth(splices(entry.path, packet))
        except FileNotFoundError:
            raise
        except (InvalidField, UnsupportedMedia, OSError):  # it is packed as it is, or not at all
            return asset.bytes

    def _manifest(self, packed: Sequence[Packed], left_out: Sequence[LeftOut]) -> Member:
        size, crc = 0, 0
        for line in manifest.lines(packed, left_out, self.generations):
            size, crc = size + len(line), zlib.crc32(line, crc)
        return Member(manifest.NAME, size, crc, self.at)


def damaged(stored: int, found: int) -> str:
    """What is told of a picture that has another length than it was stored with."""
    return f"It was stored with {stored} bytes and has {found}."


class _Absent(Exception):
    """The picture is not to be had."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _grouped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces."""
    group = bytearray()
    for piece in pieces:
        if group and len(group) + len(piece) > CHUNK:
            yield bytes(group)
            group.clear()
        group += piece
    yield bytes(group)
