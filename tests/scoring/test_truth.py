"""Known truth of a painted domain: its factors are read, planted failures are seen, and what cannot be read is said."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest
import torch

from graftbench.errors import GraftbenchError
from graftbench.images.prepared import SPLITS, ImageSet, Split
from graftbench.metrics.catalogue import resolve
from graftbench.records.cell_spec import Protocol
from graftbench.records.record import Truth
from graftbench.scoring import factor_classifier as classifiers
from graftbench.scoring.factor_classifier import FactorClassifier, factor_classifier
from graftbench.scoring.protocol import protocol_for, resolve_protocol
from graftbench.scoring.score import score_sampler
from graftbench.scoring.truth import TruthScores, truth_scores
from graftbench.training.samplers import ImageBankSampler, read_tensors

COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "": (255, 255, 255)}
CORNERS = {"left": 2, "right": 9}
NAMES = ("modes", "variant_pairs", "factor_kl")
N = 60


def _painted(colors: list[str], corners: list[str]) -> np.ndarray:
    """A square of 5 px in a colour, left or right, on white: n×3×16×16."""
    pixels = np.full((len(colors), 3, 16, 16), 255, np.uint8)
    for image, color, corner in zip(pixels, colors, corners, strict=True):
        image[:, 5:10, CORNERS[corner] : CORNERS[corner] + 5] = np.array(COLORS[color])[:, None, None]
    return pixels


def _domain(count: int = 300, **more: tuple[str, ...]) -> ImageSet:
    """Squares of which nobody knows the corner where they have no colour; half train, the rest the other two splits."""
    rng = np.random.default_rng(0)
    colors = [str(each) for each in rng.choice(list(COLORS), count)]
    corners = [str(each) for each in rng.choice(list(CORNERS), count)]
    seen = tuple(corner if color else "" for color, corner in zip(colors, corners, strict=True))
    ids = tuple(map(str, range(count)))
    order = (*SPLITS, SPLITS[0])  # half of them train
    splits = cast("tuple[Split, ...]", tuple(order[i % 4] for i in range(count)))
    factors = {"color": tuple(colors), "corner": seen, **more}
    manifest = f"squares-{sorted(more)}"
    return ImageSet("squares", 16, ids, ids, splits, _painted(colors, corners), manifest, factors=factors)


@pytest.fixture(scope="module", autouse=True)
def few_steps() -> object:
    """Little training: squares need no more."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "STEPS", 60)
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this module, so that most tests share one classifier."""
    return tmp_path_factory.mktemp("truth")


def _scores(images: np.ndarray, cache: Path) -> TruthScores:
    return truth_scores(torch.from_numpy(images), _domain(), NAMES, reference="reference", cache=cache)


def _values(scores: TruthScores) -> dict[str, float]:
    return {each.name: each.value for each in scores.estimates if each.value is not None}


def test_reads_both_factors(cache: Path) -> None:
    """Both factors of held-out squares are read, and new squares rightly; the threshold is stated."""
    classifier = factor_classifier(_domain(), cache)
    assert classifiers.LEAST_ACCURACY == 0.97
    assert set(classifier.accuracy) == {"color", "corner"}
    assert min(classifier.accuracy.values()) >= 0.97
    assert classifier.variants == {"color": ("", "blue", "green", "red"), "corner": ("", "left", "right")}
    read = classifier.read(torch.from_numpy(_painted(["red", "blue", ""], ["left", "right", "left"])))
    assert read.tolist() == [[3, 1], [1, 2], [0, 0]]


def test_a_smear_shows_no_variant(cache: Path) -> None:
    """A pale red square left and a pale green one right are neither; the record says how much shows a variant."""
    assert classifiers.LEAST_CONFIDENCE == 0.9
    smear = _painted(["red", "green"], ["left", "right"]).mean(axis=0, keepdims=True).round().astype(np.uint8)
    assert factor_classifier(_domain(), cache).read(torch.from_numpy(smear)).tolist() == [[-1, -1]]
    scores = _scores(np.repeat(smear, N, axis=0), cache)
    assert (_values(scores)["modes"], scores.truth.shown) == (0, 0.0)
    assert _scores(_domain().images("validation")[:N], cache).truth.shown == pytest.approx(1.0, abs=0.05)


def test_real_images_are_at_the_floor(cache: Path) -> None:
    """Real images cover all seven variants, and score about what the floor says."""
    domain = _domain()
    scores = _scores(domain.images("validation")[:N], cache)
    assert _values(scores)["modes"] == scores.floors["modes"].value == 7
    assert scores.truth.variants == 7
    assert scores.truth.neglected == []
    assert _values(scores)["factor_kl"] < 0.1
    assert (scores.floors["factor_kl"].value or 0.0) < 0.1


def test_dropped_variant_is_named(cache: Path) -> None:
    """A generator without red is one mode short; red is named, with its true share."""
    rng = np.random.default_rng(1)
    images = _painted(list(rng.choice(["green", "blue", ""], N)), list(rng.choice(list(CORNERS), N)))
    scores = _scores(images, cache)
    assert _values(scores)["modes"] == 6
    (red,) = scores.truth.neglected
    assert (red.factor, red.variant, red.generated_share) == ("color", "red", 0.0)
    share = np.mean(
        [color == "red" for color in np.array(_domain().factors["color"])[_domain().positions("reference")]]
    )
    assert red.true_share == pytest.approx(share)


def test_collapse_is_worse_than_copies(cache: Path) -> None:
    """One image alone has two modes; the KL rises from real images over half copies to nothing but copies."""
    domain = _domain()
    real, copies = domain.images("validation")[:N], _painted(["red"] * N, ["left"] * N)
    half = np.concatenate([real[: N // 2], copies[: N // 2]])
    kl = [_values(_scores(images, cache))["factor_kl"] for images in (real, half, copies)]
    assert kl == sorted(kl)
    assert kl[2] > 1.0  # log 1/p of both: about log 4 and log 8/3
    assert _values(_scores(copies, cache))["modes"] == 2


def test_trained_once_and_checked_when_read(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cached classifier is used as it is; one bit changed in it, and it is trained anew, to the same weights."""
    (kept,) = (cache / "factors").glob("*.safetensors")
    copy = tmp_path / "factors" / kept.name
    copy.parent.mkdir()
    copy.write_bytes(kept.read_bytes())

    def refuse(_: ImageSet) -> None:
        raise AssertionError("it is in the cache")

    with monkeypatch.context() as patch:
        patch.setattr(classifiers, "_train", refuse)
        assert isinstance(factor_classifier(_domain(), tmp_path), FactorClassifier)
    damaged = bytearray(kept.read_bytes())
    damaged[-1] ^= 1
    copy.write_bytes(damaged)
    factor_classifier(_domain(), tmp_path)
    (old, facts), (new, same_facts) = read_tensors(kept), read_tensors(copy)
    assert facts == same_facts
    assert old.keys() == new.keys()
    assert all(torch.equal(old[name], new[name]) for name in old)


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """Left out, each with its reason: one variant, none among held-out images, and a label that no pixel tells."""
    count = 300
    rng = np.random.default_rng(2)
    rare = tuple("yes" if i == 0 else "" for i in range(count))
    hidden = tuple(str(each) for each in rng.choice(["a", "b"], count))
    classifier = factor_classifier(
        _domain(single=("same",) * count, unlabelled=("",) * count, rare=rare, hidden=hidden), tmp_path
    )
    assert set(classifier.accuracy) == {"color", "corner"}
    assert classifier.left_out.keys() == {"single", "unlabelled", "rare", "hidden"}
    assert "one variant" in classifier.left_out["single"]
    assert "one variant" in classifier.left_out["unlabelled"]
    assert "no validation image" in classifier.left_out["rare"]
    assert "%" in classifier.left_out["hidden"]


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    """A domain of which no factor can be read has undefined scores that say why, and no floor."""
    domain = replace(_domain(), factors={"single": ("same",) * 300}, manifest="single")
    scores = truth_scores(
        torch.from_numpy(domain.images("train")), domain, NAMES, reference="reference", cache=tmp_path
    )
    assert [each.name for each in scores.estimates] == list(NAMES)
    assert all(each.value is None and "single" in each.undefined for each in scores.estimates)
    assert (scores.truth.variants, scores.truth.left_out.keys()) == (0, {"single"})
    assert not scores.floors


