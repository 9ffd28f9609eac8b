"""From features to scores: every metric of the catalogue, whatever is there and whatever is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics import sides as sides_module
from graftbench.metrics.catalogue import METRICS as CATALOGUE
from graftbench.metrics.catalogue import SETS
from graftbench.metrics.covariance import moments
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.plugins.code_hash import OF_SAMPLERS

if TYPE_CHECKING:
    import torch

    from graftbench.extractors.base import Extractor
    from graftbench.metrics.estimate import Estimate

METRICS = {name: CATALOGUE[name] for name in SETS["all"]}
"""Those that features can have."""
REFERENCE = [name for name in METRICS if "reference" in METRICS[name].needs]
TRAIN = [name for name in METRICS if "train" in METRICS[name].needs]
OF_PIXELS = {"high_frequency", "copies"}
"""Those that look at images themselves, and at no extractor's features."""
SMALL = (0, 1, 2, 3)


def features(n: int, seed: int = 0, shift: float = 0.0, width: int = 6) -> Features:
    """Random features with 4 logits, of images of 32×32."""
    rng = np.random.default_rng(seed)
    pooled, logits = rng.standard_normal((n, width)) + shift, rng.standard_normal((n, 4))
    powers = np.column_stack((rng.uniform(0.5, 1.5, n), np.full((n, 2), 32.0)))
    return Features.of(pooled, logits, powers, rng.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8))


def constant(n: int, value: float) -> Features:
    """Features that all images share."""
    powers, thumbnails = np.tile((0.0, 32.0, 32.0), (n, 1)), np.zeros((n, 3, 32, 32), np.uint8)
    return Features.of(np.full((n, 6), value), np.full((n, 4), value), powers, thumbnails)


def by_name(scores: list[Estimate]) -> dict[str, Estimate]:
    """Scores by their names."""
    return {score.name: score for score in scores}


def check(scores: list[Estimate]) -> None:
    """Every estimate is whole: a finite value or a reason, finite errors, an interval around the value."""
    assert [score.name for score in scores] == list(SETS["all"])
    for score in scores:
        assert (score.value is None) == bool(score.undefined), score
        numbers = [score.value, score.standard_error, score.spread, *(score.interval or ())]
        assert all(number is None or math.isfinite(number) for number in numbers), score
        assert score.value is not None or (score.standard_error is None and score.interval is None), score
        if score.interval is not None and score.value is not None:
            assert score.interval[0] - 1e-9 <= score.value <= score.interval[1] + 1e-9, score


@pytest.mark.slow
def test_all_metrics_of_enough_images() -> None:
    """1100 images 6 wide are enough for every metric, subsets of 1000 and extrapolation too, but of what cells know."""
    scores = evaluate_features(
        features(1100), features(1000, seed=1), metrics=["all"], train=features(30, seed=2), intervals=False
    )
    check(scores)
    assert {score.name for score in scores if score.value is None} == OF_SAMPLERS


def test_what_is_asked_for_is_what_comes() -> None:
    """Names and sets, in the catalogue's order, each once; the default set by default."""
    scores = evaluate_features(features(40), features(30, seed=1), metrics=["c2st", "kid", "c2st_f1"])
    assert [score.name for score in scores] == ["kid", "c2st_accuracy", "c2st_f1"]
    default = evaluate_features(features(40), features(30, seed=1))
    assert tuple(score.name for score in default) == SETS["default"]
    assert all(score.value is not None for score in default)


def test_a_part_of_what_is_computed_together_is_the_same() -> None:
    """Precision alone is the precision of all six."""
    whole = by_name(evaluate_features(features(40), features(30, seed=1), metrics=["prdc"]))
    (part,) = evaluate_features(features(40), features(30, seed=1), metrics=["precision"])
    assert part == whole["precision"]


def test_unknown_metrics_are_told_the_nearest() -> None:
    """A misspelt name is an error, not an empty score."""
    with pytest.raises(GraftbenchError, match="Did you mean 'kid'"):
        evaluate_features(features(9), features(9), metrics=["kidd"])


@pytest.mark.parametrize("metric", REFERENCE)
def test_without_a_reference(metric: str) -> None:
    """What needs reference images is undefined without them, and says so."""
    (score,) = evaluate_features(features(40), None, metrics=[metric], train=features(20))
    assert (score.value, score.undefined) == (None, "no reference images were given")
    assert (score.n_generated, score.n_reference) == (40, 0)


