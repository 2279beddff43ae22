"""Simulators that the tests of the hardware share."""

from collections.abc import Iterator

import pytest

from tests.rtl import EnginePool


@pytest.fixture(scope="session")
def pool() -> Iterator[EnginePool]:
    engines = EnginePool()
    yield engines
    engines.close()
