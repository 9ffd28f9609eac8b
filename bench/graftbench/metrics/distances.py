"""Euclidean distances between features, in blocks: memory grows with N, not N².

Neighbours and pairs are found in float32, which is twice as fast as float64, together with a bound on its error; what
that bound leaves open is computed again in float64. The results are those of float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graftbench.metrics.arrays import Array

Rows = NDArray[np.intp]

ROUNDING = 1e-12
"""Squared distances that differ by less than this share of ‖x‖² + ‖y‖² are equal: float64 cannot tell them apart.

A product of D terms rounds by at most D·2⁻⁵³ of that sum (2e-13 at D = 2048)."""

_BLOCK = 1024  # rows and columns of the distance matrix held at a time
_PAIRS = 64  # rows of differences held at a time: 1 MB at D = 2048, which a processor's cache holds
_SPARE = 3  # neighbours kept beyond k, so that float32 seldom leaves open which the k nearest are
_SAMPLE = 64  # rows that tell how far features deviate from their mean
_RANGE = (1e-10, 1e15)  # largest norms that float32 squares without overflow or underflow
_TINY = 1e-36  # absolute error allowed for what underflows in float32 nevertheless


def squared_distances(x: Array, y: Array) -> Array:
    """Return ‖x−y‖² of all pairs in float64, M×D and N×D give M×N; 0 where `ROUNDING` hides the difference."""
    squares_x, squares_y = _squares(x), _squares(y)
    d2 = x @ y.T
    d2 *= -2.0
    d2 += squares_x[:, None]
    d2 += squares_y
    # The sums cancel where two rows are nearly equal; what remains of equal rows is rounding of either sign.
    d2[d2 < ROUNDING * np.add.outer(squares_x, squares_y)] = 0.0
    return d2


def nearest(x: Array, y: Array | None = None, k: int = 1) -> tuple[Array, Rows]:
    """Find the k nearest rows of y for each row of x, or of x itself for y = None, each row itself left out.

    Args:
        x: M×D, float64.
        y: N×D, float64; None for x.
        k: Number of neighbours, 1 ≤ k ≤ N (N−1 for y = None).

    Returns:
        Distances (not squared) M×k in ascending order, float64, and row numbers in y M×k. Among equal distances the
        lower row number comes first.
    """
    (a, b), scale = _prepare(x, x if y is None else y)
    low, candidates = _shortlist(a, b, min(k + _SPARE, len(b.exact) - (y is None)), same=y is None)
    d2, rows = _ranked(a, b, np.arange(len(a.exact)), low, candidates, k=k, same=y is None)
    return np.sqrt(d2) / scale, rows


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows of x and y, each within at least one limit.

    Attributes:
        x: Row numbers in x, P.
        y: Row numbers in y, P.
        within_x: P×A, whether the distance is at most each of the A limits of the row of x.
        within_y: P×B, likewise for the limits of the row of y.
    """

    x: Rows
    y: Rows
    within_x: NDArray[np.bool_]
    within_y: NDArray[np.bool_]


class Sets:
    """Two sets of features, prepared once for all distances within and between them.

    Args:
        x: M×D, float64.
        y: N×D, float64.
    """

    def __init__(self, x: Array, y: Array) -> None:
        (self._x, self._y), self._scale = _prepare(x, y)

    def nearest_in_x(self, k: int) -> Neighbours:
        """Find the k nearest rows of x for each row of x, itself left out, 1 ≤ k < M."""
        return Neighbours(self._x, self._scale, k)

    def nearest_in_y(self, k: int) -> Neighbours:
        """Find the k nearest rows of y for each row of y, itself left out, 1 ≤ k < N."""
        return Neighbours(self._y, self._scale, k)

    def pairs_within(self, limits_x: Array | Limits, limits_y: Array | Limits) -> Iterator[Pairs]:
        """Yield all pairs of x and y closer than a limit of either row, block by block.

        Equality up to `ROUNDING` counts as within.

        Args:
            limits_x: M×A distances (not squared), one row for each row of x; A may be 0. Or those to neighbours.
            limits_y: N×B distances, likewise for y.
        """
        a, b = self._x, self._y
        of_x, of_y = (z if isinstance(z, Limits) else Limits.known(z * self._scale) for z in (limits_x, limits_y))
        widest_x, widest_y = _upward(of_x.high), _upward(of_y.high)
        for rows in _blocks(len(a.exact)):
            for columns in _blocks(len(b.exact)):
                # Candidates: pairs whose lower bound is within a limit.
                low = _lower_bounds(a, b, rows, columns)
                candidates = np.flatnonzero((low <= widest_x[rows, None]) | (low <= widest_y[columns]))
                i, j = np.divmod(candidates, low.shape[1])
                i += rows.start
                j += columns.start
                # Where a limit's bounds and a pair's overlap, the limit is taken in float64; where it still lies
                # between the pair's, the pair's distance is, and decides.
                d2, sums = low.ravel()[candidates].astype(np.float64), a.squares[i] + b.squares[j]
                high = d2 + 2.0 * a.error * sums + 2.0 * _TINY
                of_x.settle(i, d2, high)
                of_y.settle(j, d2, high)
                limits = np.hstack((of_x.low[i], of_y.low[j]))
                unsure = np.flatnonzero(((d2[:, None] <= limits) & (limits < high[:, None])).any(axis=1))
                exact = _exact_in_block(a, b, (rows, columns), i[unsure], j[unsure])
                d2[unsure] = exact - ROUNDING * sums[unsure]
                within = d2[:, None] <= limits
                width = of_x.low.shape[1]
                yield Pairs(i, j, within[:, :width], within[:, width:])

    def pairs_within_y(self, rows: Rows, limits: Array) -> Iterator[Pairs]:
        """Yield all pairs of another row of y (as x) and one of some rows of y, closer than a limit of the latter.

        Equality up to `ROUNDING` counts as within.

        Args:
            rows: Row numbers in y, P.
            limits: N×B distances (not squared), one row for each row of y.
        """
        y = self._y
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            d2 = squared_distances(y.exact[block], y.exact)
            d2 -= ROUNDING * np.add.outer(y.squares[block], y.squares)
            d2[np.arange(len(block)), block] = np.inf
            squared = np.square(limits[block] * self._scale)
            i, j = np.nonzero(d2 <= squared.max(axis=1)[:, None])
            within = d2[i, j][:, None] <= squared[i]
            yield Pairs(j, block[i], within[:, :0], within)


