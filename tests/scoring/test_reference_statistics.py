"""Statistics files: what returns from them, and what is said of every file that is none."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from graftbench.errors import GraftbenchError
from graftbench.metrics.covariance import moments
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.records.cell_spec import Protocol
from graftbench.scoring.protocol import Extraction
from graftbench.scoring.reference_statistics import FORMAT, Manifest, Statistics, is_statistics, load_statistics

if TYPE_CHECKING:
    from pathlib import Path

PROTOCOL = Protocol(extractor="lite0", size=96, resize="bicubic-antialias", weights_sha256="57" * 32)
N = 12


def features(n: int = N, seed: int = 0) -> Features:
    """Random features, 5 wide, with 4 logits."""
    rng = np.random.default_rng(seed)
    return Features.of(rng.standard_normal((n, 5)), rng.standard_normal((n, 4)), rng.uniform(1.0, 2.0, (n, 3)))


def manifest(n: int = N) -> Manifest:
    """A manifest of n images."""
    return Manifest(name="real", images="ab" * 32, n_images=n, extraction=Extraction.of(PROTOCOL), graftbench="0.1.0")


def write(path: Path, text: str | None = None, **tensors: np.ndarray) -> Path:
    """A safetensors file with any manifest; the right tensors if none are given."""
    content = tensors or {"pooled": features().pooled, "logits": features().logits}
    found = None if text is None else {"graftbench_statistics": text}
    save_file(content, path, metadata=found)
    return path


def plain(**changes: Any) -> str:
    """The manifest as JSON, with changes."""
    import msgspec

    return json.dumps(msgspec.to_builtins(manifest()) | changes)


def test_features_return_unchanged(tmp_path: Path) -> None:
    """Manifest, features and powers to the bit; folders are made; no temporary file stays."""
    path = tmp_path / "a" / "real.safetensors"
    saved = Statistics(manifest(), features(), None)
    saved.save(path)
    found = load_statistics(path, PROTOCOL)
    assert found.manifest == manifest()
    assert found.moments is None
    assert isinstance(found.content, Features)
    assert np.array_equal(found.content.pooled, features().pooled)
    assert np.array_equal(found.content.logits, features().logits)
    assert found.content.powers is not None
    assert features().powers is not None
    assert np.array_equal(found.content.powers, np.asarray(features().powers))
    assert [file.name for file in path.parent.iterdir()] == ["real.safetensors"]


@pytest.mark.parametrize("n", [3, 40])
def test_moments_return_unchanged(tmp_path: Path, n: int) -> None:
    """Below and above as many images as features: FID against the file is FID against the images, to the bit."""
    path = tmp_path / "real.safetensors"
    real = moments(features(n).pooled)
    Statistics(manifest(n), None, real).save(path)
    found = load_statistics(path)
    assert found.features is None
    made = features(20, seed=1)
    ((ours,), (theirs,)) = (evaluate_features(made, side, metrics=["fid"]) for side in (found.content, real))
    assert ours == theirs
    assert ours.n_reference == n


def test_an_extractor_without_classes(tmp_path: Path) -> None:
    """Logits without columns survive."""
    path = tmp_path / "real.safetensors"
    Statistics(manifest(), Features(features().pooled, np.empty((N, 0), np.float32)), None).save(path)
    found = load_statistics(path).features
    assert found is not None
    assert found.logits.shape == (N, 0)


def test_files_of_earlier_versions(tmp_path: Path) -> None:
    """Features without powers are features; what needs powers says so (`evaluate_features`)."""
    found = load_statistics(write(tmp_path / "old.safetensors", plain()), PROTOCOL).features
    assert found is not None
    assert found.powers is None


def test_names(tmp_path: Path) -> None:
    """Only .safetensors is written, and only that is taken for statistics."""
    with pytest.raises(GraftbenchError, match=r"NAME\.safetensors; found 'real\.npz'"):
        Statistics(manifest(), features(), None).save(tmp_path / "real.npz")
    assert is_statistics(tmp_path / "real.safetensors")
    assert not is_statistics(tmp_path / "real.npz")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    """The sentence names the file and does not speak of the cache."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(GraftbenchError, match=r"cannot be written to .*real\.safetensors") as caught:
        Statistics(manifest(), features(), None).save(blocked / "real.safetensors")
    assert "cache" not in str(caught.value).lower()
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(GraftbenchError, match=r"cannot be written to .*folder\.safetensors"):
        Statistics(manifest(), features(), None).save(folder)


def test_missing_files(tmp_path: Path) -> None:
    """Nothing there, or a folder: the command that writes one is named."""
    with pytest.raises(GraftbenchError, match=r"There is no statistics file .* `graftbench stats`"):
        load_statistics(tmp_path / "none.safetensors")
    with pytest.raises(GraftbenchError, match="There is no statistics file"):
        load_statistics(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 64}, "size: 64 here, 96 there"),
        ({"resize": "bilinear-antialias"}, "resize: 'bilinear-antialias' here, 'bicubic-antialias' there"),
        ({"extractor": "vgg16"}, "extractor: 'vgg16' here, 'lite0' there"),
        ({"weights_sha256": "67" * 32}, "weights_sha256: '6767"),
    ],
)
def test_another_protocol_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    """Numbers of two protocols do not compare; the difference is named."""
    import msgspec

    path = tmp_path / "real.safetensors"
    Statistics(manifest(), features(), None).save(path)
    with pytest.raises(GraftbenchError, match=sentence):
        load_statistics(path, msgspec.structs.replace(PROTOCOL, **change))
    other = msgspec.structs.replace(PROTOCOL, n_generated=5, metrics=["kid"], weights="moved.pth")
    assert load_statistics(path, other).features is not None  # what features do not depend on does not matter


