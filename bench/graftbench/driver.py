"""Runs a suite into a folder: what is missing, once, and nothing that was computed is ever lost."""

from __future__ import annotations

import fcntl
import functools
import shutil
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import tomli_w

from graftbench import record as records_file
from graftbench import source
from graftbench.cache import cache_folder
from graftbench.device import resolve_device
from graftbench.environment import describe
from graftbench.errors import GraftbenchError
from graftbench.executors.local import Ended, LocalExecutor
from graftbench.plan import Plan, make_plan
from graftbench.progress import ConsoleProgress, Progress, Silent
from graftbench.record import Record, Status
from graftbench.suite import Suite, load_suite, override, parse_suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graftbench.record import CellSpec

LOG_TAIL_CHARACTERS = 4000


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        folder: The run folder.
        total: Cells of the suite.
        ran: Cells that ran now.
        statuses: Status -> number of cells of the suite that ended so, over all runs.
    """

    folder: Path
    total: int
    ran: int
    statuses: dict[str, int]

    @property
    def exit_code(self) -> int:
        """0 if every cell is `ok`, else 3."""
        return 0 if self.statuses.get(Status.OK, 0) == self.total else 3


def run(
    suite: str | Path | Suite,
    out: str | Path,
    *,
    jobs: int = 1,
    device: str = "auto",
    methods: Sequence[str] | None = None,
    plugins: Sequence[str | Path] = (),
    retry: Sequence[str] = (),
    progress: Progress | None = None,
) -> Summary:
    """Run every cell of a suite that has no record in `out` yet.

    Args:
        suite: Name of a packaged suite, path of a TOML file, or a `Suite`.
        out: Run folder; made if it is not there, continued if it holds a run of the same suite.
        jobs: Cells side by side.
        device: `auto` (CUDA where it is there), `cpu`, `cuda` or `cuda:N`.
        methods: Instead of the suite's.
        plugins: Files or folders with more methods and domains.
        retry: Statuses (`error`, `timeout`, …) whose cells are run again.
        progress: Told what happens; silent by default.

    Returns:
        How many cells ran and how the suite's cells ended.

    Raises:
        GraftbenchError: Bad suite, unusable data, or a folder that cannot be used. Nothing was run.
    """
    told = progress or Silent()
    wanted = suite if isinstance(suite, Suite) else load_suite(suite)
    wanted = override(wanted, methods=methods)
    paths = [Path(plugin).resolve() for plugin in plugins]
    statuses = _statuses(retry)
    folder = Path(out)
    with _claimed(folder, wanted.name):
        cache = cache_folder()
        plan = make_plan(wanted, cache, plugins=paths, say=told.say)
        for note in plan.notes:
            told.say(note)
        _check_same_protocol(folder, plan.suite)
        records, warnings = records_file.read(folder / "records.jsonl")
        for warning in warnings:
            told.say(warning)
        done = records_file.latest(records)
        missing = [c for c in plan.cells if c.id not in done or done[c.id].status in statuses]
        _write_suite(folder, plan.suite)
        if missing:
            chosen = resolve_device(device)
            _reference_features(plan, missing, cache, chosen)
            files = _source_models(plan, missing, cache, chosen, told)
            told.begin(len(plan.cells), len(plan.cells) - len(missing))
            if isinstance(told, ConsoleProgress):
                told.plan(Counter(cell.method for cell in missing))
            runner = _Runner(
                folder,
                cache=cache,
                source_files=files,
                plugins=[str(p) for p in paths],
                device=chosen,
                progress=told,
                done=done,
            )
            runner.run(missing, jobs=jobs, seconds=plan.suite.limits.cell_seconds)
        ended = Counter(str(done[c.id].status) for c in plan.cells if c.id in done)
        return Summary(folder, len(plan.cells), len(missing), dict(ended))


def _statuses(names: Sequence[str]) -> set[Status]:
    from graftbench.errors import unknown  # noqa: PLC0415

    for name in names:
        if name not in list(Status):
            raise unknown("status", name, list(Status), where="in --retry")
    return {Status(name) for name in names}


@contextmanager
def _claimed(folder: Path, name: str) -> Iterator[None]:
    """Hold the run folder for one driver.

    Raises:
        GraftbenchError: It cannot be written, holds something else, or another driver works in it.
    """
    if folder.exists() and not folder.is_dir():
        raise GraftbenchError(f"The output '{folder}' is a file; a run needs a folder.")
    foreign = folder.is_dir() and any(folder.iterdir()) and not (folder / "suite.toml").exists()
    if foreign and not (folder / ".lock").exists():
        raise GraftbenchError(f"The output folder '{folder}' is not empty and holds no run; choose another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise GraftbenchError(f"The output folder '{folder}' cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GraftbenchError(f"Another run is working in '{folder}'; wait for it or choose another.") from error
        if (folder / "suite.toml").exists():
            there = read_suite(folder)
            if there.name != name:
                raise GraftbenchError(
                    f"'{folder}' holds a run of suite '{there.name}', not '{name}'. Choose another --out."
                )
        yield


def read_suite(folder: Path) -> Suite:
    """The suite as resolved of a run folder."""
    path = folder / "suite.toml"
    return parse_suite(path.read_text("utf-8"), str(path))


def _check_same_protocol(folder: Path, suite: Suite) -> None:
    if not (folder / "suite.toml").exists():
        return
    here = msgspec.structs.replace(suite.protocol, weights="")
    there = msgspec.structs.replace(read_suite(folder).protocol, weights="")
    for name in here.__struct_fields__:
        old, new = getattr(there, name), getattr(here, name)
        if old != new:
            raise GraftbenchError(
                f"'{folder}' holds a run under another protocol ({name}: {old!r} there, {new!r} now); "
                "numbers of two protocols do not compare. Choose another --out."
            )


def _write_suite(folder: Path, suite: Suite) -> None:
    part = folder / "suite.toml.part"
    plain = msgspec.to_builtins(suite)
    part.write_text(tomli_w.dumps(_without_none(plain)), "utf-8")
    part.replace(folder / "suite.toml")


def _without_none(value: object) -> dict:
    """TOML has no null; what is left out takes its default."""
    assert isinstance(value, dict)
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in value.items() if v is not None}


def _reference_features(plan: Plan, missing: Sequence[CellSpec], cache: Path, device: str) -> None:
    """Extract the references and score the floors once, before the cells that need them.

    Missing or wrong weights end the run here.

    Not on CUDA: this process must leave the device to its cells, and the first of them does it as fast.
    """
    from graftbench.scoring import RealFeatures, extractor_of  # noqa: PLC0415 - torch comes with it

    if device != "cpu":
        return
    extractor = functools.cache(lambda: extractor_of(plan.suite.protocol, device))
    for target in dict.fromkeys((cell.task.target, cell.task.resolution) for cell in missing):
        RealFeatures(extractor, plan.targets[target], plan.suite.protocol, cache).floors()


def _source_models(plan: Plan, missing: Sequence[CellSpec], cache: Path, device: str, told: Progress) -> dict[str, str]:
    """Recipe id -> file, trained before the cells that need it."""
    needed = dict.fromkeys(cell.source_model for cell in missing if cell.source_model)
    files = {}
    for recipe_id in needed:
        recipe, images = plan.recipes[recipe_id]
        file = source.obtain(recipe, images, cache, device=device, say=told.say)
        source.verify(file, recipe)
        files[recipe_id] = str(file)
    return files


class _Runner:
    """Starts cells, collects their records and appends them. Only this process writes records.jsonl."""

    def __init__(
        self,
        folder: Path,
        *,
        cache: Path,
        source_files: dict[str, str],
        plugins: list[str],
        device: str,
        progress: Progress,
        done: dict[str, Record],
    ) -> None:
        self._folder = folder
        self._cache = cache
        self._source_files = source_files
        self._plugins = plugins
        self._device = device
        self._progress = progress
        self._done = done

    def run(self, cells: Sequence[CellSpec], *, jobs: int, seconds: float) -> None:
        """Run the cells, `jobs` side by side; a stop at any moment loses at most those in flight."""
        waiting = [cell for cell in reversed(cells) if not self._adopt(cell)]
        by_id = {cell.id: cell for cell in cells}
        executor = LocalExecutor(seconds=seconds)
        try:
            while waiting or executor.running:
                while waiting and executor.running < jobs:
                    self._start(executor, waiting.pop())
                for ended in executor.wait(0.2):
                    self._collect(by_id[ended.key], ended, seconds)
        finally:
            executor.close()

    def _adopt(self, cell: CellSpec) -> bool:
        """Take the result of a cell that ended when no driver was there to record it (killed, or the disk was full)."""
        result = self._folder / "cells" / cell.id / "result.json"
        if cell.id in self._done or not result.exists():
            return False
        try:
            record = msgspec.json.decode(result.read_bytes(), type=Record)
        except msgspec.MsgspecError:
            return False
        self._keep(record)
        self._progress.ended(record, 0.0)
        return True

    def _keep(self, record: Record) -> None:
        """Append a record, then clear away what the cell's process left for the driver.

        Raises:
            GraftbenchError: The record cannot be written; the cell's own result.json stays and is taken next time.
        """
        path = self._folder / "records.jsonl"
        try:
            records_file.append(path, record)
        except OSError as error:
            raise GraftbenchError(
                f"'{path}' cannot be written ({error.strerror}). Nothing recorded is lost; make room and run the same "
                "command again."
            ) from error
        for name in ("result.json", "result.part", "job.json"):
            (self._folder / "cells" / record.id / name).unlink(missing_ok=True)
        self._done[record.id] = record

    def _start(self, executor: LocalExecutor, cell: CellSpec) -> None:
        from graftbench.cell import Job  # noqa: PLC0415 - torch comes with it

        artifacts = f"cells/{cell.id}"
        folder = self._folder / artifacts
        if folder.exists():
            shutil.rmtree(folder)  # what a killed run left, or a failure that is tried again
        folder.mkdir(parents=True)
        job = Job(
            cell=cell,
            folder=str(folder.resolve()),
            artifacts=artifacts,
            cache=str(self._cache.resolve()),
            source_model_file=self._source_files.get(cell.source_model, ""),
            plugins=self._plugins,
            device=self._device,
        )
        path = folder.resolve() / "job.json"
        path.write_bytes(msgspec.json.encode(job))
        executor.start(cell.id, path, folder.resolve() / "log.txt")
        self._progress.started(cell)

    def _collect(self, cell: CellSpec, ended: Ended, limit_seconds: float) -> None:
        folder = self._folder / "cells" / cell.id
        result = folder / "result.json"
        if result.exists():
            record = msgspec.json.decode(result.read_bytes(), type=Record)
        else:
            record = self._dead(cell, ended, limit_seconds)
        self._keep(record)
        self._progress.ended(record, ended.seconds)

    def _dead(self, cell: CellSpec, ended: Ended, limit_seconds: float) -> Record:
        """The row of a cell whose process left no record."""
        if ended.timed_out:
            status, reason = Status.TIMEOUT, f"killed after the limit of {limit_seconds:g} s (cell_seconds)"
        elif ended.exit_code is None:
            status, reason = Status.LOST, "the process that started the cell died"
        elif ended.exit_code < 0:
            status, reason = Status.KILLED, f"the cell's process was ended by signal {-ended.exit_code}"
        else:
            status, reason = Status.ERROR, f"the cell's process ended with code {ended.exit_code} and left no record"
        log = self._folder / "cells" / cell.id / "log.txt"
        text = log.read_bytes()[-LOG_TAIL_CHARACTERS:].decode("utf-8", "replace") if log.exists() else ""
        return Record(
            id=cell.id,
            cell=cell,
            status=status,
            reason=reason,
            exit_code=ended.exit_code,
            log_tail=text,
            environment=describe(self._device),
            artifacts={"log": f"cells/{cell.id}/log.txt"},
            finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