class Neighbours:
    """The nearest rows of each row of a set: which they are, and how far, in float64 only where that is asked for.

    Attributes:
        rows: Row numbers N×k, nearest first; among equal distances the lower one.
    """

    def __init__(self, points: _Points, scale: float, k: int) -> None:
        self._points, self._scale = points, scale
        low, candidates = _shortlist(points, points, min(k + _SPARE, len(points.exact) - 1), same=True)
        order = np.argsort(low, axis=1)
        low, candidates = np.take_along_axis(low, order, axis=1), np.take_along_axis(candidates, order, axis=1)
        # What float32 ranks: rows of which each neighbour's upper bound is below the next one's lower bound.
        self._low, self.rows = low[:, :k].astype(np.float64), candidates[:, :k]
        self._high = (
            self._low + 2.0 * points.error * (points.squares[:, None] + points.squares[self.rows]) + 2.0 * _TINY
        )
        following = low[:, 1 : k + 1]
        ranked = (self._high[:, : following.shape[1]] < following).all(axis=1)
        # The others.
        rest = np.flatnonzero(~ranked)
        d2, self.rows[rest] = _ranked(points, points, rest, low[rest], candidates[rest], k=k, same=True)
        self._low[rest] = self._high[rest] = d2

    def distances(self) -> Array:
        """Return their distances (not squared), N×k, float64."""
        limits = self.limits(list(range(self.rows.shape[1])))
        limits.settle(np.arange(len(self.rows)), np.full(len(self.rows), -np.inf), np.full(len(self.rows), np.inf))
        return np.sqrt(limits.low) / self._scale

    def limits(self, columns: list[int]) -> Limits:
        """Return the distances to some of the neighbours, numbered from 0, as limits."""
        return Limits(self._low[:, columns], self._high[:, columns], self._points, self.rows[:, columns])


@dataclass(frozen=True)
class Limits:
    """Squared limits of the rows of a set, scaled as its points; of distances to neighbours at first only bounds.

    Attributes:
        low: N×A.
        high: N×A; equal to `low` where the limit is known.
        points: The rows of the set; None where all limits are known.
        neighbours: Row numbers N×A of the neighbours to which the limits reach.
    """

    low: Array
    high: Array
    points: _Points | None = None
    neighbours: Rows | None = None

    @classmethod
    def known(cls, distances: Array) -> Limits:
        """Return limits at known distances N×A."""
        squared = np.square(distances)
        return cls(squared, squared)

    def settle(self, rows: Rows, low: Array, high: Array) -> None:
        """Compute the limits of P rows, with repetitions, that are not known and between whose bounds others lie.

        Args:
            rows: Row numbers, P.
            low: Lower bounds of squared distances, P: a limit below all of them need not be known.
            high: Upper bounds, P: a limit of at least all of them need not be known.
        """
        if self.points is None or self.neighbours is None:
            return
        lowest, highest = self.low[rows], self.high[rows]
        overlap = (low[:, None] <= highest) & (lowest < high[:, None]) & (lowest < highest)
        pair, column = np.nonzero(overlap)
        wanted = np.zeros(self.low.shape, dtype=bool)
        wanted[rows[pair], column] = True
        i, j = np.nonzero(wanted)
        self.low[i, j] = self.high[i, j] = _exact(self.points, self.points, i, self.neighbours[i, j])


