"""`graftbench selftest`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graftbench.cli.options import Flag, Texts

if TYPE_CHECKING:
    from graftbench.selftest.runner import LookResult

MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-", "measured": "="}


def selftest(
    *,
    device: str = "auto",
    quick: Flag = False,
    look: Texts = [],  # noqa: B006 - never changed
    out: Path = Path("selftest"),
) -> int:
    """Prove a device: fits, times, memory, energy, features and speed against what is known, and a page of it.

    Nothing is downloaded. Exit code 0: nothing failed. 1: something did; the last lines say what. What cannot be
    checked on the device is skipped, with its reason.

    Args:
        device: auto, cpu, cuda or cuda:N.
        quick: The short form: fewer steps, one method of each loop, no cells, nothing compiled.
        look: Only this look (timing, memory, energy, kernels, throughput, methods, cells); may be given several times.
        out: Folder for selftest.json, selftest.html and what the looks write.
    """
    from graftbench.cache import cache_folder
    from graftbench.resources.device import resolve_device
    from graftbench.selftest.selftest import JSON, PAGE, looks_named
    from graftbench.selftest.selftest import selftest as take_all

    looks = looks_named(look)
    whole = take_all(
        resolve_device(device), out.absolute(), cache=cache_folder(), quick=quick, looks=looks, heard=_print_result
    )
    counts = ", ".join(f"{whole.count(outcome)} {outcome}" for outcome in MARKS)
    print(f"\n{whole.device_name}: {counts}. {out / JSON}, {out / PAGE}.")
    for finding in whole.failed:
        print(f"graftbench: failed: {finding.look}: {finding.name}: {finding.found}", file=sys.stderr)
    return int(bool(whole.failed))


def _print_result(result: LookResult) -> None:
    print(f"\n{result.look.title} ({result.look.name}, {result.seconds:.0f} s)")
    for finding in result.findings:
        print(f"  {MARKS[finding.outcome]:<6}  {finding.name}: {finding.found}", flush=True)
        if finding.outcome == "failed":
            print(f"          expected  {finding.expected}", flush=True)
