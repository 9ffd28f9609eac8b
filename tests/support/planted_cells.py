"""Planted methods, and their cells started on an executor."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

import graftbench
from graftbench.execution.job import LOG, RESULT, CellJob, Ended
from graftbench.execution.prerequisites import entry_of
from graftbench.records.record import Record

if TYPE_CHECKING:
    from graftbench.suites.plan import Plan

PLANTED = '''
import json, os, signal, subprocess, sys, time
from pathlib import Path
import graftbench
from graftbench.contracts import Method, Reference
from graftbench.training.samplers import ImageBankSampler

class Planted(Method):
    family = "scratch"
    title = "Planted"
    reference = Reference(authors="A", title="T", venue="V", year=2026)
    trains = "nothing"

class Fine(Planted):
    name = "fine"
    def fit(self, task, budget):
        return ImageBankSampler(task.images.flip(3))

class Hoards(Planted):
    name = "hoards"
    def fit(self, task, budget):
        held = []
        while True:
            held.append(bytearray(os.urandom(1 << 20)) * 64)

class Patricide(Planted):
    """Kills the process that started it, and so everybody that runs beside it."""
    name = "patricide"
    def fit(self, task, budget):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
'''
"""A plugin's beginning: what planted methods import, their base, and methods that several tests plant."""


class CellStarter:
    """Starts a plan's cells by their method's name, each in a folder of that name, and waits for their ends."""

    def __init__(self, executor: Any, planted: tuple[Plan, Path], cache: Path, folder: Path) -> None:
        self.executor, self.cache, self.folder = executor, cache, folder
        self.plan, self.plugin = planted

    def start(
        self, method: str, *, seconds: float | None = 120, memory_mib: float | None = None, log: str = ""
    ) -> Path:
        """Start a cell, with its log linked to a file where one is given; return its folder."""
        job = self.job(method)
        folder = Path(job.folder)
        if log:
            (folder / LOG).symlink_to(log)
        self.executor.start(method, job, folder, seconds=seconds, memory_mib=memory_mib)
        return folder

    def job(self, method: str) -> CellJob:
        """Make a cell's folder and its job."""
        (cell,) = (cell for cell in self.plan.cells if cell.method == method)
        folder = self.folder / method
        folder.mkdir(exist_ok=True)
        shipped = Path(graftbench.__file__).parent / "training" / "source_models" / f"{cell.source_model}.safetensors"
        return CellJob(
            cell=cell,
            folder=str(folder),
            cache=str(self.cache),
            images={name: entry_of(self.plan.images[name, 32]) for name in (cell.task.source, cell.task.target)},
            source_model_file=str(shipped) if cell.source_model else "",
            plugins=[str(self.plugin)],
        )

    def wait(self, count: int = 1, seconds: float = 100) -> dict[str, Ended]:
        """Wait until so many have ended; return the ends by method."""
        ended: dict[str, Ended] = {}
        deadline = time.monotonic() + seconds
        while len(ended) < count:
            assert time.monotonic() < deadline, f"only {ended} ended; running: {self.executor.running}"
            ended |= {end.key: end for end in self.executor.wait(0.2)}
        return ended

    def record(self, method: str) -> Record:
        """Read the record that a cell left."""
        return msgspec.json.decode((self.folder / method / RESULT).read_bytes(), type=Record)


def live_processes(mark: bytes, *commands: bytes) -> list[int]:
    """List the processes with a mark in their environment whose command line holds one of these."""
    pids = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes()
            if any(command in line for command in commands) and mark in (process / "environ").read_bytes():
                pids.append(int(process.name))
    return pids