def _ranked(
    a: _Points, b: _Points, rows: Rows, low: NDArray[np.float32], candidates: Rows, *, k: int, same: bool
) -> tuple[Array, Rows]:
    """Find the k nearest rows of b for P rows of a, by distances in float64: squared, and row numbers, P×k each.

    Args:
        a: The one set.
        b: The other.
        rows: Row numbers in a, P.
        low: P×C, lower bounds by float32 of the distances to candidates.
        candidates: Their row numbers in b; no other row has a bound below the largest of these.
        k: Number of neighbours.
        same: a is b, and no row is its own neighbour.
    """
    d2, neighbours = _picked(a, b, rows, candidates, k)
    if low.shape[1] < len(b.exact) - same:
        # The lower bound of a row that is no candidate is at least the largest one of a candidate. Where that does not
        # exceed the k-th distance, the candidates may be the wrong ones: all distances are taken in float64.
        beyond = low.max(axis=1, initial=np.float32(-np.inf))
        unsure = np.flatnonzero(beyond <= d2[:, -1] + ROUNDING * (a.squares[rows] + b.squares.max()))
        for start in range(0, len(unsure), _BLOCK):
            part = unsure[start : start + _BLOCK]
            full = squared_distances(a.exact[rows[part]], b.exact)
            if same:
                full[np.arange(len(part)), rows[part]] = np.inf
            nearest_few = np.argsort(full, axis=1, kind="stable")[:, :k]
            d2[part], neighbours[part] = _picked(a, b, rows[part], nearest_few, k)
    return d2, neighbours


def _picked(a: _Points, b: _Points, rows: Rows, candidates: Rows, k: int) -> tuple[Array, Rows]:
    """Pick the k nearest of the candidates P×C for P rows of a: squared distances and row numbers in b, P×k each."""
    d2 = np.empty(candidates.shape)
    at_once = max(1, _PAIRS // candidates.shape[1])
    for start in range(0, len(rows), at_once):
        difference = b.exact[candidates[start : start + at_once]]
        difference -= a.exact[rows[start : start + at_once], None]
        d2[start : start + at_once] = np.einsum("ijk,ijk->ij", difference, difference)
    order = np.lexsort((candidates, d2))[:, :k]
    return np.take_along_axis(d2, order, axis=1), np.take_along_axis(candidates, order, axis=1)


# ------------------------------------------------------------------------------------------------ float32 and its error


@dataclass(frozen=True)
class _Points:
    """Centred and scaled features.

    Attributes:
        exact: N×D, float64.
        rough: The same in float32.
        squares: ‖row‖², N, float64.
        floor: Contribution of a row to a lower bound of the squared distance, float32.
        error: Bound of the float32 error of a squared distance, as a share of ‖x‖² + ‖y‖².
    """

    exact: Array
    rough: NDArray[np.float32]
    squares: Array
    floor: NDArray[np.float32]
    error: float


def _prepare(x: Array, y: Array) -> tuple[tuple[_Points, _Points], float]:
    """Centre both sides about the mean of y, where fewer digits cancel, and scale them to near 1 by a power of two.

    The mean is rounded to a few binary digits of the deviations (judged by some rows): subtracting it is then exact for
    features with float32's digits, and equal distances stay equal.

    Returns:
        Both sides, and the factor by which they (and so their distances) were multiplied.
    """
    centre = y.mean(axis=0)
    exponent = int(np.frexp(np.abs(y[:_SAMPLE] - centre).max())[1]) - 8
    centre = np.ldexp(np.rint(np.ldexp(centre, -exponent)), exponent)
    a = x - centre
    b = a if y is x else y - centre
    largest = math.sqrt(max(_squares(side).max() for side in (a, b)))
    scale = 1.0
    if largest and not _RANGE[0] < largest < _RANGE[1]:
        scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))
        a, b = a * scale, b * scale
    first = _points(a)
    return (first, first if y is x else _points(b)), scale


def _points(centred: Array) -> _Points:
    """Prepare centred features for `_lower_bounds`.

    With u = 2⁻²⁴: the product of D terms, in any order of summation, is off by Du/(1−Du)·‖x‖‖y‖, the conversion of
    the factors to float32 adds 2u·‖x‖‖y‖ (2‖x‖‖y‖ ≤ ‖x‖² + ‖y‖²), the conversion of the squares u·‖x‖² + u·‖y‖², and
    the two additions at most 2u(‖x‖² + ‖y‖²) each: below (D + 8)u in all, and twice the 8 allows for second order.
    """
    squares = _squares(centred)
    unit = 2.0**-24
    width = centred.shape[1] + 16
    error = width * unit / (1.0 - width * unit)
    floor = ((1.0 - error) * squares - _TINY / 2.0).astype(np.float32)
    return _Points(centred, centred.astype(np.float32), squares, floor, error)


