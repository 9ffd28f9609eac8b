"""Runs the looks, each in a process of its own and under a limit: what crashes or hangs in one ends no other."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec

from graftbench.selftest.finding import Bench, SelftestFinding, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.process import BaseProcess
    from pathlib import Path

GRACE_SECONDS = 5.0
"""What a process that is past its limit gets to end by itself."""


@dataclass(frozen=True)
class DeviceLook:
    """A look at the device.

    Attributes:
        name: The module in `looks` that takes it.
        title: What it is about.
        seconds: Its limit: a guard against what hangs, wide enough for a machine that others use.
    """

    name: str
    title: str
    seconds: float


LOOKS = (
    DeviceLook("timing", "Times hold what was queued", 120),
    DeviceLook("memory", "Memory is counted", 120),
    DeviceLook("energy", "Energy is the counter's", 120),
    DeviceLook("kernels", "Features against float64", 600),
    DeviceLook("throughput", "How fast the loop is", 600),
    DeviceLook("methods", "Every method", 1500),
    DeviceLook("cells", "Cells side by side; out of memory", 900),
)
"""In the order in which they are taken: one after the other, for each wants the device for itself."""


@dataclass(frozen=True)
class LookResult:
    """What one look came to.

    Attributes:
        look: The look.
        findings: What it found.
        seconds: How long it took.
    """

    look: DeviceLook
    findings: list[SelftestFinding]
    seconds: float


def take(
    look: DeviceLook, device: str, *, quick: bool, folder: Path, cache: Path, seconds: float | None = None
) -> LookResult:
    """Take one look in a process of its own; whatever becomes of it is a finding.

    Args:
        look: Which.
        device: `cpu`, `cuda` or `cuda:INDEX`.
        quick: Whether to take the short way.
        folder: For its files; made anew.
        cache: The suite's cache folder.
        seconds: Another limit than its own.
    """
    limit = look.seconds if seconds is None else seconds
    shutil.rmtree(folder, ignore_errors=True)  # what an earlier look left would be taken for this one's
    folder.mkdir(parents=True)
    findings_file = folder / "findings.jsonl"
    start = time.monotonic()
    named = {"quick": quick, "folder": folder, "cache": cache}
    process = _context().Process(target=_child, args=((look.name, device), findings_file), kwargs=named)
    process.start()
    try:
        process.join(limit)
        is_late = process.is_alive()
    finally:  # past its limit, or this process was interrupted
        _end(process)
    findings = _read(findings_file)
    if is_late:
        findings.append(_ended(look, f"it had not ended after {limit:g} s", f"an end within {limit:g} s"))
    elif process.exitcode:
        words = f"its process ended with exit code {process.exitcode}"
        findings.append(_ended(look, words, "exit code 0"))
    elif not findings:
        findings.append(_ended(look, "it found nothing", "at least one finding"))
    return LookResult(look, findings, time.monotonic() - start)


def _context() -> Any:  # noqa: ANN401 - the contexts share no type that has `Process`
    """Return a way to start processes that have imported torch and hold nothing of a device."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "graftbench.selftest.runner"])
    return context


def _child(arguments: tuple[str, str], findings_file: Path, *, quick: bool, folder: Path, cache: Path) -> None:
    """Take a look in this process; write each finding when it is there."""
    with suppress(OSError, AttributeError):
        os.setpgid(0, 0)  # what it starts can be ended with it
    with findings_file.open("ab", buffering=0) as file:
        for finding in findings_of(*arguments, quick=quick, folder=folder, cache=cache):
            file.write(msgspec.json.encode(finding) + b"\n")


def findings_of(name: str, device: str, *, quick: bool, folder: Path, cache: Path) -> Iterator[SelftestFinding]:
    """Take a look in this process, and yield what it finds as it finds it; an error in it is a finding.

    Args:
        name: Of the look.
        device: As in `take`.
        quick: Likewise.
        folder: Likewise.
        cache: Likewise.
    """
    from graftbench.selftest.device import CheckedDevice  # noqa: PLC0415 - imports torch, which the parent does without

    look: Callable[[Bench], Iterator[SelftestFinding]] = import_module(f"graftbench.selftest.looks.{name}").look
    try:
        yield from look(Bench(device=CheckedDevice(device), quick=quick, folder=folder, cache=cache))
    except Exception as error:  # noqa: BLE001 - an error is what a selftest is there to find
        traceback.print_exc()
        words = str(error).splitlines() or [""]
        found = f"{type(error).__name__}: {words[0][:300]}"
        yield judged(name, "an end without an error", ok=False, found=found, expected="no error")


def _end(process: BaseProcess) -> None:
    """End a process, if it has not ended, and what it has started."""
    assert process.pid is not None
    for sign in (signal.SIGTERM, signal.SIGKILL) if process.is_alive() else ():
        with suppress(OSError):
            os.killpg(process.pid, sign)
        process.join(GRACE_SECONDS)
        if not process.is_alive():
            return


def _ended(look: DeviceLook, found: str, expected: str) -> SelftestFinding:
    return judged(look.name, "the look's end", ok=False, found=found, expected=expected)


def _read(findings_file: Path) -> list[SelftestFinding]:
    """Read the findings; of a line that was cut off the rest is lost, and the look's end says so."""
    findings = []
    for line in findings_file.read_bytes().splitlines() if findings_file.is_file() else ():
        with suppress(msgspec.MsgspecError):
            findings.append(msgspec.json.decode(line, type=SelftestFinding))
    return findings
