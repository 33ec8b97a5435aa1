from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.harness import Client, running


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with the local provider only."""
    async with running(tmp_path / "data") as client:
        yield client
