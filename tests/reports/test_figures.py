"""Figures: files, colours, axes, the sample grid."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image
from report_parts import MACHADO, part, text_of_figure

from graftbench import plotting
from graftbench.records.record import Resources, Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from pathlib import Path

    from report_parts import Make, MakeRun


def linear(color: str) -> np.ndarray:
    """SRGB `#rrggbb` -> linear RGB, 0 to 1."""
    c = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Linear RGB -> OKLab ×100 (Ottosson 2020)."""
    lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    ) @ np.clip(rgb, 0, 1)
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return 100 * to_lab @ np.cbrt(lms)


def contrast(a: str, b: str) -> float:
    """WCAG 2 contrast ratio."""
    bright, dark = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("palette", "paper"), [("PALETTE", "LIGHT_PAPER"), ("DARK_PALETTE", "DARK_PAPER")])
def test_colours_stay_apart_for_every_eye(palette: str, paper: str) -> None:
    """Contrast with the paper is 3:1 (WCAG 1.4.11), and every two colours stay apart under each kind of sight."""
    colors = getattr(plotting, palette)
    assert min(contrast(color, getattr(plotting, paper)) for color in colors) >= 3
    for sight, matrix in {"normal": np.eye(3), **MACHADO}.items():
        seen = [oklab(np.asarray(matrix) @ linear(color)) for color in colors]
        nearest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))
        assert nearest >= (15 if sight == "normal" else 9), sight


def test_every_method_has_a_look_of_its_own() -> None:
    """Twenty names get twenty looks; the order in which they are given does not matter."""
    names = [f"method {i}" for i in range(20)]
    looks = plotting.looks(names)
    assert len({(look.color, look.dashes) for look in looks.values()}) == 20
    assert looks == plotting.looks(reversed(names))


def test_a_method_keeps_its_colour_when_another_comes_unless_their_hashes_meet() -> None:
    """The five of the quick suite keep four colours of five at least when a sixth method joins."""
    names = ["dcgan", "finetune", "freezed", "gatys", "vae"]
    before, after = plotting.looks(names), plotting.looks([*names, "adapter"])
    assert sum(before[name] == after[name] for name in names) >= 4


