"""Moments: one pass over batches gives what the whole matrix gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graftbench.errors import GraftbenchError
from graftbench.metrics.covariance import StreamingMoments, moments
from graftbench.metrics.frechet import fid


def streamed(features: np.ndarray, size: int) -> StreamingMoments:
    """The matrix taken in batch by batch."""
    running = StreamingMoments()
    for start in range(0, len(features), size):
        running.add(features[start : start + size])
    return running


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 45), st.integers(0, 2**32 - 1))
def test_batches_of_any_size_give_the_whole(n: int, width: int, size: int, seed: int) -> None:
    """Mean and covariance agree below and above full rank. 40 additions of numbers around 100: 1e-10 is ample."""
    features = 100.0 + np.random.default_rng(seed).standard_normal((n, width))
    found, expected = streamed(features, size).moments(), moments(features)
    assert found.n == n
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(found.root.T @ found.root, expected.root.T @ expected.root, atol=1e-10)


def test_memory_does_not_grow() -> None:
    """Above full rank no batch is kept: what is held is D×D, whatever the number of images."""
    running = streamed(np.random.default_rng(0).standard_normal((500, 8)), 25)
    held = sum(value.nbytes for value in vars(running).values() if isinstance(value, np.ndarray))
    assert held <= 8 * (8 * 8 + 2 * 8)
    assert running._rows is None


def test_fid_of_streams_is_fid_of_features() -> None:
    """Streaming is exact where full rank lets covariances be used: 1e-9 relative."""
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((300, 20)) @ rng.standard_normal((20, 20)), rng.standard_normal((150, 20)) + 1.0
    value = fid(streamed(x, 7).moments(), streamed(y, 64).moments()).value
    assert value == pytest.approx(fid(x, y).value, rel=1e-9)


def test_bad_input() -> None:
    """One image has no covariance; batches of two widths are of two extractors; NaN is named."""
    running = StreamingMoments()
    with pytest.raises(GraftbenchError, match="at least 2 images; found 0"):
        running.moments()
    running.add(np.ones((1, 3)))
    with pytest.raises(GraftbenchError, match="at least 2 images; found 1"):
        running.moments()
    with pytest.raises(GraftbenchError, match="4 wide and the reference features 3"):
        running.add(np.ones((2, 4)))
    with pytest.raises(GraftbenchError, match="NaN or infinite"):
        running.add(np.array([[np.nan, 1.0, 1.0]]))
    assert running.n == 1