@pytest.mark.parametrize("metric", TRAIN)
def test_without_training_images(metric: str) -> None:
    """What needs training images is undefined without them, and says so."""
    (score,) = evaluate_features(features(40), features(30), metrics=[metric])
    assert (score.value, score.undefined, score.n_train) == (None, "no training images were given", 0)


def test_without_classes() -> None:
    """An extractor without classes has no Inception Score; the rest is as it is."""
    made, real = features(40), features(30, seed=1)
    bare = Features(made.pooled, made.logits[:, :0], made.powers, made.thumbnails)
    scores = by_name(evaluate_features(bare, real))
    assert scores["inception_score"].undefined == "the extractor has no classes"
    assert scores["kid"] == by_name(evaluate_features(made, real))["kid"]


def test_without_pixels() -> None:
    """Features alone, as in statistics of an earlier version: what pixels tell is undefined, the rest as it is."""
    made, real = features(40), features(30, seed=1)
    for sides, missing in (((made, bare(real)), "reference"), ((bare(made), real), "generated")):
        scores = by_name(evaluate_features(*sides))
        lost = scores.pop("high_frequency")
        assert lost.undefined == f"of the {missing} images there are features alone, no pixels"
        assert (lost.n_generated, lost.n_reference) == (40, 30)
        whole = by_name(evaluate_features(made, real))
        assert scores == {name: whole[name] for name in scores}


def test_features_do_not_tell_factors() -> None:
    """Metrics of known factors have no value here but the reason."""
    scores = evaluate_features(features(20), features(20, seed=1), metrics=["truth"])
    assert [score.name for score in scores] == list(SETS["truth"])
    assert all(score.value is None and "factors" in score.undefined for score in scores)


def bare(made: Features) -> Features:
    """The same without what is known of the pixels."""
    return Features(made.pooled, made.logits)


def test_moments_of_the_reference_give_fid_alone() -> None:
    """FID and FID∞ of moments are those of the features (1e-9 of a value near 0.5); nothing else has a value."""
    made, real = features(200), features(150, seed=1, shift=0.3)
    train = features(30, seed=2)
    whole = by_name(evaluate_features(made, real, metrics=["all"], train=train))
    scores = evaluate_features(made, moments(real.pooled), metrics=["all"], train=train)
    check(scores)
    found = by_name(scores)
    for name in ("fid", "fid_inf"):
        assert found[name].value == pytest.approx(whole[name].value, rel=1e-9)
        assert found[name].n_reference == 150
    others = [name for name in REFERENCE if name not in ("fid", "fid_inf")]
    assert {found[name].undefined for name in others} == {
        "of the reference images there are mean and covariance alone, no features"
    }
    assert {found[name].n_reference for name in others} == {150}
    assert all(found[name] == whole[name] for name in METRICS if name not in REFERENCE)


def test_moments_of_the_generated_images_give_fid_alone() -> None:
    """FID of moments is that of the features; nothing else has a value, what needs no reference included."""
    made, real = features(60), features(50, seed=1)
    (whole,) = evaluate_features(made, real, metrics=["fid"])
    for reference in (real, moments(real.pooled)):
        scores = evaluate_features(moments(made.pooled), reference, metrics=["all"], train=features(20))
        check(scores)
        assert by_name(scores)["fid"].value == pytest.approx(whole.value, rel=1e-9)
        assert [score.name for score in scores if score.value is not None] == ["fid"]


@pytest.mark.parametrize(
    "metric",
    sorted({*REFERENCE, *TRAIN} - OF_PIXELS),
)
def test_mixed_extractors_are_refused(metric: str) -> None:
    """Features of another width come from another extractor."""
    wide = features(40, width=5)
    with pytest.raises(GraftbenchError, match="one extractor"):
        evaluate_features(wide, features(30), metrics=[metric], train=features(30))


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "copies"])
def test_nan_is_an_error(metric: str) -> None:
    """A NaN among the generated features or logits is an error that names the row, never a number."""
    made = features(40)
    assert made.powers is not None
    made.pooled[7, 2] = made.logits[7, 1] = made.powers[7, 0] = np.nan
    with pytest.raises(GraftbenchError, match="NaN or infinite entries in 1 of 40 rows"):
        evaluate_features(made, features(30), metrics=[metric], train=features(30))


def test_nan_in_the_other_sets_is_an_error() -> None:
    """So is one among the reference's and the training images'."""
    broken = features(30)
    broken.pooled[0, 0] = np.inf
    with pytest.raises(GraftbenchError, match="NaN or infinite"):
        evaluate_features(features(40), broken, metrics=["fid"])
    with pytest.raises(GraftbenchError, match="NaN or infinite"):
        evaluate_features(features(40), None, metrics=["authpct"], train=broken)


