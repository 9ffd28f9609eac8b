"""`--profile`: a trace of some steps of a fit (Chrome's format), and a table of where a step's time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

if TYPE_CHECKING:
    from pathlib import Path

TRACE, TABLE = "trace.json.gz", "profile.txt"

SKIPPED, WARM, TRACED = 3, 1, 5
"""Steps that pass unseen (the first counts operations), that the profiler warms up in, and that are traced."""

ROWS = 30
"""Operations in the table, the costliest first."""


class StepProfile:
    """Traces some steps of a fit; hears of them as an observer of its meter (`timed_meter`).

    Pauses (snapshots, checkpoints) within a traced step are in the trace.

    Args:
        device: Where the fit computes.
        folder: The cell's folder, where both files are written.
        make: Makes the profiler (`torch.profiler.profile`).

    Attributes:
        traced: How many steps are in the trace.
        problem: Why there is no trace; empty where there is one.
    """

    def __init__(self, device: str, folder: Path, make: Any = profile) -> None:  # noqa: ANN401 - torch's class has no type of its own
        self._is_gpu, self._folder = device.startswith("cuda"), folder
        activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._is_gpu else [])]
        plan = schedule(skip_first=SKIPPED, wait=0, warmup=WARM, active=TRACED, repeat=1)
        self._profiler = make(activities=activities, schedule=plan, on_trace_ready=self._write)
        self._is_on, self._steps = False, 0
        self.traced, self.problem = 0, "the fit had no batches"

    def begin(self) -> None:
        """Start the profiler with the first step."""
        if not self._is_on and not self._steps:
            self._profiler.start()
            self._is_on = True

    def end(self, images: int) -> None:
        """Tell the profiler that a step is over; stop it when it has all."""
        del images
        self._steps += 1
        if self._is_on:
            self._profiler.step()
            if self._steps >= SKIPPED + WARM + TRACED:
                self.close()

    def pause(self) -> None:
        """Go on tracing."""

    def go_on(self) -> None:
        """Go on tracing."""

    def close(self) -> None:
        """Stop the profiler, where it runs; a fit that ended early has fewer traced steps, or none."""
        if not self._is_on:
            return
        self._is_on = False
        self.problem = f"the fit had {self._steps} steps; tracing begins after {SKIPPED + WARM}"
        try:
            self._profiler.stop()
        except (RuntimeError, OSError) as error:
            self.problem = f"the profiler failed ({(str(error) or type(error).__name__).splitlines()[0]})"
        if self.traced:
            self.problem = ""

    def _write(self, profiler: Any) -> None:  # noqa: ANN401 - torch.profiler.profile
        """Write trace and table of the steps that were traced."""
        self.traced = min(TRACED, self._steps - SKIPPED - WARM)
        if self.traced < 1:
            self.traced = 0
            return
        profiler.export_chrome_trace(str(self._folder / TRACE))
        order = "self_device_time_total" if self._is_gpu else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=ROWS, max_name_column_width=60)
        head = (
            f"Where the time of {self.traced} steps went (torch {torch.__version__}); all times are of all steps "
            "together.\nProfiling slows a step: for its time see the record. The trace opens in ui.perfetto.dev.\n\n"
        )
        (self._folder / TABLE).write_text(head + table, encoding="utf-8")

    def note(self) -> str:
        """Say in a sentence what there is."""
        if self.problem:
            return f"No step was traced: {self.problem}."
        return f"{self.traced} steps were traced ({TRACE}, {TABLE}): the times of this fit hold the profiler's own."
