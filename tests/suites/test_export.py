"""Training images as files: exactly those of the cell, in forms that others read, and back again."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_suites import suite_toml

from graftbench.errors import GraftbenchError
from graftbench.images import prepared
from graftbench.images.sources import open_images
from graftbench.images.subsets import nested_subset
from graftbench.images.writers import write_edm_zip, write_png_folder
from graftbench.plugins import registry
from graftbench.records.costs import COSTS, UNITS, checked_costs
from graftbench.records.domain_names import public_task
from graftbench.suites.export import export_task
from graftbench.suites.export_manifest import ExportManifest, read_manifest
from graftbench.suites.suite import Suite, parse_suite, parse_task

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.usefixtures("shared_cache")


def suite_of(source: str, target: str) -> Suite:
    """Make a suite of a task between two domains, and of one on the second alone."""
    tasks = [f"{source}->{target}@32", f"colorize:{target}@32"]
    text = suite_toml("memorizer", name="mine", tasks=tasks, images=5, budget="{ kimg = 1 }", size=32, metrics=None)
    return parse_suite(text, "mine.toml")


def some_images(n: int, seed: int, side: int = 48) -> NDArray[np.uint8]:
    """Noise, which no codec can be kind to: uint8 n×3×side×side."""
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), dtype=np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of 48×48 pictures, in a folder whose name is private."""
    root = tmp_path_factory.mktemp("private")
    write_png_folder(some_images(60, 0), root / "cats")
    write_png_folder(some_images(20, 1), root / "dogs")
    return root


@pytest.fixture(scope="module")
def suite(pictures: Path) -> Suite:
    """A task between them."""
    return suite_of(f"folder:{pictures}/dogs", f"folder:{pictures}/cats")


def exported(suite: Suite, out: Path, /, **given: Any) -> ExportManifest:
    """Of the suite's task, budget 5, seed 3."""
    return export_task(suite.tasks[0], out, **{"budget": 5, "seed": 3, "suite": suite, **given})


def images_of_a_fit(suite: Suite, budget: int, seed: int) -> NDArray[np.uint8]:
    """By the suite's rule, written out: the training split's ids drawn, in the domain's order."""
    task = parse_task(suite.tasks[0])
    images = prepared.load(registry.make_domain(task.target), task.target, task.resolution)
    pool = images.positions("train")
    drawn = nested_subset([images.ids[i] for i in pool], budget, seed)
    return np.array(images.pixels[sorted(int(pool[i]) for i in drawn)])


def pixels_of(source: object) -> NDArray[np.uint8]:
    """All images of a source."""
    return np.concatenate(list(open_images(source).batches(64)))  # pyright: ignore[reportArgumentType] - a path or text


@pytest.mark.parametrize("form", ["png", "zip"])
def test_the_images_are_those_of_the_cell(suite: Suite, tmp_path: Path, form: Any) -> None:
    """To the bit and in their order, as files and through the domains `folder:` and `zip:`; the source's likewise."""
    manifest = exported(suite, tmp_path / "out", form=form, with_source=True)
    wanted = images_of_a_fit(suite, 5, 3)
    place = tmp_path / "out" / ("images" if form == "png" else "images.zip")
    assert np.array_equal(pixels_of(place), wanted)
    name = f"{'folder' if form == 'png' else 'zip'}:{place}"
    back = prepared.load(registry.make_domain(name), name, 32)
    assert np.array_equal(back.pixels, wanted)
    assert [image.sha256 for image in manifest.target.images] == [hashlib.sha256(image).hexdigest() for image in wanted]
    dogs = prepared.load(*_domain(parse_task(suite.tasks[0]).source), 32)
    source = tmp_path / "out" / ("source" if form == "png" else "source.zip")
    assert np.array_equal(pixels_of(source), dogs.images("train"))


def _domain(name: str) -> tuple[Any, str]:
    return registry.make_domain(name), name


def test_a_fit_gets_these_images(suite: Suite, tmp_path: Path) -> None:
    """What a cell's task holds, asked of the cell's own code, is what was written."""
    from graftbench.execution.cell_task import make_task  # the very function
    from graftbench.execution.job import CellJob
    from graftbench.execution.prerequisites import entry_of
    from graftbench.suites.plan import make_plan

    small = msgspec.structs.replace(suite, tasks=suite.tasks[:1], seeds=[3])
    plan = make_plan(small, prepared.cache_folder())
    images = {name: entry_of(found) for (name, _), found in plan.images.items()}
    job = CellJob(cell=plan.cells[0], folder=str(tmp_path), cache=str(tmp_path), images=images)
    target = next(found for (name, _), found in plan.images.items() if name.endswith("cats"))
    exported(suite, tmp_path / "out")
    written = torch.from_numpy(pixels_of(tmp_path / "out" / "images"))
    assert torch.equal(make_task(job, target).images, written)


def test_twice_the_same_bytes(suite: Suite, tmp_path: Path) -> None:
    """Every file of two exports is equal, the zip too."""
    for name in ("a", "b"):
        exported(suite, tmp_path / name, form="zip", with_source=True)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*"))
    assert [str(file) for file in files] == ["README.md", "costs.toml", "images.zip", "manifest.json", "source.zip"]
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_budgets_are_nested(suite: Suite, tmp_path: Path) -> None:
    """The 5 are among the 9; another seed draws others."""
    five, nine = (exported(suite, tmp_path / str(n), budget=n).target.images for n in (5, 9))
    assert {image.id for image in five} < {image.id for image in nine}
    other = exported(suite, tmp_path / "other", seed=4).target.images
    assert {image.id for image in other} != {image.id for image in five}


