"""The settings under which a fit gives the same numbers on CPUs with other instruction sets.

oneDNN and MKL choose their kernels by what a CPU offers, and kernels differ in the order of sums. Both read their
variables when they first compute, so that a process must have them before: they cannot be set for a cell alone.
docs/protocols.md says what was shown with them, and what they cost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTABLE: Mapping[str, str] = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}
"""Variables of a process that computes under `determinism = "portable"`; it has one thread besides."""


def variables_of(*, portable: bool) -> Mapping[str, str]:
    """Return the variables that a process must have before it computes."""
    return PORTABLE if portable else {}


def check_process(*, portable: bool, device: str) -> None:
    """Refuse to compute portably where that cannot be.

    Raises:
        GraftbenchError: The device is no CPU, or this process was started without the variables.
    """
    if not portable:
        return
    check_device(device)
    wrong = [f"{name}={os.environ.get(name, '')}" for name, value in PORTABLE.items() if os.environ.get(name) != value]
    if wrong:
        wanted = " ".join(f"{name}={value}" for name, value in PORTABLE.items())
        raise GraftbenchError(
            f'determinism = "portable" needs a process that was started with {wanted}; found {", ".join(wrong)}.'
        )


def check_device(device: str) -> None:
    """Refuse a device of which nothing was shown.

    Raises:
        GraftbenchError: It is no CPU.
    """
    if device != "cpu":
        raise GraftbenchError(
            f"determinism = \"portable\" holds for CPUs; the device is '{device}'. Run with --device cpu, or leave it "
            "out of the suite's [protocol]."
        )
