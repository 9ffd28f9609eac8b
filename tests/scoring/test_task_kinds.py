"""Kinds of task: how inputs are made, who sees which truth, what is planned, and a run of each from end to end."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from random_inputs import rng
from tiny_suites import suite_toml

from graftbench.errors import GraftbenchError
from graftbench.execution.driver import run
from graftbench.execution.sheets import answers
from graftbench.images import prepared
from graftbench.metrics.catalogue import FIDELITY
from graftbench.plugins import registry
from graftbench.records import store
from graftbench.records.cell_spec import NO_SOURCE, TaskSpec
from graftbench.scoring.task_kinds import Exam, exam_of, in_grey, reduced, training_pairs, translated
from graftbench.suites.matrix import places
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import Suite, parse_suite, parse_task
from graftbench.training.samplers import ImageBankSampler, load_sampler

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.images.prepared import ImageSet
    from graftbench.records.cell_spec import Kind

DEGRADED: tuple[Kind, ...] = ("colorize", "superres4")

TOML = suite_toml(
    *("pix2pix", "pix2pix-frozen", "bicubic", "grey", "histogram-matching", "cyclegan", "gatys", "memorizer"),
    tasks=[
        *("superres4:openmoji@32", "colorize:openmoji@32", "stylize:twemoji->openmoji@32", "twemoji->openmoji@32"),
    ],
    budget="{ kimg = 0.032 }",
    metrics=["fid", "kid"],
    more="""
[parameters]
pix2pix.batch_size = 8
pix2pix-frozen.batch_size = 8
cyclegan.batch_size = 8
gatys.steps = 1
""",
)


def suite(**changes: object) -> Suite:
    """Every kind, with a method of every sort."""
    return msgspec.structs.replace(parse_suite(TOML, "kinds.toml"), **changes)


@pytest.fixture(scope="module")
def source(shared_cache: Path) -> ImageSet:
    """Twemoji at 32 px."""
    return prepared.load(registry.make_domain("twemoji"), "twemoji", 32, shared_cache)


@pytest.fixture(scope="module")
def target(shared_cache: Path) -> ImageSet:
    """OpenMoji at 32 px, which shares ids with it."""
    return prepared.load(registry.make_domain("openmoji"), "openmoji", 32, shared_cache)


# ------------------------------------------------------------------------------------------------------------ text


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("colorize:openmoji@32", TaskSpec(NO_SOURCE, "openmoji", 32, "colorize")),
        ("superres4:folder:/data/cats@64", TaskSpec(NO_SOURCE, "folder:/data/cats", 64, "superres4")),
        ("colorize:twemoji->openmoji@32", TaskSpec("twemoji", "openmoji", 32, "colorize")),
        ("stylize:twemoji:faces->openmoji:faces@16", TaskSpec("twemoji:faces", "openmoji:faces", 16, "stylize")),
        ("twemoji:faces->openmoji@32", TaskSpec("twemoji:faces", "openmoji", 32)),
        ("none->openmoji@32", TaskSpec(NO_SOURCE, "openmoji", 32)),
    ],
)
def test_a_kind_stands_before_the_task(text: str, spec: TaskSpec) -> None:
    """Texts and tasks go into each other; a domain with an argument is no kind."""
    assert parse_task(text) == spec
    assert str(spec) == text


def test_spaces_and_a_source_that_is_none_are_one_task() -> None:
    """A source may be written as `none`, and spaces do not matter."""
    assert parse_task(" colorize : none -> openmoji @ 32") == parse_task("colorize:openmoji@32")


@pytest.mark.parametrize("text", ["stylize:openmoji@32", "stylize:none->openmoji@32"])
def test_style_needs_contents(text: str) -> None:
    """There is nothing to stylise without a source domain."""
    with pytest.raises(GraftbenchError, match="stylize needs a source domain"):
        parse_task(text)


def test_plain_tasks_are_written_as_they_were() -> None:
    """JSON and hashes of a task of the kind `generate` know no kind; an old record's task is read as one."""
    plain = TaskSpec("twemoji", "openmoji", 32)
    text = b'{"source":"twemoji","target":"openmoji","resolution":32}'
    assert msgspec.json.encode(plain) == text
    assert msgspec.json.decode(text, type=TaskSpec) == plain
    assert msgspec.to_builtins(plain) == {"source": "twemoji", "target": "openmoji", "resolution": 32}
    other = msgspec.structs.replace(plain, kind="stylize")
    assert msgspec.json.decode(msgspec.json.encode(other), type=TaskSpec) == other != plain


# ------------------------------------------------------------------------------------------------------ degradation


def test_grey_is_pillows_luma(target: ImageSet) -> None:
    """Pixel for pixel Pillow's mode L, in three equal channels; grey again is the same."""
    images = torch.from_numpy(np.array(target.pixels[:20]))
    found = in_grey(images)
    expected = [np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L")) for image in images]
    for channel in range(3):
        assert torch.equal(found[:, channel], torch.from_numpy(np.stack(expected)))
    assert torch.equal(in_grey(found), found)


def test_reduction_is_the_mean_of_sixteen() -> None:
    """Sixteen pixels of 0…15 have the mean 7.5, which goes up; a block of one level stays; blocks do not mix."""
    image = torch.arange(16, dtype=torch.uint8).view(1, 1, 4, 4).expand(1, 3, 4, 4)
    wide = torch.cat([image, torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)], dim=3)
    assert reduced(wide).tolist() == [[[[8, 255]]] * 3]


