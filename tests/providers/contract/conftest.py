"""Every test of the suite runs with every rig."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator

import pytest

from ferrotype.providers.base import Provider
from tests.providers.contract import rigs
from tests.providers.contract.rig import Rig, closing

NAMES = sorted(module.name for module in pkgutil.iter_modules(rigs.__path__))


@pytest.fixture(params=NAMES)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    module = importlib.import_module(f"tests.providers.contract.rigs.{request.param}")
    async with module.rig() as made:
        yield made


@pytest.fixture
async def provider(rig: Rig) -> AsyncIterator[Provider]:
    async with closing(rig.make()) as made:
        yield made
