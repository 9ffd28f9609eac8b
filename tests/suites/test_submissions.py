"""Images that were made elsewhere become records like any other, or are refused and nothing is changed."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import tomli_w
from PIL import Image
from random_inputs import blobs
from tiny_suites import Heard, suite_toml

from graftbench.comparison.table import load
from graftbench.errors import GraftbenchError
from graftbench.execution.add_samples import add_samples
from graftbench.execution.driver import run
from graftbench.execution.run_folder import RunFolder
from graftbench.images import prepared
from graftbench.images.writers import write_edm_zip, write_png_folder
from graftbench.plugins import registry
from graftbench.records import store
from graftbench.records.cell_spec import ComputeBudget
from graftbench.records.record import Status
from graftbench.records.run import read_run
from graftbench.report import write_reports
from graftbench.suites.export import export_task
from graftbench.suites.plan import make_plan
from graftbench.suites.submissions import Submission
from graftbench.suites.suite import Suite, load_suite, parse_suite
from graftbench.training.samplers import ImageBankSampler, load_sampler

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from graftbench.images.prepared import ImageSet

pytestmark = pytest.mark.usefixtures("shared_cache", "warm_executor")

N = 24


@pytest.fixture(scope="module")
def cats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A domain of 120 pictures."""
    folder = tmp_path_factory.mktemp("pictures") / "cats"
    write_png_folder(blobs(120, 0), folder)
    return folder


@pytest.fixture(scope="module")
def target(cats: Path, shared_cache: Path) -> ImageSet:
    """The domain, prepared."""
    del shared_cache
    return prepared.load(registry.make_domain(f"folder:{cats}"), f"folder:{cats}", 32)


@pytest.fixture
def suite(cats: Path) -> Suite:
    """Two quick methods on that domain."""
    text = suite_toml(
        *("memorizer", "gaussian"),
        name="mine",
        tasks=[f"none->folder:{cats}@32"],
        images=5,
        budget="{ kimg = 1 }",
        n_generated=N,
        size=32,
        metrics=["kid", "authpct"],
    )
    return parse_suite(text, "mine.toml")


@pytest.fixture
def add(suite: Suite, tmp_path: Path) -> Callable[..., store.Record]:
    """Add samples to the run `run` of the suite; the record of them."""

    def add(path: Path, **given: Any) -> store.Record:
        options: dict[str, Any] = {"method": "anns", "data_budget": 5, "seed": 0, "suite": suite}
        added = add_samples(path, tmp_path / "run", **options | given)
        assert added.summary.ran == len(added.records) == 1
        return added.records[0]

    return add


def png(folder: Path, images: NDArray[np.uint8]) -> Path:
    """Images as files in a folder."""
    write_png_folder(images, folder)
    return folder


def state(folder: Path) -> dict[str, bytes]:
    """What a run says: its suite and its records."""
    return {name: (folder / name).read_bytes() for name in ("suite.toml", "records.jsonl") if (folder / name).exists()}


# ------------------------------------------------------------------------------------------------------- what is added


@pytest.mark.slow
def test_samples_become_a_record_like_any_other(add: Callable[..., store.Record], suite: Suite, tmp_path: Path) -> None:
    """Scores, floors, pictures and the images themselves; marked as submitted, costs as declared; the suite goes on."""
    samples = png(tmp_path / "samples", blobs(N, 1))
    record = add(
        samples, family="style", costs={"fit_seconds": "90", "device": "A100"}, notes=["Pretrained on something else."]
    )
    assert (record.status, record.origin, record.cell.variant_of) == (Status.OK, "submitted", "samples")
    assert (record.cell.method, record.cell.family, record.cell.compute_budget) == ("anns", "style", ComputeBudget(1))
    assert record.resources is not None
    assert record.resources.declared == ["device", "fit_seconds"]
    assert (record.resources.fit_seconds, record.resources.device) == (90.0, "A100")
    assert record.resources.peak_memory_mib is None
    assert record.notes == ["Pretrained on something else."]
    for score in record.scores:
        assert score.value is not None
        assert score.n_generated == N
    assert {"samples", "neighbors", "sampler", "log"} == set(record.artifacts)
    kept = load_sampler(tmp_path / "run" / record.artifacts["sampler"])
    assert isinstance(kept, ImageBankSampler)
    assert np.array_equal(kept.images.numpy(), blobs(N, 1))
    assert read_run(tmp_path / "run").expected == 3
    assert RunFolder(tmp_path / "run").suite().methods == suite.methods
    summary = run(suite, tmp_path / "run")
    assert (summary.ran, summary.exit_code) == (2, 0)
    assert RunFolder(tmp_path / "run").suite().samples[0].source == samples
    assert read_run(tmp_path / "run").expected == len(read_run(tmp_path / "run").records) == 3
    table = load(tmp_path / "run").set_index("method")
    assert table.loc["anns", "origin"] == "submitted"
    assert table.loc["anns", "declared"] == "device fit_seconds"
    assert table.loc["gaussian", "origin"] == ""