# ------------------------------------------------------------------------------------------------------------ pairs


@pytest.mark.parametrize("kind", DEGRADED)
def test_pairs_come_from_the_data_budget(target: ImageSet, kind: Kind) -> None:
    """Truths are the chosen images in the domain's order, inputs the same images, degraded."""
    chosen = [int(i) for i in target.positions("train")[[7, 3, 5]]]
    inputs, truths = training_pairs(kind, None, target, chosen)
    assert np.array_equal(truths.numpy(), target.pixels[sorted(chosen)])
    assert torch.equal(inputs, {"colorize": in_grey, "superres4": reduced}[kind](truths))


def test_pairs_of_styles_share_an_id(source: ImageSet, target: ImageSet) -> None:
    """An input is the source's training image of its truth's id; chosen images without one are left out."""
    chosen = [int(i) for i in target.positions("train")[:60]]
    inputs, truths = training_pairs("stylize", source, target, chosen)
    train = {source.ids[i]: source.pixels[i] for i in source.positions("train")}
    expected = [(train[target.ids[i]], target.pixels[i]) for i in sorted(chosen) if target.ids[i] in train]
    assert 0 < len(inputs) == len(truths) == len(expected)
    for (content, truth), *found in zip(expected, inputs.numpy(), truths.numpy(), strict=True):
        assert np.array_equal(found[0], content)
        assert np.array_equal(found[1], truth)


def test_no_shared_ids_are_an_error_for_who_needs_pairs(source: ImageSet, target: ImageSet) -> None:
    """The sentence names both domains; plain generation has no pairs at all."""
    strangers = dataclasses.replace(target, ids=tuple(f"other-{i}" for i in target.ids))
    chosen = [int(i) for i in target.positions("train")[:5]]
    with pytest.raises(GraftbenchError, match="None of the 5 training images of openmoji has an image of the same id"):
        training_pairs("stylize", source, strangers, chosen)
    with pytest.raises(GraftbenchError, match="'generate' has no pairs"):
        training_pairs("generate", source, target, chosen)


# ------------------------------------------------------------------------------------------------------------- exams


@pytest.mark.parametrize("kind", DEGRADED)
def test_an_exam_is_of_the_reference_split(target: ImageSet, kind: Kind) -> None:
    """Its truths are different reference images, as many as are asked for; its inputs are they, degraded."""
    exam = exam_of(kind, None, target, "reference", 40)
    assert exam.positions is not None
    assert exam.truths is not None
    assert len(set(exam.positions.tolist())) == 40
    assert {target.splits[i] for i in exam.positions} == {"reference"}
    assert np.array_equal(exam.truths.numpy(), target.pixels[exam.positions])
    assert torch.equal(exam.inputs, {"colorize": in_grey, "superres4": reduced}[kind](exam.truths))
    again = exam_of(kind, None, target, "reference", 20)
    assert torch.equal(again.inputs, exam.inputs[:20])
    assert len(exam_of(kind, None, target, "reference", 10**6).inputs) == len(target.positions("reference"))


def test_an_exam_of_styles_is_unseen_on_both_sides(source: ImageSet, target: ImageSet) -> None:
    """Contents and truths have one id, and both lie in the reference split: no pair of a data budget is among them."""
    exam = exam_of("stylize", source, target, "reference", 10**6)
    assert exam.positions is not None
    assert exam.truths is not None
    contents = {source.ids[i]: source.pixels[i] for i in source.positions("reference")}
    assert {target.splits[i] for i in exam.positions} == {"reference"}
    for content, position, truth in zip(exam.inputs.numpy(), exam.positions, exam.truths.numpy(), strict=True):
        assert np.array_equal(content, contents[target.ids[position]])
        assert np.array_equal(truth, target.pixels[position])
    assert len(exam.inputs) > 400


def test_contents_without_truths(source: ImageSet, target: ImageSet) -> None:
    """Where no id is shared, the source's reference split is stylised, and nobody knows what it should become."""
    strangers = dataclasses.replace(target, ids=tuple(f"other-{i}" for i in target.ids))
    exam = exam_of("stylize", source, strangers, "reference", 30)
    assert exam.positions is exam.truths is None
    unseen = {source.pixels[i].tobytes() for i in source.positions("reference")}
    assert {image.tobytes() for image in exam.inputs.numpy()} <= unseen
    assert len(exam.inputs) == 30


