"""Figures for a paper: looks of many methods, curves, Pareto front, memorisation, transfer, progress, files."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from report_parts import MACHADO, part

from graftbench import plotting
from graftbench.records.cell_spec import TaskSpec
from graftbench.records.record import Record, Score, Snapshot, Status

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.run import Run


def plots(kind: str, run: Run) -> list[Any]:
    """`curve`, `pareto` or `memorization` plots of a run."""
    module = {"curve": "_figures.curves", "pareto": "_figures.pareto", "memorization": "_figures.memorization"}[kind]
    found = part("_tables.groups").groups(run)
    return getattr(part(module), f"{kind}_plots")(found, part("_figures.quality").group_looks(found))


def snapshot(share: float, kid: float | None, seconds: float) -> Snapshot:
    """A snapshot of a fit of 30,000 images; `seconds` until then."""
    undefined = "" if kid is not None else "fewer than two images"
    score = Score(name="kid", value=kid, undefined=undefined, n_generated=600, n_reference=620, protocol="lite0@96")
    return Snapshot(share=share, images_seen=int(30_000 * share), seconds=seconds, scores=[score])


def learner(record: Make, kids: Sequence[float | None], seed: int = 0, method: str = "finetune") -> Record:
    """A cell with snapshots at 25, 50, … % and its end."""
    *before, last = kids
    share = 1 / len(kids)
    taken = [snapshot(share * (i + 1), kid, 10.0 * (i + 1 + seed)) for i, kid in enumerate(before)]
    return record(method, seed=seed, kid=last, snapshots=taken)


def on(task: TaskSpec, cell: Record) -> Record:
    """The same cell of another task."""
    spec = msgspec.structs.replace(cell.cell, task=task)
    return msgspec.structs.replace(cell, id=spec.id, cell=spec)


# --------------------------------------------------------------------------------------------------------- looks


def method_names() -> list[str]:
    """One name a method file that is shipped."""
    return sorted(
        path.name.removesuffix(".py").replace("_", "-")
        for path in files("graftbench.methods").iterdir()
        if path.name.endswith(".py") and not path.name.startswith("_")
    )


def seen(color: str, sight: str) -> np.ndarray:
    """`#rrggbb` as a colour-blind eye sees it, in OKLab ×100 (Ottosson 2020)."""
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    rgb = np.asarray(MACHADO[sight]) @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    lms = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
    lms += [[0.0883024619, 0.2817188376, 0.6299787005]]
    lab = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
    lab += [[0.0259040371, 0.7827717662, -0.8086757660]]
    return 100 * np.asarray(lab) @ np.cbrt(np.asarray(lms) @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("sight", MACHADO)
def test_no_two_shipped_methods_look_the_same_to_any_eye(sight: str) -> None:
    """Each pair differs in marker, or by at least 9 in colour as a colour-blind eye sees it: without dashes, too."""
    names = method_names()
    assert len(names) >= 33
    looks = plotting.looks(names)
    color = {look.color: seen(look.color, sight) for look in looks.values()}
    for a, b in itertools.combinations(looks.values(), 2):
        assert a.marker != b.marker or np.linalg.norm(color[a.color] - color[b.color]) >= 9


@pytest.mark.parametrize("count", [8, 64, 256])
def test_looks_differ_as_far_as_they_reach(count: int) -> None:
    """8 methods differ in colour, 64 in colour and marker, 256 in these and dashes."""
    looks = plotting.looks(f"method {i}" for i in range(count)).values()
    told_by = {8: ("color",), 64: ("color", "marker"), 256: ("color", "marker", "dashes")}[count]
    assert len({tuple(getattr(look, name) for name in told_by) for look in looks}) == count


def test_few_methods_change_their_look_when_one_is_left_out() -> None:
    """Of the shipped methods at most a sixth move for any one that goes, and on average under a twentieth."""
    names = method_names()
    whole = plotting.looks(names)
    moved = []
    for gone in names:
        fewer = plotting.looks(name for name in names if name != gone)
        moved.append(sum(look != whole[name] for name, look in fewer.items()))
    assert max(moved) <= len(names) / 6
    assert np.mean(moved) < len(names) / 20


# -------------------------------------------------------------------------------------------------------- curves


def test_a_curve_is_the_mean_over_seeds_by_share(record: Make, a_run: MakeRun) -> None:
    """KID 0.4 and 0.6 at 50 % after 10 and 20 s: 500 (×10³) at 15 s and 15,000 images; the end is a point, too."""
    run = a_run([learner(record, [0.4, 0.1]), learner(record, [0.6, 0.3], seed=1)])
    ((row,),) = [group.methods for group in part("_tables.groups").groups(run)]
    half, end = part("_figures.curves").curve(row)
    assert (half.images, half.seconds) == (15_000, 15)
    assert half.values == pytest.approx((400, 600))
    assert end.images == 30_000
    assert end.values == pytest.approx((100, 300))


def test_an_undefined_snapshot_is_left_out_for_every_seed_and_said(record: Make, a_run: MakeRun) -> None:
    """A mean over other seeds than its neighbours' would bend the line: the share goes, a note says which."""
    (plot,) = plots("curve", a_run([learner(record, [0.4, 0.3, 0.2, 0.1]), learner(record, [0.4, None, 0.2, 0.1], 1)]))
    assert any("50 %" in note and "finetune" in note for note in plot.notes)
    assert plot.draw is not None


