"""Runs reports over the records of one run or of several."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError, unknown
from graftbench.plugins.registry import metrics, reports
from graftbench.records.run import read_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from graftbench.contracts import Report
    from graftbench.plugins.registry import PluginIndex, PluginSource
    from graftbench.records.run import Run

FORMATS = {"html": ".html", "md": ".md", "csv": ".csv", "tex": ".tex", "pdf": ".pdf", "svg": ".svg", "png": ".png"}
"""Format -> ending of its files."""
PICTURES = {".pdf", ".svg", ".png"}
PAPER = {".tex", ".pdf", ".md"}
"""Endings of the files that `graftbench report --paper` writes; Markdown has the captions."""


def write_reports(
    run: Run,
    folder: Path,
    report_index: PluginIndex[Report],
    *,
    formats: Collection[str] = (),
    figure: str = "",
    baseline: str = "",
    paper: bool = False,
) -> list[Path]:
    """Write each report's files into the folder: those of every day, or what is asked for.

    Args:
        run: What is reported.
        folder: Made if it is not there.
        report_index: The reports that are known.
        formats: Keys of FORMATS; files of other endings are left out, and the captions (Markdown) of a report that
            draws are no reason to draw. With it and with `figure`, also what a report writes on request alone.
        figure: Only pictures whose file name starts so.
        baseline: The method that comparisons are made with; empty for the report's own choice.
        paper: LaTeX and PDF alone, with the figures' captions, of the reports that are for papers.

    Raises:
        GraftbenchError: There is no record, an unknown format, figure or baseline (naming the nearest), or the folder
            cannot be written.
    """
    if not run.records:
        raise GraftbenchError(f"{run.folder} holds no records yet; run its suite first.")
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)
    _check_baseline(run, baseline)
    endings = {FORMATS[name] for name in formats} or (PAPER if paper else set())
    if figure:
        endings = (endings or set(FORMATS.values())) & PICTURES
        if not endings:
            raise GraftbenchError(
                f"A figure is a picture: of the formats {', '.join(formats)} none is one; expected pdf, png or svg."
            )
    run = replace(run, baseline=baseline)
    classes = [cls for cls in report_index.classes.values() if cls.for_paper or not paper]
    chosen = [cls() for cls in classes if _is_asked_for(cls, endings)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
            made = [
                path.relative_to(temporary)
                for report in chosen
                for path in report.write(run, Path(temporary))
                if endings or not _is_on_request(report, path.name)
            ]
            return [_take(Path(temporary) / path, folder / path) for path in _wanted(made, endings, figure)]
    except OSError as error:
        file = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
        own = (folder.absolute(), *folder.absolute().parents)
        if file is not None and file.absolute() not in own and not file.absolute().is_relative_to(own[0]):
            raise GraftbenchError(f"'{file}' cannot be read ({error.strerror}), and so no report be made.") from error
        raise GraftbenchError(f"The report folder '{folder}' cannot be written: {error}.") from error


def _check_baseline(run: Run, baseline: str) -> None:
    """Refuse a baseline of no method of the run, also where nothing that is written would compare with it.

    A row's label is the method's name, and what tells variants apart behind it; the report of comparisons knows these.
    """
    methods = {record.cell.method for record in run.records}
    if baseline and not any(f"{baseline} ".startswith(f"{method} ") for method in methods):
        raise unknown("baseline", baseline, methods, where="in this run")


def write_report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    plugins: Sequence[str | PluginSource] = (),
    select: str = "",
    formats: Collection[str] = (),
    figure: str = "",
    baseline: str = "",
    paper: bool = False,
) -> list[Path]:
    """Write the page and the tables of one run or of several, or what is asked for, as `graftbench report` does.

    Args:
        runs: Run folders, or records.jsonl files; one or several.
        out: Where to write; `report` in the first run's folder by default.
        plugins: More reports and metrics: files, folders, or classes.
        select: Only some cells: `method=dcgan,finetune budget<=100`.
        formats: Keys of FORMATS; by default index.html, table.md and results.csv.
        figure: Only pictures whose file name starts so.
        baseline: The method that comparisons are made with; empty for the report's own choice.
        paper: LaTeX and figures (PDF) for a paper, and nothing else.

    Returns:
        The files.

    Raises:
        GraftbenchError: No run or record is there, an unknown format or figure, or the folder cannot be written.
    """
    paths = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    given = [plugin if isinstance(plugin, type) else Path(plugin) for plugin in plugins]
    folder = default_folder(paths) if out is None else Path(out)
    metrics(given)
    report_index = reports(given)
    run = read_runs(paths, select)
    return write_reports(run, folder, report_index, formats=formats, figure=figure, baseline=baseline, paper=paper)


def default_folder(runs: Sequence[Path]) -> Path:
    """Return the folder of a run's reports where none is named."""
    return (runs[0] if runs[0].is_dir() else runs[0].parent) / "report"


def _is_asked_for(report: type[Report], endings: Collection[str]) -> bool:
    """Return whether a report may write a file of these endings; where it draws, captions alone do not count."""
    formats = set(report.formats)
    if not endings:
        return "*" not in report.on_request
    if not formats:
        return True
    return bool((formats - {".md"} if formats & PICTURES else formats) & set(endings))


def _is_on_request(report: Report, name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in report.on_request)


def _wanted(made: Iterable[Path], endings: Collection[str], figure: str) -> list[Path]:
    candidates = [path for path in made if not endings or path.suffix in endings]
    if not figure:
        return candidates
    kept = [path for path in candidates if path.stem.startswith(figure)]
    if not kept:
        raise _no_figure(figure, sorted({path.stem for path in candidates}))
    return kept


def _no_figure(figure: str, stems: Sequence[str]) -> GraftbenchError:
    """Say that no figure's name begins so; name the nearest, or else what names begin with: whole ones have hashes."""
    beginnings = sorted({stem.partition("-")[0] for stem in stems})
    near = get_close_matches(figure, beginnings, n=1, cutoff=0.5)
    hint = f"Did you mean '{near[0]}'?" if near else f"Names begin with: {', '.join(beginnings) or 'none'}."
    return GraftbenchError(f"Unknown figure '{figure}'. {hint}")


def _take(file: Path, target: Path) -> Path:
    """Move a file to its place, whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(file, target)
    return target


def terminal_table(run: Run, report_index: PluginIndex[Report]) -> Iterator[Any]:
    """Yield what reports show on a terminal: any may have a method `terminal(run)` that returns renderables."""
    for report in report_index.classes.values():
        show = getattr(report(), "terminal", None)
        if show is not None:
            yield from show(run)


def summary(run: Run, report_index: PluginIndex[Report]) -> list[str]:
    """Return what reports say of a run in sentences: any may have a method `summary(run)` that returns a list of them.

    The page's first sentence says how many results there are and how they ended; the finding follows.
    """
    shows = (getattr(report(), "summary", None) for report in report_index.classes.values())
    return [sentence for show in shows if show is not None for sentence in show(run)]