def _lower_bounds(a: _Points, b: _Points, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Return lower bounds of ‖x−y‖² in a block; twice `error`·(‖x‖² + ‖y‖²) + `_TINY` more are upper bounds."""
    x = a.rough[rows]
    # NumPy computes only one triangle of x @ x.T
    tile = x @ (x if a is b and rows == columns else b.rough[columns]).T
    tile *= -2.0
    tile += a.floor[rows, None]
    tile += b.floor[columns]
    return tile


def _exact(a: _Points, b: _Points, i: Rows, j: Rows) -> Array:
    """Return ‖x−y‖² in float64 for P single pairs, from differences: copies are at distance 0."""
    d2 = np.empty(len(i))
    for start in range(0, len(i), _PAIRS):
        difference = b.exact[j[start : start + _PAIRS]]
        difference -= a.exact[i[start : start + _PAIRS]]
        d2[start : start + _PAIRS] = _squares(difference)
    return d2


def _exact_in_block(a: _Points, b: _Points, block: tuple[slice, slice], i: Rows, j: Rows) -> Array:
    """Return ‖x−y‖² in float64 for pairs of one block: by one product where they are many, else pair by pair."""
    rows, columns = block
    if len(i) * 32 > (rows.stop - rows.start) * (columns.stop - columns.start):
        return squared_distances(a.exact[rows], b.exact[columns])[i - rows.start, j - columns.start]
    return _exact(a, b, i, j)


# ------------------------------------------------------------------------------------------------------------ selection


def _shortlist(a: _Points, b: _Points, size: int, *, same: bool) -> tuple[NDArray[np.float32], Rows]:
    """Return the `size` smallest lower bounds of each row, unordered, and their row numbers in b: M×size each.

    Within one set a block serves its rows and its columns; the blocks on the diagonal come first, so that the others
    have only few entries that can still displace one.
    """
    low = np.full((len(a.exact), size), np.inf, dtype=np.float32)
    numbers = np.zeros((len(a.exact), size), dtype=np.intp)
    blocks = _blocks(len(b.exact))
    if same:
        for block in blocks:
            tile = _lower_bounds(a, b, block, block)
            np.fill_diagonal(tile, np.inf)
            _absorb(low[block], numbers[block], tile, block.start)
        for i, rows in enumerate(blocks):
            for columns in blocks[i + 1 :]:
                tile = _lower_bounds(a, b, rows, columns)
                _absorb(low[rows], numbers[rows], tile, columns.start)
                _absorb(low[columns], numbers[columns], tile.T, rows.start)
    else:
        for rows in _blocks(len(a.exact)):
            for columns in blocks:
                _absorb(low[rows], numbers[rows], _lower_bounds(a, b, rows, columns), columns.start)
    return low, numbers


def _absorb(low: NDArray[np.float32], numbers: Rows, tile: NDArray[np.float32], first: int) -> None:
    """Bring a block's smallest entries into the lists `low` and `numbers`, in place; its columns count from `first`."""
    size, width = low.shape[1], tile.shape[1]
    limit = low.max(axis=1)
    if size < width and np.isinf(limit).any():  # a list is not full yet
        limit = np.partition(tile, size - 1, axis=1)[:, size - 1]
    # The entries that may displace one, moved to the left of a narrow matrix.
    mask = tile <= limit[:, None]
    counts = np.count_nonzero(mask, axis=1)
    row, column = np.divmod(np.flatnonzero(mask), width)
    slot = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.full((len(low), counts.max(initial=0)), np.inf, dtype=np.float32)
    columns = np.zeros(values.shape, dtype=np.intp)
    values[row, slot], columns[row, slot] = tile[row, column], column
    # The smallest of these and of the lists.
    all_low, all_numbers = np.hstack((low, values)), np.hstack((numbers, columns + first))
    keep = np.argpartition(all_low, size - 1, axis=1)[:, :size]
    low[:], numbers[:] = np.take_along_axis(all_low, keep, axis=1), np.take_along_axis(all_numbers, keep, axis=1)


# ------------------------------------------------------------------------------------------------------------- helpers


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + _BLOCK, n)) for start in range(0, n, _BLOCK)]


def _squares(rows: Array) -> Array:
    return np.einsum("ij,ij->i", rows, rows)


def _upward(squared: Array) -> NDArray[np.float32]:
    """Return the largest limit of each row in float32, rounded up."""
    largest = squared.max(axis=1, initial=-np.inf)
    return np.nextafter(largest.astype(np.float32), np.float32(np.inf))
