"""Publishes runs as a static folder: an index over them, and each run's page, tables and records.

    index.html  published.json  .nojekyll
    runs/<name>/  index.html  table.md  results.csv  records.jsonl

All links are relative, and nothing is loaded from elsewhere: any server shows the folder, and it opens from disk.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.cache import atomic_file
from graftbench.errors import GraftbenchError
from graftbench.execution.merge import check_sent
from graftbench.records.paths import without_folders
from graftbench.records.run import RECORDS, Run, read_run, records_file
from graftbench.report import summary, write_reports
from graftbench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graftbench.contracts import Report
    from graftbench.plugins.registry import PluginIndex
    from graftbench.records.record import Record

LISTED = "published.json"
"""File that lists what was written, so that the next time replaces that and nothing else."""
NO_JEKYLL = ".nojekyll"
"""Empty file that keeps GitHub Pages from rewriting the others."""

_TEMPLATE = Path(__file__).with_name("index.html.jinja")
_MOST_DUPLICATES = 20


@dataclass(frozen=True)
class Site:
    """A folder that was published.

    Attributes:
        index: Its first page.
        notes: What is worth knowing of the records that others sent, in sentences.
    """

    index: Path
    notes: list[str]


@dataclass(frozen=True)
class _Part:
    """A run of the site.

    Attributes:
        run: Its records, without the paths of anybody's machine.
        checked_against: Name of the run that it was checked against; empty for one's own.
        remarks: Sentences about it on the index.
    """

    run: Run
    checked_against: str = ""
    remarks: tuple[str, ...] = ()


class _Listed(msgspec.Struct):
    """Contents of published.json: paths of files, relative to it."""

    files: list[str]


def publish(runs: Sequence[Path], out: Path, found: PluginIndex[Report], *, theirs: Sequence[Path] = ()) -> Site:
    """Write the site of some runs.

    Args:
        runs: Run folders, or records.jsonl files; they are not changed.
        out: Folder to write: new, or one with other files, which are left alone.
        found: The reports that write each run's files.
        theirs: Files of records (or run folders) that somebody sent.

    Raises:
        GraftbenchError: A run cannot be read or has no records, sent records do not belong to any of the runs, `out`
            is a file, cannot be written, or holds another file where one of these goes. Nothing was written then.
    """
    if out.exists() and not out.is_dir():
        raise GraftbenchError(f"The output '{out}' is a file; publish needs a folder.")
    own = {path.resolve(): path for path in runs}.values()
    parts = [_Part(_public(_own_run(path))) for path in own]
    sent_parts, notes = [], []
    for file in dict.fromkeys(map(records_file, theirs)):
        part, part_notes = _sent(file, [records_file(path) for path in own])
        sent_parts.append(part)
        notes += part_notes
    try:
        with tempfile.TemporaryDirectory(prefix="graftbench-site-") as temporary:
            _write(Path(temporary), [*parts, *sent_parts], found)
            _replace(out, Path(temporary))
    except OSError as error:
        raise GraftbenchError(f"The folder '{out}' cannot be written ({error.strerror or error}).") from error
    return Site(out / "index.html", notes)


# ------------------------------------------------------------------------------------------------------------- reading


def _own_run(path: Path) -> Run:
    """Read a run; a file of records that lies in no run folder goes by its own name."""
    run, file = read_run(path), records_file(path)
    return run if file.name == RECORDS else replace(run, name=file.stem)


def _sent(file: Path, runs: Sequence[Path]) -> tuple[_Part, list[str]]:
    """Return the part that somebody's records make, and notes on them; the first run that they belong to counts.

    Raises:
        GraftbenchError: They belong to none of the runs.
    """
    refusals: list[str] = []
    for run in runs:
        try:
            joining = check_sent(file, run)
        except GraftbenchError as error:
            refusals.append(str(error))
            continue
        name = (file.parent.resolve().name if file.name == RECORDS else file.stem) or "theirs"
        remarks = [_agreement(len(joining.duplicates), sum(not each.agrees for each in joining.duplicates))]
        differing = [f"'{file}': {each}" for each in joining.duplicates if not each.agrees]
        left_out = len(differing) - _MOST_DUPLICATES
        notes = [*joining.notes, *differing[:_MOST_DUPLICATES], *([f"… and {left_out:,} more"] if left_out > 0 else [])]
        part = Run(name=name, records=joining.records, folder=file.parent)
        return _Part(_public(part), _own_run(run).name, tuple(filter(None, remarks))), notes
    raise GraftbenchError("\n".join(dict.fromkeys(refusals)))


def _agreement(both: int, differ: int) -> str:
    """Say of how many cells both have results, and of how many these differ."""
    if not both:
        return ""
    cells = "1 cell" if both == 1 else f"{both:,} cells"
    return f"{cells} of it were run by both: {both - differ:,} agree to the digit, {differ:,} differ."


def _public(run: Run) -> Run:
    """Return the run without the paths of the machine that made it; every record keeps its id."""
    return replace(run, records=[_without_paths(record) for record in run.records])


def _without_paths(record: Record) -> Record:
    cell = record.cell
    parameters = {name: _cut(value) if name in cell.files else value for name, value in cell.parameters.items()}
    protocol = cell.protocol.with_weights_at(_cut)
    return msgspec.structs.replace(
        record,
        cell=msgspec.structs.replace(cell, parameters=parameters, protocol=protocol),
        reason=_cut(record.reason),
        log_tail=_cut(record.log_tail),
        notes=_cut(record.notes),
        environment=_cut(record.environment),
    )


def _cut(value: Any) -> Any:  # noqa: ANN401 - anything that JSON can say
    """Cut absolute paths to their last part in all texts of a value."""
    if isinstance(value, str):
        return without_folders(value)
    if isinstance(value, list):
        return [_cut(item) for item in value]
    return {key: _cut(item) for key, item in value.items()} if isinstance(value, dict) else value


# ------------------------------------------------------------------------------------------------------------- writing


def _write(folder: Path, parts: Sequence[_Part], found: PluginIndex[Report]) -> None:
    """Write the whole site into an empty folder."""
    entries = []
    for part, name in zip(parts, _folder_names(part.run.name for part in parts), strict=True):
        target = folder / "runs" / name
        written = write_reports(part.run, target, found)
        (target / RECORDS).write_bytes(b"".join(msgspec.json.encode(record) + b"\n" for record in part.run.records))
        counted, *sentences = summary(part.run, found) or [""]
        files = sorted(path.relative_to(folder).as_posix() for path in [*written, target / RECORDS])
        page = f"runs/{name}/index.html"
        others = [(PurePosixPath(file).name, file) for file in files if file != page]
        entries.append((part, page if page in files else "", counted, sentences, others))
    (folder / "index.html").write_text(_index(entries), encoding="utf-8", newline="")
    (folder / NO_JEKYLL).touch()


def _index(entries: Sequence[tuple[_Part, str, str, list[str], list[tuple[str, str]]]]) -> str:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - merge and run do not need it

    jinja = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return jinja.from_string(_TEMPLATE.read_text("utf-8")).render(entries=entries, version=__version__)


def _folder_names(names: Iterable[str]) -> list[str]:
    """Return a name of letters, digits, `.`, `_` and `-` for each run's folder, each once whatever the case."""
    taken: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:80] or "run"
        unique, number = plain, 1
        while unique.lower() in taken:
            number += 1
            unique = f"{plain}-{number}"
        taken[unique.lower()] = unique
    return list(taken.values())


