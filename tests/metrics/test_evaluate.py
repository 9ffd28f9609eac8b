"""From images to scores, and the cache of reference features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.evaluate import Features, cached_features, evaluate_features, extract, reference_key

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from graftbench.metrics.networks import Extractor
    from graftbench.record import Score

KEY: dict[str, Any] = {
    "manifest": "ab" * 32,
    "split": "reference",
    "extractor": "lite0",
    "weights_sha256": "57" * 32,
    "size": 96,
    "resize": "bicubic-antialias",
}


def features(n: int, seed: int = 0, shift: float = 0.0) -> Features:
    """Random features, 6 wide, with 4 logits."""
    rng = np.random.default_rng(seed)
    return Features.of(rng.standard_normal((n, 6)) + shift, rng.standard_normal((n, 4)))


def by_name(scores: list[Score]) -> dict[str, Score]:
    """Scores by their names."""
    return {score.name: score for score in scores}


def test_real_images_end_to_end(emoji: torch.Tensor, lite0: Extractor) -> None:
    """Half of the emoji against the other half: KID is 0 within its error, and far below that of noise.

    The halves are drawn at random from one set, so the expected KID is 0 and |KID| < 4 standard errors. Uniform noise
    of the same size must score more than 50 times the halves' KID and 10 of its own standard errors.
    """
    import torch

    noise = torch.randint(0, 256, (120, 3, 72, 72), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    reference = extract(lite0, emoji[:120])
    halves = by_name(evaluate_features(extract(lite0, emoji[120:]), reference, "lite0@96"))
    against = by_name(evaluate_features(extract(lite0, noise), reference, "lite0@96"))
    kid, noise_kid = halves["kid"], against["kid"]
    assert kid.value is not None
    assert kid.standard_error is not None
    assert noise_kid.value is not None
    assert noise_kid.standard_error is not None
    assert abs(kid.value) < 4 * kid.standard_error
    assert noise_kid.value > 50 * abs(kid.value)
    assert noise_kid.value > 10 * noise_kid.standard_error
    assert (halves["fid"].value or 0) < (against["fid"].value or 0)  # at 120 images most of either is bias
    assert (halves["inception_score"].value or 0) > 2 * (against["inception_score"].value or 0)
    assert kid.full_name == "kid_n120_ref120_lite0@96"


def test_scores_say_what_they_are() -> None:
    """Each score carries its counts and the protocol; the Inception Score needs no reference images."""
    scores = evaluate_features(features(40), features(30, seed=1), "lite0@96")
    assert [score.full_name for score in scores] == [
        "fid_n40_ref30_lite0@96",
        "kid_n40_ref30_lite0@96",
        "inception_score_n40_ref0_lite0@96",
    ]
    assert all(score.value is not None and not score.undefined for score in scores)
    assert [score.standard_error is not None for score in scores] == [False, True, True]


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_images_become_reasons(n: int) -> None:
    """A generator that left one image or none gets rows with reasons, not an exception."""
    scores = evaluate_features(features(n), features(30), "lite0@96")
    assert [(score.value, bool(score.undefined)) for score in scores] == [(None, True)] * 3


def test_mixed_extractors_are_refused() -> None:
    """Features of another width come from another extractor."""
    with pytest.raises(GraftbenchError, match="one extractor"):
        evaluate_features(Features.of(np.ones((9, 5)), np.ones((9, 4))), features(30), "lite0@96")


def test_features_need_one_row_per_image() -> None:
    """Pooled features and logits of different counts cannot belong together."""
    with pytest.raises(GraftbenchError, match=r"\(3, 2\) and \(4, 2\)"):
        Features.of(np.ones((3, 2)), np.ones((4, 2)))


def test_saved_features_return_unchanged(tmp_path: Path) -> None:
    """What is loaded is what was saved, to the bit; folders are made; no temporary file stays."""
    saved = features(7)
    saved.save(tmp_path / "a" / "b" / "f.npz")
    loaded = Features.load(tmp_path / "a" / "b" / "f.npz")
    assert np.array_equal(loaded.pooled, saved.pooled)
    assert np.array_equal(loaded.logits, saved.logits)
    assert loaded.pooled.dtype == np.float32
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["f.npz"]


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    """Missing files, garbage, other arrays and pickled objects are errors that name the file."""
    path = tmp_path / "f.npz"
    with pytest.raises(GraftbenchError, match=r"f\.npz' holds no features"):
        Features.load(path)
    for write in (
        lambda: path.write_bytes(b"garbage"),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, other=np.ones(3)),
        lambda: np.savez(path, pooled=np.array([[print]], dtype=object), logits=np.ones((1, 1))),
    ):
        write()
        with pytest.raises(GraftbenchError, match=r"f\.npz' holds no features"):
            Features.load(path)


def test_the_key_depends_on_everything() -> None:
    """Changing any part changes the key; the same parts give the same key in whatever order they are given."""
    base = reference_key(**KEY)
    changes: tuple[dict[str, Any], ...] = (
        {"manifest": "cd" * 32},
        {"split": "validation"},
        {"extractor": "inception-v3-compat"},
        {"weights_sha256": "67" * 32},
        {"size": 128},
        {"size": None},
        {"resize": "bilinear-antialias"},
    )
    others = [reference_key(**(KEY | change)) for change in changes]
    assert len({base, *others}) == 8
    assert len(base) == 32
    assert base == reference_key(**{name: KEY[name] for name in reversed(KEY)})


def test_reference_is_extracted_once(tmp_path: Path) -> None:
    """The second request reads the file; another key extracts again; a damaged file is made anew."""
    calls: list[int] = []

    def make() -> Features:
        calls.append(1)
        return features(9)

    first = cached_features(tmp_path / "cache", "one", make)
    again = cached_features(tmp_path / "cache", "one", make)
    assert len(calls) == 1
    assert np.array_equal(first.pooled, again.pooled)
    cached_features(tmp_path / "cache", "two", make)
    assert len(calls) == 2
    (tmp_path / "cache" / "one.npz").write_bytes(b"torn")
    mended = cached_features(tmp_path / "cache", "one", make)
    assert len(calls) == 3
    assert np.array_equal(mended.pooled, first.pooled)
    assert np.array_equal(Features.load(tmp_path / "cache" / "one.npz").logits, first.logits)