@pytest.mark.long
def test_reports_need_the_records_alone(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """The samples may be moved when they are scored."""
    record = add(png(tmp_path / "samples", blobs(N, 1)))
    shutil.rmtree(tmp_path / "samples")
    write_reports(read_run(tmp_path / "run"), tmp_path / "report", registry.reports(), formats=["md"])
    assert "anns" in (tmp_path / "report" / "table.md").read_text("utf-8")
    assert record.resources is None


def test_a_suite_file_names_samples(suite: Suite, tmp_path: Path) -> None:
    """`[[samples]]` beside methods, paths seen from the file's folder; and a suite of samples alone."""
    png(tmp_path / "handed-in" / "0", blobs(N, 1))
    write_edm_zip(blobs(N + 6, 2), tmp_path / "handed-in" / "1.zip")
    entries = [
        {"method": "anns", "path": f"handed-in/{name}", "task": suite.tasks[0], "data_budget": 5, "seed": seed}
        for name, seed in (("0", 0), ("1.zip", 1))
    ]
    plain = {
        "name": "mine",
        "tasks": suite.tasks,
        "methods": [],
        "data_budgets": [5],
        "compute_budget": {"kimg": 1},
        "seeds": [0],
        "protocol": {"n_generated": N, "size": 32, "metrics": ["kid"]},
        "samples": entries,
    }
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(plain))
    plan = make_plan(load_suite(tmp_path / "mine.toml"), prepared.cache_folder())
    assert len(plan.cells) == 2
    assert plan.notes == ["anns: the suite has no cells of the seed 1, so nothing stands beside these samples."]
    summary = run(tmp_path / "mine.toml", tmp_path / "run")
    assert (summary.ran, summary.exit_code) == (2, 0)
    records = {record.cell.seed: record for record in store.read(tmp_path / "run" / "records.jsonl")[0]}
    assert records[0].notes == []
    drawn = f"Of the {N + 6} images that were handed in {N} were scored, drawn by the cell's seed."
    assert records[1].notes == [drawn]
    assert run(tmp_path / "mine.toml", tmp_path / "run").ran == 0


@pytest.mark.long
def test_equal_images_in_other_files_are_the_same_cell(suite: Suite, tmp_path: Path) -> None:
    """A folder, a zip, an .npz and an .npy of the same pixels have one id."""
    images = blobs(N, 1)
    png(tmp_path / "a", images)
    write_edm_zip(images, tmp_path / "b.zip")
    np.savez(tmp_path / "c.npz", images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "d.npy", images)
    ids = set()
    for name in ("a", "b.zip", "c.npz", "d.npy"):
        entry = Submission(method="anns", path=name, task=suite.tasks[0], data_budget=5, folder=str(tmp_path))
        given = msgspec.structs.replace(suite, methods=[], samples=[entry])
        ids |= set(make_plan(given, prepared.cache_folder()).ids)
    assert len(ids) == 1


def test_copies_of_training_images_are_scored_and_shown(
    add: Callable[..., store.Record], suite: Suite, tmp_path: Path
) -> None:
    """No refusal: AuthPct is the memorizer's, 0 %."""
    export_task(suite.tasks[0], tmp_path / "out", budget=5, seed=0, suite=suite)
    files = sorted((tmp_path / "out" / "images").iterdir())
    copies = np.stack([np.asarray(Image.open(files[i % 5])).transpose(2, 0, 1) for i in range(N)])
    record = add(png(tmp_path / "samples", copies))
    score = record.score("authpct")
    assert record.status == Status.OK
    assert score is not None
    assert score.value == 0.0


