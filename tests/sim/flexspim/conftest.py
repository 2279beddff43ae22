"""Engines that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.macros import MacroPool


@pytest.fixture(scope="session")
def macros() -> Iterator[MacroPool]:
    pool = MacroPool()
    yield pool
    pool.close()
