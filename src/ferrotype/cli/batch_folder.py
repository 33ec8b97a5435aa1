"""The folder that a batch's pictures are written to, and its manifest, by which a stopped command goes on.

`batch.jsonl` has one JSON object a line: first the batch, then every picture, written before its file gets
its name. So a file is known as ours however the command ended, and no other file is ever written over.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from ferrotype.config import ConfigError

MANIFEST: Final = "batch.jsonl"
#: Characters of a prompt that a file's name shows.
SLUG: Final = 40
#: Digits of a row's number, at least.
DIGITS: Final = 3

#: A row, counted from 1, and which of its pictures, from 1.
Key = tuple[int, int]


class Folder:
    """One batch's folder. `fingerprint` tells the same input and options from others."""

    def __init__(self, path: Path, file: BinaryIO, fingerprint: str) -> None:
        self.path = path
        self.batch_id: str | None = None
        self._file = file
        self._claims: dict[Key, dict[str, Any]] = {}
        self._names: set[str] = {MANIFEST}
        self._fingerprint = fingerprint
        self._read()

    def begin(self, batch_id: str, num_items: int, server: str) -> None:
        """The batch was ordered."""
        self.batch_id = batch_id
        told = {"batch": batch_id, "input": self._fingerprint, "items": num_items, "server": server}
        self._write(told)

    def has(self, key: Key) -> Path | None:
        """The file of a picture that is here already."""
        claim = self._claims.get(key)
        if claim is None:
            return None
        path = self.path / str(claim["file"])
        try:
            return path if path.stat().st_size == claim["bytes"] else None
        except OSError:
            return None

    def part(self, key: Key) -> Path:
        """Where a picture is written to until it is whole."""
        return self.path / f".{key[0]}-{key[1]}.part"

    def keep(self, key: Key, stem: str, suffix: str, facts: dict[str, Any]) -> Path:
        """Give the whole file at `part` its name. Raises ConfigError when the folder refuses it."""
        part = self.part(key)
        size = part.stat().st_size
        for name in self._free_names(key, stem, suffix):
            claim = {"row": key[0], "picture": key[1], "file": name, "bytes": size, **facts}
            self._write(claim)
            self._claims[key] = claim
            self._names.add(name)
            try:
                _name(part, self.path / name)
            except FileExistsError:  # somebody's, made this moment
                continue
            except OSError as error:
                raise ConfigError(f"--out: {name} cannot be written ({error.strerror}).") from None
            return self.path / name
        raise AssertionError("names do not end")

    def _free_names(self, key: Key, stem: str, suffix: str) -> Iterator[str]:
        before = self._claims.get(key)
        if before is not None and not (self.path / str(before["file"])).exists():
            yield str(before["file"])
        number = 1
        while True:
            name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
            if name not in self._names and not (self.path / name).exists():
                yield name
            number += 1

    def _read(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        for line in data.split(b"\n"):
            with suppress(ValueError, KeyError, TypeError):  # a last line that was cut
                self._learn(json.loads(line))
        if data and not data.endswith(b"\n"):
            self._file.write(b"\n")

    def _learn(self, told: dict[str, Any]) -> None:
        if "batch" in told:
            if told["input"] != self._fingerprint:
                raise ConfigError(
                    f"--out: {self.path} holds a batch of other prompts or options. Name another folder, or"
                    f" move its {MANIFEST} away."
                )
            self.batch_id = str(told["batch"])
        elif Path(str(told["file"])).name == told["file"]:
            self._claims[int(told["row"]), int(told["picture"])] = told
            self._names.add(told["file"])

    def _write(self, told: dict[str, Any]) -> None:
        try:
            self._file.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"--out: {MANIFEST} cannot be written ({error.strerror}).") from None


@contextmanager
def open_folder(path: Path, fingerprint: str) -> Iterator[Folder]:
    """The folder, made where it is missing, for this command alone. Raises ConfigError."""
    made = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        file = (path / MANIFEST).open("a+b")
    except OSError as error:
        raise ConfigError(f"--out: {path} cannot be written to ({error.strerror}).") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"--out: another command is writing to {path}.") from None
        folder = Folder(path, file, fingerprint)
        try:
            yield folder
        finally:
            file.flush()
            if file.tell() == 0:  # nothing was ordered: leave nothing behind
                (path / MANIFEST).unlink(missing_ok=True)
                if made:
                    with suppress(OSError):
                        path.rmdir()


def stem(row: int, rows: int, text: str, picture: int, pictures: int) -> str:
    """`003-a-fox-at-night`, with the picture's number behind it where the row has several."""
    digits = max(DIGITS, len(str(rows)))
    number = f"-{picture}" if pictures > 1 else ""
    return f"{row:0{digits}d}-{slug(text)}{number}"


def slug(text: str) -> str:
    """Letters and digits of any script in lower case, with hyphens between the words."""
    plain = unicodedata.normalize("NFKC", text).lower()
    words = re.sub(r"[\W_]+", "-", plain).strip("-")
    return words[:SLUG].rstrip("-") or "picture"


def _name(part: Path, path: Path) -> None:
    """Move without writing over anything. Raises FileExistsError."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)
        return
    part.unlink()
