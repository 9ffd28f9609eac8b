"""Splits that are too small: what a plan refuses, with the way forward, and what it says beside its cells."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from graftbench.comparison.too_few import LEAST_ORACLE, LEAST_REFERENCE
from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.plugins.registry import make_domain
from graftbench.records.cell_spec import ComputeBudget, Protocol
from graftbench.suites.plan import Plan, make_plan
from graftbench.suites.suite import DomainPath, Suite

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of 60 pictures of noise, each unlike the others."""
    _write(tmp_path / "cats", range(60))
    return tmp_path / "cats"


def _write(folder: Path, numbers: range) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in numbers:
        noise = np.random.default_rng(i).integers(0, 256, (4, 4, 3), np.uint8)
        Image.fromarray(noise).resize((16, 16), Image.Resampling.NEAREST).save(folder / f"{i:03}.png")


def _plan(tmp_path: Path, target: str, budget: int, *, metrics: tuple[str, ...] = ("fid", "kid")) -> Plan:
    suite = Suite(
        name="few",
        tasks=[f"none->{target}@16"],
        methods=["memorizer", "oracle"],
        data_budgets=[budget],
        compute_budget=ComputeBudget(kimg=1),
        seeds=[0],
        protocol=Protocol(n_generated=40, metrics=list(metrics)),
    )
    return make_plan(suite, tmp_path / "cache")


def test_a_budget_beyond_the_training_split_names_the_way_forward(pictures: Path, tmp_path: Path) -> None:
    """60 images give fewer than 40 for training; what the refusal says is done, and then 40 are planned."""
    target = f"folder:{pictures}"
    with pytest.raises(GraftbenchError, match=r"has \d+ \(of 60 images: .* reference\)") as refusal:
        _plan(tmp_path, target, 40)
    assert f"Write '{target}?train=40', which keeps the other 20 for the reference" in str(refusal.value)
    assert "into folders train and reference" in str(refusal.value)
    plan = _plan(tmp_path, f"{target}?train=40", 40)
    assert [cell.data_budget for cell in plan.cells] == [40]
    (images,) = plan.targets.values()
    assert images.counts == {"train": 40, "validation": 0, "reference": 20}


def test_a_label_takes_options_on_its_splits(pictures: Path, tmp_path: Path) -> None:
    """`[domains.cats]` is a folder of 60; the task `cats?train=40` has 40 of them for training, under its own name."""
    suite = Suite(
        name="few",
        tasks=["none->cats?train=40@16"],
        methods=["memorizer"],
        data_budgets=[40],
        compute_budget=ComputeBudget(kimg=1),
        seeds=[0],
        protocol=Protocol(n_generated=40, metrics=["kid"]),
        domains={"cats": DomainPath(str(pictures))},
    )
    plan = make_plan(suite, tmp_path / "cache")
    (images,) = plan.targets.values()
    assert images.counts == {"train": 40, "validation": 0, "reference": 20}
    assert {cell.task.target for cell in plan.cells} == {"cats?train=40"}


def test_train_and_reference_folders_are_planned(pictures: Path, tmp_path: Path) -> None:
    """The same 60 images in two folders serve as they are; a budget above what is in `train` is refused."""
    for name, numbers in (("train", range(40)), ("reference", range(40, 60))):
        (pictures / name).mkdir()
        for i in numbers:
            shutil.move(pictures / f"{i:03}.png", pictures / name)
    (images,) = _plan(tmp_path, f"folder:{pictures}", 40).targets.values()
    assert images.counts == {"train": 40, "validation": 0, "reference": 20}
    with pytest.raises(GraftbenchError, match="has 40 "):
        _plan(tmp_path, f"folder:{pictures}", 41)


def test_a_budget_of_more_images_than_there_are(pictures: Path, tmp_path: Path) -> None:
    """No option helps: it is said how many images are missing for a reference that ranks."""
    with pytest.raises(GraftbenchError, match=f"add at least {70 + LEAST_REFERENCE - 60} images"):
        _plan(tmp_path, f"folder:{pictures}", 70)


def test_a_domain_that_makes_its_images_is_asked_for_more(tmp_path: Path) -> None:
    """What the refusal of 400 of 300 avatars says is done, and then 400 are planned."""
    with pytest.raises(GraftbenchError, match="Lower the budget, or write ") as refusal:
        _plan(tmp_path, "avatars:lorelei?images=300", 400)
    (target,) = re.findall(r"or write '(.*?)'", str(refusal.value))
    assert target == "avatars:lorelei?images=1000"
    assert [cell.data_budget for cell in _plan(tmp_path, target, 400).cells] == [400] * 2


def test_few_reference_images_rank_nothing_and_an_oracle_of_few_is_withheld(pictures: Path, tmp_path: Path) -> None:
    """With 20 reference images a plan says that nothing can be ranked; of no held-out images there is no oracle."""
    plan = _plan(tmp_path, f"folder:{pictures}?train=40", 40)
    assert [cell.method for cell in plan.cells] == ["memorizer"]
    (few,) = [note for note in plan.notes if "Nothing can be ranked" in note]
    assert "with 20 reference images" in few
    assert f"at least {LEAST_REFERENCE} are needed" in few
    (note,) = [note for note in plan.notes if "no cells of oracle" in note]
    assert "at 40 images: 0 real images are held out" in note


