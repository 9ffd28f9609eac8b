"""index.html: the whole comparison on one self-contained page."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.contracts import Report
from graftbench.plotting import DARK_PALETTE, PALETTE
from graftbench.records.provenance import SAYS

from ._figures.quality import group_looks
from ._page.cells import cells_json, chosen_cells, held_note
from ._page.pictures import Pictures
from ._page.plots import MARKERS, STROKES
from ._page.quality import quality_of
from ._page.related_work import citations, claim_tables, code_lines, known_methods
from ._page.row_keys import choices
from ._page.run_facts import beside, command, domains, environment, failures
from ._page.sections import sections
from ._page.words import finished
from ._tables.finding import words
from ._tables.groups import groups, mixed_protocols, outcome
from ._tables.origins import DECLARED_MARK, ROW_MARKS
from ._tables.overall import overall
from ._tables.tasks import task_tables

if TYPE_CHECKING:
    from graftbench.records.run import Run

_HERE = Path(__file__).parent
_WRITING = ".writing-"
"""Begins the name of the folder from which `graftbench report` moves whole files into the folder above it."""


class Page(Report):
    """One page that opens from disk, mails and prints: no network, light and dark, readable without its script."""

    name = "page"
    title = "Page (HTML)"
    formats = (".html",)

    def write(self, run: Run, out: Path) -> list[Path]:
        """Write index.html."""
        path = out / "index.html"
        folder = out.parent if out.name.startswith(_WRITING) else out
        path.write_text(render(run, folder), encoding="utf-8", newline="")
        return [path]

    def summary(self, run: Run) -> list[str]:
        """Say how many results there are and when they were made; then the finding over all, and of each task."""
        all_groups = groups(run)
        days = finished([record for group in all_groups for record in group.records])
        counted = f"{outcome(run)} {days}." if days else outcome(run)
        over_all = filter(None, [mixed_protocols(all_groups), overall(all_groups)])
        return [counted, *over_all, *map(words, all_groups)]


def render(run: Run, folder: Path | None = None) -> str:
    """Render the page; everything that came from the records is escaped.

    Args:
        run: What is shown.
        folder: Folder in which the page will lie: within the run folder it links logs and sample sheets, elsewhere or
            unknown it names them. It does nothing else.
    """
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - other reports do not need it

    all_groups = groups(run)
    ordered = [record for group in all_groups for record in group.records]
    cells = chosen_cells(all_groups)
    pictures = Pictures(run.folder)
    page_sections = sections(all_groups, pictures, {record.id: i for i, record in enumerate(cells)})
    methods = known_methods()
    bibtex, uncited = citations(ordered, methods)
    script = _text("page.js")
    looks = group_looks(all_groups)
    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return jinja.from_string(_text("page.html.jinja")).render(
        name=run.name,
        outcome=outcome(run),
        finished=finished(ordered),
        mixed=mixed_protocols(all_groups),
        overall=overall(all_groups),
        sections=page_sections,
        settings=[setting for section in page_sections for setting in section.settings],
        over_tasks=task_tables([section.table for section in page_sections]),
        choices=choices(all_groups, [m for s in page_sections for p in s.panels for m in p.table.panel.metrics]),
        looks=looks,
        markers=MARKERS,
        strokes=STROKES,
        origins={origin: (mark, SAYS[origin]) for origin, mark in ROW_MARKS.items()},
        declared_mark=DECLARED_MARK,
        palettes=(PALETTE, DARK_PALETTE),
        css=_text("page.css"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        cells=cells_json(cells, ordered, run, folder),
        held_note=held_note(len(cells), len(ordered)),
        without_neighbors=pictures.without,
        beside=beside(folder),
        quality=quality_of(ordered),
        claims=claim_tables(ordered),
        failures=failures(all_groups),
        environment=environment(ordered),
        domains=domains(ordered),
        code=code_lines(ordered, methods),
        bibtex=bibtex,
        uncited=uncited,
        command=command(run),
        version=str(ordered[0].environment.get("graftbench", "")),
    )


def _text(name: str) -> str:
    return (_HERE / name).read_text("utf-8")
