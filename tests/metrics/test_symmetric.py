"""Symmetric precision and recall: known values, the definition, deletion, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_examples import SETS, reference

from graftbench.errors import GraftbenchError
from graftbench.metrics import manifold
from graftbench.metrics.manifold import prdc
from graftbench.metrics.symmetric import symmetric_family, symmetric_precision, symmetric_recall

RNG = np.random.default_rng


def definition(x: np.ndarray, y: np.ndarray, k: int) -> dict[str, float]:
    """The lesser of each pair of shares, from whole distance matrices."""

    def squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((a[:, None] - b) ** 2).sum(axis=2)

    def radii(a: np.ndarray) -> np.ndarray:
        d = squared(a, a)
        np.fill_diagonal(d, np.inf)
        return np.sort(d, axis=1)[:, k - 1]

    d = squared(x, y)
    of_real, of_made = d <= radii(y), d <= radii(x)[:, None]
    precision = min(of_real.any(axis=1).sum(), of_made.any(axis=1).sum()) / len(x)
    return {
        "symmetric_precision": precision,
        "symmetric_recall": min(of_made.any(axis=0).sum(), of_real.any(axis=0).sum()) / len(y),
    }


@pytest.mark.parametrize(
    ("kind", "precision", "recall"),
    [
        ("same", 0.85, 0.90),
        ("shift", 0.76, 0.653333),
        ("half", 0.425, 0.75),
        ("copies", 1.0, 0.033333),
        ("ident", 1.0, 1.0),
    ],
)
def test_known_values(kind: str, precision: float, recall: float) -> None:
    """Computed apart from this code; copies lie on the surface of balls of radius 0, which is inside."""
    x, y = SETS[kind], reference()
    assert symmetric_precision(x, y, splits=0).value == pytest.approx(precision, abs=5e-7)
    assert symmetric_recall(x, y, splits=0).value == pytest.approx(recall, abs=5e-7)


@given(st.integers(3, 16), st.integers(3, 16), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_values_and_every_leave_one_out_value(m: int, n: int, k: int, seed: int) -> None:
    """Exactly what the definition gives, for all images and with each one deleted."""
    rng = RNG(seed)
    m, n = max(m, k + 2), max(n, k + 2)
    x, y = rng.standard_normal((m, 2)), rng.standard_normal((n, 2)) + 0.7
    scores = manifold._scores(x, y, [symmetric_family(k)])
    assert {name: score.value for name, score in scores.items()} == definition(x, y, k)
    without_x = [definition(np.delete(x, i, axis=0), y, k) for i in range(m)]
    without_y = [definition(x, np.delete(y, j, axis=0), k) for j in range(n)]
    for name, score in scores.items():
        assert score.without_generated is not None
        assert score.without_real is not None
        assert score.without_generated.tolist() == [each[name] for each in without_x]
        assert score.without_real.tolist() == [each[name] for each in without_y]


def test_sides_are_treated_alike() -> None:
    """Swapped sets swap both scores. Neither is above precision, recall or coverage at the same k."""
    rng = RNG(1)
    x, y = rng.standard_normal((60, 6)), rng.standard_normal((50, 6)) + 0.5
    assert symmetric_precision(x, y, splits=0).value == symmetric_recall(y, x, splits=0).value
    others = prdc(x, y, k_precision=5, splits=0)
    for score, bounds in ((symmetric_precision, ["precision"]), (symmetric_recall, ["recall", "coverage"])):
        value = score(x, y, splits=0).value
        assert value is not None
        assert all(value <= (others[name].value or 0.0) for name in bounds)


def test_both_sides_of_a_sphere() -> None:
    """In 64 dimensions, slightly inside and slightly outside: precision says 1 and about 0, the symmetric one neither.

    That asymmetry is what the paper is about. Scaled by 0.8 nearly every image lies in a real ball, by 1.25 few do.
    """
    rng = RNG(2)
    y, x = rng.standard_normal((300, 64)), rng.standard_normal((300, 64))
    inside, outside = 0.8 * x, 1.25 * x
    assert (prdc(inside, y, k_precision=5, splits=0)["precision"].value or 0.0) > 0.95
    assert (prdc(outside, y, k_precision=5, splits=0)["precision"].value or 0.0) < 0.2
    for each in (inside, outside):
        assert (symmetric_precision(each, y, splits=0).value or 0.0) < 0.2


def test_bad_input() -> None:
    """Too few images on either side are a reason, k below 1 and NaN an error."""
    ones = np.ones((9, 3))
    for score in (symmetric_precision, symmetric_recall):
        assert "each reference image needs at least 6 images; found 5" in score(ones, ones[:5]).undefined
        assert "each generated image needs at least 6 images; found 5" in score(ones[:5], ones).undefined
        assert score(ones, ones).value == 1.0
        with pytest.raises(GraftbenchError, match="found k = 0"):
            score(ones, ones, k=0)
        with pytest.raises(GraftbenchError, match="generated features hold NaN"):
            score(ones * np.nan, ones)
