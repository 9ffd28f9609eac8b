"""Two networks' rankings of methods: τ, its interval, and what one of them reverses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from graftbench.comparison.agreement import agreement, interval_over_methods, kendall_tau
from graftbench.errors import GraftbenchError

Scores = dict[str, dict[int, float]]


def test_tau_by_hand() -> None:
    """1 2 3 4 against 1 3 2 4: five of six pairs agree, so τ = (5 − 1) / 6; the same order has 1, the reverse −1."""
    order = [1.0, 2.0, 3.0, 4.0]
    assert kendall_tau(order, [1.0, 3.0, 2.0, 4.0]) == pytest.approx(4 / 6, rel=1e-15)
    assert kendall_tau(order, order) == 1
    assert kendall_tau(order, order[::-1]) == -1


def test_tau_with_ties_by_hand() -> None:
    """Of x = 1 1 2 and y = 1 2 3: of three pairs x tells two and y three, both agree on two: τ_b = 2 / √(2 · 3)."""
    assert kendall_tau([1.0, 1.0, 2.0], [1.0, 2.0, 3.0]) == pytest.approx(2 / math.sqrt(6), rel=1e-15)
    assert np.isnan(kendall_tau([1.0, 1.0], [1.0, 2.0]))


def test_tau_is_scipys() -> None:
    """On random values with and without ties, row by row, to rounding: sums of at most 380 signs are exact."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 8, (30, 20)), rng.normal(size=(30, 20))
    expected = [kendalltau(a, b)[0] for a, b in zip(first, second, strict=True)]
    assert kendall_tau(first, second) == pytest.approx(expected, rel=1e-12)


def test_interval_over_methods_by_hand() -> None:
    """Its ends solve (τ − τ')² = c (1 − τ'²); for equal orders they are (1 − c)/(1 + c) and 1.

    For 20 methods c = 1.95996² · 2 · 45 / (9 · 20 · 19).
    """
    c = 1.959963984540054**2 * 90 / 3420
    ends = interval_over_methods(0.5, 20)
    for end in (ends.low, ends.high):
        assert (0.5 - end) ** 2 == pytest.approx(c * (1 - end**2), rel=1e-12)
    equal = interval_over_methods(1.0, 20)
    assert (equal.low, equal.high) == pytest.approx(((1 - c) / (1 + c), 1.0), rel=1e-12)
    assert -1 <= interval_over_methods(-1.0, 2).low < interval_over_methods(1.0, 2).low


def _scores(means: dict[str, float], seeds: int, rng: np.random.Generator, noise: float = 0.02) -> Scores:
    return {
        name: {seed: mean * math.exp(noise * rng.normal()) for seed in range(seeds)} for name, mean in means.items()
    }


def test_a_reversal_is_found() -> None:
    """The first says that a beats b, the second that it loses, far beyond the noise; c stays last with both."""
    rng = np.random.default_rng(1)
    first = _scores({"a": 1.0, "b": 2.0, "c": 9.0}, 5, rng)
    second = _scores({"a": 2.0, "b": 1.0, "c": 9.0}, 5, rng)
    found = agreement(first, second)
    assert found.reversed_pairs == (("a", "b"),)
    assert found.methods == ("a", "b", "c")
    assert found.tau == pytest.approx(1 / 3)
    assert (found.over, found.why, found.seeds) == ("seeds", "", (0, 1, 2, 3, 4))
    assert found.interval is not None
    assert found.interval.low == found.interval.high == found.tau  # no draw of such seeds orders them otherwise
    upside_down = agreement(first, second, lower_is_better=False)
    assert upside_down.reversed_pairs == (("b", "a"),)
    assert upside_down.tau == found.tau


def test_what_is_not_told_apart_is_not_reversed() -> None:
    """Two methods whose seeds overlap change places, and no conclusion does; other seeds may give equal orders."""
    last = {0: 5.0, 1: 5.1, 2: 5.2, 3: 5.3}
    first = {"a": {0: 1.0, 1: 1.3, 2: 0.9, 3: 1.1}, "b": {0: 1.2, 1: 1.0, 2: 1.1, 3: 1.2}, "c": last}
    second = {"a": {0: 1.1, 1: 1.4, 2: 1.0, 3: 1.2}, "b": {0: 1.2, 1: 0.8, 2: 1.1, 3: 1.1}, "c": last}
    found = agreement(first, second)
    assert found.reversed_pairs == ()
    assert found.interval is not None
    assert found.tau == found.interval.low == pytest.approx(1 / 3)
    assert found.interval.high == 1


def test_few_seeds_leave_an_interval_over_methods() -> None:
    """Of one seed nothing is told apart; the interval says why it is not over seeds, and reaches further."""
    first = {name: {0: float(i)} for i, name in enumerate("abcd", start=1)}
    found = agreement(first, first)
    assert (found.tau, found.over, found.why) == (1, "methods", "1 of the 4 seeds that it takes")
    assert found.interval == interval_over_methods(1.0, 4)
    assert found.reversed_pairs == ()


def test_nothing_to_rank() -> None:
    """One method, or one without a score by the second network, has no τ; other names on one side are refused."""
    one = agreement({"a": {0: 1.0}}, {"a": {0: 2.0}})
    assert (one.tau, one.interval) == (None, None)
    half = agreement({"a": {0: 1.0, 1: 2.0}, "b": {0: 3.0, 1: 4.0}}, {"a": {0: 1.0, 1: 2.0}, "b": {}})
    assert (half.tau, half.methods) == (None, ("a",))
    with pytest.raises(GraftbenchError, match=r"the same methods; found b on one side alone"):
        agreement({"a": {0: 1.0}}, {"a": {0: 1.0}, "b": {0: 1.0}})
