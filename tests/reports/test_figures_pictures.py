"""Figures of tiles for papers: the sample grid, nearest training images, ways through latent spaces, their sheets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from report_parts import part, text_of_plot

from graftbench import plotting
from graftbench.records.record import Status
from graftbench.records.run import Run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from report_parts import Make, MakeRun

    from graftbench.records.record import Record


SIDE = 32
WEIRD = ("<script>alert(1)</script>", "a_b%c\\d{e}$", "a method whose name goes on and on and on and on")


def tiles(rows: int, start: int = 0) -> np.ndarray:
    """A sheet of flat tiles, the i-th of grey `start` + i: uint8, rows·32 × 8·32 × 3."""
    greys = (start + np.arange(rows * 8, dtype=np.uint8)).reshape(rows, 8)
    return np.repeat(np.repeat(greys, SIDE, axis=0), SIDE, axis=1)[..., None].repeat(3, axis=2)


def leave(run: Run, record: Record, kind: str, rows: int = 4, text: str = "") -> Record:
    """The record with a sheet of that kind on the disk; `text` are its distances."""
    name = f"cells/{record.id}/{kind}.png"
    path = run.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    if text:
        info.add_text("distances", text)
    Image.fromarray(tiles(rows)).save(path, pnginfo=info)
    return msgspec.structs.replace(record, artifacts=record.artifacts | {kind: name})


def with_sheets(run: Run, kinds: Sequence[str], text: str = "") -> Run:
    """The run whose cells that ended well have sheets of these kinds."""
    records = []
    for record in run.records:
        for kind in kinds if record.status == Status.OK else ():
            record = leave(run, record, kind, text=text)  # noqa: PLW2901 - one sheet after another
        records.append(record)
    return Run(run.name, records, run.folder, run.expected)


def plots(kind: str, run: Run) -> list[Any]:
    """`grid`, `neighbor` or `interpolation` plots of a run."""
    module = {
        "grid": "_figures.sample_grid",
        "neighbor": "_figures.neighbors",
        "interpolation": "_figures.interpolation",
    }[kind]
    return getattr(part(module), f"{kind}_plots")(part("_tables.groups").groups(run), run.folder)


ARTIFACT = {"grid": "samples", "neighbor": "neighbors", "interpolation": "interpolation"}


# --------------------------------------------------------------------------------------------------------- drawing


def test_tiles_are_placed_pixel_for_pixel() -> None:
    """Two columns of two tiles of 32 px: seams of 2, a gap of 10 between the columns, rows 3 apart."""
    grid = part("_figures.sample_grid")
    cell = tuple(np.full((SIDE, SIDE, 3), grey, dtype=np.uint8) for grey in (10, 20, 30))
    picture, lefts = grid._picture([grid.TileRow("a", (cell, cell[::-1])), grid.TileRow("b", ((), cell))], 2, 1)
    assert lefts == [0, 2 * SIDE + 2 + SIDE // 3]
    assert picture.shape == (2 * SIDE + 3, lefts[1] + 2 * SIDE + 2, 3)
    assert (picture[0, 0, 0], picture[0, SIDE, 0], picture[0, SIDE + 2, 0]) == (10, 255, 20)
    assert (picture[0, lefts[1], 0], picture[SIDE + 3, 0, 0], picture[SIDE + 3, lefts[1], 0]) == (30, 255, 10)


def test_blocks_are_whole() -> None:
    """Tiles that belong together are shown together: a narrow column has one block of four, a wide one more."""
    grid = part("_figures.sample_grid")
    rows = [grid.TileRow("a", (tuple(np.zeros((SIDE, SIDE, 3), np.uint8) for _ in range(32)),))]
    counts = [grid._tiles_a_cell(rows, column, 0.3, 4) for column in (0.5, 1.4, 2.9, 99.0)]
    assert counts == [4, 4, 8, 32]


@pytest.mark.parametrize("count", [1, 34, 60])
def test_a_figure_never_outgrows_a_page(count: int) -> None:
    """At most 9.1 inches high, of one method as of sixty; as wide as asked for."""
    grid, style = part("_figures.sample_grid"), part("_figures.style")
    cell = tuple(np.zeros((SIDE, SIDE, 3), np.uint8) for _ in range(8))
    with plotting.style(size=style.PRINT_SIZE):
        for width in style.WIDTHS.values():
            figure = grid.draw_tiles([grid.TileRow(f"m {i}", (cell,)) for i in range(count)], [""], "title", width)
            assert figure.get_size_inches()[0] == width
            assert figure.get_size_inches()[1] <= 9.1


# ---------------------------------------------------------------------------------------------------------- plots


@pytest.mark.parametrize("kind", ARTIFACT)
def test_methods_are_rows_and_failures_are_said(kind: str, record: Make, a_run: MakeRun) -> None:
    """Both methods that have a sheet are named, the one that diverged is in the notes; strange names are text."""
    records = [*(record(name) for name in WEIRD), record("dcgan", status=Status.DIVERGED), record("oracle")]
    (plot,) = plots(kind, with_sheets(a_run(records), [ARTIFACT[kind]]))
    assert plot.draw is not None
    shown = text_of_plot(plot)
    assert any(text.startswith("a method whose") for text in shown)
    assert any(text.startswith("a_b%c") for text in shown)
    assert any("dcgan" in note and "diverged" in note for note in plot.notes)


@pytest.mark.parametrize("kind", ARTIFACT)
def test_without_sheets_there_is_a_reason(kind: str, record: Make, a_run: MakeRun) -> None:
    """All cells failed, or none left such a picture, or reference rows alone did: never an empty frame."""
    failed = a_run([record("dcgan", status=Status.DIVERGED)])
    references = with_sheets(a_run([record("oracle")]), [ARTIFACT[kind]])
    for run in (failed, references, a_run([record("vae", artifacts={})])):
        (plot,) = plots(kind, run)
        assert plot.draw is None
        assert plot.caption


@pytest.mark.parametrize("kind", ["neighbor", "interpolation"])
@pytest.mark.parametrize("content", [None, b"no image", (100, 32)], ids=["gone", "broken", "misshapen"])
def test_a_sheet_that_cannot_be_shown(
    kind: str, content: bytes | tuple[int, int] | None, record: Make, a_run: MakeRun
) -> None:
    """It is named in the notes; the others are drawn."""
    run = with_sheets(a_run([record("vae"), record("finetune")]), [ARTIFACT[kind]])
    path = run.folder / run.records[0].artifacts[ARTIFACT[kind]]
    if content is None:
        path.unlink()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        Image.new("RGB", content).save(path)
    (plot,) = plots(kind, run)
    assert any("vae" in note and "sheet" in note for note in plot.notes)
    assert "finetune" in text_of_plot(plot)


@pytest.mark.parametrize("kind", ["neighbor", "interpolation"])
def test_nothing_outside_the_run_folder_is_read(kind: str, record: Make, tmp_path: Path) -> None:
    """Records may come from someone else."""
    (tmp_path / "run").mkdir()
    Image.fromarray(tiles(4)).save(tmp_path / "x.png")
    one = record("vae", artifacts={ARTIFACT[kind]: "../x.png"})
    (plot,) = plots(kind, Run("quick", [one], tmp_path / "run"))
    assert plot.draw is None


def test_the_lowest_seed_with_a_sheet_is_shown(record: Make, a_run: MakeRun) -> None:
    """Seed 0 failed: seed 1 takes its place, and the strip says so."""
    run = a_run([record("vae", 25, 0, status=Status.OOM), record("vae", 25, 1)])
    run = with_sheets(run, ["neighbors"])
    (group,) = part("_tables.groups").groups(run)
    (strip,) = part("_figures.neighbors").neighbor_strips(group, run.folder)
    assert strip.detail == "25 images, seed 1"
    assert strip.image is not None


@pytest.mark.parametrize(
    ("text", "far"),
    [
        ("[[3.0, 4.0], [1.0, 8.0], [2.0, 9.0]]", "= 2"),
        ("[[0.00004, 19.0], [0.00003, 5.0]]", "≈ 0"),
        ("[[0.0], [0.0]]", "≈ 0"),
        ("", ""),
        ("[]", ""),
        ("[[], []]", ""),
        ('{"a": 1}', ""),
        ("[[null]]", ""),
    ],
)
def test_distances_come_from_the_file(text: str, far: str, record: Make, a_run: MakeRun) -> None:
    """The median distance to the nearest; copies are 0 but for rounding; a file that does not say is shown without."""
    run = with_sheets(a_run([record("vae")]), ["neighbors"], text)
    (group,) = part("_tables.groups").groups(run)
    (strip,) = part("_figures.neighbors").neighbor_strips(group, run.folder)
    assert strip.far == far
    (plot,) = plots("neighbor", run)
    assert (f"d {far}" in text_of_plot(plot)) == bool(far)


def test_a_generated_image_stands_before_its_neighbours(record: Make, a_run: MakeRun) -> None:
    """Tiles 0, 8, 16, 24 of the sheet are the first block, 1, 9, 17, 25 the second."""
    run = with_sheets(a_run([record("vae")]), ["neighbors"])
    neighbors = part("_figures.neighbors")
    (group,) = part("_tables.groups").groups(run)
    (strip,) = neighbors.neighbor_strips(group, run.folder)
    row = neighbors._tile_row(strip)
    assert [int(tile[0, 0, 0]) for tile in row.cells[0][:8]] == [0, 8, 16, 24, 1, 9, 17, 25]


def test_data_budgets_are_columns_of_the_grid(quick_run: Run) -> None:
    """Both budgets head a column, real images come first, the diverged cells are noted."""
    (plot,) = plots("grid", quick_run)
    assert {"n = 25", "n = 400", "real images", "finetune"} <= text_of_plot(plot)
    assert any("dcgan" in note and "25" in note for note in plot.notes)


def test_sheets_of_several_rows_are_spaced() -> None:
    """A PNG for a page: transparent seams of 2 px between tiles of 32, across and down."""
    import io

    png = part("_figures.samples").spaced_png(Image.fromarray(tiles(4)))
    with Image.open(io.BytesIO(png)) as image:
        assert image.size == (8 * 32 + 7 * 2, 4 * 32 + 3 * 2)
        assert image.getpixel((32, 0))[3] == image.getpixel((0, 33))[3] == 0  # type: ignore[index]
        assert image.getpixel((0, 34)) == (8, 8, 8, 255)
