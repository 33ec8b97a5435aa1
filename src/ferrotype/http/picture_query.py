"""The query of a picture's URL, read once for all pictures.

The parameters of a transform are those of `domain/transform.py`. Beside them:

- `dl`: the answer is a download; `dl=name` says how the file is called.
- `v`: a cache-buster, ignored.
- `exp` and `sig`: the signature (`net/signing.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from urllib.parse import parse_qsl

from cachebox import LRUCache

from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import ORIGINAL, Transform
from ferrotype.domain.transform_query import Vocabulary, parse
from ferrotype.net import signing

DOWNLOAD: Final = "dl"
BUSTER: Final = "v"
#: Parameters that change the answer and not the picture.
OTHERS: Final = frozenset({DOWNLOAD, BUSTER}) | signing.NAMES
MAX_QUERY: Final = 2048
#: Longest part of a parameter's name that a problem repeats.
MAX_NAME: Final = 64
#: Bytes of queries that are remembered, and what one takes beside its text.
REMEMBERED_BYTES: Final = 4 * 1024 * 1024
QUERY_BYTES: Final = 1024


class Freshness(IntEnum):
    """How long an answer is good."""

    FIXED = 0  # for ever: the URL never has other bytes
    CONFIGURED = 1  # until the operator changes a preset, a watermark or the sides
    NEGOTIATED = 2  # as long, and it depends on `Accept`
    INTERIM = 3  # for a moment: a better one is being made


@dataclass(frozen=True, slots=True)
class Query:
    """What a query asks. `transform.format` may be `auto`; `download` is the name of the file, empty for the
    server's own choice, None where the picture is to be shown."""

    transform: Transform = ORIGINAL
    canonical: str = ""
    freshness: Freshness = Freshness.FIXED
    download: str | None = None
    preset: bool = False
    pairs: tuple[signing.Pair, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the original is wanted, as it is and to be shown."""
        return not self.canonical and self.download is None

    @property
    def signed(self) -> bool:
        """Whether it carries a part of a signature."""
        return any(name in signing.NAMES for name, _ in self.pairs)


class Queries:
    """Reads queries against what the operator offers."""

    def __init__(self, known: Vocabulary) -> None:
        self._known = known
        self._seen: LRUCache[bytes, Query] = LRUCache(
            REMEMBERED_BYTES, getsizeof=lambda raw, _: 4 * len(raw) + QUERY_BYTES
        )
        self._seen[b""] = Query()

    def read(self, raw: bytes) -> Query:
        """Raises InvalidField naming the parameter and its limit."""
        found: Query | None = self._seen.get(raw)
        if found is None:
            found = self._seen[raw] = self._read(raw)
        return found

    def _read(self, raw: bytes) -> Query:
        if len(raw) > MAX_QUERY:
            raise InvalidField("The query is too long.", field="query", limit=MAX_QUERY)
        try:
            pairs = tuple(parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict"))
        except ValueError:
            raise InvalidField(
                "The query is not in UTF-8 with everything else escaped.", field="query"
            ) from None
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise InvalidField(f"{name[:MAX_NAME]} is given twice.", field=name[:MAX_NAME])
        asked = [pair for pair in pairs if pair[0] not in OTHERS]
        transform = parse(asked, self._known)
        return Query(
            transform,
            transform.canonical(),
            self._freshness(transform, set(names)),
            dict(pairs).get(DOWNLOAD),
            "preset" in names,
            pairs,
        )

    def _freshness(self, transform: Transform, names: set[str]) -> Freshness:
        if transform.format == "auto":
            return Freshness.NEGOTIATED
        snapped = bool(self._known.sides and names & {"w", "h"})
        configured = snapped or not names.isdisjoint({"preset", "watermark"})
        return Freshness.CONFIGURED if configured else Freshness.FIXED