@pytest.mark.slow
def test_a_full_set_of_files_is_written(quick_run: Run, tmp_path: Path) -> None:
    """Two figures in three formats and the grid, each readable as what it is."""
    paths = part("figures").Figures().write(quick_run, tmp_path)
    assert [path.name for path in paths] == [
        *("quality.svg", "quality.png", "quality.pdf", "cost.svg", "cost.png", "cost.pdf", "samples.png")
    ]
    for stem in ("quality", "cost"):
        assert ET.parse(tmp_path / f"{stem}.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file
        pdf = (tmp_path / f"{stem}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF-")
        assert b"/FontFile2" in pdf  # TrueType, embedded
        assert b"/Type3" not in pdf
        assert b"CreationDate" not in pdf
        with Image.open(tmp_path / f"{stem}.png") as image:
            assert len(image.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 50
            assert "Software" not in image.info


def drawn_text(run: Run) -> set[str]:
    """Return all text of the quality figure."""
    with plotting.style():
        return text_of_figure(part("_figures.quality").quality_figure(part("_tables.groups").groups(run)))


def test_lines_are_named_beside_them(quick_run: Run) -> None:
    """Every method and reference row is named in the panel; budgets are the ticks."""
    shown = drawn_text(quick_run)
    assert {"dcgan", "finetune", "freezed", "gatys", "vae", "memorizer", "source", "gaussian", "25", "400"} <= shown
    assert "KID×10³ ↓ (log)" in shown


def test_a_reference_beyond_the_axis_is_named_at_the_edge_with_its_value(record: Make, a_run: MakeRun) -> None:
    """Methods at 30 and 40 set the axis; 0.5 and 900 lie beyond it and do not squeeze it."""
    records = [record("finetune", kid=0.030), record("freezed", kid=0.040)]
    records += [record("oracle", kid=0.0005), record("gaussian", kid=0.9)]
    assert {"↓ oracle 0.5", "↑ gaussian 900"} <= drawn_text(a_run(records))


@pytest.mark.parametrize(
    "kids",
    [[-0.002, -0.001], [-0.001, 0.5], [0.0, 0.0], [0.01], [1e-9, 1e3], [None, None]],
    ids=["negative", "mixed", "zero", "one", "wide", "undefined"],
)
def test_any_finite_kid_can_be_drawn(kids: list[float | None], record: Make, a_run: MakeRun) -> None:
    """Negative values, no spread, twelve orders of magnitude, no values at all: a figure without NaN each time."""
    records = [record("finetune", 25 * 4**i, kid=kid) for i, kid in enumerate(kids)]
    svg = io.StringIO()
    with plotting.style():
        figure = part("_figures.quality").quality_figure(part("_tables.groups").groups(a_run(records)))
        figure.savefig(svg, format="svg")
        assert "nan" not in {text.lower() for text in text_of_figure(figure)}
    assert "nan" not in svg.getvalue().lower()


@pytest.mark.slow
def test_a_run_in_which_all_failed_has_figures_that_say_so(record: Make, a_run: MakeRun, tmp_path: Path) -> None:
    """No scores, no costs, no samples: three files that open."""
    run = a_run([record("dcgan", status=Status.DIVERGED)])
    part("figures").Figures().write(run, tmp_path)
    assert "no scores" in drawn_text(run)


def test_long_names_are_cut_in_figures(record: Make, a_run: MakeRun) -> None:
    """A label takes the room of 24 letters at most; the table has the whole name."""
    shown = drawn_text(a_run([record("a method whose name goes on and on"), record("vae")]))
    assert "a method whose name goe…" in shown


def test_labels_are_moved_apart_and_stay_on_the_axis() -> None:
    """Five labels at one height end a gap apart, in order, between 0 and 1; labels with room stay where they are."""
    spread = part("_spread").spread
    crowded = spread([0.99, 0.99, 0.99, 1.0, 1.0], 0.05)
    assert np.diff(crowded) == pytest.approx([0.05] * 4)
    assert crowded[-1] == 1.0
    assert spread([0.1, 0.5, 0.9], 0.05) == [0.1, 0.5, 0.9]
    assert min(spread([0.0] * 40, 0.05)) >= -1e-9
    assert spread([10, 11, 12], 7, top=100) == [10, 17, 24]
    assert spread([97, 98, 99], 7, top=100) == [86, 93, 100]


def test_energy_is_drawn_where_it_was_measured(record: Make, a_run: MakeRun, quick_run: Run) -> None:
    """Without a counter there is a note instead of a panel of zeros."""
    cost, groups = part("_figures.cost"), part("_tables.groups")
    (quick,) = groups.groups(quick_run)
    assert "energy" in cost.unmeasured_note(quick)
    resources = Resources(device="cpu", fit_seconds=3.0, images_seen=9, energy_joules=120.0, energy_source="rapl")
    (counted,) = groups.groups(a_run([record("finetune", resources=resources)]))
    assert "energy_joules" in [c.name for c in cost.measured(counted)]
    assert "energy" not in cost.unmeasured_note(counted)


# ------------------------------------------------------------------------------------------------------- samples


def strips(run: Run) -> list[Any]:
    """Strips of the run's only group."""
    (group,) = part("_tables.groups").groups(run)
    return part("_figures.samples").strips(group, run.folder)


def test_real_images_come_first_then_every_method_and_budget(quick_run: Run) -> None:
    """Rows: the oracle's sheet, five methods at two budgets, three reference rows once."""
    rows = strips(quick_run)
    assert rows[0].label == "real images"
    assert [(row.label, row.budget) for row in rows[1:11]] == [
        (name, budget) for name in ("dcgan", "finetune", "freezed", "gatys", "vae") for budget in (25, 400)
    ]
    assert [row.label for row in rows[11:]] == ["gaussian", "memorizer", "source"]
    assert rows[1].image is None
    assert "diverged" in rows[1].absent


def test_strips_by_rank_begin_with_real_images_and_the_source(record: Make, a_run: MakeRun) -> None:
    """By hand: best KID first, each with its KID×10³ of all seeds; who was trained with the judge comes last."""
    kids = {"dcgan": (50, 54), "finetune": (20, 24), "gatys": (9, 9), "oracle": (1, 2), "source": (300, 320)}
    records = [
        record(method, 25, seed, kid=kid / 1000, leaks=method == "gatys")
        for method, values in kids.items()
        for seed, kid in enumerate(values)
    ]
    run = a_run([*records, record("finetune", 400, kid=0.001), record("memorizer", 25)])
    (group,) = part("_tables.groups").groups(run)
    rows = part("_figures.samples").ranked_strips(group, 25, run.folder)
    assert [(row.label, row.detail) for row in rows] == [
        ("real images", "KID×10³ 1.5 ± 0.7"),
        ("source, untransferred", "KID×10³ 310 ± 14"),
        ("1. finetune", "KID×10³ 22.0 ± 2.8"),
        ("2. dcgan", "KID×10³ 52.0 ± 2.8"),
        ("gatys (not ranked)", "KID×10³ 9.0 ± 0.0"),
    ]
    assert rows[2].absent == "no samples: the sheet is missing"


def test_the_first_eight_tiles_of_the_lowest_seed_are_shown_pixel_for_pixel(quick_run: Run) -> None:
    """Nothing is picked, nothing is resampled."""
    chosen = next(row for row in strips(quick_run) if (row.label, row.budget) == ("finetune", 25))
    (cell,) = [r for r in quick_run.records if (r.cell.method, r.cell.data_budget, r.cell.seed) == ("finetune", 25, 0)]
    with Image.open(quick_run.folder / cell.artifacts["samples"]) as sheet:
        assert np.array_equal(np.asarray(chosen.image), np.asarray(sheet)[:32])


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "missing"), (b"not an image", "cannot be read"), ((100, 32), "100×32 px"), ((256, 40), "256×40 px")],
)
def test_a_sheet_that_cannot_be_shown_is_said_to_be(
    content: bytes | tuple[int, int] | None, says: str, record: Make, a_run: MakeRun
) -> None:
    """A missing, broken or misshapen sheet leaves a sentence in its row."""
    run = a_run([record("finetune")])
    path = run.folder / run.records[0].artifacts["samples"]
    path.parent.mkdir(parents=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        Image.new("RGB", content).save(path)
    (row,) = strips(run)
    assert row.image is None
    assert says in row.absent


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname"])
def test_nothing_outside_the_run_folder_is_read(name: str, record: Make, tmp_path: Path) -> None:
    """Records may come from someone else; a path in them must not fetch a file from elsewhere into a page."""
    folder = tmp_path / "run"
    folder.mkdir()
    Image.new("RGB", (256, 128)).save(tmp_path / "outside.png")
    run = Run(name="quick", records=[record("finetune", artifacts={"samples": name})], folder=folder)
    (row,) = strips(run)
    assert (row.image, row.absent) == (None, "no samples: the record names a file outside the run folder")
