"""What `ferrotype batch` is made of: its folder, its board, what is shown of a long batch."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ferrotype.cli.batch_board import Board, Row
from ferrotype.cli.batch_folder import MANIFEST, Folder, open_folder, slug, stem
from ferrotype.cli.batch_view import Lines, chosen, shown, summary, table
from ferrotype.config import ConfigError


class Watch:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def generation(**more: Any) -> dict[str, Any]:
    return {
        "id": "g",
        "status": "running",
        "progress": None,
        "error": None,
        "input": {"prompt": "a fox", "num_images": 1},
        "metrics": {"total_s": None},
        "output": [],
        **more,
    }


def put(folder: Folder, key: tuple[int, int], data: bytes, name: str = "001-a-fox") -> Path:
    folder.part(key).write_bytes(data)
    return folder.keep(key, name, ".webp", {"seed": 7})


def test_a_folder_knows_its_pictures_again(tmp_path: Path) -> None:
    with open_folder(tmp_path / "new" / "out", "same") as folder:
        assert (folder.batch_id, folder.has((1, 1))) == (None, None)
        folder.begin("b", 2, "http://here")
        path = put(folder, (1, 1), b"fox")
        assert (path.name, path.read_bytes(), folder.part((1, 1)).exists()) == (
            "001-a-fox.webp",
            b"fox",
            False,
        )
    with open_folder(tmp_path / "new" / "out", "same") as folder:
        assert (folder.batch_id, folder.has((1, 1)), folder.has((1, 2))) == ("b", path, None)
        path.write_bytes(b"somebody's own")
        assert folder.has((1, 1)) is None
        assert put(folder, (1, 1), b"fox").name == "001-a-fox-2.webp"
        assert path.read_bytes() == b"somebody's own"
    with open_folder(tmp_path / "new" / "out", "same") as folder:
        again = folder.has((1, 1))
        assert again is not None
        assert again.name == "001-a-fox-2.webp"
        again.unlink()
        assert put(folder, (1, 1), b"fox").name == "001-a-fox-2.webp"


def test_a_manifest_that_was_cut_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    with open_folder(tmp_path, "same") as folder:
        folder.begin("b", 2, "http://here")
        put(folder, (1, 1), b"fox")
    whole = (tmp_path / MANIFEST).read_bytes()
    for length in range(len(whole)):
        (tmp_path / MANIFEST).write_bytes(whole[:length])
        with open_folder(tmp_path, "same") as folder:
            known = folder.has((1, 1))
            assert known is None or known.read_bytes() == b"fox"
            path = put(folder, (2, 1), b"cat", "002-a-cat")
        with open_folder(tmp_path, "same") as folder:
            assert folder.has((2, 1)) == path
        path.unlink()


def test_a_claim_without_its_file_is_written_to_that_name(tmp_path: Path) -> None:
    """What a kill between the two leaves behind."""
    claim = {"row": 1, "picture": 1, "file": "001-a-fox.webp", "bytes": 3}
    (tmp_path / MANIFEST).write_text('{"batch": "b", "input": "same"}\n' + json.dumps(claim) + "\n")
    with open_folder(tmp_path, "same") as folder:
        assert folder.has((1, 1)) is None
        assert put(folder, (2, 1), b"cat").name == "001-a-fox-2.webp"  # that name is another picture's
        assert put(folder, (1, 1), b"fox").name == "001-a-fox.webp"


def test_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    claim = {"row": 1, "picture": 1, "file": "../escaped.webp", "bytes": 3}
    (out / MANIFEST).write_text('{"batch": "b", "input": "same"}\n' + json.dumps(claim) + "\n")
    with open_folder(out, "same") as folder:
        put(folder, (1, 1), b"fox")
    assert not (tmp_path / "escaped.webp").exists()


def test_a_folder_is_one_commands_and_one_batchs(tmp_path: Path) -> None:
    with open_folder(tmp_path, "same") as folder:
        folder.begin("b", 1, "http://here")
        with pytest.raises(ConfigError, match="another command"), open_folder(tmp_path, "same"):
            pass
    with pytest.raises(ConfigError, match="other prompts"), open_folder(tmp_path, "other"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--out"), open_folder(tmp_path / "file", "same"):
        pass


def test_where_nothing_was_ordered_nothing_is_left(tmp_path: Path) -> None:
    with open_folder(tmp_path / "out", "same"):
        pass
    (tmp_path / "kept").mkdir()
    with open_folder(tmp_path / "kept", "same"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Fox, at night!", "a-fox-at-night"),
        ("../../etc/passwd", "etc-passwd"),
        ("", "picture"),
        ("!?", "picture"),
        ("a" * 100, "a" * 40),
        ("Füchse \x1b[2J\n x", "füchse-2j-x"),
        ("夜の狐", "夜の狐"),
        ("snake_case", "snake-case"),
    ],
)
def test_slugs(text: str, expected: str) -> None:
    assert slug(text) == expected


@given(st.text())
def test_any_prompt_makes_a_name_of_one_part(text: str) -> None:
    name = stem(3, 20_000, text, 2, 4)
    assert name.startswith("00003-")
    assert name.endswith("-2")
    assert Path(name).name == name
    assert len(name.encode()) <= 240
    assert name.isprintable()


def test_a_row_is_done_once_its_pictures_are_in_the_folder() -> None:
    board = Board(1, Watch())
    (row,) = board.rows
    two = {"prompt": "a fox", "num_images": 2}
    outputs = [{"index": 0, "state": "ready"}, {"index": 1, "state": "arriving"}]
    board.learn(row, generation(status="succeeded", input=two, output=outputs))
    assert (row.state, row.whole) == ("saving", False)
    board.keep(row, 1, Path("a.webp"), new=True)
    assert row.state == "saving"
    board.keep(row, 2, Path("b.webp"), new=True)
    assert (row.state, row.whole) == ("done", True)


def test_a_picture_that_was_not_made_is_not_waited_for() -> None:
    board = Board(1, Watch())
    (row,) = board.rows
    three = {"prompt": "a fox", "num_images": 3}
    outputs = [{"index": 0, "state": "ready"}, {"index": 1, "state": "failed"}]
    error = {"detail": "one was refused"}
    board.learn(row, generation(status="succeeded", input=three, output=outputs, error=error))
    board.keep(row, 1, Path("a.webp"), new=True)
    assert (row.state, row.whole, row.error) == ("done", False, "one was refused")


def _long() -> Board:
    board = Board(10_000, Watch())
    for row in board.rows[:5_000]:
        row.status, row.files = "succeeded", {1: Path("a.webp")}
    for row in board.rows[5_000:5_004]:
        row.status, row.began = "running", 0.0
    board.rows[17].status = "failed"
    board.touch(board.rows[17])
    board.touch(board.rows[4_999])
    return board


def test_of_a_long_batch_that_is_shown_which_matters() -> None:
    board = _long()
    numbers = [row.number for row in chosen(board, 10)]
    assert numbers == [18, 5000, 5001, 5002, 5003, 5004, 5005, 5006, 5007, 5008]
    assert [row.number for row in chosen(board, 3)] == [5001, 5002, 5003]
    assert table(board, 24).row_count == 16
    assert table(board, 1).row_count == 3
    assert table(Board(2), 24).row_count == 2
    assert summary(board).startswith("4,999 of 10,000 rows, 1 failed, 4 running")


def test_the_time_left_is_that_of_what_was_done_since() -> None:
    watch = Watch()
    board = Board(4, watch)
    board.eta_s = 20.0
    watch.now = 5.0
    assert summary(board).endswith("about 15 s left")
    board.learn(board.rows[0], generation())
    watch.now = 8.0
    board.learn(board.rows[0], generation(status="failed", error={"detail": "no"}))
    assert summary(board).endswith("about 24 s left")
    for row in board.rows:
        row.status = "canceled"
    assert "left" not in summary(board)


def test_the_table_is_plain_text_whatever_a_prompt_says() -> None:
    board = Board(2, Watch())
    board.learn(board.rows[0], generation(input={"prompt": "[red]a\x1b[31m fox[/]\nb", "num_images": 1}))
    board.rows[1].status, board.rows[1].error = "refused", "no \x1b[2J style"
    out = io.StringIO()
    Console(file=out, width=100, force_terminal=False).print(table(board, 24))
    text = out.getvalue()
    assert "[red]a [31m fox[/] b" in text
    assert "no  [2J style" in text
    assert "\x1b" not in text
    assert shown("a\u202eb\x00") == "a b "


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    watch, out = Watch(), io.StringIO()
    board = Board(3, watch)
    board.changed = Lines(board, Console(file=out, width=80), watch).changed
    board.learn(board.rows[0], generation())
    watch.now = 9.0
    board.learn(board.rows[0], generation(status="succeeded", output=[{"index": 0, "state": "ready"}]))
    assert out.getvalue() == ""
    watch.now = 11.0
    board.keep(board.rows[0], 1, Path("a.webp"), new=True)
    board.keep(board.rows[0], 1, Path("a.webp"), new=True)
    assert out.getvalue() == "1 of 3 rows, about 22 s left\n"
    failed = generation(status="failed", error={"detail": "refused"})
    for _ in range(2):
        board.learn(board.rows[1], failed)
    assert out.getvalue().splitlines()[1:] == ["row 2 failed: refused"]


def test_an_event_moves_its_row() -> None:
    watch = Watch()
    board = Board(1, watch)
    (row,) = board.rows
    told: list[Row] = []
    board.changed = told.append
    board.told(row, "queued", {})
    assert (row.state, board.spent(row)) == ("queued", None)
    board.told(row, "started", {})
    watch.now = 2.0
    board.told(row, "progress", {"progress": 0.5})
    assert (row.state, row.progress, board.spent(row)) == ("running", 0.5, 2.0)
    board.told(row, "settled", {})
    assert len(told) == 3