@pytest.mark.long
def test_a_grid_at_once(suite: Suite, tmp_path: Path) -> None:
    """`{budget}` and `{seed}` in a path: what is there of the suite's; what is not is left out."""
    wide = msgspec.structs.replace(suite, data_budgets=[5, 9], seeds=[0, 1])
    for n, name in enumerate(("5-0", "5-1", "9-1", "7-0")):
        png(tmp_path / "anns" / name, blobs(N, 10 + n))
    added = add_samples(f"{tmp_path}/anns/{{budget}}-{{seed}}", tmp_path / "run", method="anns", suite=wide)
    assert sorted((r.cell.data_budget, r.cell.seed) for r in added.records) == [(5, 0), (5, 1), (9, 1)]
    assert added.summary.exit_code == 0
    with pytest.raises(GraftbenchError, match=r"Nothing of '.*' is there: neither of "):
        add_samples(f"{tmp_path}/bobs/{{budget}}-{{seed}}", tmp_path / "run", method="bobs")


# ------------------------------------------------------------------------------------------------- manifests of exports


def test_the_manifest_says_which_cell(add: Callable[..., store.Record], suite: Suite, tmp_path: Path) -> None:
    """Samples in the export's folder need no task, budget or seed; what contradicts the manifest is refused."""
    export_task(suite.tasks[0], tmp_path / "out", budget=9, seed=4, suite=suite)
    samples = png(tmp_path / "out" / "samples", blobs(N, 1))
    for name, value, words in (("data_budget", 5, "budget 9; found --budget 5"), ("seed", 0, "seed 4; found --seed 0")):
        with pytest.raises(GraftbenchError, match=words):
            add(samples, **{"data_budget": None, "seed": None, name: value})
    with pytest.raises(GraftbenchError, match=r"'out' is the folder that was handed out: it holds the training images"):
        add(tmp_path / "out")
    record = add(samples, data_budget=None, seed=None)
    assert (record.cell.data_budget, record.cell.seed, str(record.cell.task)) == (9, 4, "none->folder:cats@32")


def test_the_manifest_of_other_images_is_refused(
    add: Callable[..., store.Record], suite: Suite, tmp_path: Path
) -> None:
    """The same task by another resize rule is another task; a manifest.json of another program is none of ours."""
    other = msgspec.structs.replace(suite, resize="clean")
    export_task(suite.tasks[0], tmp_path / "out", budget=5, seed=0, suite=other)
    samples = png(tmp_path / "out" / "samples", blobs(N, 1))
    with pytest.raises(GraftbenchError, match=r"was written of other images of 'folder:cats' .* by the rule clean"):
        add(samples)
    (tmp_path / "out" / "manifest.json").write_text('{"files": []}')
    assert add(samples).status == Status.OK


# ---------------------------------------------------------------------------------------------------------- once more


