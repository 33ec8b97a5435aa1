"""`manifest.json`: what each picture of an archive is, how it was made, and which are missing and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ferrotype.domain.asset import Asset
from ferrotype.domain.clock import rfc3339
from ferrotype.domain.generation import Generation

NAME: Final = "manifest.json"
#: Raised when a field changes its meaning or goes; new ones may come at any time.
VERSION: Final = 1


class Reason(StrEnum):
    """Why a picture is not in the archive."""

    NOT_MADE = "not_made"  # there is no such picture, or not yet
    FAILED = "failed"  # its bytes never came from its provider
    UNREACHABLE = "unreachable"  # its bytes did not come now; they may come later
    DELETED = "deleted"
    MISSING = "missing"  # its bytes are nowhere
    DAMAGED = "damaged"  # its bytes are not those that were stored
    TOO_LARGE = "too_large"  # the archive has as many bytes as it may


@dataclass(frozen=True, slots=True)
class Packed:
    """A picture in the archive; `asset` with what became known while it was packed. `bytes` and `sha256` are
    those of the file in the archive, which tells more than the original does."""

    file: str
    asset: Asset
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A picture that is not in the archive. `detail` is for people."""

    reason: Reason
    detail: str
    asset_id: str | None = None
    generation_id: str | None = None
    index: int | None = None

    @classmethod
    def of(cls, asset: Asset, reason: Reason, detail: str) -> LeftOut:
        """An asset that is left out."""
        return cls(reason, detail, asset.id, asset.generation_id, asset.index)


def lines(
    packed: Sequence[Packed], left_out: Sequence[LeftOut], generations: Mapping[str, Generation]
) -> Iterator[bytes]:
    """The manifest as JSON, a picture a piece: it is never in memory whole. `generations` are by id."""
    yield f'{{\n"object": "download",\n"version": {VERSION},\n"pictures": ['.encode()
    for number, each in enumerate(packed):
        yield _line(number, _picture(each, generations.get(each.asset.generation_id or "")))
    yield b'],\n"left_out": ['
    for number, lost in enumerate(left_out):
        yield _line(number, _left_out(lost))
    yield b"]\n}\n"


def _picture(packed: Packed, generation: Generation | None) -> dict[str, Any]:
    """An upload has no generation: all that tells of it is null."""
    asset = packed.asset
    order = generation.input if generation else {}
    return {
        "file": packed.file,
        "asset_id": asset.id,
        "generation_id": asset.generation_id,
        "index": asset.index,
        "prompt": order.get("prompt"),
        "negative_prompt": order.get("negative_prompt"),
        "model": generation.model if generation else None,
        "operation": generation.operation if generation else None,
        "seed": asset.seed,
        "input": generation.input if generation else None,
        "width": asset.width,
        "height": asset.height,
        "content_type": asset.content_type,
        "bytes": packed.bytes,
        "sha256": packed.sha256,
        "original": {"bytes": asset.bytes, "sha256": asset.sha256},
        "source_type": asset.source_type,
        "credit": asset.credit.model_dump() if asset.credit else None,
        "created_at": rfc3339(asset.created_at),
    }


def _left_out(lost: LeftOut) -> dict[str, Any]:
    return {
        "asset_id": lost.asset_id,
        "generation_id": lost.generation_id,
        "index": lost.index,
        "reason": lost.reason.value,
        "detail": lost.detail,
    }


def _line(number: int, entry: dict[str, Any]) -> bytes:
    text = json.dumps(entry, ensure_ascii=False)
    # A lone surrogate, which only a provider's words could bring, is spelled as JSON spells it.
    return (",\n" if number else "\n").encode() + text.encode(errors="backslashreplace")
