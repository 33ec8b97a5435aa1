"""An exact search over vectors held in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

#: Vectors that are compared at a time: as floats they fit the processor's cache.
CHUNK: Final = 512
#: Neighbours that a search gives at most.
MOST: Final = 1024
#: The length of a generation's id, and of the part of its terms that is held; whoever searches by terms
#: looks at the whole of them afterwards.
ID_BYTES, TERMS_BYTES = 36, 16


class Index:
    """The vectors of one account, the newest `most` of them. Not for several threads at once.

    `newest` is the number of the last one that was added. A row takes 440 bytes.
    """

    def __init__(self, size: int, most: int) -> None:
        import numpy as np  # only here: part of the extra

        self._np = np
        self._most = most
        self._count = 0
        self.newest = 0
        self._vectors: Any = np.empty((0, size), np.int8)
        self._lengths: Any = np.empty(0, np.float32)
        self._ids: Any = np.empty(0, f"S{ID_BYTES}")
        self._terms: Any = np.empty(0, f"S{TERMS_BYTES}")

    def __len__(self) -> int:
        return self._count

    def add(self, rows: Sequence[tuple[int, str, str, bytes]]) -> None:
        """(number, generation id, terms, vector) each, by rising numbers; of one that is there already only
        the new vector counts."""
        np = self._np
        rows = rows[-self._most :]
        if not rows:
            return
        numbers, ids, terms, vectors = zip(*rows, strict=True)
        names = np.array([each.encode() for each in ids], self._ids.dtype)
        if self._count:
            self._drop(np.isin(self._ids[: self._count], names))
        self._make_room(len(rows))
        at = slice(self._count, self._count + len(rows))
        self._ids[at] = names
        self._terms[at] = [each[:TERMS_BYTES].encode() for each in terms]
        self._vectors[at] = np.frombuffer(b"".join(vectors), np.int8).reshape(len(rows), -1)
        for start in range(at.start, at.stop, CHUNK):
            chunk = slice(start, min(start + CHUNK, at.stop))
            floats = self._vectors[chunk].astype(np.float32)
            self._lengths[chunk] = np.sqrt(np.einsum("ij,ij->i", floats, floats))
        self._count = at.stop
        self.newest = numbers[-1]

    def nearest(
        self, vector: bytes, at_least: float, terms: str | None = None
    ) -> Iterator[tuple[str, float]]:
        """(generation id, similarity) from the nearest on, the newer first of equal ones; only those with
        such `terms` where they are given, and `MOST` at most."""
        np = self._np
        if terms is None:
            places = None
            similarities = self._compare(vector, self._vectors[: self._count], self._lengths[: self._count])
        else:
            places = np.flatnonzero(self._terms[: self._count] == terms[:TERMS_BYTES].encode())
            similarities = self._compare(vector, self._vectors[places], self._lengths[places])
        # Sums of rounded numbers: what is equal to a bound must not fall below it.
        found = np.flatnonzero(similarities >= at_least - 1e-6)
        if len(found) > MOST:
            found = found[np.argpartition(-similarities[found], MOST)[:MOST]]
        for place in found[np.lexsort((-found, -similarities[found]))]:
            row = place if places is None else places[place]
            yield self._ids[row].decode(), min(1.0, float(similarities[place]))

    def _compare(self, vector: bytes, vectors: Any, lengths: Any) -> Any:
        np = self._np
        wanted = np.frombuffer(vector, np.int8).astype(np.float32)
        found = np.empty(len(vectors), np.float32)
        room = np.empty((CHUNK, len(wanted)), np.float32)
        for start in range(0, len(vectors), CHUNK):
            chunk = vectors[start : start + CHUNK]
            floats = room[: len(chunk)]
            floats[:] = chunk
            # Not `@`: BLAS would wake threads for it, which wait for each other where the cores are busy
            # (700 instead of 25 ms was measured). The sums are whole numbers, and exact.
            np.einsum("ij,j->i", floats, wanted, out=found[start : start + CHUNK])
        return found / (lengths * np.linalg.norm(wanted))

    def _make_room(self, fresh: int) -> None:
        """Grow by doubling up to `most`; from then on the oldest tenth goes."""
        needed = self._count + fresh
        if needed > self._most:
            gone = self._np.zeros(self._count, bool)
            gone[: max(needed - self._most, self._most // 10)] = True
            self._drop(gone)
            needed = self._count + fresh
        if needed > len(self._ids):
            room = min(self._most, max(1024, 2 * needed))
            for name in ("_vectors", "_lengths", "_ids", "_terms"):
                old = getattr(self, name)
                new = self._np.empty((room, *old.shape[1:]), old.dtype)
                new[: self._count] = old[: self._count]
                setattr(self, name, new)

    def _drop(self, gone: Any) -> None:
        if not gone.any():
            return
        kept = ~gone
        count = int(kept.sum())
        for held in (self._vectors, self._lengths, self._ids, self._terms):
            held[:count] = held[: self._count][kept]
        self._count = count