def test_enough_of_both_are_no_matter(pictures: Path, tmp_path: Path) -> None:
    """From the stated numbers on the oracle has its cell, and no sentence is said."""
    _write(pictures, range(60, 5 + LEAST_ORACLE + LEAST_REFERENCE))
    plan = _plan(tmp_path, f"folder:{pictures}?train={5 + LEAST_ORACLE}", 5)
    assert [cell.method for cell in plan.cells] == ["memorizer", "oracle"]
    assert plan.notes == []


@pytest.mark.parametrize(("count", "options"), [(3, "?train=2"), (4, "?train=3")])
def test_a_reference_in_which_a_metric_has_no_value_is_refused(tmp_path: Path, count: int, options: str) -> None:
    """One reference image has no covariance and no pair; the metrics, the counts and the way forward are named."""
    _write(tmp_path / "cats", range(count))
    with pytest.raises(GraftbenchError, match=r"has 1 \(of \d images.*so that .*KID.* cannot be computed \(.*\)\. ."):
        _plan(tmp_path, f"folder:{tmp_path}/cats{options}", 1)


def test_a_reference_that_serves_some_metrics_alone(tmp_path: Path) -> None:
    """Four images have a KID and no five neighbours: refused where a metric needs those, planned where none does."""
    _write(tmp_path / "cats", range(8))
    assert len(_plan(tmp_path, f"folder:{tmp_path}/cats?train=4", 2).cells) == 1
    with pytest.raises(
        GraftbenchError, match=r"has 4 .*so that .*overage.* cannot be computed .* Lower the number behind train="
    ):
        _plan(tmp_path, f"folder:{tmp_path}/cats?train=4", 2, metrics=("kid", "coverage"))


def test_an_empty_reference_of_look_alikes_names_the_cause(tmp_path: Path) -> None:
    """18 shots of one thing are one group on one side, whichever that is: the cause and the switch are named."""
    rng = np.random.default_rng(0)
    (tmp_path / "cats").mkdir()
    picture = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize((64, 64), Image.Resampling.NEAREST)
    for i in range(18):
        noise = rng.integers(-3, 4, (64, 64, 3))
        Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)).save(tmp_path / f"cats/{i}.png")
    target = f"folder:{tmp_path}/cats"
    with pytest.raises(GraftbenchError, match="18 were joined as near-duplicates, up to 18 in one group") as refusal:
        _plan(tmp_path, target, 2)
    assert f"'{target}?near_duplicates=keep'" in str(refusal.value)
    assert _plan(tmp_path, f"{target}?near_duplicates=keep&train=9", 2).cells


def test_a_group_that_is_a_large_part_of_a_set_is_told(pictures: Path, tmp_path: Path) -> None:
    """Four of 63 images in one group are more than 5 %; a pair is not worth a word."""
    for i in range(3):
        picture = Image.open(pictures / "000.png")
        picture.resize((20 + i, 20 + i), Image.Resampling.BICUBIC).save(pictures / f"copy{i}.png")
    notes = _plan(tmp_path, f"folder:{pictures}?train=20", 5).notes
    (note,) = [note for note in notes if "one group holds" in note]
    assert "one group holds 4 of 63 images (6%)" in note
    assert "?near_duplicates=keep" in note


def test_what_is_left_out_is_counted_and_named(pictures: Path, tmp_path: Path) -> None:
    """Files of other kinds are told by their endings."""
    for name in ("a.heic", "b.heic", "c.heic", "notes.txt"):
        (pictures / name).write_text("x")
    notes = _plan(tmp_path, f"folder:{pictures}?train=20", 5).notes
    (note,) = [note for note in notes if "left out" in note]
    assert note.endswith(
        "4 files are left out: 3 as .heic files are not read (a.heic, b.heic, …); "
        "1 as .txt files are not read (notes.txt)"
    )


def test_moved_images_are_told(tmp_path: Path) -> None:
    """A training image that is in the reference too counts there, and the plan says so."""
    _write(tmp_path / "cats" / "train", range(10))
    _write(tmp_path / "cats" / "reference", range(9, 40))
    notes = _plan(tmp_path, f"folder:{tmp_path}/cats", 5).notes
    assert any("1 image is nearly the same as images in the folder of another split" in note for note in notes)


def test_a_source_without_training_images_is_refused(tmp_path: Path) -> None:
    """A single source image that lies in the reference: the counts are named."""
    _write(tmp_path / "cats", range(8))
    for i in range(20):
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
        _write(tmp_path / "one", range(i, i + 1))
        images = prepared.load(make_domain(f"folder:{tmp_path}/one"), f"folder:{tmp_path}/one", 16, tmp_path / "cache")
        if not images.counts["train"]:
            break
    suite = Suite(
        name="few",
        tasks=[f"folder:{tmp_path}/one->folder:{tmp_path}/cats?train=4@16"],
        methods=["memorizer"],
        data_budgets=[2],
        compute_budget=ComputeBudget(kimg=1),
        seeds=[0],
        protocol=Protocol(n_generated=40, metrics=["kid"]),
    )
    with pytest.raises(GraftbenchError, match=r"The training split of folder:.*one@16 is empty \(of 1 images"):
        make_plan(suite, tmp_path / "cache")
