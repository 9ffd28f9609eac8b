"""The sample grid: the first eight images of each row's sheet, real images first. Nothing is picked."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.records.provenance import HANDED_IN
from graftbench.records.record import Status

from .._tables.groups import MARKS
from .._tables.numbers import KID, decimals, mean_sd
from .._tables.scores import ranked_rows
from .._tables.text import one_line, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

    from graftbench.records.record import Record

    from .._tables.groups import Group, Row

COLUMNS = 8
_TILE = 64
_GAP = 6
_TILE_GAP = 3
_LABELS = 190


@dataclass(frozen=True)
class SampleStrip:
    """Eight samples of one row.

    Attributes:
        label: Whose they are.
        detail: With how many images it was fitted, and which seed.
        image: 8·resolution × resolution pixels, RGB; None where there are none.
        absent: Why there are none.
        budget: Target training images.
        is_reference: Whether it is a reference row.
    """

    label: str
    detail: str
    image: Image | None
    absent: str
    budget: int
    is_reference: bool


def strips(group: Group, folder: Path) -> list[SampleStrip]:
    """Return real images (the oracle's sheet), then the methods by name and budget, then the other reference rows.

    Each shows its lowest seed. A reference row comes once, at the smallest data budget.
    """
    oracles = [row for row in group.references if row.method == "oracle"]
    references = [row for row in group.references if row.method != "oracle"]
    group_strips = [sample_strip(row, folder, title="real images") for row in _once(oracles)]
    group_strips += [
        sample_strip(row, folder) for row in sorted(group.methods, key=lambda row: (row.label, row.data_budget))
    ]
    return group_strips + [sample_strip(row, folder) for row in _once(references)]


def ranked_strips(group: Group, data_budget: int, folder: Path) -> list[SampleStrip]:
    """Return the strips of one data budget: real images, the untransferred source, then the methods in order of rank.

    Methods that do not compete come after the others. Each strip's detail is its KID×10³ over seeds.
    """
    references = {row.method: row for row in group.references if row.data_budget == data_budget}
    methods = group.methods_at(data_budget)
    ranked = [row for row, _ in ranked_rows(methods)]
    unranked = [row for row in methods if row not in ranked]
    shown = [(references[name], title) for name, title in _AHEAD.items() if name in references]
    shown += [(row, f"{i}. {row.label}") for i, row in enumerate(ranked, start=1)]
    shown += [(row, f"{row.label} (not ranked)") for row in unranked]
    return [replace(sample_strip(row, folder, title=title), detail=_kid(row)) for row, title in shown]


_AHEAD = {"oracle": "real images", "source": "source, untransferred"}
"""Reference rows above the ranked methods -> their label."""


def _kid(row: Row) -> str:
    summary = row.summary(KID)
    return "no KID" if summary is None else f"KID×10³ {mean_sd(summary, min(1, decimals([summary.mean])))}"


def _once(rows: Sequence[Row]) -> list[Row]:
    smallest: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row.label, row.data_budget)):
        smallest.setdefault(row.label, row)
    return list(smallest.values())


def sample_strip(row: Row, folder: Path, title: str = "") -> SampleStrip:
    """Return the samples of a row's lowest seed, or why it has none; under another title where one is given."""
    if not row.records:
        return SampleStrip(
            row.label, plural(row.data_budget, "image"), None, row.outcome, row.data_budget, row.is_reference
        )
    record = row.records[0]
    detail = f"{plural(row.data_budget, 'image')}, seed {record.cell.seed}"
    if title:
        detail = MARKS.get(row.method, "").partition(":")[0] and f"held out, seed {record.cell.seed}"
    detail += ", submitted" if row.origin == HANDED_IN else ""
    image, absent = _first_tiles(record, folder)
    return SampleStrip(title or row.label, detail, image, absent, row.data_budget, row.is_reference)


def _first_tiles(record: Record, folder: Path) -> tuple[Image | None, str]:
    """Return the first row of generated images of the contact sheet, or why there is none.

    Of a task that gives inputs it is the second: above each answer stands its input
    (`graftbench.execution.sheets.answers`).
    """
    sheet, absent = sheet_of(record, folder, "samples")
    if sheet is None:
        return None, f"no samples: {absent}"
    task = record.cell.task
    top = 0 if task.kind == "generate" else task.resolution
    return sheet.crop((0, top, COLUMNS * task.resolution, top + task.resolution)), ""


def sheet_of(record: Record, folder: Path, kind: str) -> tuple[Image | None, str]:
    """Load a sheet that a cell left, or say why it cannot be shown.

    Args:
        record: The cell's.
        folder: The run folder; nothing outside it is read.
        kind: Of the artifact: `samples`, `neighbors` or `interpolation`.

    Returns:
        RGB, 8 tiles wide and a whole number of tiles high, with the file's own text in `info`; and an empty reason.
    """
    if record.status != Status.OK:
        return None, f"the cell ended as {record.status}"
    name = record.artifacts.get(kind)
    if not name:
        return None, "the record names no sheet"
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        return None, "the record names a file outside the run folder"
    if not path.is_file():
        return None, "the sheet is missing"
    return _read(path, record.cell.task.resolution)


def _read(path: Path, side: int) -> tuple[Image | None, str]:
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures

    try:
        with PIL.Image.open(path) as sheet:
            if sheet.width != COLUMNS * side or sheet.height < side or sheet.height % side:
                return None, f"the sheet is {sheet.width}×{sheet.height} px, not 8 tiles of {side} wide"
            return sheet.convert("RGB"), ""
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):  # a SyntaxError: a broken PNG chunk
        return None, "the sheet cannot be read"