def test_negative_seeds_are_refused() -> None:
    """NumPy's generators take none; the sentence comes before any metric."""
    with pytest.raises(GraftbenchError, match="found -1"):
        evaluate_features(features(9), features(9), seed=-1)


@pytest.mark.parametrize("n_reference", [*SMALL, 40])
@pytest.mark.parametrize("n_generated", [*SMALL, 40])
@pytest.mark.parametrize("n_train", [1, 3])
def test_few_images_become_reasons(n_generated: int, n_reference: int, n_train: int) -> None:
    """0 to 3 images on any side: values or reasons with the counts, never an exception, never a NaN."""
    train = features(n_train, seed=2)
    scores = evaluate_features(features(n_generated), features(n_reference, seed=1), metrics=["all"], train=train)
    check(scores)
    for score in scores:
        needs = METRICS[score.name].needs
        assert score.n_generated == n_generated
        assert score.n_reference == (n_reference if "reference" in needs else 0)
        assert score.n_train == (n_train if "train" in needs else 0)


def test_no_training_images_become_reasons() -> None:
    """An empty training set is as good as none."""
    scores = evaluate_features(features(40), features(30), metrics=["all"], train=features(0))
    check(scores)
    assert all(score.undefined for score in scores if score.name in TRAIN)


def test_one_image_has_no_value_but_where_one_is_enough() -> None:
    """Of a single generated image only shares, quantiles and a mean exist."""
    scores = evaluate_features(features(1), features(40, seed=1), metrics=["all"], train=features(20, seed=2))
    defined = {score.name for score in scores if score.value is not None}
    alone = {"precision", "density", "coverage", "null_coverage", "mind", "vendi_score", "authpct", "cluster_occupancy"}
    more = {"clipped_density", "clipped_coverage", "vendi_2", "vendi_inf", "rke", "fld"}
    assert defined == {*alone, *more, *OF_PIXELS}


def test_fewer_images_than_splits_and_neighbours() -> None:
    """Below 2 images a split there is no Inception Score; at most k images have no k-th neighbour."""
    scores = by_name(evaluate_features(features(19), features(3, seed=1)))
    assert "at least 20 images; found 19" in scores["inception_score"].undefined
    for name in ("precision", "density"):
        assert "3 reference" in scores[name].undefined
    assert scores["recall"].value is not None
    few = by_name(evaluate_features(features(3), features(30, seed=1)))
    assert "3 generated" in few["recall"].undefined
    assert few["precision"].value is not None


@pytest.mark.parametrize("train", [0.0, 1.0])
@pytest.mark.parametrize("real", [0.0, 1.0, None])
@pytest.mark.parametrize("made", [0.0, 1.0])
def test_constant_features(made: float, real: float | None, train: float) -> None:
    """A generator of one image, black or white, against one image or many: no exception, no NaN.

    With all features 0 a metric of directions has a reason instead of a value; the others have theirs.
    """
    reference = features(30) if real is None else constant(30, real)
    scores = evaluate_features(constant(40, made), reference, metrics=["all"], train=constant(12, train))
    check(scores)
    found = by_name(scores)
    assert (found["cmmd"].value is None) == (0.0 in (made, real))
    assert (found["vendi_score"].value is None) == (made == 0.0)
    assert (found["high_frequency"].value is None) == (real is not None)
    if made == real:
        assert found["fid"].value == pytest.approx(0.0, abs=1e-12)
        assert found["precision"].value == found["recall"].value == found["coverage"].value == 1.0
        assert found["c2st_accuracy"].value == 0.5


@pytest.mark.slow
def test_seeds_decide_what_is_drawn() -> None:
    """Equal seeds give equal scores; another seed changes what draws, and nothing else.

    KID over 100 subsets draws too, but with torch-fidelity's seed, for its numbers.
    """
    made, real, train = features(1100), features(1000, seed=1, shift=0.2), features(60, seed=2)

    def scores(seed: int) -> dict[str, float | None]:
        found = evaluate_features(made, real, metrics=["all"], train=train, intervals=False, seed=seed)
        return {score.name: score.value for score in found}

    first, again, other = scores(0), scores(0), scores(1)
    assert first == again
    assert {name for name in METRICS if first[name] != other[name]} <= {
        *("fid_inf", "mind", "c2st_accuracy", "c2st_f1", "copying_z", "fld")
    }
    assert all(first[name] != other[name] for name in ("fid_inf", "mind", "fld"))


