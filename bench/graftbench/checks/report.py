"""The contract of reports: a pure function of the records, whatever they hold."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.checks.check import Check, Fault
from graftbench.checks.method_text import words
from graftbench.checks.records import CASES, MARKUP, SOMEWHERE, TIME_BUDGET, whole, write_run, write_sheets
from graftbench.checks.targets import plugin_sources
from graftbench.errors import GraftbenchError
from graftbench.plugins import registry
from graftbench.plugins.variants import NAME
from graftbench.records.run import Run, read_run
from graftbench.resources import processes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.contracts import Report
    from graftbench.records.record import Record

TEXTS = {".md", ".csv", ".tex", ".html", ".txt", ".json", ".svg"}
"""Endings of files that are looked into."""

_PRINTED = {".md", ".csv", ".tex", ".html", ".txt"}
_NO_NUMBER = re.compile(r"(?<![\w-])(nan|inf)(?![\w-])|[>|,] *None *[<|,]")
_WRITE = "import sys; from graftbench.checks.report import tell_bytes; tell_bytes(*sys.argv[1:])"

ZONES = ("Etc/GMT+12", "Etc/GMT-14")
"""Twelve hours behind UTC and fourteen before: never the same date."""


class ReportSubject:
    """A report, and what it writes of a whole run.

    Args:
        cls: The report.
        folder: For files of the checks.
        plugin: What it was found in, as `targets.plugin_sources` takes it; empty for a registered one.
    """

    def __init__(self, cls: type[Report], folder: Path, plugin: str = "") -> None:
        self.cls, self.folder, self.plugin = cls, folder, plugin
        self._count = 0

    def empty_folder(self) -> Path:
        """Make a folder that nobody has used."""
        self._count += 1
        folder = self.folder / f"{self.cls.name}-{self._count}"
        folder.mkdir(parents=True)
        return folder

    def run_folder(self, records: Sequence[Record]) -> Path:
        """Make a run folder of these records."""
        return write_run(self.empty_folder() / "run", records)

    def written(self, records: Sequence[Record]) -> list[Path]:
        """Return what the report writes of these records, into a folder of its own."""
        folder = self.empty_folder() / "run"
        write_sheets(folder, records)
        return self.cls().write(Run("checked", records, folder, len(records)), self.empty_folder())


def metadata(subject: ReportSubject) -> Iterator[Fault]:
    """Name, title, docstring and endings are in their place."""
    cls = subject.cls
    if not NAME.fullmatch(cls.name):
        yield Fault(f"name = {cls.name!r}", "lower-case letters, digits and . _ + -", 'write name = "my-report"')
    yield from words(cls, "title")
    if not cls.__doc__:
        yield Fault(f"class {cls.__name__} has no docstring", "what the report is for", "write one")
    wrong = [form for form in cls.formats if not re.fullmatch(r"\.[a-z0-9.]+", form)]
    if isinstance(cls.formats, str) or wrong:
        yield Fault(f"formats = {cls.formats!r}", 'endings like (".md", ".svg")', "write a tuple of endings")


def writes(subject: ReportSubject) -> Iterator[Fault]:
    """Of a whole run it writes files into its folder, and returns all of them and nothing else."""
    run, out = subject.run_folder(whole()), subject.empty_folder()
    before = _snapshot(run)
    named = subject.cls().write(read_run(run), out)
    if not isinstance(named, list) or not all(isinstance(path, Path) for path in named):
        yield Fault(f"write returned {type(named).__name__} {named!r:.200}", "a list of paths", "return list[Path]")
        return
    files = {path for path in out.rglob("*") if path.is_file()}
    gone = [path.name for path in named if path not in files]
    if gone:
        yield Fault(f"{gone[0]} was returned and is not there", "files in the folder `out`", "return out / name")
    silent = sorted(path.name for path in files - set(named))
    if silent:
        yield Fault(f"{silent[0]} was written and not returned", "all files that were written", "return its path too")
    if not named:
        yield Fault("nothing was written", "one file at least", "write what there is to say of a run that went well")
    if _snapshot(run) != before:
        yield Fault("the run folder changed", "a run folder as it was: it is only read", "write into `out` alone")
    endings = {path.suffix for path in named}
    if subject.cls.formats and endings != set(subject.cls.formats):
        yield Fault(
            f"files that end in {', '.join(sorted(endings)) or 'nothing'}",
            f"those of formats: {', '.join(subject.cls.formats)}",
            "name in `formats` the endings that are written",
        )


def _snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name -> size and time of change of every file."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def order(subject: ReportSubject) -> Iterator[Fault]:
    """The same records in any order give the same bytes."""
    records = whole()
    first, second = subject.written(records), subject.written(records[::-1])
    yield from _differences(
        _bytes(first), _bytes(second), "records in reverse order", "sort what you print, by something that records hold"
    )


def elsewhere(subject: ReportSubject) -> Iterator[Fault]:
    """Another day, place, hash seed, time zone and folder: the same bytes, and nothing is written anywhere else."""
    run = subject.run_folder(whole())
    outputs: list[dict[str, str]] = []
    for seed, zone in enumerate(ZONES):
        here, out = subject.empty_folder(), subject.empty_folder()
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "TZ": zone, "LC_ALL": "C", "HOME": str(here)}
        command = [*processes.PYTHON, "-c", _WRITE, subject.plugin, subject.cls.name, str(run), str(out)]
        done = subprocess.run(  # noqa: S603 - this Python
            command, capture_output=True, text=True, env=environment, check=False, cwd=here
        )
        if done.returncode:
            yield Fault(f"another process failed: {done.stderr.strip()[-400:]}", "files", "see what it says")
            return
        names = sorted(path.name for path in here.iterdir() if not path.name.startswith("."))
        if names:
            yield Fault(f"{names[0]} was left in the working directory", "files in `out` alone", "write out / name")
        outputs.append(msgspec.json.decode(done.stdout.rpartition("written: ")[2]))
        time.sleep(1.1 if not seed else 0)  # the clock's seconds are others
    yield from _differences(
        outputs[0],
        outputs[1],
        "another process, time zone and second",
        "leave out clocks, the order of sets, hash(…), random names and the working directory",
    )


def tell_bytes(plugin: str, name: str, run: str, out: str) -> None:
    """Write a report and print the hashes of its files: the other side of `elsewhere`."""
    cls = registry.reports(plugin_sources(plugin))[name]
    written = _bytes(cls().write(read_run(Path(run)), Path(out)))
    print(f"written: {msgspec.json.encode(written).decode()}")  # noqa: T201 - it is what is asked for


def _bytes(paths: Sequence[Path]) -> dict[str, str]:
    """Return name -> hash of the contents."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _differences(first: dict[str, str], second: dict[str, str], when: str, mend: str) -> Iterator[Fault]:
    other = sorted(name for name in first | second if first.get(name) != second.get(name))
    if other:
        yield Fault(f"{', '.join(other)} with other bytes for {when}", "the same bytes for the same records", mend)


