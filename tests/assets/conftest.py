from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ferrotype.app.beside import Beside
from ferrotype.cli.main import main
from tests.assets.stock import Stock
from tests.flows.commands import Ran
from tests.storage.conftest import s3_server, seaweed_server

__all__ = ["s3_server", "seaweed_server"]

Say = Callable[..., Ran]


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path)


@pytest.fixture
async def parts(stock: Stock) -> AsyncIterator[Beside]:
    async with stock.open() as found:
        yield found


@pytest.fixture
def say(stock: Stock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """`ferrotype assets ...` in this process, which saves its start; for tests without an event loop."""
    for name in [name for name in os.environ if name.startswith("FERROTYPE_")]:
        monkeypatch.delenv(name)
    for name, value in stock.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(stock.folder)
    monkeypatch.setattr("ferrotype.cli.assets_common.configure", lambda _: None)  # the log is everybody's

    def run(*args: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["ferrotype", "assets", *args])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        told = capsys.readouterr()
        assert ended.value.code is None or isinstance(ended.value.code, int)
        return Ran(ended.value.code or 0, told.out, told.err)

    return run