def test_intervals_of_fid_are_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them, and beyond the limit, FID's value is the same."""
    made, real = features(40), features(30, seed=1)
    (whole,) = evaluate_features(made, real, metrics=["fid"])
    (plain,) = evaluate_features(made, real, metrics=["fid"], intervals=False)
    assert whole.interval is not None
    assert (plain.value, plain.interval, plain.standard_error) == (whole.value, None, None)
    monkeypatch.setattr(sides_module, "INTERVAL_LIMIT", 39)
    assert evaluate_features(made, real, metrics=["fid"]) == [plain]


# ----------------------------------------------------------------------------------------------------- real images


class Sets(NamedTuple):
    """Features of real images: no image is in two of them."""

    train: Features
    reference: Features
    others: Features


@pytest.fixture(scope="module")
def sets(emoji: torch.Tensor, lite0: Extractor) -> Sets:
    """60 emoji as training images, 120 as the reference, 60 more."""
    whole = Features.of(*lite0.features(emoji))
    rows = np.arange(len(whole))
    return Sets(whole.rows(rows[:60]), whole.rows(rows[60:180]), whole.rows(rows[180:]))


def memorization(generated: Features, sets: Sets) -> dict[str, Estimate]:
    """The metrics of memorisation, and FID beside them."""
    wanted = ["memorization", "fid", "cluster_occupancy"]
    return by_name(evaluate_features(generated, sets.reference, metrics=wanted, train=sets.train, intervals=False))


@pytest.mark.slow
def test_a_memorizer_is_caught(sets: Sets, emoji: torch.Tensor, lite0: Extractor) -> None:
    """Copies of the training images, exact ones and ones 3 grey levels darker: every metric of memorisation says so.

    Exact copies have distance 0, AuthPct 0 and an infinite MiFID; darker ones must come near that. C_T below −3 has by
    chance a probability of 0.001.
    """
    exact = memorization(sets.train, sets)
    assert (exact["train_distance_ratio"].value, exact["authpct"].value) == (0.0, 0.0)
    assert "infinite" in exact["mifid"].undefined
    assert exact["cluster_occupancy"].value == 1.0
    darker = memorization(Features.of(*lite0.features(emoji[:60].clip(min=3) - 3)), sets)
    for found in (exact, darker):
        ratio, share, z = (found[name] for name in ("train_distance_ratio", "authpct", "copying_z"))
        assert ratio.interval is not None
        assert share.interval is not None
        assert z.value is not None
        assert ratio.interval[1] < 0.5
        assert share.interval[1] < 33.0  # what new images of a distribution in one dimension score at least
        assert z.value < -3.0
    assert darker["mifid"].value is not None
    assert darker["fid"].value is not None
    assert darker["mifid"].value > 10.0 * darker["fid"].value


def test_new_images_are_not_taken_for_copies(sets: Sets) -> None:
    """Other real images of the same domain: no metric of memorisation speaks of copying.

    In 150 random draws of such sets from these emoji the distance ratio was 0.89 to 1.10, AuthPct 62 to 93 and C_T −2.4
    to 2.4. MiFID is FID: nothing is penalized.
    """
    found = memorization(sets.others, sets)
    ratio, share, z = (found[name] for name in ("train_distance_ratio", "authpct", "copying_z"))
    assert ratio.value == pytest.approx(1.0, abs=0.15)
    assert share.value is not None
    assert share.value > 50.0
    assert z.value is not None
    assert abs(z.value) < 3.0
    assert found["mifid"].value == pytest.approx(found["fid"].value, rel=1e-9)


def test_real_images_beat_noise(sets: Sets, lite0: Extractor) -> None:
    """Emoji against emoji: KID is 0 within its error, and far below that of noise.

    The sets are drawn at random from one set, so the expected KID is 0 and |KID| < 4 standard errors. Uniform noise
    of the same size must score more than 50 times that KID and 10 of its own standard errors.
    """
    import torch

    noise = torch.randint(0, 256, (60, 3, 72, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    real = by_name(evaluate_features(sets.others, sets.reference))
    against = by_name(evaluate_features(Features.of(*lite0.features(noise)), sets.reference))
    kid, noise_kid = real["kid"], against["kid"]
    assert kid.value is not None
    assert kid.standard_error is not None
    assert noise_kid.value is not None
    assert noise_kid.standard_error is not None
    assert abs(kid.value) < 4 * kid.standard_error
    assert noise_kid.value > 50 * abs(kid.value)
    assert noise_kid.value > 10 * noise_kid.standard_error
    assert (real["fid"].value or 0) < (against["fid"].value or 0)  # at 60 images most of either is bias
    assert (real["inception_score"].value or 0) > 2 * (against["inception_score"].value or 0)