def test_other_safetensors_files_are_none(tmp_path: Path) -> None:
    """A network's weights have no manifest, whatever types they are in."""
    import torch
    from safetensors.torch import save_file as save_tensors

    with pytest.raises(GraftbenchError, match="is no statistics file: it has no manifest"):
        load_statistics(write(tmp_path / "a.safetensors"))
    save_tensors({"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "b.safetensors", metadata={"format": "pt"})
    with pytest.raises(GraftbenchError, match="is no statistics file: it has no manifest"):
        load_statistics(tmp_path / "b.safetensors")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "manifest of .* cannot be read"),
        ("[]", "manifest of .* cannot be read"),
        (json.dumps({"name": "real"}), "manifest of .* cannot be read"),
        (plain(n_images="many"), "manifest of .* cannot be read"),
        (plain(format=FORMAT + 1), f"has format {FORMAT + 1}; this version of graftbench reads {FORMAT}"),
        (json.dumps({"format": 99, "other": 1}), "has format 99"),
    ],
)
def test_manifests_that_cannot_be_read(tmp_path: Path, text: str, sentence: str) -> None:
    """Torn, incomplete, of other types, or newer (whatever a newer one holds): said as such."""
    with pytest.raises(GraftbenchError, match=sentence):
        load_statistics(write(tmp_path / "real.safetensors", text))


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({"pooled": np.ones((11, 5), np.float32), "logits": np.ones((11, 4), np.float32)}, "manifest of 12 images"),
        ({"pooled": np.ones((12, 5), np.float32), "logits": np.ones((11, 4), np.float32)}, "manifest of 12 images"),
        ({"pooled": np.ones(12, np.float32), "logits": np.ones((12, 4), np.float32)}, "manifest of 12 images"),
        ({"pooled": np.ones((12, 0), np.float32), "logits": np.ones((12, 4), np.float32)}, "manifest of 12 images"),
        ({"pooled": np.ones((12, 5), np.float32)}, "manifest of 12 images"),
        (
            {"pooled": np.ones((12, 5)), "logits": np.ones((12, 4)), "powers": np.ones((11, 3))},
            "manifest of 12 images",
        ),
        ({"mean": np.ones(5), "root": np.ones((5, 4))}, "manifest of 12 images"),
        ({"mean": np.ones((1, 5)), "root": np.ones((5, 5))}, "manifest of 12 images"),
        ({"mean": np.full(5, np.nan), "root": np.ones((5, 5))}, "mean has no finite floats"),
        ({"mean": np.ones(5), "root": np.ones((5, 5), np.int64)}, "root has no finite floats"),
        ({"pooled": np.full((12, 5), np.inf), "logits": np.ones((12, 4))}, "pooled has no finite floats"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, tensors: dict[str, np.ndarray], sentence: str) -> None:
    """Other counts, shapes or types than the manifest says, or NaN: said with what was found."""
    with pytest.raises(GraftbenchError, match=sentence):
        load_statistics(write(tmp_path / "real.safetensors", plain(), **tensors))


def test_moments_of_one_image_are_none(tmp_path: Path) -> None:
    """A covariance of one image cannot have been computed."""
    path = write(tmp_path / "real.safetensors", plain(n_images=1), mean=np.ones(5), root=np.ones((1, 5)))
    with pytest.raises(GraftbenchError, match="manifest of 1 images"):
        load_statistics(path)


def test_no_damage_escapes(tmp_path: Path) -> None:
    """Cut short anywhere, or any byte changed but in the name of the seal: the one error."""
    path = tmp_path / "real.safetensors"
    Statistics(manifest(), features(), None).save(path)
    content = path.read_bytes()
    seal = content.index(b'"sha256"')
    damaged = [content[:length] for length in range(0, len(content), 37)]
    damaged += [content[:i] + bytes([content[i] ^ 5]) + content[i + 1 :] for i in range(0, len(content), 3)]
    accepted = []
    for part in damaged:
        path.write_bytes(part)
        with suppress(GraftbenchError):
            load_statistics(path)
            accepted.append(next(i for i, byte in enumerate(content) if part[i] != byte))
    assert all(seal <= i < seal + len('"sha256":') for i in accepted)


def test_one_flipped_bit_of_the_numbers_is_refused(tmp_path: Path) -> None:
    """A score from it would be wrong by a little, and nobody would know."""
    path = tmp_path / "real.safetensors"
    Statistics(manifest(), features(), None).save(path)
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(GraftbenchError, match="damaged: its contents do not fit the SHA-256"):
        load_statistics(path)
