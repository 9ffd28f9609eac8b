"""What the tests share: one cache folder, so that the domains are decoded once per test run, and Inception weights."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

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


@pytest.fixture(scope="session")
def random_inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file in the official format with random numbers.

    torch-fidelity's class insists on loading weights when it is made: it gets an empty dict and keeps its own.
    """
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    class Unloaded(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_: Any, **__: Any) -> None:  # type: ignore[override]
            pass

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Unloaded("inception-v3-compat", ["2048"], empty)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(network.state_dict(), path)
    return path
