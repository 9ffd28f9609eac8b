"""Planted failures: how sets are drawn, what is told, and what shares should read."""

from __future__ import annotations

import numpy as np
import pytest

from graftbench.metrics.features import Features
from graftbench.scoring.court import failures
from graftbench.scoring.court.failures import (
    FAILURES,
    PlantedPool,
    _shuffled,
    drawn_values,
    even_factor,
    f_ratio,
    reading_of,
    truth_of,
)


def features(n: int, mean: float = 0.0, seed: int = 0) -> Features:
    """Gaussian features, with the powers and classes of images."""
    rng = np.random.default_rng(seed)
    powers = np.column_stack((rng.uniform(1, 2, n), np.full((n, 2), 32.0)))
    thumbnails = rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    return Features.of(rng.normal(mean, 1, (n, 6)), rng.normal(size=(n, 3)), powers, thumbnails)


@pytest.fixture
def pool() -> PlantedPool:
    """Failures are far away, but for copies, which are the training images."""
    train = features(20, seed=1)
    spoilt = {name: train if name == "copies" else features(60, 50.0, 2) for name in FAILURES}
    return PlantedPool(features(300), train, spoilt, {"factor dropped": np.arange(300) % 4 == 0})


def test_a_dose_is_the_share_that_is_bad(pool: PlantedPool) -> None:
    """Precision of half garbage far away is half that of clean sets; equal seeds give equal values."""
    clean = drawn_values(pool, 100, 4, ["precision"])["precision"]
    bad = drawn_values(pool, 100, 4, ["precision"], failure="garbage", dose=0.5)["precision"]
    assert np.mean(bad) == pytest.approx(np.mean(clean) / 2, abs=0.06)
    assert bad == drawn_values(pool, 100, 4, ["precision"], failure="garbage", dose=0.5)["precision"]
    reading = reading_of("precision", clean, bad)
    assert reading is not None
    assert (reading.told, reading.praised) == (1.0, 0.0)


def test_images_of_a_kept_variant_are_in_no_reference(pool: PlantedPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are real ones of the variant that stand on neither side yet, and further ones; else they were copies."""
    drawn: list[tuple[np.ndarray, np.ndarray]] = []

    def keep(made: Features, reference: Features, *_: object) -> dict[str, float]:
        drawn.append((made.pooled, reference.pooled))
        return {}

    monkeypatch.setattr(failures, "values_of", keep)
    drawn_values(pool, 100, 5, [], failure="factor dropped", dose=0.6)
    rows = {tuple(row): number for number, row in enumerate(pool.real.pooled)}
    further = {tuple(row) for row in pool.spoilt["factor dropped"].pooled}
    for made, reference in drawn:
        clean, bad = made[:40], made[40:]
        used = {rows[tuple(row)] for row in (*clean, *reference)}
        assert len(used) == 140
        own = [rows[tuple(row)] for row in bad if tuple(row) not in further]
        assert own
        assert len(set(own)) == len(own)
        assert not used.intersection(own)
        assert all(pool.kept["factor dropped"][own])
    assert pool.kept_shares == {"factor dropped": 0.25}


def test_what_is_told_and_what_is_praised() -> None:
    """By the metric's direction; of one without any, only that it is another value; undefined is no reading."""
    clean = [-1.0, 0.0, 1.0]
    for metric, told, praised in (("kid", 0.5, 0.5), ("precision", 0.5, 0.5), ("high_frequency", 1.0, 0.0)):
        reading = reading_of(metric, clean, [9.0, -9.0])
        assert reading is not None
        assert (reading.told, reading.praised) == (told, praised)
    lower = reading_of("kid", clean, [-9.0, -9.0])
    assert lower is not None
    assert (lower.told, lower.praised) == (0.0, 1.0)
    assert reading_of("kid", clean, [float("nan")]) is None


def test_truths() -> None:
    """Garbage is neither real nor new; copies are real and not new; a fixed variant leaves its own share."""
    kept = {"factor dropped": 0.2, "factor fixed": 0.3}
    assert truth_of("precision", "garbage", 0.25, kept) == truth_of("recall", "garbage", 0.25, kept) == 0.75
    assert truth_of("precision", "copies", 0.25, kept) == truth_of("precision", "factor fixed", 0.25, kept) == 1.0
    assert truth_of("coverage", "factor dropped", 0.5, kept) == pytest.approx(0.6)
    assert truth_of("coverage", "factor fixed", 0.5, kept) == pytest.approx(0.65)
    assert truth_of("kid", "garbage", 0.5, kept) is None


def test_the_share_of_copies_should_be_the_dose() -> None:
    """Of nothing else: five real images again and again copy no training image."""
    assert [truth_of("copies", failure, 0.25, {}) for failure in ("copies", "collapse", "blur")] == [0.25, 0.0, 0.0]


def test_how_well_features_tell_a_factor() -> None:
    """By hand: of −3, −1, 1, 3 the halves' means are ∓2: 16 between (1 degree of freedom), 4 within (2), so 8."""
    line = np.array([[-3.0], [-1.0], [1.0], [3.0]])
    assert f_ratio(line, np.array(["a", "a", "b", "b"])) == pytest.approx(8.0)
    assert f_ratio(line, np.array(["a", "b", "b", "a"])) == pytest.approx(0.0)
    assert f_ratio(line, np.array(["a", "a", "a", "a"])) == 0.0


def test_which_factor_is_fixed() -> None:
    """The one that features tell best, but none with a common and a rare variant, nor the one with most variants."""
    rng = np.random.default_rng(0)
    skin, hair, hat = rng.permutation(120) % 3, rng.permutation(120) % 8, (np.arange(120) > 99).astype(int)
    features = np.column_stack((20.0 * hat, 3.0 * skin, rng.normal(size=(120, 4)) + hair[:, None] * [1.0, 0, 0, 0]))
    assert even_factor({"hat": hat, "hair": hair, "skin": skin}, features) == "skin"
    assert even_factor({"hat": hat}, features) == "hat"


def test_tiles_in_another_order_are_the_same_pixels() -> None:
    """Every pixel of an image is still there, and the image is another one."""
    image = np.arange(3 * 32 * 32, dtype=np.uint32).reshape(1, 3, 32, 32)
    mixed = _shuffled(image.astype(np.uint8), np.random.default_rng(0))
    assert mixed.shape == image.shape
    assert np.array_equal(np.sort(mixed, axis=None), np.sort(image.astype(np.uint8), axis=None))
    assert (mixed != image.astype(np.uint8)).any()
