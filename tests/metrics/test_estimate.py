"""What every metric shares: checked input, the result type and lazy names."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.estimate import Estimate


def test_a_value_or_a_reason() -> None:
    """An estimate has exactly one of a finite value and a reason."""
    Estimate(name="fid", value=0.0, n_generated=2)
    Estimate(name="fid", value=None, undefined="too few", n_generated=1)
    for value, reason in ((None, ""), (1.0, "why"), (float("nan"), ""), (float("inf"), "")):
        with pytest.raises(GraftbenchError, match="estimate of fid"):
            Estimate(name="fid", value=value, undefined=reason, n_generated=2)


@pytest.mark.parametrize("metric", ["fid", "kid", "kid_subsets", "inception_score"])
@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.array([[1.0, np.nan], [0.0, 1.0]]), r"NaN or infinite entries in 1 of 2 rows \(first in row 0\)"),
        (np.array([[1.0, 0.0], [0.0, np.inf]]), r"NaN or infinite entries in 1 of 2 rows \(first in row 1\)"),
        (np.ones(4), r"matrix N×D; found the shape \(4,\)"),
        (np.ones((4, 0)), "no columns"),
        (np.array([["a", "b"]]), "real numbers; found the type <U1"),
        (np.full((4, 2), 1e30), "reach 1e\\+30; expected at most 1e\\+20"),
        ([[1.0, 2.0], [3.0]], "no matrix of numbers"),
    ],
)
def test_bad_features_are_named(metric: str, features: Any, message: str) -> None:
    """Every metric refuses unusable features with one sentence that says what was found."""
    from graftbench import metrics

    function = getattr(metrics, metric)
    arguments = (features,) if metric == "inception_score" else (np.ones((4, 2)), features)
    with pytest.raises(GraftbenchError, match=message):
        function(*arguments)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_torch_tensors_are_taken(dtype: str) -> None:
    """A tensor of any float type, also one with a gradient, scores as the array of the same numbers."""
    import torch

    from graftbench import metrics

    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy(rng.standard_normal((30, 4))).to(getattr(torch, dtype)) for _ in range(2))
    a, b = (side.double().numpy() for side in (x, y))
    x.requires_grad_()
    assert metrics.fid(x, y) == metrics.fid(a, b)
    assert metrics.kid(x, y) == metrics.kid(a, b)
    assert metrics.inception_score(x) == metrics.inception_score(a)


def test_largest_features_do_not_overflow() -> None:
    """Features at the stated limit still give finite scores and errors, without a warning."""
    from graftbench import metrics

    x, y = (np.random.default_rng(seed).uniform(-1e20, 1e20, (8, 2)) for seed in (0, 1))
    assert metrics.fid(x, y).value is not None
    assert np.isfinite(metrics.kid(x, y).standard_error or np.nan)


@pytest.mark.slow
def test_names_are_lazy_and_torch_free() -> None:
    """Importing the metrics loads nothing heavy; using them loads no torch; the function is no module of its name."""
    script = (
        "import sys, graftbench.metrics as m, graftbench.extractors.load as e\n"
        "assert not {'scipy', 'numpy', 'torch'} & set(sys.modules)\n"
        "e.weights_sha256('lite0'), e.describe('lite0')\n"
        "import graftbench.metrics.evaluate\n"
        "import numpy\n"
        "assert m.inception_score(numpy.ones((20, 3))).value == 1.0\n"
        "assert m.fid(numpy.eye(3), numpy.eye(3) + 1).value is not None\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr


def test_unknown_attribute() -> None:
    """A name that is no metric is an AttributeError as from any module."""
    from graftbench import metrics

    with pytest.raises(AttributeError, match="has no attribute 'fod'"):
        metrics.fod  # noqa: B018