def test_a_method_without_snapshots_is_named(record: Make, a_run: MakeRun) -> None:
    """It has no curve; a seed that failed is counted."""
    records = [learner(record, [0.4, 0.1]), record("finetune", seed=1, status=Status.DIVERGED), record("vae")]
    (plot,) = plots("curve", a_run(records))
    assert any("vae" in note for note in plot.notes)
    assert "finetune: 1 of 2 seeds." in plot.notes


def test_without_snapshots_there_is_a_reason_instead_of_a_figure(quick_run: Run) -> None:
    """Never an empty frame."""
    (plot,) = plots("curve", quick_run)
    assert plot.draw is None
    assert "snapshot" in plot.caption


# ---------------------------------------------------------------------------------------------------------- plane


def spot(label: str, cost: float, kid: float, *, competes: bool = True) -> Any:
    """A method in the plane of cost and quality."""
    return part("_figures.pareto").Spot(label, cost, kid, competes)


def test_the_front_by_hand() -> None:
    """B is worse than a in both; c is cheaper; d ties with c in cost and loses; e does not compete."""
    spots = [spot("a", 10, 1), spot("b", 11, 2), spot("c", 5, 3), spot("d", 5, 4), spot("e", 1, 0.1, competes=False)]
    assert [one.label for one in part("_figures.pareto").front(spots)] == ["c", "a"]


def test_costs_below_the_resolution_are_level() -> None:
    """By hand at 3 %: 575 and 581 are level, so the better KID stands alone; 575 and 600 are not."""
    front = part("_figures.pareto").front
    assert [one.label for one in front([spot("a", 575, 3), spot("b", 581, 2)], 0.03)] == ["b"]
    assert [one.label for one in front([spot("a", 575, 3), spot("b", 600, 2)], 0.03)] == ["a", "b"]
    assert [one.label for one in front([spot("a", 575, 2), spot("b", 581, 2)], 0.03)] == ["a", "b"]


def test_resident_memory_alone_has_a_resolution(record: Make, a_run: MakeRun) -> None:
    """The caption says so where memory is the process's; seconds are compared as they are."""
    (plot,) = plots("pareto", a_run([record("finetune"), record("vae")]))
    assert plot.caption.endswith("Python and its libraries: differences below 3% count as none.")
    level = part("_figures.pareto")._level
    assert (level("fit_seconds", ["resident"]), level("peak_memory_mib", ["device"])) == (0.0, 0.0)


def test_equals_are_both_on_the_front() -> None:
    """Neither of two equal methods beats the other."""
    assert len(part("_figures.pareto").front([spot("a", 1, 1), spot("b", 1, 1)])) == 2


def test_the_front_is_what_brute_force_says() -> None:
    """For 40 random spots with ties: exactly those that no point of the others dominates."""
    rng = np.random.default_rng(0)
    spots = [spot(str(i), *map(float, rng.integers(0, 12, 2))) for i in range(40)]
    plane = np.array([(one.cost, one.kid) for one in spots])
    beaten = [bool(((plane <= one).all(axis=1) & (plane < one).any(axis=1)).any()) for one in plane]
    assert {one.label for one in part("_figures.pareto").front(spots)} == {
        str(i) for i, b in enumerate(beaten) if not b
    }


