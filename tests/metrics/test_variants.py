"""Known truth: modes and KL of factors from labels, by hand, by laws, and their intervals by simulation."""

import math

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.estimate import Estimate
from graftbench.metrics.variants import factor_kl, modes, pair_labels, variant_pairs, variant_shares

REPEATS = 200


def _column(*counts: int) -> np.ndarray:
    """A factor whose variants 0, 1, … have these counts."""
    return np.repeat(np.arange(len(counts)), counts)[:, None].astype(np.int64)


def _value(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value


def test_modes_by_hand() -> None:
    """A variant is covered from a quarter of its true share on: of 40, 40 and 20 % those made in 85, 10 and 5 %."""
    assert modes(_column(85, 10, 5), _column(40, 40, 20)).value == 3
    assert modes(_column(86, 9, 5), _column(40, 40, 20)).value == 2
    assert modes(_column(87, 9, 4), _column(40, 40, 20)).value == 1


def test_pairs_by_hand() -> None:
    """Four equally frequent pairs, of which copies of two images show two and have all four variants all the same."""
    reference = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 50)
    copies = np.array([[0, 0], [1, 1]] * 50)
    assert (modes(copies, reference).value, variant_pairs(copies, reference).value) == (4, 2)
    recombined = np.array([[0, 0], [1, 1], [0, 1], [1, 0]] * 25)
    assert variant_pairs(recombined, reference).value == 4
    assert variant_pairs(recombined, reference, seed=3) == variant_pairs(recombined, reference, seed=3)


def test_pairs_that_are_rare_or_cannot_be_read_do_not_count() -> None:
    """Of 1,000 reference images a pair of nine is none, one of ten is; nor is one with a variant that is not read."""
    common, rare, unread = [[0, 0]] * 981, [[1, 1]] * 9, [[0, -1]] * 10
    reference = np.array([*common, *rare, *unread])
    assert len(variant_shares(*pair_labels(reference.clip(0), reference))) == 1
    reference = np.array([*common[1:], *rare, [1, 1], *unread])
    assert len(variant_shares(*pair_labels(reference.clip(0), reference))) == 2


def test_pairs_of_three_factors() -> None:
    """Three factors of two variants each have 3 · 4 pairs, and the numbers of variants do not run into one another."""
    reference = np.stack(np.meshgrid([0, 1], [0, 7], [0, 3], indexing="ij"), axis=-1).reshape(-1, 3).repeat(20, axis=0)
    assert variant_pairs(reference, reference).value == len(variant_shares(*pair_labels(reference, reference))) == 12


def test_images_that_show_no_variant_cover_nothing() -> None:
    """Half of 100 images show no variant of a factor: it is missing from variants and pairs, and counts in the KL."""
    reference = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 50)
    smears = np.array([[0, 0], [0, -1], [-1, 0], [-1, -1]] * 25)
    assert [(each.variant, each.generated) for each in variant_shares(smears, reference)] == [
        (1, 0.0),
        (1, 0.0),
        (0, 0.5),
        (0, 0.5),
    ]
    assert (modes(smears, reference).value, variant_pairs(smears, reference).value) == (2, 1)
    true = np.array([100.5, 0.5, 100.5]) / 201.5  # variants 0, none and 1, half an image added to each
    assert factor_kl(smears, reference).value == pytest.approx(
        0.5 * math.log(0.5 / true[0]) + 0.5 * math.log(0.5 / true[1])
    )


def test_one_factor_has_no_pairs() -> None:
    """Pairs are undefined, with the reason, where one factor alone can be read."""
    estimate = variant_pairs(_column(5, 5), _column(5, 5))
    assert estimate.value is None
    assert estimate.undefined == "pairs of variants need two factors that can be read; found 1"


def test_factor_kl_by_hand() -> None:
    """One variant alone, of a true half: log 2, but for half an image in the smoothed truth."""
    collapsed = factor_kl(_column(100), _column(5000, 5000))
    assert collapsed.value == pytest.approx(math.log(2.0), rel=1e-12)
    assert collapsed.standard_error == pytest.approx(0.0, abs=1e-12)
    tilted = factor_kl(_column(75, 25), _column(99, 99))
    assert tilted.value == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-12)


def test_mean_over_factors() -> None:
    """Two factors score the mean of their KL and the sum of their modes."""
    generated, reference = _column(70, 30), _column(40, 60)
    other, true = _column(100), _column(50, 50)
    both = np.hstack([generated, other]), np.hstack([reference, true])
    parts = [_value(factor_kl(generated, reference)), _value(factor_kl(other, true))]
    assert factor_kl(*both).value == pytest.approx(np.mean(parts), rel=1e-12)
    assert modes(*both).value == _value(modes(generated, reference)) + _value(modes(other, true)) == 3


