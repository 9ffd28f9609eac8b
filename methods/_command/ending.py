"""Describe how a foreign program ended: in time or not, well or not, and what a record says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from graftbench.contracts import OverBudget
from graftbench.errors import GraftbenchError

from .._costs import declared_costs
from .account import FILE

if TYPE_CHECKING:
    from pathlib import Path

    from graftbench.budget import Meter
    from graftbench.contracts import Task
    from graftbench.records.cell_spec import ComputeBudget
    from graftbench.resources.programs import Ran

Error = TypeVar("Error", bound=Exception)

TOLERANCE, LEAST_TOLERANCE_SECONDS = 0.05, 5.0
"""A program may overrun its seconds by this share, and by so many seconds at least: its clock begins when it has
imported its libraries (torch: 3 s, three times that on a busy machine), and its model is written after its loop."""

LINE_CHARACTERS = 200
"""So much of a program's last line stands in the reason of its failure."""

OUT_OF_MEMORY = ("OutOfMemoryError", "CUDA out of memory", "\nMemoryError", "can't allocate memory")
"""Messages of programs with torch, NumPy or plain Python that ran out of memory."""

TAIL_CHARACTERS = 2000
"""So much of what it printed goes with the error into the record's log."""


def limit(budget: ComputeBudget) -> float | None:
    """Return the seconds after which a training is ended; None where seconds do not bind."""
    return None if budget.seconds is None else budget.seconds + _tolerance(budget.seconds)


def _tolerance(seconds: float) -> float:
    return max(LEAST_TOLERANCE_SECONDS, TOLERANCE * seconds)


def note(task: Task, ran: Ran, budget: ComputeBudget) -> None:
    """Leave in the log what was measured, and what a reader should know."""
    log, on_gpu = task.log, task.device.type == "cuda"
    log.measured["peak_memory_mib"] = ran.device_memory_mib if on_gpu else ran.peak_memory_mib
    log.measured |= {"host_memory_mib": ran.peak_memory_mib, "device_memory_mib": ran.device_memory_mib}
    log.measured["reserved_memory_mib"] = None  # its allocator's; nobody outside sees it
    log.measured["fit_memory_mib"] = None  # all of that is the program's; what this process took is nobody's cost
    if on_gpu and ran.device_memory_mib is None:
        log.notes.append("The driver did not say how much device memory the program held.")
    if ran.left_behind:
        log.notes.append(left_behind(ran, "training"))
    if budget.seconds is not None and ran.seconds > budget.seconds:
        log.notes.append(f"The program ran for {ran.seconds:.1f} s of a budget of {budget}.")


def left_behind(ran: Ran, what: str) -> str:
    """Say in a sentence how many processes a program left running."""
    these = "1 process ran" if ran.left_behind == 1 else f"{ran.left_behind} processes ran"
    return f"When the {what} program had ended, {these} on that it had started; they were ended too."


def check_ended(ran: Ran, what: str, budget: ComputeBudget | None) -> None:
    """Refuse a program that did not end well.

    Raises:
        OverBudget: It was ended, for it ignored its budget.
        MemoryError: There was not enough memory for it.
        GraftbenchError: It failed.
    """
    if ran.timed_out:
        assert budget is not None
        assert budget.seconds is not None
        raise OverBudget(
            f"the {what} program was ended after {ran.seconds:.1f} s: it ignored its budget of {budget} "
            f"(it may overrun it by {_tolerance(budget.seconds):g} s)"
        )
    if ran.exit_code == 0:
        return
    if ran.out_of_memory:
        raise MemoryError(f"the {what} program was ended by the kernel, which had no memory left")
    how = f"exit code {ran.exit_code}" if ran.exit_code > 0 else f"signal {-ran.exit_code}"
    lines = [line.strip() for line in ran.tail.splitlines() if line.strip()]
    last = _plain(lines[-1]) if lines else ""
    if any(words in ran.tail for words in OUT_OF_MEMORY):
        raise with_tail(MemoryError(f"the {what} program had not enough memory: {last}"), ran.tail)
    message = f": {last}" if last else ", and printed nothing"
    input_wanted = "EOFError" in ran.tail or "EOF when reading" in ran.tail
    hint = " It asked for input, and there is none here." if input_wanted else ""
    raise with_tail(GraftbenchError(f"The {what} program ended with {how}{message}.{hint}"), ran.tail)


def _plain(line: str) -> str:
    """Return a line without control characters, cut to LINE_CHARACTERS."""
    text = "".join(character if character.isprintable() else "�" for character in line)
    return text if len(text) <= LINE_CHARACTERS else f"…{text[-LINE_CHARACTERS:]}"


def with_tail(error: Error, tail: str) -> Error:
    """Add the end of the program's output to an error, for the record's log."""
    if tail.strip():
        error.add_note(f"The end of what the program printed:\n{tail[-TAIL_CHARACTERS:]}")
    return error


def written(out: Path) -> str:
    """Say in a sentence which files a program has left in `{out}`."""
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file() and path.name != FILE)
    if not files:
        return "It wrote nothing into {out} either."
    return f"What it wrote is kept in the cell's folder `output` ({', '.join(files[:3])}{', …' if files[3:] else ''})."


def declare(task: Task, out: Path, meter: Meter) -> None:
    """Copy the costs that the program declares into the fit's log.

    Raises:
        OverBudget: It says itself that it looked at more images than it might.
    """
    costs, notes = declared_costs(out)
    task.log.declared |= costs
    task.log.notes += notes
    images_seen = costs.get("images_seen")
    budget, most = meter.budget, meter.limit_images
    if most is None:
        return
    if images_seen is None:
        task.log.notes.append(
            f"Nobody counted how many images the program showed: it was told its budget of {budget} and does not say."
        )
    elif int(images_seen) > most:
        raise OverBudget(f"the program says that it showed {images_seen:,} images; its budget was {budget}")
