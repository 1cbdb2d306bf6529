"""A network of the test's own, as for the edges, and in it a chain from this device to the far end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.diagnose.chain import Chain, chain
from tests.edge.conftest import cell

__all__ = ["cell"]


@pytest.fixture
def way(cell: None, tmp_path: Path) -> Iterator[Chain]:  # noqa: ARG001
    with chain(tmp_path) as built:
        yield built
