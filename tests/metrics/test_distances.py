"""Distances: brute force, ties, the float32 bound, and data that float32 cannot tell apart."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graftbench.metrics import distances
from graftbench.metrics.distances import Sets, nearest, squared_distances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graftbench.metrics.distances import Pairs

RNG = np.random.default_rng


def brute_force(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Distances from differences, in float64."""
    return np.sqrt(np.array([((y - row) ** 2).sum(axis=1) for row in x]))


def brute_nearest(x: np.ndarray, y: np.ndarray | None, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The definition of `nearest`: a stable sort of all distances."""
    d = brute_force(x, x if y is None else y)
    if y is None:
        np.fill_diagonal(d, np.inf)
    rows = np.argsort(d, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(d, rows, axis=1), rows


def features(kind: str, rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    """Random features; `lattice` has many equal distances, `offset` lies far from 0, `outlier` swamps float32."""
    x = rng.standard_normal((n, width))
    if kind == "lattice":
        return np.rint(x)
    if kind == "offset":
        return x.astype(np.float32).astype(np.float64) + 4096.0
    if kind == "outlier":
        x *= 1e-3
        x[0] = 10.0
    return x


KINDS = st.sampled_from(["normal", "lattice", "offset", "outlier"])


def test_squared_distances_by_hand() -> None:
    """(0,0) and (3,4) against (0,0) and (3,0): 0, 9, 25 and 16."""
    x, y = np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0], [3.0, 0.0]])
    assert squared_distances(x, y).tolist() == [[0.0, 9.0], [25.0, 16.0]]


def test_copies_are_at_distance_zero() -> None:
    """The sums of squares cancel with a remainder of either sign; what is below rounding becomes exactly 0."""
    x = RNG(0).standard_normal((50, 300)) + 7.0
    assert np.array_equal(squared_distances(x, x.copy()) == 0.0, np.eye(50, dtype=bool))


def test_nearest_by_hand() -> None:
    """On a line at 0, 1, 3, 7: distances between the points; among equal ones the lower row comes first."""
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    d, rows = nearest(line, None, 2)
    assert rows.tolist() == [[1, 2], [0, 2], [1, 0], [2, 1]]
    assert d.tolist() == [[1.0, 3.0], [1.0, 2.0], [2.0, 3.0], [4.0, 6.0]]
    d, rows = nearest(np.array([[2.0]]), line, 3)
    assert rows.tolist() == [[1, 2, 0]]
    assert d.tolist() == [[1.0, 1.0, 2.0]]


@given(KINDS, st.integers(1, 40), st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_nearest_is_brute_force(kind: str, m: int, n: int, width: int, seed: int) -> None:
    """Distances and row numbers are those of sorting everything in float64.

    Below 1e-6 (the root of `ROUNDING`) of the norms two rows count as equal. That is 5e-5 for the outliers, whose norms
    are at most 10·√6, each; there, neighbours so close to each other may change places.
    """
    rng = RNG(seed)
    x, y = features(kind, rng, m, width), features(kind, rng, n, width)
    for other in (None, y):
        available = m - 1 if other is None else n
        if available:
            k = int(rng.integers(1, available + 1))
            (d, rows), (expected, expected_rows) = nearest(x, other, k), brute_nearest(x, other, k)
            assert d == pytest.approx(expected, rel=1e-9, abs=5e-5 if kind == "outlier" else 0.0)
            if kind != "outlier":
                assert np.array_equal(rows, expected_rows)


@pytest.mark.parametrize(("block", "other"), list(product((1, 7, 32), (False, True))))
def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch, block: int, other: bool) -> None:  # noqa: FBT001 - a case
    """Neighbours and pairs are the same when the matrix is walked in blocks of any size."""
    rng = RNG(1)
    x, y = rng.standard_normal((70, 9)), rng.standard_normal((53, 9))
    limits_x, limits_y = rng.uniform(1, 4, (70, 2)), rng.uniform(1, 4, (53, 3))

    def everything() -> tuple[np.ndarray, np.ndarray, set[tuple[Any, ...]]]:
        d, rows = nearest(x, y if other else None, 5)
        return d, rows, as_set(Sets(x, y).pairs_within(limits_x, limits_y))

    whole = everything()
    monkeypatch.setattr(distances, "_BLOCK", block)
    parts = everything()
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])
    assert whole[2] == parts[2]


def as_set(blocks: Iterable[Pairs]) -> set[tuple[Any, ...]]:
    """Pairs within a limit as tuples, from any order of blocks; pairs within none are left out."""
    found: set[tuple[Any, ...]] = set()
    for pairs in blocks:
        within = np.hstack((pairs.within_x, pairs.within_y))
        for i, j, row in zip(pairs.x.tolist(), pairs.y.tolist(), within, strict=True):
            if row.any():
                assert (i, j, *row.tolist()) not in found
                found.add((i, j, *row.tolist()))
    return found


@given(KINDS, st.integers(1, 30), st.integers(1, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_pairs_within_is_brute_force(kind: str, m: int, n: int, width: int, seed: int) -> None:
    """Every pair within a limit is found once, and no other; limits that are distances themselves count as within.

    Found are at least the pairs with d ≤ limit, and none beyond the limit by more than 1e-6, in either unit: `ROUNDING`
    is 1e-12 of squared norms below 10²·6.
    """
    rng = RNG(seed)
    x, y = features(kind, rng, m, width), features(kind, rng, n, width)
    d = brute_force(x, y)
    limits_x = np.column_stack((d.min(axis=1), rng.permuted(d, axis=1)[:, 0]))  # distances to rows of y: ties
    limits_y = rng.permuted(d.T, axis=1)[:, :1]
    found = np.zeros((m, n, 3), dtype=bool)
    for i, j, *within in as_set(Sets(x, y).pairs_within(limits_x, limits_y)):
        found[i, j] = within
    limits = np.empty((m, n, 3))
    limits[:, :, :2], limits[:, :, 2:] = limits_x[:, None], limits_y
    assert (found >= (d[:, :, None] <= limits)).all()
    loose = np.sqrt(limits**2 * (1.0 + 1e-9) + 1e-12 * 2 * (600 if kind == "outlier" else 0))
    assert (found <= (d[:, :, None] <= loose)).all()


@given(KINDS, st.integers(4, 40), st.integers(4, 40), st.integers(1, 200), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_neighbours_that_float32_ranks(kind: str, m: int, n: int, width: int, seed: int) -> None:
    """Neighbours, distances and pairs within the distances to neighbours are those that float64 alone gives."""
    rng = RNG(seed)
    x, y = features(kind, rng, m, width), features(kind, rng, n, width)
    sets, k = Sets(x, y), int(rng.integers(1, min(m, n)))
    columns = sorted({0, k - 1})
    limits = []
    for found, side in ((sets.nearest_in_x(k), x), (sets.nearest_in_y(k), y)):
        d, rows = brute_nearest(side, None, k)
        assert found.distances() == pytest.approx(d, rel=1e-9, abs=5e-5 if kind == "outlier" else 0.0)
        if kind != "outlier":
            assert np.array_equal(found.rows, rows)
        limits.append((found.limits(columns), found.distances()[:, columns]))
    (rough_x, known_x), (rough_y, known_y) = limits
    assert as_set(sets.pairs_within(rough_x, rough_y)) == as_set(sets.pairs_within(known_x, known_y))


@given(KINDS, st.integers(1, 300), st.integers(0, 2**32 - 1))
@example("lattice", 1, 175291)
@settings(max_examples=40, deadline=None)
def test_the_float32_bounds_hold(kind: str, width: int, seed: int) -> None:
    """True squared distances lie between the lower bound and the upper bound that `pairs_within` derives from it.

    Two rows at the mean itself, where both norms are 0, included: there only the allowance for underflow is left.
    """
    rng = RNG(seed)
    (a, b), _ = distances._prepare(features(kind, rng, 20, width), features(kind, rng, 30, width))
    low = distances._lower_bounds(a, b, slice(0, 20), slice(0, 30)).astype(np.float64)
    true = brute_force(a.exact, b.exact) ** 2
    high = low + 2.0 * a.error * np.add.outer(a.squares, b.squares) + 2.0 * distances._TINY
    rounding = 1e-15 * np.add.outer(a.squares, b.squares)
    assert (low <= true + rounding).all()
    assert (true <= high + rounding).all()


def test_clusters_that_float32_cannot_resolve() -> None:
    """Clusters of spread 1e-5 at norm 30: float32 sees distances of 0 ± 1e-2, the result is still float64's."""
    rng = RNG(2)
    x = np.repeat(rng.standard_normal((6, 900)), 20, axis=0) + 1e-5 * rng.standard_normal((120, 900))
    (d, rows), (expected, expected_rows) = nearest(x, None, 4), brute_nearest(x, None, 4)
    assert d == pytest.approx(expected, rel=1e-6)
    assert np.array_equal(rows, expected_rows)


@pytest.mark.parametrize("power", [-300, -60, 60])
def test_any_scale(power: int) -> None:
    """Distances scale with the features, far outside of float32's range (2⁶⁰ and 2⁻³⁰⁰ squared) as well."""
    x = RNG(3).standard_normal((40, 12))
    (d, rows), (scaled, scaled_rows) = nearest(x, None, 3), nearest(np.ldexp(x, power), None, 3)
    assert np.array_equal(rows, scaled_rows)
    assert np.ldexp(scaled, -power) == pytest.approx(d, rel=1e-9)
    limits = np.ones((40, 1))
    assert as_set(Sets(x, x).pairs_within(limits, limits)) == as_set(
        Sets(np.ldexp(x, power), np.ldexp(x, power)).pairs_within(np.ldexp(limits, power), np.ldexp(limits, power))
    )


def test_identical_rows() -> None:
    """All distances are 0, neighbours are the lowest other rows, and limits of 0 hold every pair."""
    x = np.full((5, 3), 0.1)
    d, rows = nearest(x, None, 2)
    assert d.tolist() == [[0.0, 0.0]] * 5
    assert rows.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]
    none = np.zeros((5, 1))
    assert len(as_set(Sets(x, x).pairs_within(none, none))) == 25
