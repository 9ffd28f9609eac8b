"""Measure the costs of a cell beside its fit: calibration, sampling, the size of what it leaves."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graftbench.execution.stored_size import stored_bytes, tensor_bytes
from graftbench.nn.precision import resolve
from graftbench.resources.calibration import calibration_seconds, peak_flops_per_second
from graftbench.resources.monitor import Beside, FitMonitor

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from graftbench.contracts import Method, Sampler
    from graftbench.execution.cell_task import CellTask
    from graftbench.resources.monitor import Measurement


def calibrated(device: str) -> float | str:
    """Return the seconds of the fixed work (`resources.calibration`), or why they could not be had."""
    try:
        return calibration_seconds(device)
    except RuntimeError as error:
        return f"the calibration failed ({_first_line(error)})"


def peak_of(method: Method, device: torch.device, *, before: float | str, after: float | str) -> Beside:
    """Return the calibration of a fit: the mean of its two times, and the peak in the type in which it multiplies.

    Args:
        method: The method; by its setting `precision` the type is known, float32 without one.
        device: Where it was fitted.
        before: Calibration before the fit, or why there is none.
        after: Likewise after it.
    """
    dtype = resolve(getattr(method.config, "precision", "float32"), device)
    name = str(dtype).removeprefix("torch.")
    reasons = [reason for reason in (before, after) if isinstance(reason, str)]
    missing = {"calibration_seconds": reasons[0]} if reasons else {}
    seconds = None if isinstance(before, str) or isinstance(after, str) else (before + after) / 2
    try:
        peak = peak_flops_per_second(str(device), dtype)
    except RuntimeError as error:
        peak, missing["peak_flops_per_second"] = None, f"the product of matrices failed ({_first_line(error)})"
    return Beside(
        calibration_seconds=seconds,
        peak_flops_per_second=peak,
        peak_flops_dtype=name if peak is not None else "",
        missing=missing,
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


@contextmanager
def measured_sampling(sampler: Sampler, device: str) -> Iterator[list[Measurement]]:
    """Measure the first time that a sampler draws or translates images within the block.

    Scoring calls the sampler, and its code is what a cell's id depends on: so the sampler is watched.

    Yields:
        A list that holds the measurement when it was made; it stays empty for a sampler that takes no attributes.
    """
    made: list[Measurement] = []

    def watched(draw: Any) -> Any:  # noqa: ANN401 - a bound method
        def draw_measured(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes
            if made:
                return draw(*arguments, **named)
            with FitMonitor(device) as monitor:
                images = draw(*arguments, **named)
            made.append(monitor.measurement)
            return images

        return draw_measured

    names = [name for name in ("translate", "sample") if hasattr(sampler, name)]
    with suppress(AttributeError, TypeError):  # a frozen dataclass, a class with slots
        for name in names:
            setattr(sampler, name, watched(getattr(sampler, name)))
    try:
        yield made
    finally:
        for name in names:
            getattr(sampler, "__dict__", {}).pop(name, None)


def sizes_of(sampler: Sampler, task: CellTask, beside: Beside) -> Beside:
    """Add the sizes of what a fit leaves to what was measured beside it; where the sampler has no state, why not."""
    try:
        tensors, _ = sampler.state()
        source = task.source_model.tensors if task.source_model_sha256 else {}
        return replace(beside, sampler_bytes=tensor_bytes(tensors), stored_bytes=stored_bytes(tensors, source))
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything; scores that are there are not lost for it
        reason = f"the sampler's state could not be had ({type(error).__name__})"
        return replace(beside, missing=beside.missing | {"sampler_bytes": reason, "stored_bytes": reason})