def test_what_has_no_score_or_cost_is_said(record: Make, a_run: MakeRun) -> None:
    """A method without KID and one without resources are named, the third is drawn; timings that others disturbed."""
    records = [record("finetune"), record("vae", kid=None), record("gatys", resources=None)]
    (plot,) = plots("pareto", a_run(records))
    assert plot.draw is not None
    assert any("gatys and vae" in note for note in plot.notes)
    (shared,) = plots("pareto", a_run([record("finetune"), record("gatys")]))
    assert any("upper bounds" in note and "gatys" in note for note in shared.notes)


def test_nothing_to_draw_is_a_reason(record: Make, a_run: MakeRun) -> None:
    """All cells failed: each kind says why it is not there."""
    run = a_run([record("dcgan", status=Status.DIVERGED)])
    for kind in ("curve", "pareto", "memorization"):
        (plot,) = plots(kind, run)
        assert plot.draw is None
        assert plot.caption


def test_memorisation_pairs_seeds(quick_run: Run, record: Make, a_run: MakeRun) -> None:
    """Two seeds give two pairs; a method without the ratio is named."""
    (group,) = part("_tables.groups").groups(quick_run)
    row = next(row for row in group.methods if (row.label, row.data_budget) == ("finetune", 25))
    assert len(part("_figures.memorization").pairs(row)) == 2
    (plot,) = plots("memorization", a_run([record("vae", full=True), record("finetune")]))
    assert any("finetune" in note for note in plot.notes)


def test_names_beside_points_do_not_meet() -> None:
    """Six names of points that nearly coincide: no two of their boxes overlap."""
    from matplotlib.figure import Figure

    style = part("_figures.style")
    with plotting.style(size=7):
        figure = Figure(figsize=(3.4, 2.5), layout="constrained")
        axes = figure.subplots()
        spots = [(1 + i / 1000, 1.0) for i in range(6)]
        axes.plot(*zip(*spots, strict=True), "o")
        axes.set_xlim(0, 2)
        style.label_points(axes, [(x, y, f"a method {i}", "#000000") for i, (x, y) in enumerate(spots)], spots)
        figure.draw_without_rendering()
        # The text's own box; an annotation's window extent would take in its pointer.
        from matplotlib.text import Text

        boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


# ------------------------------------------------------------------------------------------------------- transfer


def test_the_matrix_holds_the_best_of_each_pair(record: Make, a_run: MakeRun) -> None:
    """Best by mean KID; a leaking method does not compete; a chosen method is shown instead where asked."""
    first, second = TaskSpec("twemoji", "openmoji", 32), TaskSpec("openmoji", "twemoji", 32)
    records = [record("finetune", kid=0.03), record("freezed", kid=0.02), record("gatys", kid=0.01, leaks=True)]
    records += [on(second, record("finetune", kid=0.05)), on(second, record("freezed", status=Status.OOM))]
    found, heatmap = part("_tables.groups").groups(a_run(records)), part("_figures.heatmap")
    matrix, notes = heatmap.transfer_matrix(found, 25)
    best = {pair: (square.label, square.kid) for pair, square in matrix.items()}
    assert best == {
        (first.source, first.target): ("freezed", pytest.approx(20)),
        (second.source, second.target): ("finetune", pytest.approx(50)),
    }
    assert not notes
    chosen, notes = heatmap.transfer_matrix(found, 25, "freezed")
    assert list(chosen) == [("twemoji", "openmoji")]
    assert "freezed: 1 of 1 oom" in notes[0]
    (plot,) = heatmap.heatmap_plots(found)
    assert plot.draw is not None


def test_one_task_has_no_matrix(quick_run: Run) -> None:
    """Nor have two that were scored differently or at different resolutions."""
    (plot,) = part("_figures.heatmap").heatmap_plots(part("_tables.groups").groups(quick_run))
    assert plot.draw is None


# ------------------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("size", "says"),
    [((256, 64), ""), ((256, 96), "256×96 px, not 256×64"), (None, "missing")],
    ids=["whole", "misshapen", "gone"],
)
def test_pictures_of_snapshots(size: tuple[int, int] | None, says: str, record: Make, a_run: MakeRun) -> None:
    """8 samples a row, a row a snapshot; what cannot be shown is said. A second method keeps the figure there."""
    cells = [learner(record, [0.4, 0.2, 0.1], method=method) for method in ("finetune", "vae")]
    cells = [msgspec.structs.replace(c, artifacts={"progress": f"cells/{c.id}/progress.png"}) for c in cells]
    run = a_run(cells)
    for cell, shape in zip(cells, (size, (256, 64)), strict=True):
        (run.folder / "cells" / cell.id).mkdir(parents=True)
        if shape:
            Image.new("RGB", shape, "teal").save(run.folder / cell.artifacts["progress"])
    (plot,) = part("_figures.progress").progress_plots(part("_tables.groups").groups(run), run.folder)
    assert plot.draw is not None
    assert says in "".join(plot.notes)
    assert bool(plot.notes) == bool(says)