def test_unreadable_variants_do_not_count() -> None:
    """A reference image whose variant cannot be read adds no variant; in the KL it is one that shows none."""
    reference = np.concatenate([_column(50, 50), np.full((20, 1), -1)])
    assert {(each.variant, each.true) for each in variant_shares(_column(9, 1), reference)} == {
        (0, 50 / 120),
        (1, 50 / 120),
    }
    true = np.array([50.5, 50.5, 20.5]) / 121.5
    by_hand = 0.9 * math.log(0.9 / true[0]) + 0.1 * math.log(0.1 / true[1])
    assert factor_kl(_column(9, 1), reference).value == pytest.approx(by_hand, rel=1e-12)
    assert factor_kl(reference, np.repeat(reference, 1000, axis=0)).value == pytest.approx(0.0, abs=1e-6)


def test_no_variant_at_all() -> None:
    """Where no variant of the reference can be read there is nothing to cover."""
    estimate = modes(_column(5, 5), np.full((20, 1), -1))
    assert (estimate.value, estimate.interval) == (0.0, (0.0, 0.0))


def test_variant_that_the_reference_lacks() -> None:
    """A variant that only generated images have makes the KL large, not infinite, and covers nothing."""
    assert factor_kl(_column(0, 100), _column(1000)).value == pytest.approx(math.log(1001 / 0.5))
    assert modes(_column(0, 100), _column(1000)).value == 0


def test_permutation() -> None:
    """The order of images, and the numbers that variants have, do not matter."""
    rng = np.random.default_rng(0)
    generated, reference = rng.integers(0, 4, (60, 3)), rng.integers(0, 5, (200, 3))
    names = np.array([7, 2, 9, 4, 0])
    other = names[generated[rng.permutation(60)]], names[reference[rng.permutation(200)]]
    assert modes(*other).value == modes(generated, reference).value
    assert factor_kl(*other).value == pytest.approx(factor_kl(generated, reference).value, rel=1e-12)


def test_most_neglected_first() -> None:
    """Variants are sorted by generated over true share; of two that are not made at all the commoner is first."""
    shares = variant_shares(_column(0, 0, 5, 95), _column(10, 20, 30, 40))
    assert [each.variant for each in shares] == [1, 0, 2, 3]
    assert shares[2].ratio == pytest.approx(0.05 / 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.4, 1.5])
def test_intervals_cover(shift: float) -> None:
    """The intervals hold the mean score in 92 to 98 % of draws: the truth's shares are tilted by exp(shift·normal).

    The nominal 95 % of 200 draws have a standard deviation of 1.5 %, which is allowed for twice.
    """
    rng = np.random.default_rng(1)
    truths = [rng.dirichlet(np.full(k, 3.0)) for k in (8, 13, 5, 20, 15, 13)]
    reference = np.stack([rng.choice(len(p), 1000, p=p) for p in truths], axis=1)
    tilted = [p * np.exp(shift * rng.normal(size=len(p))) for p in truths]
    draws = [np.stack([rng.choice(len(q), 150, p=q / q.sum()) for q in tilted], axis=1) for _ in range(REPEATS)]
    for metric in (modes, factor_kl):
        estimates = [metric(draw, reference) for draw in draws]
        mean = np.mean([_value(each) for each in estimates])
        intervals = [each.interval for each in estimates if each.interval is not None]
        held = sum(low <= mean <= high for low, high in intervals) / REPEATS
        assert 0.92 - 0.031 <= held <= 0.98 + 0.031, metric.__name__


def test_same_seed_same_interval() -> None:
    """The bootstrap's randomness is its seed's."""
    rng = np.random.default_rng(2)
    generated, reference = rng.integers(0, 9, (50, 2)), rng.integers(0, 9, (300, 2))
    assert modes(generated, reference, seed=3) == modes(generated, reference, seed=3)


@pytest.mark.parametrize(
    ("generated", "reference", "found"),
    [
        (np.zeros((3, 2), np.int64), np.zeros((3, 1), np.int64), r"\(3, 2\) and \(3, 1\)"),
        (np.zeros((0, 1), np.int64), np.zeros((3, 1), np.int64), r"\(0, 1\)"),
        (np.full((3, 1), -2), np.zeros((3, 1), np.int64), "-2"),
    ],
)
def test_labels_that_do_not_fit(generated: np.ndarray, reference: np.ndarray, found: str) -> None:
    """Other numbers of factors, no image, and labels below −1 are refused with what was found."""
    with pytest.raises(GraftbenchError, match=found):
        factor_kl(generated, reference)
