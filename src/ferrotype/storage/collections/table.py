"""A list of pictures in a file: CSV, or a JSON object on each line, with URLs, data URIs or base64."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from ferrotype.domain.problems import InvalidField
from ferrotype.storage.collections.base import Broken, Item, whole
from ferrotype.storage.collections.rows import Fields, is_url, picture_of, told

SUFFIXES: Final = (".csv", ".tsv", ".jsonl", ".ndjson")
#: Rows that are read at once.
ROWS: Final = 200

Fetch = Callable[[str], AsyncIterator[bytes]]


class TableCollection:
    """The rows of a file, in their order."""

    def __init__(self, path: Path, fields: Fields, fetch: Fetch) -> None:
        """`fetch` gets what a row has a URL of. Raises InvalidField where there is no such file."""
        if not path.is_file():
            raise InvalidField(f"There is no file {path}.", field="--from")
        self._path = path
        self._fields = fields
        self._fetch = fetch
        self.where = f"the list {path}"

    async def items(self) -> AsyncIterator[Item]:
        """See `Collection`. A URL is imported once, however many rows have it."""
        rows = self._rows()
        try:
            while part := await asyncio.to_thread(_some, rows):
                for number, row in part:
                    yield self._item(number, row)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InvalidField(f"{self._path} cannot be read: {error}.", field="--from") from None

    async def close(self) -> None:
        """See `Collection`."""

    def _item(self, number: int, row: Mapping[str, Any] | None) -> Item:
        line = f"{self._path.name}, line {number}"
        if row is None:
            problem = InvalidField("It is no JSON object.", field="line")
            return Item(f"line:{self._path}:{number}", line, line, Broken(problem))
        try:
            facts = told(row, self._fields)
        except InvalidField as problem:
            return Item(f"line:{self._path}:{number}", line, line, Broken(problem))
        if is_url(facts.picture):
            source, address, open_ = facts.picture, facts.picture, partial(self._fetch, facts.picture)
        else:
            digest = hashlib.sha256(facts.picture.encode()).hexdigest()
            source, address, open_ = f"data:sha256:{digest}", line, partial(_unpacked, facts.picture)
        return Item(
            source,
            address,
            facts.name or address,
            open_,
            created_at=facts.created_at,
            tags=facts.tags,
            metadata=facts.metadata,
        )

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any] | None]]:
        """The number of each row's line, and the row; None for one that cannot be read."""
        with self._path.open(encoding="utf-8-sig", newline="") as file:
            if self._path.suffix.lower() in (".jsonl", ".ndjson"):
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield number, _object(line)
                return
            csv.field_size_limit(sys.maxsize)
            head = file.read(4096)
            file.seek(0)
            delimiter = max(",;\t", key=head.partition("\n")[0].count)
            reader = csv.DictReader(file, delimiter=delimiter)
            for row in reader:
                # Cells beyond the head have no name, missing ones no value.
                yield reader.line_num, {key: value for key, value in row.items() if key is not None and value}


def _some(rows: Iterator[tuple[int, Mapping[str, Any] | None]]) -> list[tuple[int, Mapping[str, Any] | None]]:
    part = []
    for row in rows:
        part.append(row)
        if len(part) == ROWS:
            break
    return part


def _object(line: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


async def _unpacked(text: str) -> AsyncIterator[bytes]:
    async for data in whole(await asyncio.to_thread(picture_of, text)):
        yield data