def spaced_png(image: Image) -> bytes:
    """Write rows of eight tiles as PNG, with transparent seams that fit light and dark paper."""
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures

    side = image.width // COLUMNS
    seam, rows = max(1, side // 16), image.height // side
    size = (COLUMNS * side + (COLUMNS - 1) * seam, rows * side + (rows - 1) * seam)
    wide = PIL.Image.new("RGBA", size, (0, 0, 0, 0))
    for i in range(rows):
        for j in range(COLUMNS):
            tile = image.crop((j * side, i * side, (j + 1) * side, (i + 1) * side))
            wide.paste(tile, (j * (side + seam), i * (side + seam)))
    buffer = io.BytesIO()
    wide.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


# ------------------------------------------------------------------------------------------------------ one image


def grid_image(blocks: Sequence[tuple[str, Sequence[SampleStrip]]]) -> Image:
    """Draw one labelled picture of all strips, on white.

    Args:
        blocks: (title of the group, its strips).
    """
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures
    from PIL import ImageDraw  # noqa: PLC0415 - a list of reports needs no pictures

    rows = sum(len(block) for _, block in blocks)
    width = _LABELS + COLUMNS * (_TILE + _TILE_GAP) + _GAP
    sheet = PIL.Image.new("RGB", (width, rows * (_TILE + _GAP) + len(blocks) * 40 + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    top = 0
    for title, block in blocks:
        pen.text((_GAP, top + 12), _fit(title, 14, width - 2 * _GAP), fill="#1b1f24", font=_font(14))
        top += 40
        for strip in block:
            _draw_strip(sheet, strip, top)
            top += _TILE + _GAP
    return sheet


def _draw_strip(sheet: Image, strip: SampleStrip, top: int) -> None:
    import PIL.Image  # noqa: PLC0415 - a list of reports needs no pictures
    from PIL import ImageDraw  # noqa: PLC0415 - a list of reports needs no pictures

    pen = ImageDraw.Draw(sheet)
    middle = top + _TILE // 2
    pen.text((_GAP, middle - 18), _fit(strip.label, 13, _LABELS - 2 * _GAP), fill="#1b1f24", font=_font(13))
    pen.text((_GAP, middle + 2), _fit(strip.detail, 11, _LABELS - 2 * _GAP), fill="#5c6570", font=_font(11))
    if strip.image is None:
        pen.text((_LABELS, middle - 6), strip.absent, fill="#5c6570", font=_font(12))
        return
    side = strip.image.height
    rule = PIL.Image.Resampling.NEAREST if side <= _TILE else PIL.Image.Resampling.LANCZOS
    for i in range(COLUMNS):
        tile = strip.image.crop((i * side, 0, (i + 1) * side, side)).resize((_TILE, _TILE), rule)
        sheet.paste(tile, (_LABELS + i * (_TILE + _TILE_GAP), top))


def _font(size: int) -> FreeTypeFont:
    import matplotlib as mpl  # noqa: PLC0415
    from PIL import ImageFont  # noqa: PLC0415

    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _fit(text: str, size: int, width: float) -> str:
    """Return the text, its end cut to an ellipsis where it is wider than `width` pixels."""
    text, font = one_line(text), _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