@pytest.mark.slow
def test_the_same_cell_again(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """Refused, and nothing is changed; with `replace` the newest counts, and the older record stays in the file."""
    first = add(png(tmp_path / "a", blobs(N, 1)))
    before = state(tmp_path / "run")
    again = png(tmp_path / "b", blobs(N, 2))
    with pytest.raises(GraftbenchError, match=r"has samples of anns .* already\. --replace"):
        add(again)
    assert state(tmp_path / "run") == before
    second = add(again, replace=True)
    assert first.id != second.id
    lines, _ = store.read(tmp_path / "run" / "records.jsonl")
    assert [record.id for record in lines] == [first.id, second.id]
    assert list(store.latest(lines)) == [second.id]
    assert [entry.path for entry in RunFolder(tmp_path / "run").suite().samples] == ["b"]
    third = add(again, replace=True, costs={"images_seen": 1000})
    assert third.id == second.id
    assert third.resources is not None
    assert third.resources.images_seen == 1000
    assert read_run(tmp_path / "run").expected == 3


def test_images_of_another_cell_are_refused(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """The same images for two seeds would make an interval of nothing."""
    samples = png(tmp_path / "a", blobs(N, 1))
    add(samples)
    with pytest.raises(GraftbenchError, match=r"are those of anns .* seed=0; each cell has those of a training"):
        add(samples, seed=1)


@pytest.mark.slow
def test_a_leak_in_a_suite_file_is_a_row(
    add: Callable[..., store.Record], target: ImageSet, suite: Suite, tmp_path: Path
) -> None:
    """A run scores what it can: the leaked cell has the status error and its reason; samples added later mend it."""
    leaked = blobs(N, 1)
    leaked[3] = target.images("reference")[0]
    place = png(tmp_path / "leaked", leaked)
    entry = Submission(method="anns", path=str(place), task=suite.tasks[0], data_budget=5)
    summary = run(msgspec.structs.replace(suite, samples=[entry]), tmp_path / "run")
    assert (summary.exit_code, summary.statuses) == (3, {"ok": 2, "error": 1})
    with pytest.raises(GraftbenchError, match="1 of the 24 images are equal to images of the reference split"):
        add(place)
    assert add(png(tmp_path / "sound", blobs(N, 2))).status == Status.OK
    newest = {record.cell.method: record.status for record in read_run(tmp_path / "run").records}
    assert newest == {"anns": "ok", "gaussian": "ok", "memorizer": "ok"}


# ----------------------------------------------------------------------------------------------------------- refusals


def _sound(folder: Path, _: ImageSet) -> None:
    png(folder, blobs(N, 1))


def _empty(folder: Path, _: ImageSet) -> None:
    folder.mkdir()


def _damaged(folder: Path, _: ImageSet) -> None:
    png(folder, blobs(N, 1))
    (folder / "00007.png").write_bytes((folder / "00007.png").read_bytes()[:90])


def _leaked(folder: Path, target: ImageSet) -> None:
    png(folder, np.concatenate([blobs(N, 1), target.images("reference")[:2]]))


def _slightly_changed(folder: Path, target: ImageSet) -> None:
    noise = np.random.default_rng(0).integers(-3, 4, (5, 3, 32, 32))
    copies = (target.images("reference")[:5] + noise).clip(0, 255).astype(np.uint8)
    png(folder, np.concatenate([blobs(N, 1), copies]))


BAD: dict[str, tuple[Callable[[Path, ImageSet], object], dict[str, Any], str]] = {
    "missing": (lambda *_: None, {}, "There are no images at"),
    "empty": (_empty, {}, "holds no images, and 0 files of other kinds"),
    "too few": (lambda p, _: png(p, blobs(N - 1, 1)), {}, "holds 23 images; the protocol scores 24"),
    "one": (lambda p, _: png(p, blobs(1, 1)), {}, "holds 1 image; the protocol scores 24"),
    "wrong size": (lambda p, _: png(p, blobs(N, 1, 16)), {}, "Image 1 of 'samples' is 16×16; the task's images"),
    "damaged": (_damaged, {}, "'00007.png' in 'samples' cannot be used"),
    "task": (_sound, {"task": "none->folder:dogs@32"}, "Unknown task .* of the suite 'mine'"),
    "budget": (_sound, {"data_budget": 5000}, "A data budget of 5000 images was asked for"),
    "no budget": (_sound, {"data_budget": None}, "--budget is missing, and no manifest.json"),
    "name": (_sound, {"method": "dcgan"}, "'dcgan' is a method's name"),
    "family": (_sound, {"family": "gan"}, "Unknown family 'gan'"),
    "reference row": (_sound, {"family": "reference"}, "Unknown family 'reference'"),
    "cost": (_sound, {"costs": {"fit_second": 1}}, "Unknown cost .* Did you mean 'fit_seconds'"),
    "negative": (_sound, {"costs": {"fit_seconds": -1}}, "a finite number of at least 0; found '-1'"),
    "nan": (_sound, {"costs": {"flops": "nan"}}, "a finite number of at least 0; found 'nan'"),
    "truth": (_sound, {"costs": {"fit_seconds": True}}, "a finite number of at least 0; found 'True'"),
    "no number": (_sound, {"costs": {"images_seen": "8k"}}, "a whole number of at least 0; found '8k'"),
    "leak": (_leaked, {}, "2 of the 26 images are equal to images of the reference split"),
    "near leak": (_slightly_changed, {}, "[45] of the 29 images are nearly equal to images of the reference split"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_changes_nothing(
    add: Callable[..., store.Record], target: ImageSet, tmp_path: Path, case: str
) -> None:
    """A sentence that says what was found; suite and records are those of before."""
    make, given, words = BAD[case]
    make(tmp_path / "samples", target)
    with pytest.raises(GraftbenchError, match=words):
        add(tmp_path / "samples", **given)
    assert state(tmp_path / "run") == {}


def test_arrays_that_hold_no_images(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """Floats, pickled objects, statistics: what was found is said, and nothing is unpickled."""
    np.savez(tmp_path / "f.npz", blobs(N, 1).astype(np.float32) / 255)
    with pytest.raises(GraftbenchError, match=r"uint8 of shape N×3×H×W .*found float32 .*shape \(24, 3, 32, 32\)"):
        add(tmp_path / "f.npz")
    np.savez(tmp_path / "o.npz", np.array([{"a": 1}, None], dtype=object))
    with pytest.raises(GraftbenchError, match="found object"):
        add(tmp_path / "o.npz")
    np.savez(tmp_path / "s.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(GraftbenchError, match="statistics of features"):
        add(tmp_path / "s.npz")


def test_zip_files_that_are_refused(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """Names that lead out, bombs, no images, no zip file at all."""
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../a.png", b"x")
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(50_000_000))
    with zipfile.ZipFile(tmp_path / "text.zip", "w") as archive:
        archive.writestr("a.txt", b"x")
    (tmp_path / "none.zip").write_bytes(b"PK")
    for name, words in (
        ("out", "leads out of the archive"),
        ("bomb", "as a bomb does"),
        ("text", "holds no images"),
        ("none", "cannot be read as a zip file"),
    ):
        with pytest.raises(GraftbenchError, match=words):
            add(tmp_path / f"{name}.zip")
    assert not (tmp_path / "run" / "suite.toml").exists()


@pytest.mark.long
def test_links_are_followed(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """A link to an image counts as that image, one to a folder as its images, one to nothing is an error."""
    png(tmp_path / "real", blobs(N, 1))
    (tmp_path / "samples").mkdir()
    files = sorted((tmp_path / "real").iterdir())
    (tmp_path / "samples" / "more").symlink_to(tmp_path / "real")
    (tmp_path / "first.png").write_bytes(files[0].read_bytes())
    files[0].unlink()
    (tmp_path / "samples" / "first.png").symlink_to(tmp_path / "first.png")
    (tmp_path / "samples" / "z.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(GraftbenchError, match=r"z.png' in 'samples' cannot be used"):
        add(tmp_path / "samples")
    (tmp_path / "samples" / "z.png").unlink()
    assert add(tmp_path / "samples").status == Status.OK


def test_a_folder_that_holds_no_run(suite: Suite, tmp_path: Path) -> None:
    """Without a suite there is nothing to be scored by; of another suite's run it is refused; so is one at work."""
    samples = png(tmp_path / "samples", blobs(N, 1))
    given: dict[str, Any] = {"method": "anns", "data_budget": 5, "seed": 0}
    with pytest.raises(GraftbenchError, match=r"holds no run; name the suite that is to begin one"):
        add_samples(samples, tmp_path / "run", **given)
    add_samples(samples, tmp_path / "run", suite=suite, **given)
    before, given["seed"] = state(tmp_path / "run"), 1
    other = png(tmp_path / "b", blobs(N, 2))
    with (
        RunFolder(tmp_path / "run").claimed("mine"),
        pytest.raises(GraftbenchError, match="Another run is working in"),
    ):
        add_samples(other, tmp_path / "run", **given)
    assert state(tmp_path / "run") == before


@pytest.mark.long
def test_a_budget_of_ones_own(add: Callable[..., store.Record], tmp_path: Path) -> None:
    """A data budget, a seed and a compute budget that the suite does not have: scored, and said to stand alone."""
    heard = Heard()
    record = add(
        png(tmp_path / "samples", blobs(N, 1)),
        data_budget=7,
        seed=11,
        compute_budget=ComputeBudget(seconds=60),
        progress=heard,
    )
    assert (record.cell.data_budget, record.cell.seed, str(record.cell.compute_budget)) == (7, 11, "60 seconds")
    said = "no cells of 7 training images and the seed 11 and 60 seconds, so nothing stands beside these samples"
    assert any(said in sentence for sentence in heard.sentences)


def test_a_node_is_sent_the_images(suite: Suite, tmp_path: Path) -> None:
    """Where a job runs on a machine that shares nothing, its samples travel with it, linked pictures too."""
    from graftbench.execution.executors import ray, ray_node
    from graftbench.execution.job import CellJob

    real, samples = png(tmp_path / "real", blobs(2, 1)), tmp_path / "samples"
    samples.mkdir()
    (samples / "a.png").symlink_to(real / "00000.png")
    write_edm_zip(blobs(2, 1), tmp_path / "b.zip")
    cell = make_plan(suite, prepared.cache_folder()).cells[0]
    for path, files, inner in ((samples, {"a.png"}, ""), (tmp_path / "b.zip", {"b.zip"}, "b.zip")):
        entry = Submission(method="anns", path=path.name, folder=str(tmp_path), task=suite.tasks[0], data_budget=5)
        job = CellJob(cell=cell, folder="f", cache="c", images={}, samples=entry)
        sent, name = ray._needed(job)[str(path)]
        assert (set(sent), name) == (files, inner)
        there = ray_node._relocated(job, lambda key: f"/node/{len(key)}", folder=tmp_path, cache=tmp_path, device="cpu")
        assert isinstance(there, CellJob)
        assert there.samples is not None
        assert str(there.samples.source) == f"/node/{len(str(path))}"
