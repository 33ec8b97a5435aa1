"""The commands of docs/ASSETS.md: every one is understood, and the walk through walks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from ferrotype.cli.main import app
from tests.assets.stock import png
from tests.flows.commands import ferrotype

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "ASSETS.md"


def commands(text: str) -> list[list[str]]:
    """What stands in the examples, without variables in front and the path of the program."""
    blocks = [body for kind, body in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL) if kind in ("", "sh")]
    lines = [line for block in blocks for line in block.splitlines() if "ferrotype assets" in line]
    return [shlex.split(line, comments=True) for line in lines]


def parts(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The variables, and the arguments of `ferrotype`."""
    at = next(number for number, word in enumerate(words) if word.endswith("ferrotype"))
    return dict(word.split("=", 1) for word in words[:at]), words[at + 1 :]


ALL = [parts(words) for page in (PAGE, ROOT / "README.md") for words in commands(page.read_text())]


@pytest.mark.parametrize("arguments", [arguments for _, arguments in ALL], ids=" ".join)
def test_every_example_is_understood(arguments: list[str]) -> None:
    group, name, *rest = arguments
    command = typer.main.get_command(app).commands[group].commands[name]  # type: ignore[attr-defined]
    command.make_context(name, rest)  # refuses what it does not know


def test_every_command_has_its_line_and_its_part() -> None:
    text = PAGE.read_text()
    group = typer.main.get_command(app).commands["assets"]  # type: ignore[attr-defined]
    for name in group.commands:
        assert f"| `{name}` |" in text, name
        assert any(arguments[1] == name for _, arguments in ALL), name


@pytest.mark.slow
async def test_the_walk_through(tmp_path: Path) -> None:
    section = PAGE.read_text().split("## A walk through")[1].split("\n## ")[0]
    (tmp_path / "ferrotype.toml").write_text(re.findall(r"```toml\n(.*?)```", section, re.DOTALL)[0])
    (tmp_path / "old-pictures").mkdir()
    for number in range(3):
        (tmp_path / f"old-pictures/{number}.png").write_bytes(png(number))
    said = []
    for words in commands(section):
        variables, arguments = parts(words)
        environ = {"FERROTYPE_STORES": "disk", "FERROTYPE_MIN_FREE_DISK_BYTES": "0", **variables}
        ran = await ferrotype(tmp_path, *arguments, **environ)
        assert ran.code == 0, ran.err
        assert ran.quiet
        said.append(ran.out)
    assert "imported 3 pictures" in said[0]
    assert "3 pictures" in said[2]
    assert "copied 3 pictures" in said[3]
    assert "dropped 3 pictures" in said[4]
    assert "all is well" in said[5]
    assert len(list((tmp_path / "nas").rglob("*.png"))) == 3
    assert len((tmp_path / "moved.csv").read_text().splitlines()) == 4