def test_a_picture_outside_the_run_folder_is_not_read(record: Make, a_run: MakeRun) -> None:
    """Records may come from someone else."""
    cell = learner(record, [0.4, 0.1])
    run = a_run([msgspec.structs.replace(cell, artifacts={"progress": "../x.png"})])
    Image.new("RGB", (256, 32)).save(run.folder.parent / "x.png")
    (plot,) = part("_figures.progress").progress_plots(part("_tables.groups").groups(run), run.folder)
    assert plot.draw is None


# ---------------------------------------------------------------------------------------------------------- files


def whole_run(record: Make, a_run: MakeRun) -> Run:
    """Two tasks, two methods, snapshots with pictures."""
    back = TaskSpec("openmoji", "twemoji", 32)
    cells = [learner(record, [0.4, 0.2], method=method) for method in ("finetune", "a_b$^x% <i>")]
    cells = [msgspec.structs.replace(c, artifacts={"progress": f"cells/{c.id}/progress.png"}) for c in cells]
    run = a_run([*cells, *(on(back, cell) for cell in cells)])
    for cell in run.records:
        path = run.folder / cell.artifacts["progress"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (256, 32), "teal").save(path)
    return run


def write(run: Run, records: Sequence[Record], out: Path) -> list[Path]:
    """The report of the given records of a run."""
    out.mkdir()
    return part("figures").PaperFigures().write(type(run)(run.name, records, run.folder, run.expected), out)


@pytest.mark.long
def test_every_figure_comes_in_three_formats_and_two_widths_and_repeats(
    record: Make, a_run: MakeRun, tmp_path: Path
) -> None:
    """3.4 and 7 inches wide at 160 dots an inch; the records in another order give the same bytes."""
    run = whole_run(record, a_run)
    first, second = tmp_path / "first", tmp_path / "second"
    assert sorted(write(run, run.records, first)) == sorted(first.iterdir())
    write(run, run.records[::-1], second)
    names = sorted(path.name for path in first.iterdir())
    stems = {re.sub(r"-[12]col\..*", "", name) for name in names} - {"figures.md"}
    assert {re.sub(r"-.*", "", stem) for stem in stems} == {"cost", "curves", "pareto", "transfer", "progress"}
    assert len(names) == 6 * len(stems) + 1
    for name in names:
        data = (first / name).read_bytes()
        assert data == (second / name).read_bytes()
        assert str(run.folder).encode() not in data
        if name.endswith(".png"):
            with Image.open(first / name) as image:
                assert image.width == (544 if "1col" in name else 1120)


def test_captions_name_every_figure_and_what_is_not_drawn(record: Make, a_run: MakeRun) -> None:
    """A section a figure with its notes, names escaped; kinds without data stand at the end with the reason."""
    run = a_run([learner(record, [0.4, 0.2], method="a_b$"), record("vae", kid=None)])
    drawn = [*plots("curve", run), *plots("pareto", run), *plots("memorization", run)]
    captions = part("figures").captions_of(drawn)
    assert "## curves-n25\n" in captions
    assert "## pareto-n25\n" in captions
    assert "vae" in captions
    assert "## Not drawn\n\n- memorization: no method has both" in captions


def one_pdf(run: Run, folder: Path) -> Path:
    """The learning curves of a run as a PDF of one column."""
    style = part("_figures.style")
    (plot,) = plots("curve", run)
    with plotting.style(size=style.PRINT_SIZE):
        return next(path for path in style.save(plot.draw(3.4), folder / "curves") if path.suffix == ".pdf")


@pytest.mark.slow
def test_fonts_are_embedded_as_truetype(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No Type 3, which publishers refuse; no date."""
    data = one_pdf(a_run([learner(record, [0.4, 0.2])]), tmp_path).read_bytes()
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert b"CreationDate" not in data


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="pdftotext (poppler-utils) is not installed")
def test_text_of_a_pdf_can_be_searched(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """The method's name and the axes' come out as letters, ligatures taken apart."""
    path = one_pdf(a_run([learner(record, [0.4, 0.2])]), tmp_path)
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout  # noqa: S607
    assert {"finetune", "training images seen", "seconds of fitting"} <= set(text.splitlines())
