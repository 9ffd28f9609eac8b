"""Floors: what real images score that the reference does not hold, computed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from graftbench.metrics.catalogue import METRICS
from graftbench.metrics.covariance import moments
from graftbench.metrics.evaluate import evaluate_features
from graftbench.metrics.features import Features
from graftbench.scoring import floors as module
from graftbench.scoring.floors import HeldOut, floors_of, has_floor, training_floors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.metrics.estimate import Estimate

WANTED = ("fid", "kid", "precision")


def features(n: int, seed: int = 0) -> Features:
    """Random features, 6 wide, with 4 logits."""
    rng = np.random.default_rng(seed)
    return Features.of(rng.standard_normal((n, 6)), rng.standard_normal((n, 4)))


class Images:
    """Held-out images that count how often their features are asked for."""

    def __init__(self, n: int = 60, key: str = "others") -> None:
        self.asked = 0
        self.n = n
        self.key = key

    def held_out(self) -> HeldOut:
        """As floors take them."""
        return HeldOut(self.key, self.n, self.features_at)

    def features_at(self, chosen: NDArray[np.intp]) -> Features:
        """Features of some of them."""
        self.asked += 1
        return features(self.n, seed=1).rows(chosen)


def values(floors: dict[str, Estimate]) -> dict[str, float | None]:
    """Metric -> value."""
    return {name: floor.value for name, floor in floors.items()}


def test_a_floor_is_the_score_of_held_out_images(tmp_path: Path) -> None:
    """With as many images as are held out, it is the score of all of them: no draw is left."""
    found = floors_of(features(50), "real", Images().held_out(), WANTED, 60, cache=tmp_path)
    assert list(found) == list(WANTED)
    direct = evaluate_features(features(60, seed=1), features(50), metrics=WANTED, intervals=False)
    assert found == {score.name: score for score in direct}


def test_as_many_images_as_are_generated(tmp_path: Path) -> None:
    """Of the held-out images n are drawn, none twice; the seed decides which."""
    real = features(50)
    first, again, other = (
        floors_of(real, "real", Images().held_out(), WANTED, 25, cache=tmp_path / str(run), seed=seed)
        for run, seed in enumerate((0, 0, 1))
    )
    assert {floor.n_generated for floor in first.values()} == {25}
    assert first == again
    assert values(first)["fid"] != values(other)["fid"]


def test_too_few_held_out_images_give_no_floor(tmp_path: Path) -> None:
    """The score of fewer images is no floor under that of n; nothing is extracted for it."""
    images = Images(24)
    assert floors_of(features(50), "real", images.held_out(), WANTED, 25, cache=tmp_path) == {}
    assert images.asked == 0


def test_what_a_generator_was_trained_on_has_no_floor(tmp_path: Path) -> None:
    """Held-out images were made by no generator with a training set; known factors have a floor of their own."""
    assert {name for name in METRICS if not has_floor(name)} == {
        name for name in METRICS if {"train", "factors"} & {*METRICS[name].needs}
    }
    found = floors_of(features(50), "real", Images().held_out(), ["kid", "mifid"], 30, cache=tmp_path)
    assert list(found) == ["kid"]
    images = Images()
    assert floors_of(features(50), "real", images.held_out(), ["mifid"], 30, cache=tmp_path) == {}
    assert images.asked == 0


def test_training_images_give_a_floor_to_authpct() -> None:
    """The reference's own, where it is asked for."""
    real, train = features(50), features(20, seed=2)
    (direct,) = evaluate_features(real, None, metrics=["authpct"], train=train)
    assert training_floors(real, train, ["fid", "authpct"]) == {"authpct": direct}
    assert training_floors(real, train, ["fid"]) == {}


def test_a_floor_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request reads the file, to the last bit; anything else than the same question asks again."""
    images, real = Images(), features(50)
    first = floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path)
    assert floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path) == first
    assert images.asked == 1
    asked = 1
    for reference, n, metrics, seed in (
        ("another", 30, WANTED, 0),
        ("real", 31, WANTED, 0),
        ("real", 30, WANTED[:2], 0),
        ("real", 30, WANTED, 1),
    ):
        floors_of(real, reference, images.held_out(), metrics, n, cache=tmp_path, seed=seed)
        asked += 1
        assert images.asked == asked
    floors_of(real, "real", Images(key="moved").held_out(), WANTED, 30, cache=tmp_path)
    monkeypatch.setattr(module, "_code", lambda _: "edited")
    floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path)
    assert images.asked == asked + 1  # another code may compute another number
    assert len(list((tmp_path / "floors").iterdir())) == 7


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[1]", b"{}"),
        *(b'{"floors": {"fid": {"value": NaN}}}', b'{"floors": {"fid": {"name": "fid"}}, "sha256": ""}'),
        b'{"floors": {"fid": {"name": "fid", "value": null, "n_generated": 3}}, "sha256": ""}',
    ],
)
def test_damaged_files_are_made_anew(tmp_path: Path, content: bytes) -> None:
    """A cache is never a reason to fail."""
    images, real = Images(), features(50)
    first = floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path)
    (file,) = (tmp_path / "floors").iterdir()
    file.write_bytes(content)
    assert floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path) == first
    assert images.asked == 2


def test_a_changed_digit_is_no_floor(tmp_path: Path) -> None:
    """It would be read as another one, and no score would tell."""
    images, real = Images(), features(50)
    first = floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path)
    (file,) = (tmp_path / "floors").iterdir()
    text = file.read_text()
    at = text.index('"value":') + len('"value":')
    file.write_text(text[:at] + ("9" if text[at] != "9" else "8") + text[at + 1 :])
    assert floors_of(real, "real", images.held_out(), WANTED, 30, cache=tmp_path) == first
    assert images.asked == 2


def test_moments_of_the_reference_have_a_floor_for_fid(tmp_path: Path) -> None:
    """The same as that of the features (1e-9), the rest undefined; neither is taken for the other from the cache."""
    real = features(50)
    bare = floors_of(moments(real.pooled), "real", Images().held_out(), WANTED, 30, cache=tmp_path)
    whole = floors_of(real, "real", Images().held_out(), WANTED, 30, cache=tmp_path)
    assert values(bare)["fid"] == pytest.approx(values(whole)["fid"], rel=1e-9)
    assert [name for name, floor in bare.items() if floor.value is None] == ["kid", "precision"]
    assert all(floor.value is not None for floor in whole.values())


def test_undefined_floors_are_kept_with_their_reason(tmp_path: Path) -> None:
    """Of 3 images some metrics are none; that survives the cache."""
    first = floors_of(features(50), "real", Images().held_out(), ["fid_inf", "kid"], 3, cache=tmp_path)
    again = floors_of(features(50), "real", Images().held_out(), ["fid_inf", "kid"], 3, cache=tmp_path)
    assert first == again
    assert first["fid_inf"].undefined


def test_the_code_counts() -> None:
    """The key holds a hash of this file and of every metric's."""
    assert len(module._code(["kid"])) == 64
    assert module._code(["rke"]) != module._code(["kid"]) == module._code(["fid"])
