from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferrotype.storage.spool import Spool
from tests.storage.origin import FakeOrigin


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", 10_000_000)
    made.recover()
    yield made
    made.close()


@pytest.fixture
def origin() -> FakeOrigin:
    return FakeOrigin()