def test_no_floor_of_more_images_than_are_held_out(cache: Path) -> None:
    """As many real images as were generated are not there: no floor."""
    images = np.repeat(_domain().images("validation"), 4, axis=0)
    assert not _scores(images, cache).floors


@pytest.mark.parametrize("labelled", [True, False])
def test_protocol_on_a_target(*, labelled: bool) -> None:
    """Domains with factors get the metrics beside the default ones, not beside fewer; others are never asked them."""
    domain = _domain() if labelled else replace(_domain(), factors={})

    def metrics(*names: str) -> set[str]:
        protocol = Protocol(metrics=list(resolve(names)))
        return set(protocol_for(protocol, domain).metrics) & set(NAMES)

    assert metrics(*Protocol().metrics) == metrics("all") == (set(NAMES) if labelled else set())
    assert metrics("default", "memorization", "modes") == ({"modes"} if labelled else set())
    assert metrics("kid") == set()


def test_nothing_but_truth_where_there_is_none() -> None:
    """A protocol of these metrics alone is refused on a domain without factors, which is named."""
    with pytest.raises(GraftbenchError, match=r"modes alone.*squares"):
        protocol_for(Protocol(metrics=["modes"]), replace(_domain(), factors={}))


def test_scores_of_a_sampler(cache: Path) -> None:
    """A sampler's scores may be those of truth alone, with floors and what they rest on."""
    sampler = ImageBankSampler(torch.from_numpy(_painted(["red"] * N, ["left"] * N)))
    protocol = resolve_protocol(Protocol(metrics=["truth"], n_generated=N))
    scored = score_sampler(sampler, _domain(), protocol, torch.Generator().manual_seed(0), cache=cache)
    modes, pairs, kl = scored.scores
    assert (pairs.value, pairs.floor) == (1, scored.truth.pairs if scored.truth else 0)
    assert (modes.name, modes.value, modes.floor, modes.n_generated) == ("modes", 2, 7, N)
    assert kl.value is not None
    assert kl.floor is not None
    assert kl.floor < 0.1 < kl.value
    assert scored.truth is not None
    assert len(scored.truth.neglected) == 5
    assert msgspec.json.decode(msgspec.json.encode(scored.truth), type=Truth) == scored.truth
    assert msgspec.json.encode(scored.scores)


def test_other_metrics_keep_their_ids() -> None:
    """A protocol of default metrics is on a domain without factors what it was before there were any."""
    protocol = Protocol(metrics=list(resolve(Protocol().metrics)))
    assert protocol_for(protocol, replace(_domain(), factors={})) == protocol


def test_unusable_cache(tmp_path: Path) -> None:
    """A cache that cannot be written is said in one sentence."""
    (tmp_path / "factors").write_text("a file", "ascii")
    with pytest.raises(GraftbenchError, match="cache"):
        factor_classifier(_domain(), tmp_path)
