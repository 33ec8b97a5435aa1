"""What `ferrotype batch` reads, and how it tells what it cannot read."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ferrotype.cli.batch_input import BadInput, Kind, checked_kind, read_input


def read(folder: Path, name: str, data: bytes, kind: Kind | None = None) -> list[tuple[int, dict[str, Any]]]:
    path = folder / name
    path.write_bytes(data)
    return [(given.line, given.item) for given in read_input(str(path), kind)]


def test_a_prompt_a_line(tmp_path: Path) -> None:
    data = "\ufeffa fox \r\n\n \t\n# no. 1\n{red|blue}\x0bcar".encode()
    assert read(tmp_path, "p.txt", data) == [
        (1, {"prompt": "a fox"}),
        (4, {"prompt": "# no. 1"}),
        (5, {"prompt": "{red|blue}\x0bcar"}),
    ]


def test_a_table(tmp_path: Path) -> None:
    data = (
        "prompt , seed,tags,images,params.steps,params.fast,params.mode,metadata.row\r\n"
        '"a ""red"" fox,\r\nat night",7,"a, b",,4,true,"""5""",7\r\n'
        ",,,,,,,\r\n"
        "a cat\r\n"
        " a dog ,,,,0.5,,soft,\r\n"
    )
    assert read(tmp_path, "p.csv", data.encode()) == [
        (
            2,
            {
                "prompt": 'a "red" fox,\r\nat night',
                "seed": 7,
                "tags": ["a", "b"],
                "params": {"steps": 4, "fast": True, "mode": "5"},
                "metadata": {"row": "7"},
            },
        ),
        (5, {"prompt": "a cat"}),
        (6, {"prompt": " a dog ", "params": {"steps": 0.5, "mode": "soft"}}),
    ]


def test_json_lines(tmp_path: Path) -> None:
    data = b'{"prompt": "a", "params": {"steps": 4}}\n\n{"custom_id": "b"}\n'
    expected = [(1, {"prompt": "a", "params": {"steps": 4}}), (3, {"custom_id": "b"})]
    assert read(tmp_path, "p.jsonl", data) == expected
    assert read(tmp_path, "p.ndjson", data) == expected
    assert read(tmp_path, "p.md", data, "jsonl") == expected


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (b'\n{"prompt": "a"}\n', None, {"prompt": "a"}),
        (b"{red|blue} car\n", None, {"prompt": "{red|blue} car"}),
        (b"7\n", None, {"prompt": "7"}),
        (b"prompt,seed\na,7\n", "csv", {"prompt": "a", "seed": 7}),
    ],
)
def test_standard_input_is_told_by_what_it_holds(
    monkeypatch: pytest.MonkeyPatch, data: bytes, kind: Kind | None, expected: dict[str, Any]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    (given,) = read_input("-", kind)
    assert given.item == expected


def test_pictures_are_read_from_beside_the_input(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"a picture")
    uri = "data:application/octet-stream;base64," + base64.b64encode(b"a picture").decode()
    known = "019a0000-0000-7000-8000-000000000000"
    data = f'{{"image": "cat.png", "mask": "https://a.test/b.png", "images": ["{known}", "cat.png", 7]}}'
    ((_, item),) = read(tmp_path, "p.jsonl", data.encode())
    assert item == {"image": uri, "mask": "https://a.test/b.png", "images": [known, uri, 7]}


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("p.csv", b"prompt;style\na fox;3d\n", ["semicolons", "commas"]),
        ("p.csv", b"prompt\tstyle\na fox\t3d\n", ["tabs"]),
        ("p.csv", b"prompt,colour\na fox,red\n", ["line 1", "'colour'", "aspect_ratio"]),
        ("p.csv", b"prompt,params.\na fox,red\n", ["line 1", "'params.'"]),
        ("p.csv", b"prompt,params\na fox,red\n", ["line 1", "'params'"]),
        ("p.csv", b"prompt,prompt\na,b\n", ["twice"]),
        ("p.csv", b"prompt,seed\na fox,7\na cat,seven\n", ["p.csv line 3", "seed", "'seven'"]),
        ("p.csv", b'prompt,seed\n"a\nfox",7\na cat,1.5\n', ["p.csv line 4", "seed", "'1.5'"]),
        ("p.csv", b"prompt,seed\na fox, at night,7\n", ["line 2", "3 columns", "quotes"]),
        ("p.csv", b'prompt\n"a fox\n', ["line 2", "CSV"]),
        ("p.csv", b"prompt,seed\n", ["no prompt"]),
        ("p.jsonl", b'{"prompt": "a"}\n\n{"prompt"\n', ["p.jsonl line 3", "JSON"]),
        ("p.jsonl", b'["a"]\n', ["line 1", "object"]),
        ("p.jsonl", b'{"prompt": "a", "image": "none.png"}\n', ["line 1", "image", "none.png"]),
        ("p.jsonl", b'{"prompt": "a", "images": ["x\\u0000y"]}\n', ["line 1", "images"]),
        ("p.txt", "a fox\n".encode("utf-16"), ["UTF-16", "UTF-8"]),
        ("p.txt", b"a fox\ncaf\xe9\n", ["line 2", "UTF-8"]),
        ("p.txt", b" \n\n", ["no prompt"]),
        ("p.md", b"a fox\n", ["--type"]),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, name, data)
    for word in words:
        assert word in str(caught.value)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    for name in ("none.txt", "."):
        with pytest.raises(BadInput, match="cannot be read"):
            read_input(str(tmp_path / name), "txt")
    assert (checked_kind(None), checked_kind("CSV")) == (None, "csv")
    with pytest.raises(BadInput, match="--type: 'xls'"):
        checked_kind("xls")