def private(subject: ReportSubject) -> Iterator[Fault]:
    """No output says where a file lies on this machine or on the one that made the records, or what day it is."""
    run, out = subject.run_folder(whole()), subject.empty_folder()
    today = datetime.now(UTC).date().isoformat()
    for path in subject.cls().write(read_run(run), out):
        data = path.read_bytes()
        for path_text in (str(run), str(out), SOMEWHERE):
            if path_text.encode() in data:
                yield Fault(
                    f"{path.name} holds the path {path_text}", "no place of a machine", "cut paths to their names"
                )
        if path.suffix in TEXTS and today.encode() in data:
            yield Fault(f"{path.name} holds today's date", "what the records say", "print no date but theirs")


def nothing(subject: ReportSubject) -> Iterator[Fault]:
    """A run without records is refused in a sentence, before anything is written: an empty page looks like a result."""
    out = subject.empty_folder()
    try:
        named = subject.cls().write(Run(name="checked", records=[], folder=subject.empty_folder()), out)
    except GraftbenchError as error:
        if "no records" not in str(error):
            yield Fault(f"it says {str(error)!r}", "that there are no records", "name what is missing: 'no records'")
    else:
        yield Fault(
            f"it returned {[path.name for path in named]}",
            "a GraftbenchError that says that there are no records",
            'if not run.records: raise GraftbenchError(f"{run.name} has no records.")',
        )
    if list(out.iterdir()):
        yield Fault("something was written", "nothing", "look at the records first")


def bears(subject: ReportSubject, *, case: str) -> Iterator[Fault]:
    """Files that open, in which nothing is printed as nan, inf or None, and no name is taken for markup."""
    records = CASES[case]()
    # Each cell under a second compute budget too: reports that compare such budgets have something to say.
    cells = [msgspec.structs.replace(one.cell, compute_budget=TIME_BUDGET) for one in records]
    more = [msgspec.structs.replace(one, cell=cell, id=cell.id) for one, cell in zip(records, cells, strict=True)]
    for path in subject.written([*records, *more]):
        if path.suffix not in TEXTS:
            continue
        text = path.read_text("utf-8")
        if path.suffix in {".html", ".md", ".svg"} and MARKUP in text:
            yield Fault(
                f"{path.name} has a method's name {MARKUP} as markup",
                "names as text: < written &lt;",
                "escape what comes from records (html.escape)",
            )
        prose = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
        if path.suffix in _PRINTED and (number := _NO_NUMBER.search(prose)):
            context = " ".join(prose[max(0, number.start() - 20) : number.end() + 10].split())
            yield Fault(
                f"{path.name} prints {number.group().strip('>|, <')!r} (… {context} …)",
                "a dash or a word where there is no finite number",
                "ask math.isfinite, and whether score.value and record.resources are None",
            )


_WRITES = ("writes",)

CHECKS: tuple[Check[Any], ...] = (
    Check("metadata", metadata),
    Check("writes", writes),
    Check("order", order, _WRITES),
    Check("elsewhere", elsewhere, _WRITES),
    Check("private", private, _WRITES),
    Check("no records", nothing),
    *(Check(case, partial(bears, case=case), _WRITES) for case in CASES),
)
