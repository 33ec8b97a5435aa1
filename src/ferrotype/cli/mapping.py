"""The file that tells an app where its pictures are now: a line for each, CSV or JSON."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Final

from ferrotype.config import ConfigError
from ferrotype.services.import_pictures import Landed

COLUMNS: Final = ("source", "former_id", "asset_id", "url")
FIRST: Final = {".csv": ",".join(COLUMNS), ".jsonl": '{"source": '}


class Mapping:
    """Written beside the file until it is closed: an earlier run's mapping stays as it is until then."""

    def __init__(self, path: Path, base_url: str) -> None:
        """`base_url` makes URLs absolute; empty for relative ones. Raises ConfigError for a file that cannot
        be written, or that is something else than an earlier mapping."""
        suffix = path.suffix.lower()
        if suffix not in FIRST:
            raise ConfigError(f"--mapping: {path} is to end with .csv or .jsonl.")
        self._path, self._part = path, path.with_name(f".{path.name}.part")
        self._base_url = base_url.rstrip("/")
        self.count = 0
        try:
            if path.exists() and path.stat().st_size:
                with path.open(encoding="utf-8", errors="replace") as old:
                    if not old.readline().startswith(FIRST[suffix]):
                        raise ConfigError(f"--mapping: {path} is there already, and is no mapping.")
            self._file = self._part.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise ConfigError(f"--mapping: {path} cannot be written ({error.strerror}).") from None
        self._csv = csv.writer(self._file, lineterminator="\n") if suffix == ".csv" else None
        if self._csv is not None:
            self._csv.writerow(COLUMNS)

    def add(self, landed: Landed) -> None:
        """One line."""
        item = landed.item
        url = f"{self._base_url}/images/{landed.asset_id}"
        values = (item.address, item.former_id, landed.asset_id, url)
        if self._csv is not None:
            self._csv.writerow(values)
        else:
            self._file.write(json.dumps(dict(zip(COLUMNS, values, strict=True)), ensure_ascii=False) + "\n")
        self.count += 1

    def close(self, complete: bool) -> None:
        """Put it in its place. One that is not complete never takes the place of an earlier one: the next run
        that comes to its end has every line."""
        self._file.close()
        if complete or not self._path.exists():
            os.replace(self._part, self._path)
        else:
            self._part.unlink()
