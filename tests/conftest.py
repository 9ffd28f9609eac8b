"""What the tests share: one cache folder, so that the domains are decoded once per test run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of this test run; processes started by a test use it too."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("GRAFTBENCH_CACHE")
    os.environ["GRAFTBENCH_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["GRAFTBENCH_CACHE"]
    else:
        os.environ["GRAFTBENCH_CACHE"] = before
