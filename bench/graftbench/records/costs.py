"""The costs that makers of samples may declare, with their units."""

from __future__ import annotations

import math
from typing import Any

from graftbench.errors import GraftbenchError, unknown

REPLAYED = "The samples replay images that were there before: nothing was sampled, and there is no sampling rate."
"""Note of a cell whose sampler draws from finished images."""

COSTS: dict[str, type] = {
    "fit_seconds": float,
    "fit_cpu_seconds": float,
    "images_seen": int,
    "training_images_per_second": float,
    "sampling_images_per_second": float,
    "peak_memory_mib": float,
    "energy_joules": float,
    "parameters_total": int,
    "parameters_trained": int,
    "flops": float,
    "device": str,
}
"""Costs that can be declared: field of `Resources` -> its type."""


UNITS: dict[str, str] = {
    "fit_seconds": "seconds of training, on the clock",
    "fit_cpu_seconds": "seconds of CPU time of training, of all processes",
    "images_seen": "training images shown to the networks, repetitions counted",
    "training_images_per_second": "images_seen / fit_seconds",
    "sampling_images_per_second": "generated images per second",
    "peak_memory_mib": "MiB at the most while training: of the GPU where there is one, else of the process",
    "energy_joules": "joules of training, by a counter (1 Wh is 3600 J)",
    "parameters_total": "numbers in all networks that take part, frozen ones included",
    "parameters_trained": "those that training changes",
    "flops": "floating-point operations of training; a multiply-add counts two",
    "device": "what it was trained on, in a word or two",
}
"""Cost that can be declared -> its unit."""


def checked_costs(costs: dict[str, Any], where: str) -> dict[str, float | int | str]:
    """Return declared costs by name, each of its type.

    Raises:
        GraftbenchError: A name that is none (naming the nearest), or a value that is no finite number of at least 0.
    """
    checked: dict[str, float | int | str] = {}
    for name, value in costs.items():
        if name not in COSTS:
            raise unknown("cost", name, COSTS, where=where)
        kind = COSTS[name]
        if kind is str:
            checked[name] = str(value)
            continue
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf or (kind is int and number != int(number)):
            what = "a whole number" if kind is int else "a finite number"
            raise GraftbenchError(f"The cost {name} is {what} of at least 0; found '{value}' {where}.")
        checked[name] = int(number) if kind is int else number
    return checked
