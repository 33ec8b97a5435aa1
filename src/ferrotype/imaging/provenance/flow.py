"""A PNG loses its workflow while it still arrives: whoever waits for a picture sees it grow all the same.

ComfyUI writes what it tells in front of the pixels, and of an animation in between. What comes out is byte
for byte what `strip.cleaned` makes of the whole file. A WebP cannot be done so: it says in its first bytes
how long it is, and has its metadata behind the pixels.
"""

from __future__ import annotations

import struct
from typing import Final

from ferrotype.imaging.provenance.containers import (
    MANIFEST_CHUNKS,
    MAX_TEXTS,
    PNG_MAGIC,
    Part,
    encoded,
)
from ferrotype.imaging.provenance.strip import CLEAN, TELLING
from ferrotype.imaging.sniff import HEAD, ImageType, sniff
from ferrotype.imaging.vips import damaged

#: Bytes that are kept back to be looked at: all in front of the pixels, and each text behind. Workflows of a
#: megabyte have been seen.
MAX_HELD: Final = 8 * 1024 * 1024
#: In front of a chunk's body: its length and its name. Behind it is its checksum.
BEFORE, CHECKSUM = 8, 4
PIXELS: Final = b"IDAT"
MANIFEST: Final = MANIFEST_CHUNKS["pngload"]
LOOKED_AT: Final = TELLING["pngload"] | {MANIFEST}


class Unflowing(Exception):
    """This picture has to be whole before anything of it can go out."""


class Flow:
    """Give it the bytes as they come; it gives those that may go on."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._passing = 0
        self._in_front = True
        self._told = False
        self._texts = 0
        self._kind: ImageType | None = None

    def feed(self, data: bytes) -> bytes:
        """What may go on now. Raises Unflowing, before anything went on or where a text is too long to be
        looked at, and InvalidField (`image`) for a damaged picture."""
        out = bytearray()
        if self._passing:
            out += data[: self._passing]
            data = data[self._passing :]
            self._passing -= len(out)  # what is left of a chunk that goes on as it is
        if data:
            self._held += data
            out += self._front() if self._in_front else self._behind()
        if len(self._held) > MAX_HELD:
            raise Unflowing("what is in front of the pixels is too long")
        return bytes(out)

    @property
    def is_begun(self) -> bool:
        """Whether everything in front of the pixels was looked at."""
        return not self._in_front

    @property
    def told(self) -> bool:
        """Whether a workflow was in front of the pixels."""
        return self._told

    def _front(self) -> bytes:
        """Everything in front of the pixels, once it is here: only then it is known whether a manifest still
        vouches for the picture."""
        held, at = self._held, len(PNG_MAGIC)
        if held[:at] != PNG_MAGIC[: len(held)]:
            raise Unflowing("it is no PNG")
        chunks: list[tuple[bytes, int, int]] = []
        while True:
            if len(held) < at + BEFORE:
                return b""
            length, name = struct.unpack_from(">I4s", held, at)
            if name == PIXELS:
                break
            chunks.append((name, at, at + BEFORE + length + CHECKSUM))
            at += BEFORE + length + CHECKSUM
        self._kind = sniff(bytes(held[:HEAD]))
        cleaned = [(name, self._cleaned(name, start, stop)) for name, start, stop in chunks]
        self._told = any(
            new != held[start:stop] for (_, start, stop), (_, new) in zip(chunks, cleaned, strict=True)
        )
        if not self._told and any(name == MANIFEST for name, _, _ in chunks):
            raise Unflowing("a manifest may have to go because of what stands behind the pixels")
        self._in_front = False
        del held[:at]
        front = b"".join(new for name, new in cleaned if not (self._told and name == MANIFEST))
        return PNG_MAGIC + front + self._behind()

    def _behind(self) -> bytes:
        out, held = bytearray(), self._held
        while len(held) >= BEFORE:
            length, name = struct.unpack_from(">I4s", held)
            size = BEFORE + length + CHECKSUM
            if name in LOOKED_AT:
                if size > MAX_HELD:
                    raise Unflowing("a text behind the pixels is too long")
                if len(held) < size:
                    break
                out += b"" if self._told and name == MANIFEST else self._cleaned(name, 0, size)
            else:
                out += held[:size]
                self._passing = max(0, size - len(held))
            del held[:size]
            if name == b"IEND":
                out += held
                held.clear()
                self._passing = 1 << 62  # nobody knows what it is, and nobody shows it
        return bytes(out)

    def _cleaned(self, name: bytes, start: int, stop: int) -> bytes:
        """A chunk as it may go on."""
        whole = bytes(self._held[start:stop])
        if name not in TELLING["pngload"]:
            return whole
        self._texts += 1
        if self._texts > MAX_TEXTS:
            raise Unflowing("there are too many texts")
        assert self._kind is not None
        part = Part(name, whole[BEFORE:-CHECKSUM])
        try:
            new = CLEAN["pngload"](part)
        except (IndexError, ValueError, struct.error):
            raise damaged(self._kind) from None
        if new is None:
            return b""
        return whole if new == part else encoded(self._kind, new)