def _replace(out: Path, site: Path) -> None:
    """Put a new site in the place of the old one; files that publish did not write are left alone.

    The list of both stands first: a killed publish leaves nothing that the next one takes for somebody else's.

    Raises:
        GraftbenchError: Somebody else's file, or a link that leads out of the folder, stands where one goes.
        OSError: It cannot be written.
    """
    new = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    old = _listed(out)
    for name in (*new, LISTED):
        target = out / name
        if not target.parent.resolve().is_relative_to(out.resolve()):
            raise GraftbenchError(f"'{target.parent}' leads out of '{out}'; remove that link or choose another folder.")
        ours = name in old or (name == LISTED and old) or name == NO_JEKYLL
        if not ours and (target.exists() or target.is_symlink()):
            raise GraftbenchError(f"'{target}' is there and was not published; move it away or choose another folder.")
    out.mkdir(parents=True, exist_ok=True)
    _list(out, sorted({*old, *new}))
    for name in new:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(site / name, out / name)
    for name in old.difference(new):
        _remove(out, name)
    _list(out, new)


def _listed(out: Path) -> set[str]:
    """Return what an earlier publish wrote into a folder, without paths that lead out of it.

    Raises:
        GraftbenchError: The list cannot be read.
    """
    path = out / LISTED
    try:
        files = msgspec.json.decode(path.read_bytes(), type=_Listed).files
    except FileNotFoundError:
        return set()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GraftbenchError(f"'{path}' is no list of published files ({error}); choose another folder.") from error
    return {name for name in files if not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts}


def _list(out: Path, files: Sequence[str]) -> None:
    with atomic_file(out / LISTED) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(_Listed(list(files))), indent=1) + b"\n")


def _remove(out: Path, name: str) -> None:
    """Remove a file that is published no more, and the folders that it leaves empty."""
    path = out / name
    if not path.parent.resolve().is_relative_to(out.resolve()):
        return
    path.unlink(missing_ok=True)
    for parent in path.parents:
        if parent == out or not parent.is_dir() or any(parent.iterdir()):
            return
        parent.rmdir()
