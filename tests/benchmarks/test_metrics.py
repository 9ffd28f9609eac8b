"""Our metric kernels against torch-fidelity's on the same features, timed in one run: read the ratios."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch_fidelity import metric_fid, metric_isc, metric_kid

from graftbench.metrics.frechet import fid
from graftbench.metrics.inception import inception_score
from graftbench.metrics.kernel import kid_subsets

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.slow

N, WIDTH, CLASSES = 1000, 2048, 1000


def features(seed: int, width: int) -> torch.Tensor:
    """N rows of correlated features, float32."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(N, width, generator=generator) @ torch.randn(width, width, generator=generator) / width**0.5


def fidelity_fid(x: torch.Tensor, y: torch.Tensor) -> Any:
    """torch-fidelity's way from features to FID."""
    statistics = [metric_fid.fid_features_to_statistics(f) for f in (x, y)]
    return metric_fid.fid_statistics_to_metric(*statistics, verbose=False)


def fidelity_kid(x: torch.Tensor, y: torch.Tensor) -> Any:
    """torch-fidelity's way from features to KID."""
    return metric_kid.kid_features_to_metric(x, y, kid_subsets=100, kid_subset_size=500, rng_seed=2020, verbose=False)


def pairs() -> dict[str, dict[str, Callable[[], object]]]:
    """Metric -> who -> the call that is timed."""
    torch.set_num_threads(1)
    x, y, logits = features(0, WIDTH), features(1, WIDTH), 3 * features(2, CLASSES)
    a, b, c = (np.asarray(t, dtype=np.float64) for t in (x, y, logits))
    isc = partial(metric_isc.isc_features_to_metric, logits, splits=10, shuffle=True, rng_seed=2020)
    return {
        "fid": {"graftbench": partial(fid, a, b), "torch-fidelity": partial(fidelity_fid, x, y)},
        "kid 100x500": {
            "graftbench": partial(kid_subsets, a, b, subsets=100, subset_size=500, seed=2020),
            "torch-fidelity": partial(fidelity_kid, x, y),
        },
        "inception score": {"graftbench": partial(inception_score, c), "torch-fidelity": isc},
    }


@pytest.mark.parametrize("who", ["graftbench", "torch-fidelity"])
@pytest.mark.parametrize("metric", ["fid", "kid 100x500", "inception score"])
def test_metric(benchmark: BenchmarkFixture, metric: str, who: str) -> None:
    """One metric from features, by one of the two."""
    benchmark.group = f"{metric}, N={N}, D={WIDTH if metric != 'inception score' else CLASSES}"
    benchmark.name = who
    assert benchmark.pedantic(pairs()[metric][who], rounds=3, warmup_rounds=1) is not None
