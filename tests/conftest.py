"""The order of the tests: the longest begin first, so that none of them is waited for at the end. Properties
are tried with 50 examples where a test does not say otherwise, and how long one takes decides nothing."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("suite", max_examples=50, deadline=None)
settings.load_profile("suite")

FIRST = ("tests/sdk/", "tests/flows/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        return next((at for at, folder in enumerate(FIRST) if item.nodeid.startswith(folder)), len(FIRST))

    items.sort(key=place)  # stable: within a folder nothing moves
