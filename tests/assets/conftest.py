from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ferrotype.app.beside import Beside
from tests.assets.stock import Stock
from tests.storage.conftest import s3_server, seaweed_server

__all__ = ["s3_server", "seaweed_server"]


@pytest.fixture
def stock(tmp_path: Path) -> Stock:
    return Stock(tmp_path)


@pytest.fixture
async def parts(stock: Stock) -> AsyncIterator[Beside]:
    async with stock.open() as found:
        yield found
