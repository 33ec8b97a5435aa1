"""What `ferrotype batch` reads: a prompt a line, CSV with a header of order fields, or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from ferrotype.cli.session import read_data_uri
from ferrotype.config import ConfigError
from ferrotype.domain.batch_order import CUSTOM_ID
from ferrotype.domain.ids import is_id
from ferrotype.domain.order import Order

Kind = Literal["txt", "csv", "jsonl"]
KINDS: Final[dict[str, Kind]] = {".txt": "txt", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
STDIN: Final = "-"

#: Columns of a CSV file that are no text.
NUMBERS: Final = frozenset({"num_images", "width", "height", "seed"})
LISTS: Final = frozenset({"tags", "images"})
#: Columns `params.steps` and `metadata.campaign` reach into these.
NESTED: Final = frozenset({"params", "metadata"})
COLUMNS: Final = [CUSTOM_ID, *(name for name in Order.model_fields if name not in NESTED)]
#: What other programs put between columns.
OTHERS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True, slots=True)
class Given:
    """One order of the input: where it begins, counted from 1, and its fields."""

    line: int
    item: dict[str, Any]


class BadInput(ConfigError):
    """The input cannot be read; its text names the place."""


def read_input(source: str, kind: Kind | None) -> list[Given]:
    """The orders of a file, or of standard input for `-`; files that they name as inputs are read too.

    Raises BadInput.
    """
    name, data = _bytes(source)
    text = _text(name, data)
    found = list(READERS[kind or _kind(source, text)](name, text))
    if not found:
        raise BadInput(f"{name}: there is no prompt in it.")
    folder = Path.cwd() if source == STDIN else Path(source).parent
    for given in found:
        _load_pictures(f"{name} line {given.line}", given.item, folder)
    return found


def checked_kind(given: str | None) -> Kind | None:
    """What `--type` says. Raises BadInput."""
    if given is None:
        return None
    for kind in READERS:
        if kind == given.lower():
            return kind
    raise BadInput(f"--type: {given!r} is none of txt, csv and jsonl.")


def _bytes(source: str) -> tuple[str, bytes]:
    if source == STDIN:
        return "standard input", sys.stdin.buffer.read()
    try:
        return source, Path(source).read_bytes()
    except OSError as error:
        raise BadInput(f"{source} cannot be read ({error.strerror}).") from None


def _text(name: str, data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadInput(f"{name} is UTF-16; save it as UTF-8.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{name} line {line}: that is not UTF-8; save the file as UTF-8.") from None


def _kind(source: str, text: str) -> Kind:
    if source != STDIN:
        kind = KINDS.get(Path(source).suffix.lower())
        if kind is None:
            raise BadInput(f"{source}: its name does not say what it is; give --type txt, csv or jsonl.")
        return kind
    first = next((line for line in text.splitlines() if line.strip()), "")
    try:
        return "jsonl" if isinstance(json.loads(first), dict) else "txt"
    except ValueError:
        return "txt"


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that are not blank. Only line feeds end them: a prompt may hold any other separator."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _prompts(_: str, text: str) -> Iterator[Given]:
    for number, line in _lines(text):
        yield Given(number, {"prompt": line.strip()})


def _json_lines(name: str, text: str) -> Iterator[Given]:
    for number, line in _lines(text):
        try:
            item = json.loads(line)
        except ValueError as error:
            raise BadInput(f"{name} line {number}: that is not valid JSON: {error}.") from None
        if not isinstance(item, dict):
            raise BadInput(f'{name} line {number}: an order is an object, such as {{"prompt": "..."}}.')
        yield Given(number, item)


def _csv(name: str, text: str) -> Iterator[Given]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    begins = 1
    try:
        for cells in reader:
            line, begins = begins, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(name, line, cells)
                continue
            if len(cells) > len(header):
                raise BadInput(
                    f"{name} line {line}: {len(cells)} columns, and the header names {len(header)}. Put a"
                    ' prompt that has commas in quotes: "a fox, at night".'
                )
            place = f"{name} line {line}"
            yield Given(line, _order(place, zip(header, cells, strict=False)))
    except csv.Error as error:
        raise BadInput(f"{name} line {begins}: that is not valid CSV: {error}.") from None


def _header(name: str, line: int, cells: list[str]) -> list[str]:
    header = [cell.strip() for cell in cells]
    if len(header) == 1:
        for separator, word in OTHERS.items():
            if separator in header[0]:
                raise BadInput(f"{name}: its columns are separated by {word}; separate them by commas.")
    for place, column in enumerate(header):
        known = column in COLUMNS or (column.partition(".")[0] in NESTED and column.partition(".")[2])
        if not known:
            raise BadInput(
                f"{name} line {line}: there is no column {column!r}. The first line names the columns:"
                f" {', '.join(COLUMNS)}, params.<name>, metadata.<name>."
            )
        if column in header[:place]:
            raise BadInput(f"{name} line {line}: the column {column} stands twice.")
    return header


def _order(place: str, cells: Iterator[tuple[str, str]]) -> dict[str, Any]:
    """Empty cells say nothing."""
    item: dict[str, Any] = {}
    for column, cell in cells:
        if not cell.strip():
            continue
        group, dot, name = column.partition(".")
        if dot:
            item.setdefault(group, {})[name] = _scalar(cell) if group == "params" else cell
        elif column in NUMBERS:
            item[column] = _number(place, column, cell)
        elif column in LISTS:
            item[column] = [part.strip() for part in cell.split(",") if part.strip()]
        else:
            item[column] = cell if column == "prompt" else cell.strip()
    return item


def _number(place: str, column: str, cell: str) -> int:
    try:
        return int(cell)
    except ValueError:
        raise BadInput(f"{place}: {column}: {cell.strip()!r} is no whole number.") from None


def _scalar(cell: str) -> Any:
    """A number, true or false as JSON spells them; anything else is text."""
    try:
        value = json.loads(cell)
    except ValueError:
        return cell.strip()
    return value if isinstance(value, int | float | bool | str) else cell.strip()


def _load_pictures(place: str, item: dict[str, Any], folder: Path) -> None:
    """Put the bytes of input files where their names are; ids, URLs and data URIs stay."""
    for field in ("image", "mask"):
        if isinstance(item.get(field), str):
            item[field] = _picture(f"{place}: {field}", item[field], folder)
    if isinstance(item.get("images"), list):
        item["images"] = [
            _picture(f"{place}: images", each, folder) if isinstance(each, str) else each
            for each in item["images"]
        ]


def _picture(place: str, named: str, folder: Path) -> str:
    if is_id(named) or named.lower().startswith(("http://", "https://", "data:")):
        return named
    path = folder / named
    try:
        return read_data_uri(path)
    except (OSError, ValueError):
        raise BadInput(f"{place}: there is no file {path}.") from None


READERS: Final[dict[Kind, Callable[[str, str], Iterator[Given]]]] = {
    "txt": _prompts,
    "csv": _csv,
    "jsonl": _json_lines,
}