def test_what_does_not_translate_is_refused(target: ImageSet) -> None:
    """A sampler without inputs, or of images of another size, ends as an error that says what was expected."""
    exam = exam_of("superres4", None, target, "reference", 3)
    with pytest.raises(GraftbenchError, match=r"left a ImageBankSampler|left an? ImageBankSampler"):
        translated(ImageBankSampler(exam.inputs), exam, 32, rng())
    identity = registry.methods()["grey"]
    bank = identity().fit(_Pairs(exam), None)  # type: ignore[arg-type]
    with pytest.raises(GraftbenchError, match=r"uint8 3×3×32×32 on the CPU; found torch.uint8 3×3×8×8"):
        translated(bank, exam, 32, rng())


class _Pairs:
    """A task that offers an exam's inputs as its pairs."""

    def __init__(self, exam: Exam) -> None:
        self.pairs = exam.inputs, exam.truths


def test_the_sheet_has_input_answer_and_truth(target: ImageSet) -> None:
    """Rows of eight tiles: inputs with their pixels repeated, images, truths; two rows where no truth is known."""
    exam = exam_of("superres4", None, target, "reference", 10)
    assert exam.truths is not None
    sheet = np.asarray(answers(exam.inputs, 255 - exam.truths, exam.truths)).transpose(2, 0, 1)
    assert sheet.shape == (3, 96, 256)
    second = slice(32, 64)
    assert np.array_equal(sheet[:, :32:4, second][..., ::4], exam.inputs[1])
    assert np.array_equal(sheet[:, 32:64, second], 255 - exam.truths[1])
    assert np.array_equal(sheet[:, 64:, second], exam.truths[1])
    assert answers(exam.inputs[:3], exam.truths[:3], None).size == (256, 64)


# ---------------------------------------------------------------------------------------------------- plans and runs


def test_cells_of_other_kinds_are_not_planned(shared_cache: Path) -> None:
    """A method has cells where it serves; the plan says where it has none; ids of kinds differ.

    What counts the missing cells of a merged run knows it too, and a method that serves no task leaves the suite.
    """
    plan = make_plan(suite(), shared_cache)
    served = {task: {cell.method for cell in plan.cells if str(cell.task) == task} for task in plan.suite.tasks}
    both = {"pix2pix", "pix2pix-frozen"}
    assert served == {
        "superres4:openmoji@32": {*both, "bicubic"},
        "colorize:openmoji@32": {*both, "grey", "histogram-matching"},
        "stylize:twemoji->openmoji@32": {*both, "histogram-matching", "cyclegan", "gatys"},
        "twemoji->openmoji@32": {"cyclegan", "gatys", "memorizer"},
    }
    assert plan.suite.cells == len(plan.cells) == len(set(plan.ids)) == 15
    assert (
        "stylize:twemoji->openmoji@32: no cells of bicubic, grey, memorizer, which do not serve the kind 'stylize'"
    ) in plan.notes
    assert {(place[0], place[1]) for place in places(plan.suite)} == {(c.method, str(c.task)) for c in plan.cells}
    alone = make_plan(suite(tasks=["twemoji->openmoji@32"]), shared_cache).suite
    assert alone.methods == ["cyclegan", "gatys", "memorizer"]
    assert alone.parameters.keys() == {"cyclegan", "gatys"}
    assert len(places(alone)) == alone.cells == 3
    lone = suite(tasks=["colorize:openmoji@32"], methods=["bicubic"], parameters={})
    with pytest.raises(GraftbenchError, match="No method of the suite serves tasks of the kind 'colorize'"):
        make_plan(lone, shared_cache)


@pytest.mark.long
@pytest.mark.usefixtures("shared_cache", "warm_executor")
def test_every_kind_runs_from_end_to_end(tmp_path: Path, target: ImageSet) -> None:
    """Every cell ends well, with fidelity beside FID and KID where there is a truth and nowhere else.

    Grey as it is, scored by hand, has the PSNR of the record: the truth is that of the reference split.
    """
    done = run(suite(), tmp_path / "run")
    records, _ = store.read(tmp_path / "run" / "records.jsonl")
    assert {f"{r.cell.method} {r.cell.task}: {r.reason}" for r in records if r.status != "ok"} == set()
    assert done.statuses == {"ok": 15}
    for record in records:
        plain = record.cell.task.kind == "generate"
        assert [score.name for score in record.scores] == ["fid", "kid", *([] if plain else FIDELITY)]
        assert all(score.value is not None for score in record.scores)
        assert any("inputs of the reference split" in note for note in record.notes) != plain
        assert load_sampler(tmp_path / "run" / record.artifacts["sampler"]).sample(2, rng()).shape == (2, 3, 32, 32)
        assert record.leaks == (record.cell.method in ("pix2pix-frozen", "gatys"))
    grey = next(record for record in records if record.cell.method == "grey")
    truths = target.pixels[exam_of("colorize", None, target, "reference", 40).positions].astype(float)
    luma = np.rint((truths * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(axis=1, keepdims=True))
    expected = (10 * np.log10(255**2 / np.maximum(1 / 12, ((truths - luma) ** 2).mean(axis=(1, 2, 3))))).mean()
    score = grey.score("psnr")
    assert score is not None
    assert score.value == pytest.approx(expected, abs=0.01)  # luma here is rounded from floats