def test_the_layout_of_edm(tmp_path: Path) -> None:
    """Folders of a thousand, eight digits, stored, a dataset.json with labels null: as dataset_tool.py writes it."""
    images = some_images(1002, 2, side=8)
    names = write_edm_zip(images, tmp_path / "a" / "x.zip")
    assert (names[0], names[999], names[1001]) == (
        "00000/img00000000.png",
        "00000/img00000999.png",
        "00001/img00001001.png",
    )
    with zipfile.ZipFile(tmp_path / "a" / "x.zip") as archive:
        assert json.loads(archive.read("dataset.json")) == {"labels": None}
        assert {member.compress_type for member in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.namelist() == [*names, "dataset.json"]
    assert np.array_equal(pixels_of(tmp_path / "a" / "x.zip"), images)


def test_order_of_files(tmp_path: Path) -> None:
    """The order of the names is that of the images."""
    names = write_png_folder(some_images(11, 3, side=8), tmp_path)
    assert names == sorted(names)
    assert (names[0], names[10]) == ("00000.png", "00010.png")


def test_no_path_of_this_machine(suite: Suite, pictures: Path, tmp_path: Path) -> None:
    """Nothing that was written knows where the pictures lie."""
    manifest = exported(suite, tmp_path / "out", with_source=True)
    assert manifest.task == "folder:dogs->folder:cats@32" == public_task(parse_task(suite.tasks[0]))
    for file in ("manifest.json", "README.md", "costs.toml"):
        text = (tmp_path / "out" / file).read_text("utf-8")
        assert str(pictures) not in text
        assert "private" not in text
        assert str(tmp_path) not in text


def test_the_readme_says_what_to_hand_back(suite: Suite, tmp_path: Path) -> None:
    """Number and side of the images, what may be used, the licence, the command; the costs with units."""
    exported(suite, tmp_path / "out")
    text = (tmp_path / "out" / "README.md").read_text("utf-8")
    for words in ("40 generated images of 32×32", "these 5 images and no others", "that of the images", "1 kimg"):
        assert words in text
    command = re.search(r"\$ (graftbench add samples(?:.*\\\n)*.*)", text)
    assert command is not None
    assert "--task 'folder:dogs->folder:cats@32' --budget 5 --seed 3" in command.group(1)
    costs = (tmp_path / "out" / "costs.toml").read_text("utf-8")
    assert tomllib.loads(costs) == {}
    filled = re.sub(r"^# (\w+) = (\"\")?", lambda m: f"{m[1]} = {m[2] or 1}", costs, flags=re.MULTILINE)
    assert set(checked_costs(tomllib.loads(filled), "there")) == set(COSTS) == set(UNITS)


def test_the_manifest_reads_back(suite: Suite, tmp_path: Path) -> None:
    """What was written is what is read; another file of that name is refused."""
    manifest = exported(suite, tmp_path / "out", with_source=True)
    assert read_manifest(tmp_path / "out" / "manifest.json") == manifest
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(GraftbenchError, match="no manifest of `graftbench export-task`"):
        read_manifest(tmp_path / "manifest.json")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"budget": 1000}, "A data budget of 1000 images was asked for; the training split has"),
    ({"budget": 0}, "A data budget of 0 images"),
    ({"form": "tar"}, "Unknown form 'tar'"),
    ({"suite": "quikc"}, "Unknown suite 'quikc'.* Did you mean 'quick'"),
]


@pytest.mark.parametrize(("given", "words"), BAD)
def test_what_is_refused_leaves_nothing(suite: Suite, tmp_path: Path, given: dict[str, Any], words: str) -> None:
    """A clear sentence, no folder."""
    with pytest.raises(GraftbenchError, match=words):
        exported(suite, tmp_path / "out", **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("cats", "A task is written source->target@resolution"),
        ("none->openmoji@33", "A resolution is 8, 16, 32"),
        ("none->openmoji@32", "Unknown task 'none->openmoji@32' of the suite 'mine'. "),
        ("colorize:folder:cats@32", "for tasks of the kind 'generate'; found colorize:"),
    ],
)
def test_tasks_that_cannot_be_exported(suite: Suite, tmp_path: Path, task: str, words: str) -> None:
    """Another form, another resolution, not of the suite, another kind."""
    with pytest.raises(GraftbenchError, match=re.escape(words)):
        export_task(task, tmp_path / "out", budget=5, seed=0, suite=suite)
    assert not (tmp_path / "out").exists()


def test_a_task_by_its_public_name(suite: Suite, tmp_path: Path) -> None:
    """Who has only the manifest names the task as it does."""
    found = export_task("folder:dogs->folder:cats@32", tmp_path / "out", budget=5, seed=3, suite=suite)
    assert found == exported(suite, tmp_path / "other")


def test_source_images_of_a_task_without_a_source(pictures: Path, tmp_path: Path) -> None:
    """There are none to write."""
    alone = suite_of("none", f"folder:{pictures}/cats")
    with pytest.raises(GraftbenchError, match="has no source domain"):
        exported(alone, tmp_path / "out", with_source=True)


def test_a_folder_that_holds_something_is_refused(suite: Suite, tmp_path: Path) -> None:
    """It is named; a file in the way too; an empty folder is filled."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    with pytest.raises(GraftbenchError, match=r"full' is not empty \(it holds 'a.txt'\)"):
        exported(suite, tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(GraftbenchError, match="is a file"):
        exported(suite, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    exported(suite, tmp_path / "empty")
    assert (tmp_path / "empty" / "manifest.json").is_file()


def test_a_failure_on_the_way_leaves_nothing(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the third image: one sentence, and neither the folder nor a half of it."""
    written = []

    def full(self: Image.Image, *_: Any, **__: Any) -> None:
        written.append(self)
        if len(written) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(GraftbenchError, match=r"cannot be written \(No space left on device\)"):
        exported(suite, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
