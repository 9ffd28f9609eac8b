"""Features and moments on disk: what returns, what a key depends on, and what damage does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graftbench.errors import GraftbenchError
from graftbench.metrics.covariance import Moments, moments
from graftbench.metrics.features import Features, cached_features, cached_moments, features_key

if TYPE_CHECKING:
    from pathlib import Path

KEY: dict[str, Any] = {
    "images": "ab" * 32,
    "extractor": "lite0",
    "weights_sha256": "57" * 32,
    "size": 96,
    "resize": "bicubic-antialias",
}


def features(n: int, seed: int = 0) -> Features:
    """Random features, 6 wide, with 4 logits."""
    rng = np.random.default_rng(seed)
    return Features.of(rng.standard_normal((n, 6)), rng.standard_normal((n, 4)), rng.uniform(1.0, 2.0, (n, 3)))


def test_features_need_one_row_per_image() -> None:
    """Pooled features and logits of different counts cannot belong together, and vectors are no matrices."""
    with pytest.raises(GraftbenchError, match=r"\(3, 2\) and \(4, 2\)"):
        Features.of(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(GraftbenchError, match=r"\(3,\) and \(3, 2\)"):
        Features.of(np.ones(3), np.ones((3, 2)))
    for powers in (np.ones((2, 3)), np.ones((3, 2)), np.ones(3)):
        with pytest.raises(GraftbenchError, match="Powers must be 3×3"):
            Features.of(np.ones((3, 2)), np.ones((3, 2)), powers)


def test_features_of_tensors() -> None:
    """Tensors of half precision that want gradients become float32 arrays."""
    import torch

    made = Features.of(torch.ones(3, 2, dtype=torch.bfloat16, requires_grad=True), torch.zeros(3, 0))
    assert made.pooled.dtype == made.logits.dtype == np.float32
    assert (len(made), made.logits.shape) == (3, (3, 0))


def test_rows_keep_pairs_together() -> None:
    """Chosen rows are the same rows of all matrices, in the order asked for."""
    whole = features(5)
    some = whole.rows(np.array([3, 1]))
    assert np.array_equal(some.pooled, whole.pooled[[3, 1]])
    assert np.array_equal(some.logits, whole.logits[[3, 1]])
    assert whole.powers is not None
    assert some.powers is not None
    assert np.array_equal(some.powers, whole.powers[[3, 1]])
    assert Features(whole.pooled, whole.logits).rows(np.array([3, 1])).powers is None


def test_saved_features_return_unchanged(tmp_path: Path) -> None:
    """What is loaded is what was saved, to the bit; folders are made; no temporary file stays."""
    saved = features(7)
    saved.save(tmp_path / "a" / "b" / "f.npz")
    loaded = Features.load(tmp_path / "a" / "b" / "f.npz")
    assert np.array_equal(loaded.pooled, saved.pooled)
    assert np.array_equal(loaded.logits, saved.logits)
    assert loaded.powers is not None
    assert saved.powers is not None
    assert np.array_equal(loaded.powers, saved.powers)
    assert loaded.pooled.dtype == np.float32
    assert loaded.powers.dtype == np.float64
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["f.npz"]


def test_features_without_powers_return_as_such(tmp_path: Path) -> None:
    """What was not known of the pixels is not known after loading either; a file without the entry is no such file."""
    saved = features(7)
    Features(saved.pooled, saved.logits).save(tmp_path / "f.npz")
    assert Features.load(tmp_path / "f.npz").powers is None
    np.savez(tmp_path / "g.npz", pooled=saved.pooled, logits=saved.logits)
    with pytest.raises(GraftbenchError, match=r"g\.npz' holds no features"):
        Features.load(tmp_path / "g.npz")


def test_no_pickle_is_loaded(tmp_path: Path) -> None:
    """Missing files, garbage, other arrays, folders and pickled objects are errors that name the file."""
    path = tmp_path / "f.npz"
    with pytest.raises(GraftbenchError, match=r"f\.npz' holds no features"):
        Features.load(path)
    for write in (
        lambda: path.write_bytes(b"garbage"),
        lambda: path.write_bytes(b""),
        lambda: np.savez(path, other=np.ones(3)),
        lambda: np.savez(path, pooled=np.array([[print]], dtype=object), logits=np.ones((1, 1))),
        lambda: (np.save(tmp_path / "g.npy", np.ones((2, 2))), (tmp_path / "g.npy").replace(path)),
        lambda: (path.unlink(), path.mkdir()),
    ):
        write()
        with pytest.raises(GraftbenchError, match=r"f\.npz' holds no features"):
            Features.load(path)


def test_no_damage_escapes(tmp_path: Path) -> None:
    """A changed byte anywhere: the features as they were, or the one error, never another and never other numbers.

    Every 11th byte, and all 46 of the directory's first entry: versions, encryption, compression, checksums, sizes.
    """
    path = tmp_path / "f.npz"
    saved = features(3)
    saved.save(path)
    content = path.read_bytes()
    entry = content.index(b"PK\x01\x02")
    for position in sorted({*range(0, len(content), 11), *range(entry, entry + 46)}):
        for value in (255, content[position] ^ 1):
            path.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            try:
                found = Features.load(path)
            except GraftbenchError:
                continue
            assert np.array_equal(found.pooled, saved.pooled)
            assert np.array_equal(found.logits, saved.logits)
            assert found.powers is not None
            assert saved.powers is not None
            assert np.array_equal(found.powers, saved.powers)


def test_the_key_depends_on_everything() -> None:
    """Changing any part changes the key; the same parts give the same key in whatever order they are given."""
    base = features_key(**KEY)
    changes: tuple[dict[str, Any], ...] = (
        {"images": "cd" * 32},
        {"extractor": "inception-v3-compat"},
        {"weights_sha256": "67" * 32},
        {"size": 128},
        {"size": None},
        {"resize": "bilinear-antialias"},
    )
    others = [features_key(**(KEY | change)) for change in changes]
    assert len({base, *others}) == 7
    assert len(base) == 32
    assert base == features_key(**{name: KEY[name] for name in reversed(KEY)})


def test_features_are_extracted_once(tmp_path: Path) -> None:
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


@pytest.mark.parametrize("n", [4, 30])
def test_moments_are_made_once(tmp_path: Path, n: int) -> None:
    """Below and above as many images as features: the same moments return, and damage is mended."""
    calls: list[int] = []

    def make() -> Moments:
        calls.append(1)
        return moments(features(n).pooled)

    first = cached_moments(tmp_path, "one", make)
    again = cached_moments(tmp_path, "one", make)
    assert len(calls) == 1
    assert again.n == n
    assert isinstance(again.n, int)
    assert np.array_equal(again.mean, first.mean)
    assert np.array_equal(again.root, first.root)
    (tmp_path / "one.npz").write_bytes(b"torn")
    assert np.array_equal(cached_moments(tmp_path, "one", make).root, first.root)
    assert len(calls) == 2
