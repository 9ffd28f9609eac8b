"""The settings under which a fit gives the same numbers on CPUs with other instruction sets.

oneDNN, MKL and ATen choose their kernels by what a CPU offers, and kernels differ in the order of sums. They read their
variables when they first compute, so that a process must have them before: they cannot be set for a cell alone.
docs/protocols.md says what was shown with them, and what they cost.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from graftbench.errors import GraftbenchError

if TYPE_CHECKING:
    from collections.abc import Mapping

PORTABLE: Mapping[str, str] = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
"""Variables of a process that computes under `determinism = "portable"`; it has one thread besides."""


def portable_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters that do not ask the CPU: under `precision = "auto"` bfloat16 is taken where it is native."""
    return dict(parameters) | ({"precision": "float32"} if parameters.get("precision") == "auto" else {})


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
        variables = " ".join(f"{name}={value}" for name, value in PORTABLE.items())
        raise GraftbenchError(
            f'determinism = "portable" needs a process that was started with {variables}; found {", ".join(wrong)}.'
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
